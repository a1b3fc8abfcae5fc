"""The ways of agents as polylines whose vertices are metres of the path, and the route of the ego as waypoints."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from drivewm.datatypes import ActorScripts, Array, ManoeuvreKind
from drivewm.geometry import point_at_s
from drivewm.scenarios.opendrive.network import Network

BEHIND_M, AHEAD_M = 2, 90  # of path beyond what is driven; who keeps a distance looks 80 m ahead
STRAIGHT_M = 1e-7  # how far a vertex that is left out may lie from the line
WAYPOINT_M = 10.0


@dataclass(frozen=True)
class Way:
    """The path of one agent, moved sideways by its first offset."""

    xy: Array  # [P, 2], vertices one metre of the path apart
    start_m: float  # where on it the agent starts

    @property
    def start_xy_yaw(self) -> Array:
        """Its first pose [3]."""
        i = int(np.clip(int(self.start_m), 0, len(self.xy) - 2))
        yaw = _yaw_rad(self.xy)
        share = self.start_m - i
        xy = self.xy[i] + share * (self.xy[i + 1] - self.xy[i])
        return np.array([*xy, yaw[i] + share * (yaw[i + 1] - yaw[i])])

    @property
    def corners_xy(self) -> Array:
        """The vertices without those in the middle of straight stretches; between any two of them lie whole metres."""
        bend = np.abs(np.diff(self.xy, n=2, axis=0)).max(1) > STRAIGHT_M
        return self.xy[np.concatenate([[True], bend, [True]])]


def way(scripts: ActorScripts, row: int, horizon_s: float) -> Way:
    """As much of an agent's path as a scene can need."""
    path, start = scripts.path_xy[row], float(scripts.start_s_m[row])
    goals = scripts.manoeuvre_value[row][scripts.manoeuvre_kind[row] == ManoeuvreKind.SPEED]
    fastest = max(float(scripts.start_speed_mps[row]), float(scripts.desired_speed_mps[row]), float(goals.max(initial=0.0)))
    first = int(np.floor(start)) - BEHIND_M
    index = np.arange(first, int(np.ceil(start + fastest * horizon_s)) + AHEAD_M)
    inside = np.clip(index, 0, len(path) - 1)
    begin, end = path[1] - path[0], path[-1] - path[-2]
    xy = path[inside] + np.minimum(index, 0)[:, None] * begin + np.maximum(index - len(path) + 1, 0)[:, None] * end
    yaw = _yaw_rad(xy)
    aside = float(scripts.start_offset_m[row]) * np.stack([-np.sin(yaw), np.cos(yaw)], 1)
    return Way(xy + aside, start - first)


def route_way(route_xy: Array, start_s_m: float) -> Way:
    """The ego's route as a line to follow."""
    first = max(int(start_s_m) - BEHIND_M, 0)
    return Way(route_xy[first:], start_s_m - first)


def _yaw_rad(xy: Array) -> Array:
    """Headings [P] at the vertices as the state engine has them."""
    step = np.diff(xy, axis=0)
    yaw = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    return np.concatenate([yaw[:1], 0.5 * (yaw[1:] + yaw[:-1]), yaw[-1:]])


def waypoints(network: Network, route_xy: Array, start_s_m: float) -> list[Array]:
    """Poses [3] on a route: where the ego starts, one on every road outside junctions, and the last one on a road."""
    found: list[tuple[str, Array]] = []
    for s in np.append(np.arange(start_s_m, len(route_xy) - 1.0, WAYPOINT_M), len(route_xy) - 1.0):
        pose = point_at_s(route_xy, s)
        place = network.locate(pose, driving=True)
        if place is not None and place.lane is not None:
            found.append((place.road, pose))
    if not found:
        return []
    out = [found[0][1]]
    for (before, _), (road, pose) in pairwise(found):
        if road != before and network.road(road).junction == "-1":
            out.append(pose)
    outside = [pose for road, pose in found if network.road(road).junction == "-1"]
    last = outside[-1] if outside else found[-1][1]
    return out if np.hypot(*(out[-1] - last)[:2]) < 1.0 else [*out, last]
