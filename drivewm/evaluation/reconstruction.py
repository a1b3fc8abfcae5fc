"""Real pictures through an autoencoder and back: how alike they stay, beside what JPEG and a blur do to the same pictures.

A world model never shows more than its autoencoder can, so this comes before training on a new source of data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.evaluation.likeness import SMALLEST_PX, FeatureNetwork, backbone_network, psnr_db, reader_network, ssim
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_png
from drivewm.evaluation.readers import Readers
from drivewm.evaluation.sources import Source, open_sources
from drivewm.store import atomic_folder, provenance, write_json
from drivewm.worldmodel.autoencoder import FrameCodec

JPEG_QUALITY, BLUR_PX, DIFFERENCE_GAIN = 30, 2.0, 4
SHOWN, SHOWN_PX = 4, 160  # pictures of a source in its sheet, and the least height of one
AUTOENCODER = "autoencoder"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class ReconstructOptions:
    size_px: tuple[int, int] | None = None  # height, width; None: as they are, within `sources.LARGEST_PX`
    frames: int = 24  # of each source at most
    clip: int = 1  # frames in a row that go through the autoencoder at once, where it takes clips
    features: Path | None = None  # a vision model of transformers, besides the readers


def reconstruct(
    paths: Sequence[Path], autoencoder: str | Path, out: Path, options: ReconstructOptions, progress: Progress | None = None
) -> dict[str, Any]:
    """Write ``out``/report.json and a sheet of pictures for each source; returns the report.

    A figure that is infinite (PSNR of the same picture) is None. Raises InputError for sources, an autoencoder or a vision model
    that cannot be read, and where ``out`` holds something.
    """
    if min(options.frames, options.clip) < 1:
        raise InputError("one frame and clips of one frame are the least")
    if options.size_px and min(options.size_px) < SMALLEST_PX:
        raise InputError(f"{options.size_px} px is too small", hint=f"sides of {SMALLEST_PX} px are the least that SSIM compares")
    sources = open_sources(paths)
    codec = FrameCodec.load(autoencoder, any_kind=True)
    codec = codec.to("cuda" if torch.cuda.is_available() else "cpu")
    readers = Readers.load()
    networks = [reader_network(readers)] + ([backbone_network(options.features)] if options.features else [])
    with atomic_folder(out) as folder:
        clips = [_clips_of(source, options) for source in sources]
        entries, done = [], 0
        for number, (source, its) in enumerate(zip(sources, clips, strict=True)):
            _there_and_back(codec, its[0])  # the first time in a shape is slower, and times are reported
            back = []
            for clip in its:
                back.append(_there_and_back(codec, clip))
                done += 1
                if progress:
                    progress(done, sum(map(len, clips)), source.name)
            picture = f"{number:02d}-{source.name.strip('/').replace('/', '_')}.png"
            write_png(folder / picture, sheet(its, [timed.pictures for timed in back]))
            entries.append({"source": source.name, "sheet": picture, **_entry(its, back, networks)})
        ids = {"autoencoder": f"{type(codec.autoencoder).__name__}@{codec.fingerprint()}", "readers": readers.fingerprint()}
        settings: dict[str, str | float | int | bool] = {
            "autoencoder": str(autoencoder),
            "frames": options.frames,
            "clip": options.clip,
            "size_px": "x".join(map(str, options.size_px or ())),
            "features": str(options.features or ""),
            "device": codec.mean_C.device.type,
        }
        report = {
            "autoencoder": {"name": str(autoencoder), "class": type(codec.autoencoder).__name__, **asdict(codec.form)},
            "sources": entries,
            "provenance": asdict(provenance(0, settings, **ids)),
        }
        write_json(folder / "report.json", report)
    return report


@dataclass(frozen=True, slots=True)
class _Timed:
    """A clip that came back."""

    pictures: Array
    values: int  # in its latent
    encode_ms: float
    decode_ms: float


@torch.no_grad()
def _there_and_back(codec: FrameCodec, clip: Array) -> _Timed:
    images = torch.from_numpy(np.ascontiguousarray(clip)).to(codec.mean_C.device)
    marks = [_now_s()]
    latent = codec.encode_clip(images)
    marks.append(_now_s())
    back = codec.decode_clip(latent, (clip.shape[0], clip.shape[1], clip.shape[2]))
    marks.append(_now_s())
    encode_ms, decode_ms = np.diff(marks) * 1e3 / len(clip)
    return _Timed(back.cpu().numpy(), latent.numel(), float(encode_ms), float(decode_ms))


def _now_s() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _clips_of(source: Source, options: ReconstructOptions) -> list[Array]:
    clips = source.clips(options.frames, options.clip, options.size_px)
    if small := next((clip.shape[1:3] for clip in clips if min(clip.shape[1:3]) < SMALLEST_PX), None):
        raise InputError(f"a picture of {small} px is too small", file=source.name, hint=f"{SMALLEST_PX} px is the least")
    return clips


def _entry(clips: Sequence[Array], back: Sequence[_Timed], networks: Sequence[FeatureNetwork]) -> dict[str, Any]:
    """What the report says of a source."""
    before = [picture for clip in clips for picture in clip]
    after = [picture for timed in back for picture in timed.pictures]
    ways: dict[str, Callable[[Array], Array]] = {
        f"JPEG quality {JPEG_QUALITY}": _jpeg,
        f"blur {BLUR_PX:g} px": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), BLUR_PX)),
        "identity": lambda picture: picture,
    }
    changed = {AUTOENCODER: after} | {name: [way(picture) for picture in before] for name, way in ways.items()}
    return {
        "frames": len(before),
        "sizes_px": sorted({picture.shape[:2] for picture in before}),
        "compression": sum(picture.size for picture in before) / sum(timed.values for timed in back),
        "encode_ms": float(np.median([timed.encode_ms for timed in back])),
        "decode_ms": float(np.median([timed.decode_ms for timed in back])),
        "rows": {name: _figures(before, pictures, networks) for name, pictures in changed.items()},
    }


def _jpeg(picture: Array) -> Array:
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]


def _figures(before: Sequence[Array], after: Sequence[Array], networks: Sequence[FeatureNetwork]) -> dict[str, Any]:
    """Mean, worst and every picture's figure, for each way to compare."""
    ways: dict[str, tuple[Callable[[Array, Array], float], Callable[..., Any]]] = {"psnr_db": (psnr_db, min), "ssim": (ssim, min)}
    ways |= {network.name: (network.distance, max) for network in networks}
    out = {}
    for name, (compare, worst) in ways.items():
        values = [compare(a, b) for a, b in zip(before, after, strict=True)]
        each = [value if np.isfinite(value) else None for value in values]
        out[name] = {"mean": _finite(np.mean(values)), "worst": _finite(worst(values)), "each": each}
    return out


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def sheet(clips: Sequence[Array], back: Sequence[Array]) -> Array:
    """Some pictures of clips side by side: as they were, as they came back, and the amplified difference."""
    before, after = ([picture for clip in some for picture in clip] for some in (clips, back))
    columns = []
    for i in np.unique(np.linspace(0, len(before) - 1, min(SHOWN, len(before))).round().astype(int)):
        apart = np.abs(before[i].astype(np.int16) - after[i])
        rows = {
            "original": before[i],
            "reconstruction": after[i],
            f"difference x {DIFFERENCE_GAIN}": (apart * DIFFERENCE_GAIN).clip(0, 255).astype(np.uint8),
        }
        columns.append(stacked([labelled(_shown(picture), name) for name, picture in rows.items()]))
    return beside(columns)


