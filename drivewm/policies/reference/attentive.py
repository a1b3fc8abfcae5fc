"""A driver who looks where he drives: reacts to everybody he can see, with published reaction times, on the road as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, Observation, Trajectory
from drivewm.geometry import point_at_s
from drivewm.metrics.boxes import overlap
from drivewm.policies.baselines import IdmMemory, located
from drivewm.policies.reference.driving import (
    NEVER_S,
    PLAN_T_S,
    Pedals,
    Seat,
    peaceful_accel,
    plan,
    pressed,
    routes_of,
    seats,
    wished_mps,
)
from drivewm.policies.reference.published import (
    COMFORT_BRAKE_MPS2,
    COMMON_REACTION_S,
    CONFLICT_TTC_S,
    EXPECTED_REACTION_S,
    SURPRISE_REACTION_S,
    braking_limit_mps2,
)
from drivewm.policies.reference.sight import in_sight
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.bicycle import travel
from drivewm.sim.leaders import IDM
from drivewm.sim.paths import PathTable

LOOK_S = np.arange(0.2, CONFLICT_TTC_S, 0.2)  # moments at which the prediction is looked at
FOLLOWS_ROAD_RAD = 0.5  # who drives along the road within this angle is expected to follow its bends
BESIDE_M = 8.0  # and is no farther beside the route
SIDE_MARGIN_M = 0.2
SLOW_MPS = 0.5  # a speed at which nobody is hit


@dataclass(frozen=True, slots=True)
class Eyes:
    """What this driver remembers of each of the others [N]; nan for what has not happened."""

    seen_s: Array  # when first seen
    conflict_s: Array  # since when a collision is predicted
    reaction_s: Array  # how long the reaction to it takes


@dataclass(frozen=True, slots=True)
class AttentiveMemory:
    place: IdmMemory
    routes: PathTable
    wish_mps: tuple[float, ...]
    eyes: tuple[Eyes | None, ...]
    pedals: tuple[Pedals, ...]
    alert: tuple[bool, ...]  # has had to brake hard before

    @classmethod
    def of(cls, truth: GroundTruth, place: IdmMemory) -> AttentiveMemory:
        count, wish = len(truth.scenes), wished_mps(truth.state.ego_speed_mps)
        return cls(place, routes_of(truth.scenes), wish, (None,) * count, (Pedals(),) * count, (False,) * count)


class AttentivePolicy:
    """Sees everybody in line of sight, within what haze and darkness allow, and predicts them along their present motion.

    A collision of these predictions with his own way, closer than 4 s (Summala 2000), is a conflict. He brakes for it after the
    reaction times of Green (2000): 1.25 s for who was in the way already, 1.5 s for who comes from the side or was seen just now,
    0.75 s once he has had to brake in this drive. He brakes with 0.774 g on a dry road (R157), 0.50 g in rain (Noon 1994) and
    0.35 g on snow (Navin 1996), built up with the jerk of R157's driver, until what is left is solved by braking in comfort
    (3.4 m/s2, AASHTO). Otherwise he drives as `peaceful_accel` says, and does not speed up into a predicted collision.

    Who follows the road is predicted along its bends, everybody else straight on; who brakes goes on braking.
    Where lanes join he expects who drives beside him to stay beside. He does not swerve, and does not slow down for places where
    somebody might come from: what he could not see he cannot prevent.
    """

    spec = PolicySpec("attentive", plan_t_s=PLAN_T_S, privileged=True)

    def start(self, batch: int, seed: int) -> AttentiveMemory | None:
        return None

    def act(
        self, observation: Observation, memory: AttentiveMemory | None, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, Any]:
        if truth is None:
            raise ValueError("attentive is a privileged policy: it needs ground truth")
        place = located(truth, memory.place if memory else None)
        memory = memory or AttentiveMemory.of(truth, place)
        eyes: list[Eyes] = []
        pedals: list[Pedals] = []
        alert: list[bool] = []
        accels: list[float] = []
        for b, seat in enumerate(seats(observation, truth, place, memory.wish_mps)):
            look, calm = looked(seat, memory.eyes[b], memory.pedals[b].onset_s <= seat.now_s, memory.alert[b])
            onset = float(np.nanmin(look.conflict_s + look.reaction_s, initial=NEVER_S))
            hardest = braking_limit_mps2(seat.scene.conditions_at(seat.now_s).weather)
            foot = replace(memory.pedals[b], onset_s=onset)
            accel, foot = pressed(foot, seat.now_s, calm, min(COMFORT_BRAKE_MPS2, hardest), hardest)
            eyes.append(look)
            pedals.append(foot)
            accels.append(accel)
            alert.append(memory.alert[b] or onset <= seat.now_s)
        memory = replace(memory, place=place, eyes=tuple(eyes), pedals=tuple(pedals), alert=tuple(alert))
        return plan(truth, memory.routes, place.route_s_m, np.array(accels)), memory


def looked(seat: Seat, last: Eyes | None, braking: bool, alert: bool) -> tuple[Eyes, float]:
    """What is remembered after a look at this moment, and the acceleration wished in peace.

    A conflict is judged with the braking of this moment; while ``braking`` hard, with that which would be wished in peace.
    """
    now_s, around = seat.now_s, seat.around
    visible = in_sight(seat.scene, seat.state)
    first = last is None
    if last is None:
        none = np.full(len(visible), np.nan)
        last = Eyes(none, none, none)
    seen_s = np.where(visible & np.isnan(last.seen_s), now_s, last.seen_s)
    calm = peaceful_accel(seat, ~np.isnan(seen_s))
    soft = float(np.clip(calm if braking else seat.state.ego_accel_mps2, -COMFORT_BRAKE_MPS2, 0.0))
    not_behind = around.valid & (around.s_m + around.half_along_m > around.here_s_m)  # who runs into his rear is not his to avoid
    conflict = collides(seat, soft) & not_behind
    begins = conflict & visible & np.isnan(last.conflict_s)
    ends = ~conflict & visible
    conflict_s = np.where(begins, now_s, np.where(ends, np.nan, last.conflict_s))
    expected = around.in_way & (~np.isnan(last.seen_s) | first)
    usual_s = np.where(expected, COMMON_REACTION_S, SURPRISE_REACTION_S)
    reaction_s = np.where(begins, EXPECTED_REACTION_S if alert else usual_s, last.reaction_s)
    if calm > 0 and (collides(seat, IDM.accel_mps2) & not_behind & ~np.isnan(seen_s)).any():
        calm = 0.0
    return Eyes(seen_s, conflict_s, reaction_s), calm


def collides(seat: Seat, accel_mps2: float) -> Array:
    """Whom [N] the own car would hit within `CONFLICT_TTC_S` along its route with a constant acceleration, by prediction."""
    around, agents = seat.around, seat.state.agents
    driven, speed = travel(np.asarray(seat.state.ego_speed_mps, np.float64), np.asarray(accel_mps2), LOOK_S)
    own = EGO_SHAPE.centre_xy_yaw(point_at_s(seat.scene.route_xy, around.here_s_m + driven))
    half_own = 0.5 * np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m + 2 * SIDE_MARGIN_M])
    others = predicted(seat, LOOK_S)
    half = np.broadcast_to(0.5 * agents.size_lwh_m[:, :2], (*others.shape[:2], 2))
    hit = overlap(own[:, None], half_own, others, half) & (speed > SLOW_MPS)[:, None]
    return np.asarray(hit.any(0) & agents.valid)


def predicted(seat: Seat, t_s: Array) -> Array:
    """Poses [K, N, 3] at ``t_s`` [K] ahead: along the road for who follows it, straight on for everybody else.

    Who brakes is expected to go on braking (that is what brake lights say), nobody to speed up, and who drives along the road
    and comes over into the own lane to stay in it.
    """
    around, pose = seat.around, seat.state.agents.xy_yaw_world
    heading = np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], -1)
    braking = np.minimum(seat.state.agents.accel_mps2, 0.0)
    step, _ = travel(seat.state.agents.speed_mps, braking, t_s[:, None])
    out = np.concatenate([pose[:, :2] + step[..., None] * heading, np.broadcast_to(pose[:, 2:], (*step.shape, 1))], -1)
    turn = np.arctan2(around.across_mps, np.abs(around.along_mps))
    follows = (np.abs(turn) < FOLLOWS_ROAD_RAD) & (np.abs(around.d_m) < BESIDE_M) & (np.abs(around.along_mps) > SLOW_MPS)
    if follows.any():
        share = step / np.maximum(seat.state.agents.speed_mps, SLOW_MPS)
        on_route = point_at_s(seat.scene.route_xy, around.s_m + around.along_mps * share)
        d = around.d_m + around.across_mps * share
        d = np.where(np.sign(d) == np.sign(around.d_m), d, 0.0)  # who comes over stays
        moved = on_route[..., :2] + d[..., None] * np.stack([-np.sin(on_route[..., 2]), np.cos(on_route[..., 2])], -1)
        yaw = on_route[..., 2:] + (pose[:, 2] - around.route_yaw_rad)[:, None]
        out = np.where(follows[:, None], np.concatenate([moved, yaw], -1), out)
    return np.asarray(out)
