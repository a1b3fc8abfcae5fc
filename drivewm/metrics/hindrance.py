"""What justifies leaving the lane: something on the route that stands or is slow by nature."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import ON_FOOT, STATIC_CLASSES, AgentClass, Agents, Array

BEFORE_M, BEHIND_M = 40.0, 15.0  # it counts from this far ahead of the ego to this far behind it
CORRIDOR_M = 1.2  # half width of what the ego needs on its route, with a little room
STANDING_MPS = 0.5
GO_AROUND = [int(kind) for kind in (*STATIC_CLASSES, *ON_FOOT, AgentClass.BICYCLE)]


def hindered(agents: Agents, agent_sd: Array, ego_s_m: Array) -> Array:
    """Whether an agent [..., N] is in the way [...] of an ego at arc length ``ego_s_m`` [...] of its route.

    ``agent_sd`` [..., N, 2] are arc length and offset of the agents on that route.
    """
    slow = agents.valid & ((agents.speed_mps < STANDING_MPS) | np.isin(agents.category, GO_AROUND))
    in_way = np.abs(agent_sd[..., 1]) < CORRIDOR_M + 0.5 * agents.size_lwh_m[..., 1]
    ahead = agent_sd[..., 0] - ego_s_m[..., None]
    return np.asarray((slow & in_way & (ahead < BEFORE_M) & (ahead > -BEHIND_M)).any(-1))