def _shown(picture: Array) -> Array:
    share = max(SHOWN_PX / picture.shape[0], 1.0)
    return enlarged(picture, round(picture.shape[0] * share), round(picture.shape[1] * share))


def size_of(text: str) -> tuple[int, int]:
    """Height and width out of "64x96"; raises InputError for anything else."""
    height, times, width = text.lower().partition("x")
    if not (times and height.isdecimal() and width.isdecimal()):
        raise InputError(f"{text!r} is no size", hint="height and width in pixels, such as 64x96")
    return int(height), int(width)


def report_rows(report: dict[str, Any]) -> list[list[str]]:
    """The report as a table of text, its head first."""
    names = list(report["sources"][0]["rows"][AUTOENCODER])
    rows = [["source", "frames", "what", *names, "compression", "ms per frame"]]
    for entry in report["sources"]:
        for way, figures in entry["rows"].items():
            values = [f"{_text(figures[name]['mean'])} ({_text(figures[name]['worst'])})" for name in names]
            cost = ["", ""]
            if way == AUTOENCODER:
                cost = [f"{entry['compression']:.3g}", f"{entry['encode_ms']:.3g} + {entry['decode_ms']:.3g}"]
            rows.append([entry["source"], str(entry["frames"]), way, *values, *cost])
    return rows


def _text(value: float | None) -> str:
    return "inf" if value is None else f"{value:.3g}"
