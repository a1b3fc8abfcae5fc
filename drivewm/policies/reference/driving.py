"""What both reference drivers share: they keep their lane and their distance, and brake hard when they have judged a danger.

They want to keep the speed that they came with. Driving in peace is car following (intelligent driver model) behind whom they
have perceived, with red lights and bends. Braking harder for what they follow takes the reaction time of an expected event;
letting go takes none. A judged danger is braked for with the published trace. They never swerve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array, Observation, Scene, SignalState, Trajectory, WorldState
from drivewm.geometry import relative_xy_yaw, wrap_angle_rad
from drivewm.policies.baselines import IdmMemory, bend_speed
from drivewm.policies.reference.around import FRONT_M, Around
from drivewm.policies.reference.published import BRAKE_JERK_MPS3, BRAKING_DELAY_S, speed_lost_mps
from drivewm.protocols import GroundTruth
from drivewm.sim.bicycle import travel
from drivewm.sim.leaders import free_accel, interaction_accel, signal_accel
from drivewm.sim.paths import PathTable

PLAN_T_S = (0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)  # dense where a car may come to a stop
STARTING_MPS = 2.0  # who comes slower than this wants to go on to the speed limit
SETTLING_S, SHORTEST_SETTLING_M = 2.5, 6.0  # within which a car is back on its route
USUAL_PERIOD_S = 0.2  # between two plans, as long as nothing else is known
NEVER_S = np.inf


@dataclass(frozen=True, slots=True)
class Seat:
    """What one driver has before him."""

    scene: Scene
    state: WorldState  # of this car alone, without leading axes
    around: Around
    stop_s_m: Array  # [S] where stop lines are on the route
    route_xy_ego: Array
    wish_mps: float  # the speed to drive at where nothing forbids it

    @property
    def now_s(self) -> float:
        return float(self.state.t_s)


@dataclass(frozen=True, slots=True)
class Pedals:
    """What the foot of one driver remembers."""

    wishes: tuple[tuple[float, float], ...] = ()  # (t_s, acceleration wished in peace), newest last
    onset_s: float = NEVER_S  # when hard braking begins or began
    accel_mps2: float = 0.0  # what was pressed last
    last_s: float | None = None  # time of the last plan

    def period_s(self, now_s: float) -> float:
        """Until the next plan: as long as since the last one."""
        return USUAL_PERIOD_S if self.last_s is None else max(now_s - self.last_s, 1e-3)


def wished_mps(speed_mps: Array) -> tuple[float, ...]:
    """The speed that each driver [B] wants to keep: the one that he came with, or else that of the road."""
    return tuple(float(v) if v > STARTING_MPS else np.inf for v in speed_mps)


def seats(observation: Observation, truth: GroundTruth, memory: IdmMemory, wish_mps: Sequence[float]) -> list[Seat]:
    """One seat per car; ``memory`` says where each is on its route."""
    out = []
    for b, scene in enumerate(truth.scenes):
        state, route = truth.state[b], observation.route_xy_ego[b]
        around = Around.of(scene, state, memory.route_s_m[b])
        wish = min(scene.speed_limit_mps, wish_mps[b], bend_speed(route))
        out.append(Seat(scene, state, around, memory.stop_s_m[b], route, wish))
    return out


def peaceful_accel(seat: Seat, noticed: Array, keep_m: Array | None = None) -> float:
    """Acceleration wished behind whoever of ``noticed`` [N] is nearest in the way, at lights and in bends.

    ``keep_m`` is the gap to keep at the present speed; that of the intelligent driver model if not given.
    """
    around, speed = seat.around, np.asarray(seat.state.ego_speed_mps, np.float64)
    accel = free_accel(speed, np.asarray(seat.wish_mps), USUAL_PERIOD_S)
    way = around.in_way & noticed
    if way.any():
        i = int(np.argmin(np.where(way, around.gap_m, np.inf)))
        accel = np.minimum(accel, interaction_accel(speed, around.gap_m[i], around.along_mps[i], keep_m))
    if len(seat.stop_s_m):
        to_line = seat.stop_s_m - around.here_s_m - FRONT_M
        light = seat.state.signal[: len(to_line)]
        red, yellow = light == SignalState.RED, light == SignalState.YELLOW
        accel = np.minimum(accel, signal_accel(speed[None], to_line[None], red[None], yellow[None])[0])
    return float(accel)


def pressed(pedals: Pedals, now_s: float, wished_mps2: float, softest_mps2: float, hardest_mps2: float) -> tuple[float, Pedals]:
    """Acceleration until the next plan, and the pedals after it.

    In peace the driver brakes with at most ``softest_mps2`` (positive), no harder than what was wished all through the last
    `BRAKING_DELAY_S`, and presses no faster than in the published trace. Since ``pedals.onset_s`` it is the mean of that trace
    up to ``hardest_mps2`` over the time until the next plan, so that the speed is right whenever a plan is made.
    """
    period = pedals.period_s(now_s)
    wishes = (*(w for w in pedals.wishes if w[0] > now_s - BRAKING_DELAY_S - 1e-6), (now_s, wished_mps2))
    accel = max(-softest_mps2, pedals.accel_mps2 - BRAKE_JERK_MPS3 * period, max(wish for _, wish in wishes))
    since = now_s - pedals.onset_s
    if since + period > 0:
        lost = speed_lost_mps(np.array([since, since + period]), hardest_mps2)
        accel = min(accel, float(lost[0] - lost[1]) / period)
    return accel, Pedals(wishes, pedals.onset_s, accel, now_s)


def routes_of(scenes: Sequence[Scene]) -> PathTable:
    """The routes of all cars in one table, one row per car."""
    count = [len(scene.route_xy) for scene in scenes]
    xy = np.stack([np.pad(scene.route_xy, ((0, max(count) - n), (0, 0)), "edge") for scene, n in zip(scenes, count, strict=True)])
    return PathTable.build(np.asarray(xy, np.float64), np.array(count))


def plan(truth: GroundTruth, routes: PathTable, here_s_m: Sequence[float], accel_mps2: Array) -> Trajectory:
    """Plans [B] along the routes with constant acceleration [B] to a standstill or the speed limit.

    A plan of constant acceleration is what the tracker follows exactly. An offset or a heading beside the route is given up
    smoothly (cubic) within `SETTLING_S`.
    """
    speed = np.asarray(truth.state.ego_speed_mps, np.float64)[:, None]
    limit = np.array([scene.speed_limit_mps for scene in truth.scenes])[:, None]
    accel, t_s = np.asarray(accel_mps2, np.float64)[:, None], np.asarray(PLAN_T_S)[None]
    rise_s = np.where(accel > 0, np.maximum(limit - speed, 0.0) / np.maximum(accel, 1e-6), np.inf)
    driven, planned = travel(speed, accel, np.minimum(t_s, rise_s))
    driven = driven + planned * np.maximum(t_s - rise_s, 0.0)
    own, row = truth.state.ego_xy_yaw_world, np.arange(len(speed))
    s, d, yaw = routes.refine(row, np.asarray(here_s_m), own[:, :2])
    settle_m = np.maximum(SETTLING_S * speed, SHORTEST_SETTLING_M)
    slope = np.clip(np.tan(np.clip(wrap_angle_rad(own[:, 2] - yaw), -1.0, 1.0)), -1.0, 1.0)[:, None] * settle_m
    u = np.clip(driven / settle_m, 0.0, 1.0)
    aside = d[:, None] * (1 - 3 * u**2 + 2 * u**3) + slope * (u - 2 * u**2 + u**3)
    turn = d[:, None] * (6 * u**2 - 6 * u) + slope * (1 - 4 * u + 3 * u**2)
    pose = routes.pose(np.broadcast_to(row[:, None], driven.shape), s[:, None] + driven, aside)
    pose[..., 2] += np.arctan(turn / settle_m)
    return Trajectory(np.tile(PLAN_T_S, (len(speed), 1)), relative_xy_yaw(pose, own[:, None]), planned)
