"""Two drivers to compare with: one that sees nothing, and one that keeps its lane and its distance knowing the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from drivewm.datatypes import EGO_SHAPE, ROUTE_SPACING_M, Array, Observation, Scene, SignalState, Trajectory
from drivewm.geometry import frenet_sd, wrap_angle_rad
from drivewm.policies.observation import locate
from drivewm.policies.vocabulary import along_route
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.leaders import IDM, free_accel, interaction_accel, signal_accel, stop_line_s
from drivewm.sim.paths import PathTable

FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m  # rear axle to front bumper
SIDE_MARGIN_M = 0.3
BEND_ACCEL_MPS2 = 2.0  # sideways acceleration at which bends are taken
SIMULATED_DT_S = 0.1
YELLOW_BRAKE_MPS2 = 3.0  # a yellow light that would need harder braking is passed
NOBODY_M = 1e6  # gap on an empty road


class ConstantVelocity:
    """Straight on at the present speed, whatever the cameras show."""

    spec = PolicySpec("constant_velocity")

    def start(self, batch: int, seed: int) -> Any:
        return None

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        speed = np.asarray(observation.ego_motion[:, -1, 0], np.float64)[:, None]
        t_s = np.tile(self.spec.plan_t_s, (len(speed), 1))
        pose = np.stack([speed * t_s, 0 * t_s, 0 * t_s], -1)
        return Trajectory(t_s, pose, np.broadcast_to(speed, t_s.shape)), memory


@dataclass(frozen=True, slots=True)
class IdmMemory:
    """Where each car is on its route, and where the stop lines of the signals are on it."""

    route_s_m: tuple[float, ...]
    stop_s_m: tuple[Array, ...]  # [S] per car, inf where the route does not cross the line


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What limits the speed [B]: the nearest obstacle on the route, red lights, bends."""

    gap_m: Array
    leader_mps: Array
    wish_mps: Array
    to_line_m: Array  # inf when nothing must be stopped for


class IdmPolicy:
    """Follows the route; distance to whatever stands or drives on it by the intelligent driver model; stops at red lights."""

    spec = PolicySpec("idm", privileged=True)

    def start(self, batch: int, seed: int) -> IdmMemory | None:
        return None

    def act(
        self, observation: Observation, memory: IdmMemory | None, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, IdmMemory]:
        if truth is None:
            raise ValueError("idm is a privileged policy: it needs ground truth")
        memory = located(truth, memory)
        ahead = [_look(truth, b, memory, observation.route_xy_ego[b]) for b in range(len(truth.scenes))]
        seen = _Ahead(*(np.array([getattr(one, name) for one in ahead]) for name in _Ahead.__slots__))
        distance, speed = self._simulate(np.asarray(truth.state.ego_speed_mps, np.float64), seen)
        speed_now = torch.from_numpy(np.asarray(truth.state.ego_speed_mps, np.float64))
        curvature = torch.from_numpy(np.asarray(truth.state.ego_curvature_1pm, np.float64))
        route = torch.from_numpy(np.asarray(observation.route_xy_ego, np.float64))
        pose = along_route(speed_now, curvature, route, torch.from_numpy(distance)).numpy()
        return Trajectory(np.tile(self.spec.plan_t_s, (len(pose), 1)), pose, speed), memory

    def _simulate(self, speed: Array, seen: _Ahead) -> tuple[Array, Array]:
        """Distance and speed [B, K] at the plan times, the leader keeping its speed."""
        steps = np.round(np.asarray(self.spec.plan_t_s) / SIMULATED_DT_S).astype(int)
        driven, gap, out = np.zeros_like(speed), seen.gap_m, []
        red = np.ones((len(speed), 1), bool)
        for _ in range(steps[-1]):
            accel = np.minimum(free_accel(speed, seen.wish_mps, SIMULATED_DT_S), interaction_accel(speed, gap, seen.leader_mps))
            accel = np.minimum(accel, signal_accel(speed, (seen.to_line_m - driven)[:, None], red, ~red))
            after = np.maximum(0.0, speed + accel * SIMULATED_DT_S)
            step = 0.5 * (speed + after) * SIMULATED_DT_S
            driven, gap, speed = driven + step, gap - step + seen.leader_mps * SIMULATED_DT_S, after
            out.append((driven, speed))
        distance, speeds = (np.stack(values, 1)[:, steps - 1] for values in zip(*out, strict=True))
        return distance, speeds


