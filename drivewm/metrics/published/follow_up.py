"""Two plans of one drive, one made shortly after the other: what the car would do under each, over the time that both cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Array, Rollout
from drivewm.metrics.published.pdm import Found
from drivewm.metrics.published.ride import alike
from drivewm.metrics.published.ways import Ways
from drivewm.sim.bicycle import EgoMotion, advance_ego
from drivewm.sim.tracker import track

APART_S = 0.5  # NAVSIM compares frames this far apart; here the plans that are nearest to it, but not farther apart
LEAST_STEPS = 5  # that two plans must share, else there is nothing to smooth


def planned(rollout: Rollout) -> Ways:
    """Where each of the F plans would lead, [F, H + 1] from the state it was made in, followed as the loop follows them."""
    plans, dt_s = rollout.plans, rollout.scene.dt_s
    state = rollout.states[:: rollout.plan_every][: len(plans.t_s)]
    start = state.ego_xy_yaw_world
    ego = EgoMotion(start, state.ego_speed_mps, state.ego_accel_mps2, state.ego_curvature_1pm)
    moments = [ego]
    for step in range(round(float(plans.t_s[:, -1].min()) / dt_s)):
        action = track(plans, step * dt_s, start, state)
        ego = advance_ego(ego, action.accel_mps2, action.curvature_1pm, dt_s)
        state = replace(
            state,
            ego_xy_yaw_world=ego.xy_yaw,
            ego_speed_mps=ego.speed_mps,
            ego_accel_mps2=ego.accel_mps2,
            ego_curvature_1pm=ego.curvature_1pm,
        )
        moments.append(ego)
    series = (np.stack([getattr(m, name) for m in moments], 1) for name in ("xy_yaw", "speed_mps", "accel_mps2", "curvature_1pm"))
    return Ways(*series)


def extended_comfort(rollout: Rollout) -> Found | None:
    """Share of pairs of plans that feel the same, and the first that does not; None where no two plans can be compared."""
    every, dt_s = rollout.plan_every, rollout.scene.dt_s
    lag = max(1, int(APART_S / (every * dt_s) + 1e-9))
    if len(rollout.plans.t_s) <= lag:
        return None
    ways, shift = planned(rollout), lag * every
    if ways.speed_mps.shape[1] - shift < LEAST_STEPS:
        return None
    same: Array = alike(ways[lag:, :-shift], ways[:-lag, shift:], dt_s)
    step = -1 if same.all() else (int(np.argmin(same)) + lag) * every
    return Found(np.array([same.mean()]), np.array([min(step, len(rollout.states.t_s) - 1)]), np.array([-1]))
