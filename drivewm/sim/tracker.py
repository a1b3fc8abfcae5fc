"""From a plan to what pedals and steering do now: preview control by least squares, without gains that depend on the car.

The acceleration is the constant one that best meets the planned positions and speeds over the next half second, the curvature the
constant one whose arc best meets the planned points and headings. Both are exact when the plan itself is of constant
acceleration and curvature, and both pull back when the car has left the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Action, Array, Trajectory, WorldState
from drivewm.geometry import relative_xy_yaw

PREVIEW_S = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
SHORTEST_PREVIEW_S = 0.1  # also used when the plan has run out: it then stands for its last point
SPEED_WEIGHT = 0.2  # m^2 per (m/s)^2; an error of position is gone after about 3 s
HEADING_WEIGHT = 1.0  # m^2 per rad^2
HOLD_WEIGHT = 0.02  # pull towards the present curvature; decides where the plan covers no ground


@dataclass(frozen=True, slots=True)
class _Nodes:
    """A plan with its starting point: [B, K + 1] in the ego frame of the moment it was made."""

    t_s: Array
    xy: Array
    yaw_rad: Array
    s_m: Array
    speed_mps: Array

    @classmethod
    def of(cls, plan: Trajectory) -> _Nodes:
        zero = np.zeros((len(plan.t_s), 1))
        t_s = np.concatenate([zero, plan.t_s], 1).astype(np.float64)
        xy = np.concatenate([zero[..., None].repeat(2, -1), plan.xy_yaw_ego[..., :2]], 1).astype(np.float64)
        yaw = np.unwrap(np.concatenate([zero, plan.xy_yaw_ego[..., 2]], 1).astype(np.float64), axis=1)
        step, middle = np.diff(xy, axis=1), 0.5 * (yaw[:, 1:] + yaw[:, :-1])
        chord = step[..., 0] * np.cos(middle) + step[..., 1] * np.sin(middle)
        half_turn = np.clip(0.5 * np.diff(yaw, axis=1), -1.0, 1.0)
        s_m = np.concatenate([zero, np.cumsum(chord / np.sinc(half_turn / np.pi), axis=1)], 1)
        # The car does not drive backwards: points behind an earlier one ask it to stand there.
        s_m = np.maximum.accumulate(s_m, axis=1)
        # The speed at the start is the one that constant acceleration to the first point implies.
        first = np.maximum(0.0, 2 * s_m[:, 1:2] / np.maximum(t_s[:, 1:2], 1e-3) - plan.speed_mps[:, :1])
        return cls(t_s, xy, yaw, s_m, np.concatenate([first, plan.speed_mps], 1).astype(np.float64))

    def at(self, t_s: Array) -> tuple[Array, Array, Array]:
        """Poses [B, Q, 3], arc lengths and speeds [B, Q] at times [B, Q] inside the plan."""
        i = np.clip((self.t_s[:, None, :] <= t_s[:, :, None]).sum(-1) - 1, 0, self.t_s.shape[1] - 2)
        row = np.arange(len(i))[:, None]

        def ends(values: Array) -> tuple[Array, Array]:
            return values[row, i], values[row, i + 1]

        (t0, t1), (s0, s1), (v0, v1) = ends(self.t_s), ends(self.s_m), ends(self.speed_mps)
        (yaw0, yaw1), (xy0, xy1) = ends(self.yaw_rad), ends(self.xy)
        dt = np.maximum(t1 - t0, 1e-6)
        u = np.clip((t_s - t0) / dt, 0.0, 1.0)
        s = _hermite(u, (s0, s1), (v0 * dt, v1 * dt))
        # Noisy speeds must not let the reference run backwards or past its own points.
        s = np.clip(s, s0, s1)
        share = np.where(s1 - s0 > 1e-6, (s - s0) / np.maximum(s1 - s0, 1e-6), u)
        chord = np.hypot(*np.moveaxis(xy1 - xy0, -1, 0))[..., None]
        tangents = tuple(chord * np.stack([np.cos(yaw), np.sin(yaw)], -1) for yaw in (yaw0, yaw1))
        xy = _hermite(share[..., None], (xy0, xy1), (tangents[0], tangents[1]))
        pose = np.concatenate([xy, (yaw0 + share * (yaw1 - yaw0))[..., None]], -1)
        return pose, s, v0 + u * (v1 - v0)


def _hermite(u: Array, value: tuple[Array, Array], slope: tuple[Array, Array]) -> Array:
    u2, u3 = u**2, u**3
    bend = slope[0] * (u3 - 2 * u2 + u) + slope[1] * (u3 - u2)
    return np.asarray(value[0] * (2 * u3 - 3 * u2 + 1) + value[1] * (3 * u2 - 2 * u3) + bend)


def track(plan: Trajectory, age_s: float, start_xy_yaw_world: Array, state: WorldState) -> Action:
    """The action [B] that follows ``plan`` now, ``age_s`` seconds after it was made at poses ``start_xy_yaw_world`` [B, 3].

    ``plan`` must be finite, with ascending times; K may be 1. Where the plan has run out, its last point is approached and its
    last speed held. Limits of the car are left to the engine.
    """
    nodes = _Nodes.of(plan)
    end_s = nodes.t_s[:, -1:]
    now_s = np.minimum(np.full_like(end_s, age_s), end_s)
    ahead_s = np.clip(PREVIEW_S[None], SHORTEST_PREVIEW_S, np.maximum(SHORTEST_PREVIEW_S, end_s - now_s))
    here, here_s_m, _ = nodes.at(now_s)
    there, there_s_m, there_mps = nodes.at(np.minimum(now_s + ahead_s, end_s))
    # What the clock asks for beyond the last point: on at the last speed, straight.
    over_m = np.maximum(0.0, age_s + ahead_s - end_s) * nodes.speed_mps[:, -1:]
    there = there + over_m[..., None] * np.stack([np.cos(there[..., 2]), np.sin(there[..., 2]), np.zeros_like(over_m)], -1)

    own = relative_xy_yaw(state.ego_xy_yaw_world, start_xy_yaw_world)[:, None]
    back = own[..., :2] - here[..., :2]
    along_m = np.cos(here[..., 2]) * back[..., 0] + np.sin(here[..., 2]) * back[..., 1]
    speed = state.ego_speed_mps[:, None]
    gained_m = there_s_m + over_m - here_s_m - along_m - speed * ahead_s
    pull = SPEED_WEIGHT * ahead_s * (there_mps - speed) + 0.5 * ahead_s**2 * gained_m
    accel = pull.sum(1) / (SPEED_WEIGHT * ahead_s**2 + 0.25 * ahead_s**4).sum(1)

    goal = relative_xy_yaw(there, own)
    range2 = goal[..., 0] ** 2 + goal[..., 1] ** 2
    range2 = np.where(goal[..., 0] > 0, range2, 0.0)
    turn = np.clip(goal[..., 2], -1.0, 1.0)
    arc = 2 * goal[..., 1] * 0.25 * range2 + HEADING_WEIGHT * turn * np.sqrt(range2)
    weight = 0.25 * range2**2 + HEADING_WEIGHT * range2
    curvature = (arc.sum(1) + HOLD_WEIGHT * state.ego_curvature_1pm) / (weight.sum(1) + HOLD_WEIGHT)
    return Action(accel, curvature)
