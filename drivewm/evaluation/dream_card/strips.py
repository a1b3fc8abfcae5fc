"""Pictures of the card: rows of moments, with what the reader sees in them painted in colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_jpeg
from drivewm.evaluation.readers import READ_CLASSES

COLOURS = np.array([(40, 44, 52), (118, 122, 130), (240, 160, 60), (80, 200, 250), (240, 80, 120), (210, 220, 90)], np.uint8)
assert len(COLOURS) == len(READ_CLASSES)
TILE_PX = 112  # high


def painted(read: Array) -> Array:
    """Index into `READ_CLASSES` [..., H, W] as colours [..., H, W, 3]: vehicles orange, two-wheelers blue, people red."""
    return COLOURS[read]


def write_strips(path: Path, rows: Sequence[tuple[str, Sequence[Array]]]) -> str:
    """Named rows of pictures [H, W, 3] one below the other; returns the name of the file."""
    bands = []
    for name, pictures in rows:
        tiles = [enlarged(one, TILE_PX, round(TILE_PX * one.shape[1] / one.shape[0])) for one in pictures]
        bands.append(beside([labelled(tiles[0], name), *tiles[1:]]))
    write_jpeg(path, stacked(bands), 72)
    return path.name


def busiest(weight: Array, count: int) -> Array:
    """``count`` places of an array, those with the largest values, as rows of indices [count, axes] in the array's order."""
    chosen = np.sort(np.argsort(-weight, axis=None, kind="stable")[:count])
    return np.stack(np.unravel_index(chosen, weight.shape), -1)
