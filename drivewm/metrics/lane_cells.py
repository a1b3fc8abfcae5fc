"""Lanes by place: which pieces of lane lie near a point, looked up instead of searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.metrics.lanes import OVERLAP_M, LaneField

CELL_M = 2.0
MARGIN_M = 1e-6  # so that rounding cannot lose a point on an edge


@dataclass(frozen=True, slots=True)
class LaneCells:
    """Pieces of lanes sorted into square cells; a piece stands in every cell that its upright bounding box touches."""

    field: LaneField
    lanes: int  # how many there are
    low_xy: Array  # [2], corner of the first cell
    columns: int
    cells: Array  # [C], numbers of the cells that hold something, ascending
    starts: Array  # [C + 1], where their pieces begin in ``pieces``
    pieces: Array

    @classmethod
    def of(cls, field: LaneField, lanes: int) -> LaneCells:
        half = np.stack([field.half_length_m + OVERLAP_M, field.half_width_m], -1)
        cos, sin = np.abs(np.cos(field.yaw_rad)), np.abs(np.sin(field.yaw_rad))
        reach = np.stack([cos * half[:, 0] + sin * half[:, 1], sin * half[:, 0] + cos * half[:, 1]], -1) + MARGIN_M
        low_xy = (field.xy - reach).min(0, initial=0.0)
        first, last = (np.floor((field.xy + side * reach - low_xy) / CELL_M).astype(np.int64) for side in (-1, 1))
        columns = int(last[:, 0].max(initial=0)) + 1
        wide, high = (int((last - first)[:, axis].max(initial=0)) + 1 for axis in (0, 1))
        column, row = (v.ravel() for v in np.meshgrid(np.arange(wide), np.arange(high)))
        at = first[:, None] + np.stack([column, row], -1)  # [S, wide * high, 2]
        piece, place = np.nonzero((at <= last[:, None]).all(-1))
        number = at[piece, place, 1] * columns + at[piece, place, 0]
        order = np.lexsort((piece, number))
        cells, starts = np.unique(number[order], return_index=True)
        return cls(field, lanes, low_xy, columns, cells, np.append(starts, len(order)), piece[order])

    def within(self, xy: Array) -> Array:
        """In which lanes points [..., 2] lie: bool [..., L]. The same as `LaneField.holds`, lane by lane."""
        points, field = xy.reshape(-1, 2), self.field
        out = np.zeros((len(points), self.lanes), bool)
        if len(self.cells) and len(points):
            column, row = np.floor((points - self.low_xy) / CELL_M).astype(np.int64).T
            number = np.where((column >= 0) & (column < self.columns) & (row >= 0), row * self.columns + column, -1)
            found = np.minimum(np.searchsorted(self.cells, number), len(self.cells) - 1)
            begin = self.starts[found]
            count = np.where(self.cells[found] == number, self.starts[found + 1] - begin, 0)
            point = np.repeat(np.arange(len(points)), count)
            nth = np.arange(len(point)) - np.repeat(np.cumsum(count) - count, count)
            piece = self.pieces[begin[point] + nth]
            inside = field[piece].hold(points[point])
            out[point[inside], field.lane[piece[inside]]] = True
        return out.reshape(*xy.shape[:-1], self.lanes)
