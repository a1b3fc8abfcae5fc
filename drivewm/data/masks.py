"""The drivable mask of a map, 0.1 m per pixel, written strip by strip: a map of several km^2 never stands in memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from drivewm.datatypes import Array

PX_PER_M = 10
_STRIP_ROWS = 512


def write_mask(path: Path, drivable: Sequence[Array], canvas_edge_m: tuple[float, float]) -> None:
    """A grey PNG, 255 inside the polygons [P, 2] of ``drivable`` (map metres) and 0 elsewhere; row 0 is the largest y."""
    width, height = (round(edge * PX_PER_M) for edge in canvas_edge_m)
    polygons = [np.stack([xy[:, 0] * PX_PER_M, height - xy[:, 1] * PX_PER_M], -1) for xy in drivable]
    spans = [(float(polygon[:, 1].min()), float(polygon[:, 1].max())) for polygon in polygons]
    packer = zlib.compressobj(level=1)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        for top in range(0, height, _STRIP_ROWS):
            rows = min(_STRIP_ROWS, height - top)
            strip = np.zeros((rows, width + 1), np.uint8)  # the first byte of every row is PNG's filter type, none
            canvas = np.zeros((rows, width), np.uint8)
            for polygon, (low, high) in zip(polygons, spans, strict=True):
                if high >= top and low <= top + rows:
                    cv2.fillPoly(canvas, [np.round(polygon - [0, top]).astype(np.int32)], 255)
            strip[:, 1:] = canvas
            _chunk(file, b"IDAT", packer.compress(strip.tobytes()))
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: object, kind: bytes, data: bytes) -> None:
    if data or kind != b"IDAT":
        body = kind + data
        file.write(struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body)))  # type: ignore[attr-defined]
