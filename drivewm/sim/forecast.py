"""Where agents will be."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Action, Agents, Array
from drivewm.sim.engine import Engine, EngineState

STEP_S = 0.25  # coarser than the engine's own step: leaders and triggers are looked up this often


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
