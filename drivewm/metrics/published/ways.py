"""Ways of the ego beside the ways of others, and where they first meet: what all scores after nuPlan are made of.

M ways (one drive, or many candidate plans) of T + 1 instants are looked at together; the agents are the same for all of them.
Only pairs that come near are looked at closely, so the cost grows linearly with the agents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, STATIC_CLASSES, Agents, Array, Records
from drivewm.geometry import box_corners_xy
from drivewm.metrics.boxes import ahead, behind, overlap
from drivewm.metrics.series import HALF_EGO_M, STANDING_MPS

THINGS = [int(kind) for kind in STATIC_CLASSES]
NEVER = np.iinfo(np.int64).max
AGENTS_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Ways(Records):
    """How the ego moves, [M, T + 1], at the rear axle."""

    xy_yaw: Array  # [M, T + 1, 3]
    speed_mps: Array
    accel_mps2: Array
    curvature_1pm: Array

    @property
    def centre(self) -> Array:
        """Middle of the body [M, T + 1, 3]."""
        return EGO_SHAPE.centre_xy_yaw(self.xy_yaw)

    def corners(self) -> Array:
        """[M, T + 1, 4, 2]."""
        return box_corners_xy(self.centre, 2 * HALF_EGO_M)


@dataclass(frozen=True, slots=True)
class Meetings(Records):
    """The first moment at which a way touches an agent, for the P pairs that ever touch; all [P]."""

    way: Array  # row in M
    step: Array  # instant of the ego
    look: Array  # steps that the ego is moved on at constant velocity; agents are where they will be then
    agent: Array


def first_meetings(ways: Ways, agents: Agents, looks: tuple[int, ...], dt_s: float, least_mps: float = -1.0) -> Meetings:
    """Where each way first touches each agent, in the order of instants and within one instant of ``looks``.

    ``agents`` [T' + 1, N] begin with the ways and may last longer; an instant counts for those looks that they reach. Instants
    at which the ego is slower than ``least_mps`` are passed over.
    """
    centre, speed = ways.centre, ways.speed_mps
    count, instants, many = *speed.shape, agents.valid.shape[1]
    radius = np.hypot(*HALF_EGO_M) + 0.5 * np.hypot(agents.size_lwh_m[..., 0], agents.size_lwh_m[..., 1])
    heading = np.stack([np.cos(centre[..., 2]), np.sin(centre[..., 2])], -1)
    moving = speed >= least_mps
    first = np.full((count, many), NEVER)
    for order, look in enumerate(looks):
        last = min(instants, len(agents.valid) - look)
        if last <= 0:
            continue
        here = centre[:, :last, :2] + (look * dt_s) * speed[:, :last, None] * heading[:, :last]
        for start in range(0, many, AGENTS_AT_ONCE):  # what fits into the processor's cache is looked at faster
            some = slice(start, start + AGENTS_AT_ONCE)
            others, reach = agents.xy_yaw_world[look : look + last, some], radius[look : look + last, some]
            # Agents that are far from all ways at once need no look at single ways.
            low, high = here.min(0)[:, None] - reach[..., None], here.max(0)[:, None] + reach[..., None]
            inside = ((others[..., :2] >= low) & (others[..., :2] <= high)).all(-1) & agents.valid[look : look + last, some]
            t, n = np.nonzero(inside)
            x, y = (here[:, t, axis] - others[t, n, axis] for axis in (0, 1))
            m, k = np.nonzero((x * x + y * y < reach[t, n] ** 2) & moving[:, t])
            t, n = t[k], n[k]
            key = t * len(looks) + order
            # A pair that is known to have met earlier needs no second look; the loop goes through looks, not instants.
            new = key < first[m, start + n]
            m, t, n, key = m[new], t[new], n[new], key[new]
            pose = np.concatenate([here[m, t], centre[m, t, 2:]], -1)
            met = overlap(pose, HALF_EGO_M, others[t, n], 0.5 * agents.size_lwh_m[t + look, start + n, :2])
            np.minimum.at(first, (m[met], start + n[met]), key[met])
    way, agent = np.nonzero(first != NEVER)
    key = first[way, agent]
    return Meetings(way, key // len(looks), np.asarray(looks)[key % len(looks)], agent)


def at_fault(ways: Ways, agents: Agents, meetings: Meetings, spread: Array) -> Array:
    """Whether the ego is at fault for contacts [P], after nuPlan; ``spread`` [P] says if it is on several lanes or off the road.

    The ego moves, and what it touches stands, or is met with the front bumper, or is met sideways while the ego is spread. Who
    comes from behind (over 150 degrees off the heading, seen from the rear axle) is at fault itself.
    """
    m, t, n = meetings.way, meetings.step, meetings.agent
    rear, pose, half = ways.xy_yaw[m, t], agents.xy_yaw_world[t, n], 0.5 * agents.size_lwh_m[t, n, :2]
    stands = (agents.speed_mps[t, n] <= STANDING_MPS) | np.isin(agents.category[t, n], THINGS)
    bumper = rear.copy()
    reach = EGO_SHAPE.rear_axle_to_centre_m + HALF_EGO_M[0]
    bumper[:, :2] += reach * np.stack([np.cos(rear[:, 2]), np.sin(rear[:, 2])], -1)
    front = overlap(bumper, np.array([0.0, HALF_EGO_M[1]]), pose, half)
    active = ~behind(rear, pose[:, :2]) & (front | spread)
    return np.asarray((ways.speed_mps[m, t] > STANDING_MPS) & (stands | active))


def concerns(ways: Ways, agents: Agents, meetings: Meetings, open_side: Array) -> Array:
    """Whether conflicts [P] ahead in time count, after nuPlan: the agent is ahead (under 30 degrees off the heading), or beside
    an ego for which ``open_side`` [P] holds (on several lanes, off the road, or in an intersection)."""
    rear = ways.xy_yaw[meetings.way, meetings.step]
    there = agents.xy_yaw_world[meetings.step + meetings.look, meetings.agent, :2]
    return np.asarray(ahead(rear, there) | (open_side & ~behind(rear, there)))
