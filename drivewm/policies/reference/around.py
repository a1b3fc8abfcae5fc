"""Everybody else as seen along the route of one car: how far ahead, how far beside, in which lane, how fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from drivewm.datatypes import EGO_SHAPE, Agents, Array, RoadMap, Scene, WorldState
from drivewm.geometry import frenet_sd, point_at_s, wrap_angle_rad

FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m  # rear axle to front bumper
SIDE_MARGIN_M = 0.2  # whoever is this close beside the swept width is in the way
BEHIND_M, AHEAD_M = 30, 400  # stretch of the route on which others are looked for
USUAL_LANE_M = 3.5
_NEAREST = 8  # lane vertices compared; several lanes meet at one place in a junction
_ALONG_ROAD = 0.87  # cosine of the largest heading that a lane change has
_ALONG = 0.5  # cosine of the largest angle between a road user and the lane that it is in


@dataclass(frozen=True, slots=True)
class Lanes:
    """The centre lines of all lanes of a road, for finding the one that a road user is in."""

    tree: cKDTree | None
    xy: Array  # [P, 2] all vertices
    yaw_rad: Array  # [P]
    width_m: Array  # [P]

    @classmethod
    def of(cls, road: RoadMap) -> Lanes:
        lanes = [lane for lane in road.lanes if len(lane.centre_xy) >= 2]
        if not lanes:
            return cls(None, np.zeros((0, 2)), np.zeros(0), np.zeros(0))
        slope = [np.gradient(np.asarray(lane.centre_xy, np.float64), axis=0) for lane in lanes]
        xy = np.concatenate([np.asarray(lane.centre_xy, np.float64) for lane in lanes])
        width = np.concatenate([np.full(len(lane.centre_xy), lane.width_m) for lane in lanes])
        return cls(cKDTree(xy), xy, np.concatenate([np.arctan2(s[:, 1], s[:, 0]) for s in slope]), width)

    def beside(self, xy_yaw: Array) -> tuple[Array, Array, Array]:
        """Left offset from the middle of the own lane, heading and width of it, for poses [N, 3]; nan for who is in none."""
        if self.tree is None or not len(xy_yaw):
            none = np.full(len(xy_yaw), np.nan)
            return none, none, none
        _, near = self.tree.query(xy_yaw[:, :2], k=min(_NEAREST, len(self.xy)))
        near = near.reshape(len(xy_yaw), -1)
        fits = np.cos(xy_yaw[:, 2:] - self.yaw_rad[near]) > _ALONG
        first = np.take_along_axis(near, fits.argmax(1)[:, None], 1)[:, 0]
        delta, yaw = xy_yaw[:, :2] - self.xy[first], self.yaw_rad[first]
        offset = np.cos(yaw) * delta[:, 1] - np.sin(yaw) * delta[:, 0]
        inside = fits.any(1) & (np.abs(offset) <= 0.5 * self.width_m[first] + SIDE_MARGIN_M)
        width = self.width_m[first]
        return np.where(inside, offset, np.nan), np.where(inside, yaw, np.nan), np.where(inside, width, np.nan)


@dataclass(frozen=True, slots=True)
class Around:
    """Others [N] in the coordinates of the route: s grows along it, d to the left."""

    here_s_m: float  # the rear axle of the own car
    s_m: Array
    d_m: Array
    route_yaw_rad: Array  # heading of the route beside each of them
    half_along_m: Array  # half of what the body covers along the route, and across it
    half_across_m: Array
    along_mps: Array
    across_mps: Array
    gap_m: Array  # from the own front bumper to the nearer end of the body; negative beside and behind
    valid: Array

    @classmethod
    def of(cls, scene: Scene, state: WorldState, here_s_m: float) -> Around:
        """From the state of one car that stands at ``here_s_m`` of its route; nobody more than `AHEAD_M` ahead counts."""
        agents = state.agents
        first = int(np.clip(here_s_m - BEHIND_M, 0, len(scene.route_xy) - 2))
        window = np.asarray(scene.route_xy[first : first + BEHIND_M + AHEAD_M], np.float64)
        sd = frenet_sd(window, agents.xy_yaw_world[:, :2]) if len(agents.valid) else np.zeros((0, 2))
        yaw = point_at_s(window, sd[:, 0])[:, 2]
        turn = wrap_angle_rad(agents.xy_yaw_world[:, 2] - yaw)
        cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
        # Who changes lane keeps its speed along the road, and moves sideways in addition (see `drivewm.sim.traffic`).
        onward = np.where(cos > _ALONG_ROAD, agents.speed_mps / np.maximum(cos, _ALONG_ROAD), agents.speed_mps)
        half = 0.5 * agents.size_lwh_m
        along, s = cos * half[:, 0] + sin * half[:, 1], sd[:, 0] + first
        return cls(
            here_s_m=here_s_m,
            s_m=s,
            d_m=sd[:, 1],
            route_yaw_rad=yaw,
            half_along_m=along,
            half_across_m=sin * half[:, 0] + cos * half[:, 1],
            along_mps=onward * np.cos(turn),
            across_mps=onward * np.sin(turn),
            gap_m=s - along - here_s_m - FRONT_M,
            valid=agents.valid & (s < here_s_m + AHEAD_M - BEHIND_M),
        )

    @property
    def ahead(self) -> Array:
        """Whose middle is ahead of the own one."""
        return np.asarray(self.valid & (self.s_m > self.here_s_m + EGO_SHAPE.rear_axle_to_centre_m))

    @property
    def in_way(self) -> Array:
        """Who covers a part of what the own car is about to sweep."""
        return np.asarray(self.ahead & (np.abs(self.d_m) < self.half_across_m + 0.5 * EGO_SHAPE.width_m + SIDE_MARGIN_M))


def strayed_m(around: Around, lanes: Lanes, agents: Agents) -> Array:
    """By how much each [N] is beside the middle of its lane, towards the route; nan for who drives in no lane along with it."""
    offset, yaw, _ = lanes.beside(agents.xy_yaw_world)
    return np.asarray(-np.sign(around.d_m) * np.where(np.cos(yaw - around.route_yaw_rad) > _ALONG, offset, np.nan))


def lane_width_m(lanes: Lanes, xy_yaw: Array) -> float:
    """Width of the lane at a pose [3]; the usual one where there is no lane."""
    width = float(lanes.beside(xy_yaw[None])[2][0])
    return width if np.isfinite(width) else USUAL_LANE_M
