"""Where agents will be: exactly, from the engine's own state, or as a careful observer would expect from one look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Action, Agents, Array, WorldState
from drivewm.geometry import wrap_angle_rad
from drivewm.sim.bicycle import travel
from drivewm.sim.engine import Engine, EngineState

STEP_S = 0.25  # coarser than the engine's own step: leaders and triggers are looked up this often
DRIFT_S = 1.0  # time constant after which a sideways motion is expected to end


def roll_forward(engine: Engine, state: EngineState, t_s: Array) -> Agents:
    """Agents [B, K, N] at ``t_s`` [K] seconds ahead (ascending) if the ego keeps its speed and curvature.

    Scripts, triggers and car following run as in the engine, in steps of at most `STEP_S`; this is what will happen.
    """
    action = Action(np.zeros_like(state.world.ego_speed_mps), state.world.ego_curvature_1pm)
    seen, now_s = [], 0.0
    for target_s in np.asarray(t_s, np.float64):
        steps = int(np.ceil((target_s - now_s) / STEP_S - 1e-9))
        for _ in range(steps):
            state = engine.step(state, action, (target_s - now_s) / steps)
        now_s = float(target_s)
        seen.append(state.world.agents)
    return Agents.stack(seen, axis=1)


def predict_agents(engine: Engine, world: WorldState, t_s: Array) -> Agents:
    """Agents [B, K, N] at ``t_s`` [K] seconds ahead, expected from ``world`` alone: nothing is known of triggers to come.

    Agents stay on their paths at the speed they have; who brakes goes on braking until it stands, who accelerates does not go on;
    a sideways motion fades with time constant `DRIFT_S`. ``engine`` only lends the paths, in the order of ``world.agents``.
    """
    agents, paths = world.agents, engine.paths
    batch, count = agents.valid.shape
    row = np.arange(batch * count).reshape(batch, count)
    pose, speed = agents.xy_yaw_world, agents.speed_mps
    delta = paths.xy.reshape(batch, count, -1, 2) - pose[:, :, None, :2]
    # Where a path crosses itself, the branch that points as the agent does is meant.
    turned = 1 - np.cos(paths.yaw_rad.reshape(batch, count, -1) - pose[:, :, None, 2])
    vertex = np.argmin(delta[..., 0] ** 2 + delta[..., 1] ** 2 + 25.0 * turned, axis=-1) if count else row
    s_m, offset, path_yaw = paths.refine(row, vertex.astype(np.float64), pose[..., :2])
    ahead = np.asarray(t_s, np.float64)[None, :, None]
    distance, later = travel(speed[:, None], np.minimum(agents.accel_mps2, 0.0)[:, None], ahead)
    drift = (speed * np.sin(wrap_angle_rad(pose[..., 2] - path_yaw)))[:, None] * DRIFT_S * (1 - np.exp(-ahead / DRIFT_S))
    rows = np.broadcast_to(row[:, None], distance.shape)
    future = paths.pose(rows, s_m[:, None] + distance, offset[:, None] + drift)
    shape = distance.shape
    held = Agents(
        **{
            name: np.broadcast_to(getattr(agents, name)[:, None], shape + getattr(agents, name).shape[2:])
            for name in ("track_id", "category", "xy_yaw_world", "speed_mps", "accel_mps2", "size_lwh_m", "valid")
        }
    )
    return replace(held, xy_yaw_world=future, speed_mps=later, accel_mps2=(later - speed[:, None]) / np.maximum(ahead, 1e-9))
