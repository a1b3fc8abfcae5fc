"""What led to a moment: a scene begins somewhere, and a dream may want to see how it came there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drivewm.datatypes import Scene, WorldState
from drivewm.sim.bicycle import along_arc


def moments_before(scenes: Sequence[Scene], state: WorldState, count: int, period_s: float) -> list[WorldState]:
    """``count`` states [B] before ``state`` [B], oldest first, ``period_s`` apart.

    Everybody has come at the speed and curvature (agents: the heading) that they have now. Lamps show what they showed.
    """
    return [_before(scenes, state, step * period_s) for step in range(count, 0, -1)]


def _before(scenes: Sequence[Scene], state: WorldState, ago_s: float) -> WorldState:
    agents, t_s = state.agents, state.t_s - ago_s
    straight = along_arc(agents.xy_yaw_world, -agents.speed_mps * ago_s, np.zeros_like(agents.speed_mps))
    signal = state.signal.copy()
    for row, scene in enumerate(scenes):
        for lamp, one in enumerate(scene.road.signals):
            signal[row, lamp] = one.state_at(t_s[row])
    return replace(
        state,
        t_s=t_s,
        ego_xy_yaw_world=along_arc(state.ego_xy_yaw_world, -state.ego_speed_mps * ago_s, state.ego_curvature_1pm),
        ego_accel_mps2=np.zeros_like(state.ego_accel_mps2),
        agents=replace(agents, xy_yaw_world=straight, accel_mps2=np.zeros_like(agents.accel_mps2)),
        signal=signal,
    )
