"""What the car knows at a moment: camera history, own motion, the route ahead, and what navigation asks for."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from drivewm.datatypes import ROUTE_POINTS, ROUTE_SPACING_M, Array, CameraRig, Command, Observation, Scene, WorldState
from drivewm.errors import InputError
from drivewm.geometry import ego_from_world, frenet_sd, point_at_s, wrap_angle_rad

COMMAND_AHEAD_POINTS = 16  # the next 30 m of the route decide the command
COMMAND_TURN_RAD = 0.6  # a bend of more than 34 degrees is a turn
_BEHIND_M, _AHEAD_M = 10, 50  # part of the route searched around the last known place


def locate(route_xy: Array, xy_world: Array, near_s_m: float | None = None) -> tuple[float, float]:
    """Arc length and left-positive offset of a point [2] beside a route [R, 2] with vertices 1 m apart.

    ``near_s_m`` keeps the place on a route that passes the same spot twice, as in a roundabout.
    """
    first, last = 0, len(route_xy)
    if near_s_m is not None:
        first = int(np.clip(near_s_m - _BEHIND_M, 0, last - 2))
        last = int(np.clip(near_s_m + _AHEAD_M, first + 2, last))
    s, d = frenet_sd(route_xy[first:last], xy_world)
    return float(s) + first, float(d)


def route_ahead_xy(route_xy: Array, from_s_m: float) -> Array:
    """The next ROUTE_POINTS of a route [R, 2] from arc length ``from_s_m`` on, in the route's own frame."""
    return point_at_s(route_xy, from_s_m + ROUTE_SPACING_M * np.arange(ROUTE_POINTS))[:, :2]


def refuse_other_cameras(observation: Observation, rig: CameraRig, policy: str) -> None:
    """Raises InputError where the pictures are not as many or as large as those that a policy was made for."""
    wanted, found = (len(rig.names), *rig.size_px), observation.images.shape[2:5]
    if found != wanted:
        words = ["{} cameras of {} x {} px".format(*shape) for shape in (wanted, found)]
        raise InputError(f"policy {policy} needs {words[0]}, the world shows {words[1]}", hint="another rig, or --policy expert")


class Observer:
    """Turns frames and ground truth into what B cars may know; remembers past frames and the places on the routes."""

    def __init__(self, scenes: Sequence[Scene], history: int) -> None:
        self._routes = [np.asarray(scene.route_xy, np.float64) for scene in scenes]
        self._limit = np.array([scene.speed_limit_mps for scene in scenes], np.float32)
        self._history = history
        self._frames: list[tuple[Array, Array]] = []
        self.route_s_m: list[float | None] = [None] * len(scenes)

    def fork(self, history: int) -> Observer:
        """Another one that has seen the same so far and goes on with ``history`` frames."""
        other = copy(self)
        other._history, other.route_s_m = history, list(self.route_s_m)
        return other

    def observe(self, images: Array, state: WorldState) -> Observation:
        """The observation after one more camera period; ``images`` uint8 [B, V, H, W, 3], ``state`` [B].

        Frames before the first are the first repeated, marked as not existing in ``ego_motion``.
        """
        motion = np.stack([state.ego_speed_mps, state.ego_accel_mps2, state.ego_curvature_1pm], -1).astype(np.float32)
        exists = np.ones((len(motion), 1), np.float32)
        self._frames = [*self._frames, (images, np.concatenate([motion, exists], -1))][-self._history :]
        first_images, first_motion = self._frames[0]
        missing = [(first_images, first_motion * np.array([1, 1, 1, 0], np.float32))] * (self._history - len(self._frames))
        frames = [*missing, *self._frames]
        route = np.stack([self._route(b, state.ego_xy_yaw_world[b]) for b in range(len(motion))])
        return Observation(
            images=np.stack([frame for frame, _ in frames], 1),
            ego_motion=np.stack([known for _, known in frames], 1),
            route_xy_ego=route.astype(np.float32),
            speed_limit_mps=self._limit,
            command=np.array([route_command(xy) for xy in route], np.int8),
        )

    def _route(self, b: int, ego_xy_yaw: Array) -> Array:
        s, _ = locate(self._routes[b], ego_xy_yaw[:2], self.route_s_m[b])
        self.route_s_m[b] = s
        return ego_from_world(route_ahead_xy(self._routes[b], s), ego_xy_yaw)


def route_command(route_xy: Array) -> Command:
    """What the next 30 m of a route [ROUTE_POINTS, 2] amount to."""
    step = np.diff(route_xy[:COMMAND_AHEAD_POINTS], axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    turn = float(wrap_angle_rad(np.diff(heading)).sum())
    if abs(turn) < COMMAND_TURN_RAD:
        return Command.STRAIGHT
    return Command.LEFT if turn > 0 else Command.RIGHT
