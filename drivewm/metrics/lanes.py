"""In which lanes points lie, and whether traffic there flows with or against a heading."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array, Records, RoadMap

WITH_COS, AGAINST_COS = np.cos(np.deg2rad(60.0)), np.cos(np.deg2rad(120.0))
OVERLAP_M = 0.1  # of pieces that follow each other, which closes the wedges outside a bend


@dataclass(frozen=True, slots=True)
class LaneField(Records):
    """All lane centre lines as pieces of about 1 m: middle, heading, half length, half width, lane number; all [S]."""

    xy: Array
    yaw_rad: Array
    half_length_m: Array
    half_width_m: Array
    lane: Array

    @classmethod
    def of(cls, road: RoadMap) -> LaneField:
        step = [np.diff(lane.centre_xy, axis=0) for lane in road.lanes]
        pieces = [len(s) for s in step]
        every = np.concatenate([*step, np.zeros((0, 2))])
        return cls(
            xy=np.concatenate([*(0.5 * (lane.centre_xy[1:] + lane.centre_xy[:-1]) for lane in road.lanes), np.zeros((0, 2))]),
            yaw_rad=np.arctan2(every[:, 1], every[:, 0]),
            half_length_m=0.5 * np.hypot(every[:, 0], every[:, 1]),
            half_width_m=np.repeat([0.5 * lane.width_m for lane in road.lanes], pieces),
            lane=np.repeat(np.arange(len(road.lanes)), pieces),
        )

    def holds(self, xy: Array, margin_m: float = 0.0) -> Array:
        """Whether points [Q, 2] lie in the pieces, made wider by ``margin_m``: bool [Q, S]."""
        return self.hold(xy[:, None], margin_m)

    def hold(self, xy: Array, margin_m: float = 0.0) -> Array:
        """Whether points [..., S, 2] lie each in the piece of their place: bool [..., S]."""
        delta = xy - self.xy
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        along = np.abs(cos * delta[..., 0] + sin * delta[..., 1])
        across = np.abs(cos * delta[..., 1] - sin * delta[..., 0])
        return np.asarray((along <= self.half_length_m + OVERLAP_M) & (across <= self.half_width_m + margin_m))

    def against_traffic(self, xy_yaw: Array) -> Array:
        """Whether poses [Q, 3] lie in a lane that runs against them and in none that runs with them."""
        inside = self.holds(xy_yaw[:, :2])
        turn = np.cos(self.yaw_rad - xy_yaw[:, 2:])
        return np.asarray((inside & (turn < AGAINST_COS)).any(1) & ~(inside & (turn > WITH_COS)).any(1))

    def within_one(self, corners_xy: Array, margin_m: float) -> bool:
        """Whether all corners [4, 2] lie in one and the same lane."""
        inside = self.holds(corners_xy, margin_m)
        return any(bool(inside[:, self.lane == lane].any(1).all()) for lane in np.unique(self.lane[inside.any(0)]))
