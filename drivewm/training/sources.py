"""What a packed clip was made from, as a hash: when anything of it changes, the clip is made again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.reader import NuScenesFolder

RECIPE = 2  # counts up when the same source packs to something else


def source_hash(folder: NuScenesFolder, scene: str, size_px: tuple[int, int] | None, stride: int) -> str:
    """Of one scene: all that the tables say of it, size and time of its files, frame size, stride, recipe.

    Images are known by size and time of change, not by content: reading a data set to see whether it must be read costs the same.
    """
    digest = hashlib.sha256(f"{RECIPE} {size_px} {stride}".encode())
    root, index = folder.root_of(scene), folder.index(scene)
    _add(digest, index)
    images = (root / name for frame in index.files[::stride] for name in frame)
    others = [root / "maps" / "expansion" / f"{index.location}.json"]
    others += [root / "can_bus" / f"{index.name}_{name}.json" for name in ("pose", "steeranglefeedback")]
    for file in (*images, *others):
        digest.update(_state(file))
    return digest.hexdigest()[:32]


def _state(file: Path) -> bytes:
    try:
        state = file.stat()
    except FileNotFoundError:
        return b"absent "
    return f"{state.st_size} {state.st_mtime_ns} ".encode()


def _add(digest: Any, value: Any) -> None:
    if is_dataclass(value):
        for field in fields(value):
            digest.update(field.name.encode())
            _add(digest, getattr(value, field.name))
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes())
    else:
        digest.update(json.dumps(value, sort_keys=True).encode())
