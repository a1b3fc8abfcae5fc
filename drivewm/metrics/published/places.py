"""Where a body is on the road, in nuPlan's terms: spread over lanes, off the drivable area, off the route, in a junction.

A lane is the surface beside its centre line, as `LaneField` has it. Junctions are the lanes that connect: those that follow a
lane which branches, or lead into one where lanes merge. On the route are the lanes along which it runs, with their neighbours
of the same direction; together they are nuPlan's roadblocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from drivewm.datatypes import Array, Lane, RoadMap, Scene
from drivewm.geometry import point_at_s
from drivewm.metrics.lane_cells import LaneCells
from drivewm.metrics.lanes import WITH_COS, LaneField
from drivewm.metrics.routes import Routes

SEAM_M = 1e-3  # drivable polygons that meet leave no gap between them


@dataclass(frozen=True, slots=True)
class Places:
    """What a scene says about places, prepared once."""

    lanes: tuple[Lane, ...]
    field: LaneField
    cells: LaneCells  # of ``field``
    follows: Array  # bool [L, L]: column leads on from row
    on_route: Array  # bool [L]
    connects: Array  # bool [L]
    drivable: Any  # shapely geometry, or None where no polygon is known

    @classmethod
    def of(cls, scene: Scene) -> Places:
        road = scene.road
        field, follows = LaneField.of(road), _follows(road)
        into, out = follows.sum(0), follows.sum(1)
        branch, merge = (follows & (out > 1)[:, None]).any(0), (follows & (into > 1)).any(1)
        connects = branch | (merge & (into > 0))
        drivable = None
        if road.drivable:
            drivable = shapely.union_all([shapely.Polygon(p).buffer(SEAM_M, join_style="mitre") for p in road.drivable])
            shapely.prepare(drivable)
        return cls(
            lanes=road.lanes,
            field=field,
            cells=LaneCells.of(field, len(road.lanes)),
            follows=follows,
            on_route=_on_route(scene, field, connects),
            connects=connects,
            drivable=drivable,
        )

    def off_road(self, corners_xy: Array) -> Array:
        """Whether any corner [..., 4, 2] lies outside the drivable area."""
        if self.drivable is None:
            return np.zeros(corners_xy.shape[:-2], bool)
        inside = shapely.contains_xy(self.drivable, corners_xy[..., 0], corners_xy[..., 1])
        return np.asarray(~inside.all(-1))

    def astride(self, corners_xy: Array) -> Array:
        """NAVSIM's multiple lanes: corners [..., 4, 2] touch several lanes and no lane has all four."""
        inside = self.cells.within(corners_xy)
        return np.asarray((inside.any(-2).sum(-1) > 1) & ~inside.all(-2).any(-1))

    def apart(self, corners_xy: Array) -> Array:
        """nuPlan's not in common or connected: no lane, alone or with one that follows it, has all corners [..., 4, 2]."""
        inside = self.cells.within(corners_xy)
        together = inside.all(-2).any(-1)
        for lane, after in zip(*np.nonzero(self.follows), strict=True):
            together |= (inside[..., lane] | inside[..., after]).all(-1)
        return np.asarray(~together)

    def off_route(self, xy: Array) -> Array:
        """Whether points [..., 2] lie in no lane of the route."""
        return np.asarray(~self.cells.within(xy)[..., self.on_route].any(-1))

    def in_junction(self, xy: Array) -> Array:
        """Whether points [..., 2] lie in a lane that connects."""
        if not self.connects.any():
            return np.zeros(xy.shape[:-1], bool)
        return np.asarray(self.cells.within(xy)[..., self.connects].any(-1))

    def speed_limit_mps(self, xy: Array) -> Array:
        """The highest limit [...] of the lanes at points [..., 2]; inf where there is none."""
        limits = np.array([lane.speed_limit_mps for lane in self.lanes])
        inside = self.cells.within(xy)
        return np.where(inside.any(-1), np.where(inside, limits, -np.inf).max(-1, initial=-np.inf), np.inf)


def _follows(road: RoadMap) -> Array:
    number = {lane.id: row for row, lane in enumerate(road.lanes)}
    out = np.zeros((len(road.lanes), len(road.lanes)), bool)
    for row, lane in enumerate(road.lanes):
        out[row, [number[name] for name in lane.successors if name in number]] = True
    return out


def _on_route(scene: Scene, field: LaneField, connects: Array) -> Array:
    """Lanes along which the route runs, and their neighbours of the same direction.

    Of lanes that connect, the route must run along half: where a junction begins, all its turns lie upon each other.
    """
    road, route_xy = scene.road, scene.route_xy
    if not road.lanes:
        return np.zeros(0, bool)
    s_m, offset_m = Routes.of([scene]).sd(field.xy[None])[0].T
    yaw = point_at_s(route_xy, s_m)[:, 2]
    run = (
        (np.abs(offset_m) <= field.half_width_m)
        & (s_m >= 0)
        & (s_m <= len(route_xy) - 1.0)
        & (np.cos(field.yaw_rad - yaw) > WITH_COS)
    )
    along_m, length_m = (
        np.bincount(field.lane, 2.0 * field.half_length_m * weight, len(road.lanes)) for weight in (run, np.ones(len(run)))
    )
    wanted = along_m > np.where(connects, 0.5 * length_m, 0.0)
    chosen = {road.lanes[row].id for row in np.flatnonzero(wanted)}
    while more := {side for lane in road.lanes if lane.id in chosen for side in (lane.left, lane.right) if side} - chosen:
        chosen |= more
    return np.array([lane.id in chosen for lane in road.lanes], bool)
