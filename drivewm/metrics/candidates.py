"""Scores of many plans at once against the known future: what the expert chooses by and the large policy learns from.

The parts are those of PDMS (NAVSIM), seen from one moment: gates ``no_collision``, ``drivable``, ``red_light`` in {0, 1}; terms
``ttc`` in {0, 1}, ``progress``, ``comfort``, ``route`` in [0, 1]; total = product of gates * weighted mean of terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Agents, Array, Records, WorldState
from drivewm.geometry import box_corners_xy, wrap_angle_rad
from drivewm.metrics.boxes import behind, time_to_contact_s
from drivewm.metrics.comfort import COMFORT_BOUNDS
from drivewm.metrics.grounds import Grounds, ran_red
from drivewm.metrics.series import HALF_EGO_M

CANDIDATE_GATES = ("no_collision", "drivable", "red_light")
CANDIDATE_WEIGHTS = {"ttc": 5.0, "progress": 5.0, "comfort": 2.0, "route": 2.0}
SUB_SCORES = (*CANDIDATE_GATES, *CANDIDATE_WEIGHTS)
TTC_S = 1.0
STANDING_MPS = 0.05  # a standing ego causes no collision
LEAST_PROGRESS_M = 5.0  # progress is measured against the best safe candidate, but at least this
AGENTS_AT_ONCE = 32
ROUTE_FREE_M, ROUTE_ZERO_M = 0.25, 1.75  # offset from the route that costs nothing, and everything


@dataclass(frozen=True, slots=True)
class CandidateScores(Records):
    """Parts and total, all [B, M]."""

    no_collision: Array
    drivable: Array
    red_light: Array
    ttc: Array
    progress: Array
    comfort: Array
    route: Array
    total: Array

    def parts(self) -> Array:
        """[B, M, len(SUB_SCORES)], in that order."""
        return np.stack([getattr(self, name) for name in SUB_SCORES], axis=-1)


def score_candidates(plans: Array, plan_t_s: Array, futures: Agents, grounds: Grounds, state: WorldState) -> CandidateScores:
    """Judge M plans for each of B cars.

    ``plans`` [B, M, K, 4] are x, y, yaw, speed of the rear axle in the world at ``plan_t_s`` [K] ahead; ``futures`` [B, K, N] the
    agents at those times; ``state`` [B] is now. Between plan points positions are interpolated halfway, so that nothing is
    jumped over.
    """
    plans, plan_t_s = np.asarray(plans, np.float64), np.asarray(plan_t_s, np.float64)
    ego = _with_now(plans, state)
    t_s = np.concatenate([[0.0], plan_t_s])
    fine, fine_t_s = _halved(ego, axis=2), _halved(t_s, axis=0)
    parts = _contacts(fine, fine_t_s, futures, state)
    corners = box_corners_xy(EGO_SHAPE.centre_xy_yaw(fine[..., :3]), np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]))
    parts["drivable"] = np.stack([grid.contains(c).all((-1, -2)) for grid, c in zip(grounds.drivable, corners, strict=True)])
    reach_m = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
    front = fine[..., :2] + reach_m * np.stack([np.cos(fine[..., 2]), np.sin(fine[..., 2])], -1)
    when = state.t_s[:, None] + fine_t_s
    parts["red_light"] = np.stack([~ran_red(road, f, t).any(-1) for road, f, t in zip(grounds.roads, front, when, strict=True)])
    gate = np.prod([parts[name] for name in CANDIDATE_GATES], axis=0)

    batch, count, points = plans.shape[:3]
    here = state.ego_xy_yaw_world[:, :2]
    now_s_m = grounds.routes.sd(here[:, None])[:, 0, 0]
    away_m = np.hypot(*np.moveaxis(plans[..., :2] - here[:, None, None], -1, 0)).max((1, 2))
    window_m = np.stack([now_s_m - 10.0, now_s_m + 10.0 + 1.6 * away_m], -1)  # a half circle is 1.6 times its chord
    sd = grounds.routes.sd(plans[..., :2].reshape(batch, -1, 2), window_m).reshape(batch, count, points, 2)
    gained_m = np.maximum(0.0, sd[..., -1, 0] - now_s_m[:, None])
    best_m = np.maximum(LEAST_PROGRESS_M, (gained_m * gate).max(1))
    parts["progress"] = np.minimum(1.0, gained_m / best_m[:, None])
    off = (np.abs(sd[..., 1]) - ROUTE_FREE_M) / (ROUTE_ZERO_M - ROUTE_FREE_M)
    parts["route"] = 1 - np.clip(off, 0.0, 1.0).mean(-1)
    parts["comfort"] = _comfort(ego, t_s, state)
    weighted = sum(weight * parts[name] for name, weight in CANDIDATE_WEIGHTS.items())
    total = gate * weighted / sum(CANDIDATE_WEIGHTS.values())
    return CandidateScores(**{name: parts[name].astype(np.float64) for name in SUB_SCORES}, total=np.asarray(total))


def _with_now(plans: Array, state: WorldState) -> Array:
    now = np.concatenate([state.ego_xy_yaw_world, state.ego_speed_mps[:, None]], -1)
    ego = np.concatenate([np.broadcast_to(now[:, None, None], (*plans.shape[:2], 1, 4)), plans], axis=2)
    ego[..., 2] = np.unwrap(ego[..., 2], axis=2)
    return np.asarray(ego)


def _halved(values: Array, axis: int) -> Array:
    """The series with the mean of neighbours inserted between them."""
    values = np.moveaxis(values, axis, 0)
    out = np.empty((2 * len(values) - 1, *values.shape[1:]))
    out[::2] = values
    out[1::2] = 0.5 * (values[1:] + values[:-1])
    return np.asarray(np.moveaxis(out, 0, axis))


def _rates(values: Array, t_s: Array, axis: int) -> Array:
    """Slope of a series at its own points: of the interval that begins there, at the last point of the one that ends."""
    values = np.moveaxis(values, axis, -1)
    slope = np.diff(values, axis=-1) / np.diff(t_s)
    return np.moveaxis(np.concatenate([slope, slope[..., -1:]], -1), -1, axis)


def _velocities(pose: Array, speed: Array, turning: Array) -> tuple[Array, Array]:
    """Velocity held straight on, and velocity along the chord of the arc that is driven during `TTC_S`."""
    straight, chord = (
        np.stack([np.cos(a), np.sin(a)], -1) * speed[..., None] for a in (pose[..., 2], pose[..., 2] + 0.5 * TTC_S * turning)
    )
    return straight, chord


def _contacts(ego: Array, t_s: Array, futures: Agents, state: WorldState) -> dict[str, Array]:
    """Collision and time to collision of egos [B, M, Q, 4]; only pairs that are near are looked at closely."""
    own = _Egos.of(ego, t_s)
    agents = Agents.stack([state.agents, *(futures[:, k] for k in range(futures.valid.shape[1]))], axis=1)
    hit, close = np.zeros(ego.shape[:2], bool), np.zeros(ego.shape[:2], bool)
    # One agent has nothing to do with another, and what fits into the processor's cache is looked at faster.
    for start in range(0, agents.valid.shape[2], AGENTS_AT_ONCE):
        _meet(own, _Others.of(agents[:, :, start : start + AGENTS_AT_ONCE], t_s), hit, close)
    return {"no_collision": ~hit, "ttc": ~close}


@dataclass(frozen=True, slots=True)
class _Egos:
    pose: Array  # [B, M, Q, 4], rear axle and speed
    centre: Array  # [B, M, Q, 3]
    velocities: tuple[Array, Array]  # [B, M, Q, 2]
    t_s: Array  # [Q]

    @classmethod
    def of(cls, ego: Array, t_s: Array) -> _Egos:
        velocities = _velocities(ego[..., :3], ego[..., 3], _rates(ego[..., 2], t_s, 2))
        return cls(ego, EGO_SHAPE.centre_xy_yaw(ego[..., :3]), velocities, t_s)


@dataclass(frozen=True, slots=True)
class _Others:
    pose: Array  # [B, Q, N, 3]
    velocities: tuple[Array, Array]  # [B, Q, N, 2]
    there: Array  # bool [B, Q, N]
    half_m: Array  # [B, N, 2]
    touching_m: Array  # [B, N], middles farther apart than this do not touch
    reach_m: Array  # [B, Q, N], the same for what they do within `TTC_S`

    @classmethod
    def of(cls, agents: Agents, t_s: Array) -> _Others:
        pose = agents.xy_yaw_world.copy()
        pose[..., 2] = np.unwrap(pose[..., 2], axis=1)
        turning = _halved(_rates(pose[..., 2], t_s[::2], 1), 1)
        pose, speed = _halved(pose, 1), _halved(agents.speed_mps, 1)
        half = 0.5 * agents.size_lwh_m[:, 0, :, :2]
        touching = np.hypot(half[..., 0], half[..., 1]) + np.hypot(*HALF_EGO_M)
        there = _halved(agents.valid.astype(np.float64), 1) == 1.0  # between coming or going and the next instant nobody is
        return cls(pose, _velocities(pose, speed, turning), there, half, touching, touching[:, None] + TTC_S * speed)


def _meet(own: _Egos, others: _Others, hit: Array, close: Array) -> None:
    """Set ``hit`` and ``close`` [B, M] for egos that collide with any of the others, or come too close."""
    ego, centre, pose, t_s = own.pose, own.centre, others.pose, own.t_s
    b, m, q, n = _within_reach(centre, pose, others.reach_m, TTC_S * ego[..., 3], others.there)
    after = np.minimum(q + 1, len(t_s) - 1)
    moved = centre[b, m, after, :2] - centre[b, m, q, :2] - pose[b, after, n, :2] + pose[b, q, n, :2]
    gap, relative = pose[b, q, n, :2] - centre[b, m, q, :2], own.velocities[0][b, m, q] - others.velocities[0][b, q, n]
    body = others.touching_m[b, n]
    near = (_nearest_m(gap, TTC_S * relative) <= body) | (_nearest_m(gap, moved) <= body)
    b, m, q, n, after, moved = (v[near] for v in (b, m, q, n, after, moved))
    half = others.half_m[b, n]
    ttc = np.zeros(len(b))
    for ours, theirs in zip(own.velocities, others.velocities, strict=True):
        # A conflict counts when both ways of holding the motion lead to it: neither a curve nor a twitch makes one.
        relative = ours[b, m, q] - theirs[b, q, n]
        ttc = np.maximum(ttc, time_to_contact_s(centre[b, m, q], HALF_EGO_M, pose[b, q, n], half, relative))
    # The way to the next instant itself: whoever closes at 40 m/s is past the ego within one interval.
    lasts = np.maximum(t_s[after] - t_s[q], 1e-6)
    swept = time_to_contact_s(centre[b, m, q], HALF_EGO_M, pose[b, q, n], half, moved / lasts[:, None])
    ttc = np.where(swept < lasts, 0.0, ttc)
    blameless = behind(ego[b, m, q, :3], pose[b, q, n, :2]) | (ego[b, m, q, 3] <= STANDING_MPS)
    # Whoever ran into the ego without its fault passes through it in these futures; what follows is no fault either.
    touch = ttc == 0
    first = np.full((*ego.shape[:2], pose.shape[2]), len(t_s))
    np.minimum.at(first, (b[touch], m[touch], n[touch]), q[touch])
    struck = np.zeros(first.shape, bool)
    at_first = touch & blameless & (q == first[b, m, n])
    struck[b[at_first], m[at_first], n[at_first]] = True
    counts = ~blameless & ~struck[b, m, n]
    hit[b[counts & touch], m[counts & touch]] = True
    close[b[counts & (ttc < TTC_S)], m[counts & (ttc < TTC_S)]] = True


def _within_reach(centre: Array, pose: Array, reach: Array, own_reach: Array, there: Array) -> tuple[Array, ...]:
    """Indices b, m, q, n of pairs no farther apart than ``reach`` [B, Q, N] and ``own_reach`` [B, M, Q] together.

    ``centre`` [B, M, Q, 3] are the egos, ``pose`` [B, Q, N, 3] the agents where they are ``there`` [B, Q, N]. Agents that are
    far from all candidates at once need no look at single ones.
    """
    widest = (reach + own_reach.max(1)[..., None])[..., None]
    low, high = centre[..., :2].min(1)[:, :, None] - widest, centre[..., :2].max(1)[:, :, None] + widest
    b, q, n = np.nonzero(there & ((pose[..., :2] >= low) & (pose[..., :2] <= high)).all(-1))
    x, y = (pose[b, q, n, axis, None] - centre[b, :, q, axis] for axis in (0, 1))
    column, m = np.nonzero(x * x + y * y < (reach[b, q, n, None] + own_reach[b, :, q]) ** 2)
    return b[column], m, q[column], n[column]


def _nearest_m(gap: Array, move: Array) -> Array:
    """How near points on straight moves [P, 2] from the origin come to ``gap`` [P, 2], a hair less."""
    share = (gap * move).sum(-1) / np.maximum((move * move).sum(-1), 1e-12)
    rest = gap - np.clip(share, 0.0, 1.0)[:, None] * move
    return np.hypot(rest[:, 0], rest[:, 1]) - 1e-6


def _comfort(ego: Array, t_s: Array, state: WorldState) -> Array:
    """1 while every quantity stays below half its nuPlan bound, 0 when one reaches it."""
    dt = np.diff(t_s)
    accel = np.diff(ego[..., 3], axis=-1) / dt
    now = np.broadcast_to(state.ego_accel_mps2[:, None, None], (*accel.shape[:2], 1))
    jerk = np.diff(np.concatenate([now, accel], -1), axis=-1) / dt
    yaw_rate = wrap_angle_rad(np.diff(ego[..., 2], axis=-1)) / dt
    lateral = yaw_rate * 0.5 * (ego[..., 1:, 3] + ego[..., :-1, 3])
    series = {"accel_mps2": accel, "jerk_lon_mps3": jerk, "lateral_accel_mps2": lateral, "yaw_rate_radps": yaw_rate}
    ratios = [np.maximum(v / COMFORT_BOUNDS[name][1], v / COMFORT_BOUNDS[name][0]).max(-1) for name, v in series.items()]
    return np.asarray(1 - np.clip(2 * np.max(ratios, axis=0) - 1, 0.0, 1.0))