def located(truth: GroundTruth, memory: IdmMemory | None) -> IdmMemory:
    if memory is None:
        stops = tuple(stop_lines_on_route(scene) for scene in truth.scenes)
        memory = IdmMemory((), stops)
    near: tuple[float | None, ...] = memory.route_s_m or (None,) * len(truth.scenes)
    places = [locate(scene.route_xy, truth.state.ego_xy_yaw_world[b, :2], near[b])[0] for b, scene in enumerate(truth.scenes)]
    return replace(memory, route_s_m=tuple(places))


def stop_lines_on_route(scene: Scene) -> Array:
    """Arc length [S] at which the route crosses the stop line of each signal in its direction; inf where it does not."""
    if not scene.road.signals:
        return np.zeros(0)
    table = PathTable.build(np.asarray(scene.route_xy, np.float64)[None], np.array([len(scene.route_xy)]))
    stop_xy = np.stack([signal.stop_line_xy for signal in scene.road.signals])[None]
    yaw = np.array([[signal.xy_yaw_world[2] for signal in scene.road.signals]])
    return np.asarray(stop_line_s(table, stop_xy, yaw)[0])


def _look(truth: GroundTruth, b: int, memory: IdmMemory, route_xy_ego: Array) -> _Ahead:
    scene, state, here = truth.scenes[b], truth.state[b], memory.route_s_m[b]
    gap, leader = _leader(scene.route_xy, here, state.agents)
    to_line = memory.stop_s_m[b] - here - FRONT_M
    signal = state.signal[: len(to_line)]
    can_stop = state.ego_speed_mps**2 < 2 * YELLOW_BRAKE_MPS2 * to_line
    stop = (signal == SignalState.RED) | ((signal == SignalState.YELLOW) & can_stop)
    line = np.min(to_line[stop & (to_line > 0)], initial=np.inf)
    return _Ahead(gap, leader, np.asarray(min(scene.speed_limit_mps, bend_speed(route_xy_ego))), np.asarray(line))


def _leader(route_xy: Array, here_m: float, agents: Any) -> tuple[Array, Array]:
    """Gap from the front bumper and speed along the route of the nearest agent on it."""
    first = int(np.clip(here_m, 0, len(route_xy) - 2))
    window = np.asarray(route_xy[first : first + int(IDM.reach_m) + 20], np.float64)
    if len(window) < 2 or not agents.valid.any():
        return np.asarray(NOBODY_M), np.zeros(())
    pose = agents.xy_yaw_world
    s, d = np.moveaxis(frenet_sd(window, pose[:, :2]), -1, 0)
    step = np.diff(window, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])[np.clip(s.astype(int), 0, len(step) - 1)]
    turn = wrap_angle_rad(pose[:, 2] - heading)
    length, width = agents.size_lwh_m[:, 0], agents.size_lwh_m[:, 1]
    along = 0.5 * (np.abs(np.cos(turn)) * length + np.abs(np.sin(turn)) * width)
    across = 0.5 * (np.abs(np.sin(turn)) * length + np.abs(np.cos(turn)) * width)
    front = here_m - first + FRONT_M
    blocks = agents.valid & (np.abs(d) < across + 0.5 * EGO_SHAPE.width_m + SIDE_MARGIN_M) & (s + along > front)
    if not blocks.any():
        return np.asarray(NOBODY_M), np.zeros(())
    nearest = int(np.argmin(np.where(blocks, s - along, np.inf)))
    return np.asarray(s[nearest] - along[nearest] - front), np.asarray(agents.speed_mps[nearest] * np.cos(turn[nearest]))


def bend_speed(route_xy_ego: Array) -> float:
    """Speed at which the sharpest bend of the next 24 m is taken."""
    step = np.diff(np.asarray(route_xy_ego[:14], np.float64), axis=0)
    turn = np.abs(wrap_angle_rad(np.diff(np.arctan2(step[:, 1], step[:, 0]))))
    smooth = np.convolve(turn, np.ones(3) / 3, "valid")
    return float(np.sqrt(BEND_ACCEL_MPS2 / max(smooth.max() / ROUTE_SPACING_M, 1e-3)))
