"""Pictures that someone has, as views of a car's cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from drivewm.data.reader import read_image
from drivewm.datatypes import Array, CameraRig
from drivewm.errors import InputError

MOSAIC = "mosaic"


def read_views(pictures: Sequence[str], rig: CameraRig) -> dict[str, Array]:
    """Camera -> picture uint8 [H, W, 3] for files: ``CAM_BACK=file.png``, or files that carry the name of their camera.

    One file without a name is the camera that looks straight ahead, or, where its shape says so, all cameras in rows as films
    show them, without gaps; ``mosaic=file.png`` says so. As many files as cameras are taken in the rig's order. Raises
    InputError for a picture that cannot be read or belongs to no camera.
    """
    named = [_named(text, rig) for text in pictures]
    if len(named) == 1 and named[0][0] in (None, MOSAIC):
        name, path = named[0]
        picture = read_image(path)[..., ::-1].copy()
        if name == MOSAIC or _looks_like_all(picture, rig):
            return _cut(picture, rig)
        return {rig.names[int(rig.ego_from_camera[:, 0, 2].argmax())]: picture}
    if len(named) == len(rig.names) and all(name is None for name, _ in named):
        named = [(name, path) for name, (_, path) in zip(rig.names, named, strict=True)]
    out: dict[str, Array] = {}
    for name, path in named:
        if name is None or name == MOSAIC or name in out:
            reason = "is a second picture of its camera" if name in out else "does not say which camera took it"
            raise InputError(reason, file=path, hint=f"write for example {rig.names[0]}={path.name}")
        out[name] = read_image(path)[..., ::-1].copy()
    return out


def _named(text: str, rig: CameraRig) -> tuple[str | None, Path]:
    """The camera that an argument speaks of, if it does, and its file."""
    name, sign, file = text.partition("=")
    if sign and not Path(text).exists():
        return name, Path(file)
    path = Path(text)
    within = [known for known in rig.names if known.lower() in path.stem.lower()]
    return (max(within, key=len) if within else None), path


def _looks_like_all(picture: Array, rig: CameraRig) -> bool:
    """Whether the shape of a picture is nearer to that of all cameras together than to that of one."""
    if len(rig.names) == 1:
        return False
    rows, columns = _grid(rig)
    one, shape = rig.size_px[1] / rig.size_px[0], picture.shape[1] / picture.shape[0]
    return abs(math.log(shape / (one * columns / rows))) < abs(math.log(shape / one))


def _grid(rig: CameraRig) -> tuple[int, int]:
    count = len(rig.names)
    return (1, count) if count <= 3 else (2, -(-count // 2))


def _cut(picture: Array, rig: CameraRig) -> dict[str, Array]:
    rows, columns = _grid(rig)
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    out = {}
    for view, name in enumerate(rig.names):
        y, x = view // columns * height, view % columns * width
        out[name] = picture[y : y + height, x : x + width].copy()
    return out
