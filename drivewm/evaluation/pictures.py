"""Pictures of camera frames: the mosaic of all cameras, panels side by side, strips of moments. uint8 RGB [H, W, 3]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from drivewm.datatypes import Array
from drivewm.store import atomic_write

BACKGROUND = (24, 27, 31)
BAR = (255, 170, 70)
GAP_PX = 4


def labelled(picture: Array, text: str) -> Array:
    """The picture with a small name in its upper left corner."""
    out = np.ascontiguousarray(picture)
    scale = max(0.35, min(0.6, out.shape[1] / 800))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    corner = out[: height + 10, : width + 12]
    corner[:] = (0.45 * corner).astype(np.uint8)
    cv2.putText(out, text, (6, height + 5), cv2.FONT_HERSHEY_SIMPLEX, scale, (240, 240, 236), 1, cv2.LINE_AA)
    return out


def enlarged(picture: Array, height: int, width: int) -> Array:
    """The picture at another size: smooth when it grows, averaged when it shrinks."""
    grows = height >= picture.shape[0]
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA), np.uint8)


def mosaic(images: Array, names: Sequence[str], *, panel_width_px: int = 384) -> Array:
    """All cameras [V, H, W, 3] of a moment in two rows (one row up to three cameras), with names.

    The second row holds the cameras that follow in the rig's order: for nuScenes the front three above the rear three.
    """
    count = len(images)
    columns = count if count <= 3 else -(-count // 2)
    height = round(panel_width_px * images.shape[1] / images.shape[2])
    panels = [labelled(enlarged(i, height, panel_width_px), _readable(n)) for i, n in zip(images, names, strict=True)]
    rows = [beside(panels[start : start + columns]) for start in range(0, count, columns)]
    return stacked(rows)


def with_bars(images: Array, share: Array) -> Array:
    """Pictures [V, H, W, 3] with a bar along the lower edge of each, filled from the left to ``share`` [V] of its width."""
    out = images.copy()
    high = max(1, images.shape[1] // 32)
    for picture, part in zip(out, np.clip(share, 0.0, 1.0), strict=True):
        filled = round(float(part) * picture.shape[1])
        picture[-high:] = BACKGROUND
        picture[-high:, :filled] = BAR
    return out


def _readable(camera: str) -> str:
    return camera.removeprefix("CAM_").replace("_", " ").lower()


def beside(panels: Sequence[Array], gap_px: int = GAP_PX) -> Array:
    """Panels from left to right, centred, on the dark background."""
    height = max(p.shape[0] for p in panels)
    out = np.full((height, sum(p.shape[1] for p in panels) + gap_px * (len(panels) - 1), 3), BACKGROUND, np.uint8)
    x = 0
    for panel in panels:
        y = (height - panel.shape[0]) // 2
        out[y : y + panel.shape[0], x : x + panel.shape[1]] = panel
        x += panel.shape[1] + gap_px
    return out


def stacked(panels: Sequence[Array], gap_px: int = GAP_PX) -> Array:
    """Panels from top to bottom."""
    return beside([p.swapaxes(0, 1) for p in panels], gap_px).swapaxes(0, 1)


def strip(pictures: Sequence[Array], count: int = 4) -> Array:
    """``count`` moments spread evenly over a sequence of pictures, side by side: a film on one line."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int))
    return beside([pictures[i] for i in chosen])


def write_png(path: str | Path, picture: Array) -> Path:
    """Write an RGB picture; the file appears whole or not at all."""
    path = Path(path)
    ok, data = cv2.imencode(".png", picture[..., ::-1])
    if not ok:
        raise ValueError(f"cannot encode a picture of shape {picture.shape} as PNG")
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return path


def write_jpeg(path: str | Path, picture: Array, quality: int = 82) -> Path:
    """Write an RGB picture, smaller than PNG and not exact; the file appears whole or not at all."""
    path = Path(path)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.tobytes())
    return path
