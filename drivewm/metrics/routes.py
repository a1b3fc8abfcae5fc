"""Positions beside the routes of several scenes: arc length and left offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array, Scene
from drivewm.sim.paths import PathTable

MANY = 64  # points for which it pays to leave out stations far away
STRIDE_M = 4  # of the coarse search; the tangent found there is refined twice


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of B scenes, straight on beyond both ends."""

    table: PathTable

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Routes:
        points = np.array([len(scene.route_xy) for scene in scenes])
        most = int(points.max())
        xy = np.stack([np.pad(scene.route_xy, ((0, most - len(scene.route_xy)), (0, 0)), "edge") for scene in scenes])
        return cls(PathTable.build(xy, points))

    def sd(self, xy: Array, window_m: Array | None = None) -> Array:
        """Arc length and left offset [B, Q, 2] of points [B, Q, 2].

        ``window_m`` [B, 2] restricts the search to these arc lengths, which matters where a route crosses itself.
        """
        table, batch = self.table, len(xy)
        if window_m is None:
            window_m = np.stack([np.zeros(batch), table.last + 1.0], -1)
        low, length = window_m[:, 0], float((window_m[:, 1] - window_m[:, 0]).max())
        vertex = np.floor(low).astype(np.int64)[:, None] + np.arange(0, int(length) + STRIDE_M, STRIDE_M)
        vertex = _in_question(table, np.clip(vertex, 0, (table.last + 1)[:, None]), xy)
        station = table.xy[vertex + table.points * np.arange(batch)[:, None]]
        across, along = (xy[:, :, None, c] - station[:, None, :, c] for c in (0, 1))
        best = np.argmin(across**2 + along**2, axis=-1)
        row = np.broadcast_to(np.arange(batch)[:, None], xy.shape[:2])
        s, offset, _ = table.refine(row, np.take_along_axis(vertex, best, 1).astype(np.float64), xy)
        return np.stack([s, offset], -1)


def _in_question(table: PathTable, vertex: Array, xy: Array) -> Array:
    """Of the stations ``vertex`` [B, V] those that can be the nearest of some point [B, Q, 2], in their order: [B, W].

    Nobody in the points' bounding box is farther from the nearest station than its farthest corner is from the station that
    serves all corners best; what is farther from the box than that is nearest to nobody.
    """
    if xy.shape[1] < MANY:
        return vertex
    station = table.xy[vertex + table.points * np.arange(len(vertex))[:, None]]
    low, high = xy.min(1)[:, None], xy.max(1)[:, None]
    outside = np.maximum(0.0, np.maximum(low - station, station - high))
    farthest = np.maximum(np.abs(low - station), np.abs(high - station))
    keep = (outside**2).sum(-1) <= (farthest**2).sum(-1).min(1)[:, None]
    # A batch is rectangular: rows that need fewer stations take some that cannot win.
    order = np.argsort(~keep, axis=1, kind="stable")[:, : int(keep.sum(1).max())]
    return np.take_along_axis(vertex, order, 1)
