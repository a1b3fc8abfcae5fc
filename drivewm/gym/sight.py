"""The state vector: what a car could be told without pictures, in its own frame, scaled so that most numbers lie within 1."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import VULNERABLE, Agents, Array, Scene, SignalState, WorldState
from drivewm.geometry import ego_from_world, wrap_angle_rad
from drivewm.policies.baselines import FRONT_M, stop_lines_on_route

AGENTS, ROUTE_STRIDE, ROUTE_SEEN = 8, 4, 8  # nearest agents; every fourth of the 32 route points, 8 m apart
NEAR_M = 100.0  # who is farther away is not told
SCALE_M, SCALE_MPS, SCALE_MPS2, SCALE_1PM = 50.0, 20.0, 5.0, 0.1
EGO_NAMES = ("speed", "acceleration", "curvature", "offset", "heading", "speed_limit", "stop_line", "must_stop")
AGENT_NAMES = ("there", "x", "y", "cos", "sin", "vx", "vy", "length", "width", "vulnerable")
STATE_SIZE = len(EGO_NAMES) + 2 * ROUTE_SEEN + AGENTS * len(AGENT_NAMES)
STATE_BOUND = 5.0  # numbers beyond are cut


class Sight:
    """State vectors of one scene: ego (8), route points (8 x 2), nearest agents first (8 x 10, zeros where nobody is)."""

    def __init__(self, scene: Scene) -> None:
        self._limit_mps, self._stop_s_m = scene.speed_limit_mps, stop_lines_on_route(scene)
        self._vulnerable = np.isin(scene.start.agents.category, [int(kind) for kind in VULNERABLE])

    def vector(self, state: WorldState, route_xy_ego: Array, route_s_m: float) -> Array:
        """float32 [STATE_SIZE] of a state without leading axes."""
        step = route_xy_ego[1] - route_xy_ego[0]
        heading = float(np.arctan2(step[1], step[0]))  # of the route, seen from the car
        # The first route point lies beside the car: how far it is to the left of the route follows from it.
        offset = float(np.sin(heading) * route_xy_ego[0, 0] - np.cos(heading) * route_xy_ego[0, 1])
        line_m, stop = self._stop(state, route_s_m)
        ego = [
            float(state.ego_speed_mps) / SCALE_MPS,
            float(state.ego_accel_mps2) / SCALE_MPS2,
            float(state.ego_curvature_1pm) / SCALE_1PM,
            offset,
            -heading,
            self._limit_mps / SCALE_MPS,
            line_m / SCALE_M,
            stop,
        ]
        route = route_xy_ego[ROUTE_STRIDE - 1 :: ROUTE_STRIDE][:ROUTE_SEEN].ravel() / SCALE_M
        told = np.concatenate([ego, route, self._agents(state).ravel()])
        return np.clip(told, -STATE_BOUND, STATE_BOUND).astype(np.float32)

    def _stop(self, state: WorldState, route_s_m: float) -> tuple[float, float]:
        """How far the front is from the next stop line (100 m if there is none), and whether its light is not green."""
        to_line = self._stop_s_m - route_s_m - FRONT_M
        ahead = np.flatnonzero(to_line > 0)
        if not len(ahead) or not np.isfinite(to_line[ahead]).any():
            return NEAR_M, 0.0
        nearest = ahead[np.argmin(to_line[ahead])]
        return min(float(to_line[nearest]), NEAR_M), float(state.signal[nearest] != SignalState.GREEN)

    def _agents(self, state: WorldState) -> Array:
        out, agents, count = np.zeros((AGENTS, len(AGENT_NAMES))), state.agents, len(self._vulnerable)
        if count == 0:
            return out
        xy = ego_from_world(agents.xy_yaw_world[:count, :2], state.ego_xy_yaw_world)
        distance = np.where(agents.valid[:count], np.hypot(xy[:, 0], xy[:, 1]), np.inf)
        nearest = np.argsort(distance, kind="stable")[:AGENTS]
        nearest = nearest[distance[nearest] < NEAR_M]
        told = self._told(agents, nearest, xy[nearest], state)
        out[: len(nearest)] = told
        return out

    def _told(self, agents: Agents, rows: Array, xy: Array, state: WorldState) -> Array:
        yaw = wrap_angle_rad(agents.xy_yaw_world[rows, 2] - state.ego_xy_yaw_world[2])
        cos, sin, speed = np.cos(yaw), np.sin(yaw), agents.speed_mps[rows]
        ahead_mps, size = speed * cos - state.ego_speed_mps, agents.size_lwh_m[rows] / 10.0
        xy, moving = xy / SCALE_M, np.stack([ahead_mps, speed * sin], -1) / SCALE_MPS
        columns = [np.ones(len(rows)), xy[:, 0], xy[:, 1], cos, sin, *moving.T, size[:, 0], size[:, 1], self._vulnerable[rows]]
        return np.stack(columns, -1)
