"""The careful and competent human driver of UN Regulation No. 157: what an automated lane keeping system is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivewm.datatypes import Array, Observation, Scene, Trajectory
from drivewm.policies.baselines import IdmMemory, located
from drivewm.policies.reference.around import Around, Lanes, lane_width_m, strayed_m
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
    BRAKING_DELAY_S,
    DANGER_THW_S,
    DANGER_TTC_S,
    FULL_BRAKE_MPS2,
    HARD_BRAKING_MPS2,
    RISK_EVALUATION_S,
    WANDER_M,
    minimum_gap_m,
)
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.paths import PathTable

ROUNDING = 1e-6  # a headway of 2 s that was written down as 2 s is one


@dataclass(frozen=True, slots=True)
class Watch:
    """What this driver remembers of each of the others [N]; nan for what has not happened."""

    t_s: float
    strayed_m: Array
    beside_m: Array  # distance of the middle from the route
    ttc_s: Array
    speed_mps: Array
    noticed_s: Array  # when the risk was there to be perceived; -inf for who was ahead from the start
    revealed: Array  # bool: was hidden by a lead that then changed lane, and that was followed closely
    danger_s: Array  # when the danger was judged


@dataclass(frozen=True, slots=True)
class R157Memory:
    place: IdmMemory
    routes: PathTable
    lanes: tuple[Lanes, ...]
    wish_mps: tuple[float, ...]
    watch: tuple[Watch | None, ...]
    pedals: tuple[Pedals, ...]

    @classmethod
    def of(cls, scenes: Sequence[Scene], place: IdmMemory, speed_mps: Array) -> R157Memory:
        lanes, count = tuple(Lanes.of(scene.road) for scene in scenes), len(scenes)
        return cls(place, routes_of(scenes), lanes, wished_mps(speed_mps), (None,) * count, (Pedals(),) * count)


class R157Policy:
    """R157 Annex 4 Appendix 3: perceives within 0.4 s, begins to brake 0.75 s later, has 0.774 g after another 0.6 s.

    Perceived is (3.4.1) a car of the next lane that leaves the middle of it by more than 0.375 m towards us, a danger below a
    time to collision of 2 s; (3.4.2) what a lead hid that leaves the middle by as much, a danger if the lead was followed within
    2 s; (3.4.3) a lead that brakes harder than 5 m/s2 within a headway of 2 s. Times of crossing are interpolated between frames.

    Ours, where the regulation is silent: he keeps the speed he came with, and the gap of 5.2.3.3 by car following with at most
    5 m/s2 (5.3.1.1); who is followed already is a danger below 2 s only where 5 m/s2 are not enough; who comes from no lane
    along ours (crossing, oncoming, on foot) is perceived when its body reaches into our lane; braking ends when the gap no
    longer closes; the road is always of friction 1.0. He is defined for motorways and says little about other places.
    """

    spec = PolicySpec("r157", plan_t_s=PLAN_T_S, privileged=True)

    def start(self, batch: int, seed: int) -> R157Memory | None:
        return None

    def act(
        self, observation: Observation, memory: R157Memory | None, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, Any]:
        if truth is None:
            raise ValueError("r157 is a privileged policy: it needs ground truth")
        place = located(truth, memory.place if memory else None)
        memory = memory or R157Memory.of(truth.scenes, place, truth.state.ego_speed_mps)
        watches: list[Watch] = []
        pedals: list[Pedals] = []
        accels: list[float] = []
        for b, seat in enumerate(seats(observation, truth, place, memory.wish_mps)):
            watch = watched(seat, memory.lanes[b], memory.watch[b])
            onset = float(np.nanmin(watch.danger_s, initial=NEVER_S)) + BRAKING_DELAY_S
            known = watch.noticed_s + RISK_EVALUATION_S + BRAKING_DELAY_S <= seat.now_s
            foot = replace(memory.pedals[b], onset_s=onset)
            calm = peaceful_accel(seat, known, minimum_gap_m(seat.state.ego_speed_mps))
            wish = foot.accel_mps2 if np.isfinite(onset) else calm  # a judged danger is met by the published trace alone
            accel, foot = pressed(foot, seat.now_s, wish, HARD_BRAKING_MPS2, FULL_BRAKE_MPS2)
            watches.append(watch)
            pedals.append(foot)
            accels.append(accel)
        memory = replace(memory, place=place, watch=tuple(watches), pedals=tuple(pedals))
        return plan(truth, memory.routes, place.route_s_m, np.array(accels)), memory


def watched(seat: Seat, lanes: Lanes, last: Watch | None) -> Watch:
    """The watch after a look at everybody at this moment; ``last`` is that of the moment before."""
    around, now_s, agents = seat.around, seat.now_s, seat.state.agents
    speed = max(float(seat.state.ego_speed_mps), ROUNDING)
    half_lane = 0.5 * lane_width_m(lanes, seat.state.ego_xy_yaw_world)
    closing = speed - around.along_mps
    gap = np.maximum(around.gap_m, 0.0)
    ttc = np.where(closing > ROUNDING, gap / np.maximum(closing, ROUNDING), np.inf)
    strayed, beside = strayed_m(around, lanes, agents), np.abs(around.d_m)
    first = last is None
    if last is None:
        none = np.full(len(gap), np.nan)
        last = Watch(now_s, none, none, none, agents.speed_mps, none, np.zeros(len(gap), bool), none)
    mine = around.ahead & (beside < half_lane)
    known = np.isfinite(last.noticed_s) | np.isneginf(last.noticed_s)

    # Who is there to be perceived since when.
    noticed = np.where(known, last.noticed_s, np.nan)
    left_zone = (strayed > WANDER_M) & (last.strayed_m <= WANDER_M)
    when_left = _crossed_s(last.t_s, now_s, last.strayed_m, strayed, WANDER_M)
    noticed = np.where(~mine & ~known & left_zone, when_left, noticed)
    reaches_in = around.ahead & np.isnan(strayed) & (beside - around.half_across_m < half_lane)
    noticed = np.where(~known & reaches_in, now_s, noticed)
    hidden, freed_s, close = _behind_leads(around, mine, beside, last, now_s, speed)
    revealed_now = mine & ~known & ~hidden & np.isfinite(freed_s)
    in_lane_s = np.where(np.isfinite(freed_s), freed_s, -np.inf if first else now_s)
    noticed = np.where(mine & ~known & ~hidden, np.fmin(in_lane_s, np.where(np.isnan(noticed), np.inf, noticed)), noticed)
    back = ~mine & ~reaches_in & ~(strayed > WANDER_M)
    noticed = np.where(back | ~around.ahead | (hidden & ~known), np.nan, noticed)
    revealed = (last.revealed | (revealed_now & close)) & ~np.isnan(noticed)

    # Who is a danger, and since when that is judged.
    judged_s = noticed + RISK_EVALUATION_S
    too_close_s = np.where(last.ttc_s > DANGER_TTC_S, _crossed_s(last.t_s, now_s, -last.ttc_s, -ttc, -DANGER_TTC_S), now_s)
    soon_s = np.where(ttc < DANGER_TTC_S, np.maximum(judged_s, too_close_s), np.nan)
    followed = mine & (judged_s + BRAKING_DELAY_S <= now_s)
    needed = np.maximum(closing, 0.0) ** 2 / (2 * np.maximum(gap, ROUNDING))
    soon_s = np.where(followed & (needed < HARD_BRAKING_MPS2), np.nan, soon_s)
    freed_danger_s = np.where(revealed & (closing > ROUNDING), judged_s, np.nan)
    hard = mine & ~hidden & (agents.accel_mps2 < -HARD_BRAKING_MPS2) & (gap <= (DANGER_THW_S + ROUNDING) * speed)
    began_s = now_s + (agents.speed_mps - last.speed_mps) / np.maximum(-agents.accel_mps2, HARD_BRAKING_MPS2)
    hard_s = np.where(hard & ~np.isnan(noticed), np.clip(began_s, last.t_s, now_s) + RISK_EVALUATION_S, np.nan)
    danger = np.fmin(last.danger_s, np.fmin(np.fmin(soon_s, freed_danger_s), hard_s))
    over = np.isnan(noticed) | ((closing <= ROUNDING) & ~hard)
    return Watch(now_s, strayed, beside, ttc, agents.speed_mps, noticed, revealed, danger_s=np.where(over, np.nan, danger))


def _crossed_s(before_s: float, now_s: float, before: Array, now: Array, level: float) -> Array:
    """When values [N] that grew from ``before`` to ``now`` crossed ``level``; now for those whose past is not known."""
    known = np.isfinite(before) & np.isfinite(now)
    rise = np.where(known, now, 1.0) - np.where(known, before, 0.0)
    share = np.where(known & (rise > 0), (level - np.where(known, before, 0.0)) / np.where(rise > 0, rise, 1.0), 1.0)
    return before_s + np.clip(share, 0.0, 1.0) * (now_s - before_s)


def _behind_leads(
    around: Around, mine: Array, beside: Array, last: Watch, now_s: float, speed_mps: float
) -> tuple[Array, Array, Array]:
    """Who [N] is hidden by a lead in the middle of our lane; since when not any more; whether that lead was followed closely."""
    before = mine[:, None] & mine[None, :] & (around.gap_m[:, None] < around.gap_m[None, :])  # [lead, hidden]
    hidden = (before & (beside <= WANDER_M)[:, None]).any(0)
    leaves = (beside > WANDER_M) & (last.beside_m <= WANDER_M)
    left_s = np.where(leaves, _crossed_s(last.t_s, now_s, last.beside_m, beside, WANDER_M), np.nan)
    freed = np.where(before & leaves[:, None], left_s[:, None], np.nan)
    close = before & leaves[:, None] & (around.gap_m <= (DANGER_THW_S + ROUNDING) * speed_mps)[:, None]
    freed_s = np.fmax.reduce(freed, axis=0, initial=np.nan) if len(mine) else np.zeros(0)
    return hidden, freed_s, close.any(0)
