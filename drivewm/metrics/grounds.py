"""What a scene says about the ground, prepared once: where one may drive, the route, the stop lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from drivewm.datatypes import Array, RoadMap, Scene, SignalState
from drivewm.sim.paths import PathTable, crossing_share

CELL_M = 0.25
MARGIN_M = 50.0  # beyond the route; farther out nothing counts as drivable


@dataclass(frozen=True, slots=True)
class DrivableGrid:
    """The drivable area on a grid; a cell counts when its square touches a polygon, so the edge is up to 0.25 m generous."""

    origin_xy: Array  # [2], corner of the first cell
    cells: Array  # bool [rows, columns]

    @classmethod
    def of(cls, road: RoadMap, around_xy: Array) -> DrivableGrid:
        """The part of ``road`` within `MARGIN_M` of ``around_xy`` [P, 2]; everything is drivable where no polygon is known."""
        low, high = around_xy.min(0) - MARGIN_M, around_xy.max(0) + MARGIN_M
        width, height = (np.ceil((high - low) / CELL_M)).astype(int)
        if not road.drivable:
            return cls(low, np.ones((height, width), bool))
        cells = np.zeros((height, width), np.uint8)
        for polygon in road.drivable:
            # fillPoly takes pixel centres; 4 fractional bits place the outline to a sixteenth of a cell.
            pixels = np.round(((polygon - low) / CELL_M - 0.5) * 16).astype(np.int32)
            cv2.fillPoly(cells, [pixels], 1, shift=4)
        return cls(low, cells.astype(bool))

    def contains(self, xy: Array) -> Array:
        """Whether points [..., 2] lie on the drivable area."""
        column, row = np.moveaxis(np.floor((xy - self.origin_xy) / CELL_M).astype(np.int64), -1, 0)
        rows, columns = self.cells.shape
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        return inside & self.cells[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]


@dataclass(frozen=True, slots=True)
class Grounds:
    """The grounds of B scenes."""

    roads: tuple[RoadMap, ...]
    drivable: tuple[DrivableGrid, ...]
    routes: PathTable  # one row per scene

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Grounds:
        points = np.array([len(scene.route_xy) for scene in scenes])
        routes = np.stack([np.pad(scene.route_xy, ((0, points.max() - len(scene.route_xy)), (0, 0)), "edge") for scene in scenes])
        drivable = tuple(DrivableGrid.of(scene.road, scene.route_xy) for scene in scenes)
        return cls(tuple(scene.road for scene in scenes), drivable, PathTable.build(routes, points))

    def route_sd(self, xy: Array, near_s_m: Array, reach_m: float) -> Array:
        """Arc length and left offset [B, Q, 2] on the route of points [B, Q, 2] within ``reach_m`` ahead of ``near_s_m`` [B]."""
        row = np.broadcast_to(np.arange(len(xy))[:, None], xy.shape[:2])
        vertex = np.floor(near_s_m)[:, None].astype(np.int64) + np.arange(-8, int(reach_m) + 8, 4)
        vertex = np.clip(vertex, 0, (self.routes.last + 1)[:, None])
        station = self.routes.xy[vertex + self.routes.points * np.arange(len(xy))[:, None]]
        away = xy[:, :, None] - station[:, None]
        best = np.argmin(away[..., 0] ** 2 + away[..., 1] ** 2, axis=-1)
        s, offset, _ = self.routes.refine(row, np.take_along_axis(vertex, best, 1).astype(np.float64), xy)
        return np.stack([s, offset], -1)

    def route_s(self, xy: Array) -> Array:
        """Arc length [B] on the whole route of the point [B, 2] nearest to it."""
        routes = self.routes
        away = routes.xy.reshape(len(xy), routes.points, 2) - xy[:, None]
        vertex = np.minimum(np.argmin(away[..., 0] ** 2 + away[..., 1] ** 2, axis=-1), routes.last + 1)
        return routes.refine(np.arange(len(xy)), vertex.astype(np.float64), xy)[0]


def ran_red(road: RoadMap, front_xy: Array, t_s: Array) -> Array:
    """Where a front bumper on the way ``front_xy`` [..., Q, 2] at times ``t_s`` [..., Q] crosses a stop line against red.

    Returns bool [..., Q - 1], one per move; only lights that face the traffic on that way count.
    """
    before, after = front_xy[..., :-1, :], front_xy[..., 1:, :]
    out = np.zeros(before.shape[:-1], bool)
    for signal in road.signals:
        share = crossing_share(before, after, signal.stop_line_xy)
        when = t_s[..., :-1] + np.where(np.isfinite(share), share, 0.0) * np.diff(t_s, axis=-1)
        step, yaw = after - before, signal.xy_yaw_world[2]
        forward = step[..., 0] * np.cos(yaw) + step[..., 1] * np.sin(yaw) > 0.5 * np.hypot(step[..., 0], step[..., 1])
        out |= np.isfinite(share) & forward & (signal.state_at(when) == SignalState.RED)
    return out
