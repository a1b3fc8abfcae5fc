"""Where the ego hits somebody, and how fast the two are just before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.metrics.series import Series


@dataclass(frozen=True, slots=True)
class Impact:
    """The first contact with one agent. Velocities [2] are those of the instant before it: a loop may stop the ego at contact."""

    step: int  # the first state in which the boxes overlap
    agent: int  # row
    ego_velocity_mps: Array
    agent_velocity_mps: Array

    @property
    def speed_mps(self) -> float:
        """Relative speed."""
        return float(np.hypot(*(self.ego_velocity_mps - self.agent_velocity_mps)))


def impacts(series: Series) -> tuple[Impact, ...]:
    """All impacts in the order of time, one per agent; what overlaps at the start is the scene's and no impact."""
    states, out = series.states, []
    for agent in np.flatnonzero(series.overlap.any(0) & ~series.overlap[0]):
        step = int(np.argmax(series.overlap[:, agent]))
        before = states[step - 1]
        yaw = before.ego_xy_yaw_world[2], before.agents.xy_yaw_world[agent, 2]
        speed = before.ego_speed_mps, before.agents.speed_mps[agent]
        ego, other = (v * np.array([np.cos(a), np.sin(a)]) for v, a in zip(speed, yaw, strict=True))
        out.append(Impact(step, int(agent), ego, other))
    return tuple(sorted(out, key=lambda impact: impact.step))
