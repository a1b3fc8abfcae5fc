"""What a scene says about the ground, prepared once: where one may drive, the route, the stop lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from drivewm.datatypes import Array, RoadMap, Scene, SignalState
from drivewm.metrics.routes import Routes
from drivewm.sim.paths import crossing_share

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
        return np.asarray(inside & self.cells[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)])


@dataclass(frozen=True, slots=True)
class Grounds:
    """The grounds of B scenes."""

    roads: tuple[RoadMap, ...]
    drivable: tuple[DrivableGrid, ...]
    routes: Routes

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Grounds:
        drivable = tuple(DrivableGrid.of(scene.road, scene.route_xy) for scene in scenes)
        return cls(tuple(scene.road for scene in scenes), drivable, Routes.of(scenes))


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
