"""`drivewm doctor`: each part of the machine that the work needs is tried once."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """``works`` is None for a part that is optional and absent."""

    part: str
    works: bool | None
    text: str


def checkup() -> list[Finding]:
    """Every finding, in the order in which the parts build on each other."""
    parts: dict[str, Callable[[], tuple[bool | None, str]]] = {
        "python": _python,
        "memory": _memory,
        "disk": _disk,
        "torch": _torch,
        "gpu": _gpu,
        "attention": _attention,
        "video": _video,
        "onnx": _onnx,
        "nuscenes-devkit": _nuscenes,
        "tracking": _tracking,
    }
    return [_tried(part, look) for part, look in parts.items()]


def _tried(part: str, look: Callable[[], tuple[bool | None, str]]) -> Finding:
    try:
        return Finding(part, *look())
    except Exception as error:  # a diagnosis must go on whatever a part does
        return Finding(part, False, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def _python() -> tuple[bool, str]:
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return fits, f"{sys.version.split()[0]} at {sys.executable}" + ("" if fits else "; 3.11 or 3.12 is needed")


def _memory() -> tuple[bool, str]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return total >= 6, f"{total:.1f} GiB, {os.cpu_count()} cores" + ("" if total >= 6 else "; the demo needs 6 GiB")


def _disk() -> tuple[bool, str]:
    from drivewm.config import runs_root

    root = runs_root()
    standing = next(path for path in (root, *root.parents) if path.exists())
    free = shutil.disk_usage(standing).free / 2**30
    writable = os.access(standing, os.W_OK)
    return free >= 2 and writable, f"{free:.0f} GiB free for {root}" + ("" if writable else f"; {standing} may not be written")


def _torch() -> tuple[bool, str]:
    import torch

    x = torch.eye(64)
    return bool(torch.equal(x @ x, x)), f"{torch.__version__}, {torch.get_num_threads()} threads"


def _gpu() -> tuple[bool | None, str]:
    import torch

    if not torch.cuda.is_available():
        return None, "none; everything runs on the processor"
    x = torch.ones(64, 64, device="cuda")
    free, total = torch.cuda.mem_get_info()
    return bool((x @ x == 64).all()), f"{torch.cuda.get_device_name()}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"


def _attention() -> tuple[bool, str]:
    import torch

    from drivewm.worldmodel.backends import backend_named, usable_backends

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    faults = usable_backends(device)
    usable = [name for name, fault in faults.items() if fault is None]
    others = [name for name in faults if name not in usable and not name.startswith("_") and not name.endswith("_hub")]
    chosen = backend_named(None, device).value
    text = f"{chosen} is used; usable: {', '.join(usable)}; not here: {', '.join(others)} (flash and xformers: extra gpu)"
    return "native" in usable, text


def _video() -> tuple[bool, str]:
    import tempfile

    import av
    import numpy as np

    from drivewm.evaluation.video import write_video

    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "two.mp4", [np.full((32, 32, 3), shade, np.uint8) for shade in (0, 255)], 5.0)
        with av.open(str(path)) as film:
            frames = sum(1 for _ in film.decode(video=0))
            codec = film.streams.video[0].codec_context.name
    return frames == 2, f"{codec}, PyAV {av.__version__}"


def _onnx() -> tuple[bool, str]:
    import onnx
    import onnxruntime

    providers = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    return "CPU" in providers, f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__} ({', '.join(providers)})"


def _nuscenes() -> tuple[bool, str]:
    from importlib.metadata import version

    from nuscenes.map_expansion.map_api import NuScenesMap
    from nuscenes.nuscenes import NuScenes

    return NuScenes is not None and NuScenesMap is not None, version("nuscenes-devkit")


def _tracking() -> tuple[bool, str]:
    from importlib.metadata import version

    from drivewm.tracking import tracking_uri

    return True, f"mlflow {version('mlflow')}, {tracking_uri()}"
