"""The parts of nuPlan's closed-loop score that NAVSIM has otherwise: who was hit, conflicts ahead, lane and speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import ON_FOOT, AgentClass, Array
from drivewm.geometry import frenet_sd
from drivewm.metrics.boxes import ahead, behind, contact_interval_s
from drivewm.metrics.published.pdm import STOPPED_MPS, Found, Setting
from drivewm.metrics.published.ways import NEVER, THINGS, Meetings, Ways, at_fault, first_meetings
from drivewm.metrics.series import HALF_EGO_M

FAULTS_TO_ZERO = {"people": 1, "vehicles": 1, "things": 2}  # max_violation_threshold + 1
PEOPLE = [int(kind) for kind in (*ON_FOOT, AgentClass.BICYCLE)]
LEAST_TTC_S, PROJECTED_S, PROJECTION_STEP_S = 0.95, 3.0, 0.1
WRONG_WAY_WINDOW_S, WRONG_WAY_MILD_M, WRONG_WAY_M = 1.0, 2.0, 6.0
SPEEDING_MPS = 2.23  # five miles per hour over the whole drive give 0


@dataclass(frozen=True, slots=True)
class Contacts:
    """First contacts of one drive with every agent that it touches."""

    meetings: Meetings
    fault: Array  # bool [P]
    category: Array  # [P]

    @classmethod
    def of(cls, ways: Ways, at: Setting) -> Contacts:
        meetings = first_meetings(ways, at.agents, (0,), at.dt_s)
        corners = ways.corners()[meetings.way, meetings.step]
        fault = at_fault(ways, at.agents, meetings, at.places.apart(corners) | at.places.off_road(corners))
        return cls(meetings, fault, at.agents.category[meetings.step, meetings.agent])

    def judged(self) -> Found:
        """The gate: people, vehicles and things that were hit at fault."""
        hit = self.category[self.fault]
        person, thing = np.isin(hit, PEOPLE), np.isin(hit, THINGS)
        counts = {"people": person.sum(), "vehicles": (~person & ~thing).sum(), "things": thing.sum()}
        value = np.prod([max(0.0, 1.0 - count / FAULTS_TO_ZERO[kind]) for kind, count in counts.items()])
        if not len(hit):
            return Found(np.ones(1), np.array([-1]), np.array([-1]))
        first = int(np.argmin(self.meetings.step[self.fault]))
        return Found(np.array([value]), self.meetings.step[self.fault][[first]], self.meetings.agent[self.fault][[first]])


def time_to_collision(ways: Ways, at: Setting, contacts: Contacts) -> Found:
    """0 when the time to collision is at or below `LEAST_TTC_S` at some instant."""
    ttc_s = times_to_collision_s(ways, at, contacts)
    close = ttc_s <= LEAST_TTC_S
    found = Found.fallen(close.any(1)[None])
    step = int(found.step[0])
    return Found(found.value, found.step, np.array([int(np.argmin(ttc_s[step]))])) if step >= 0 else found


def times_to_collision_s(ways: Ways, at: Setting, contacts: Contacts) -> Array:
    """Time to collision [T + 1, N] of one drive, in whole steps of `PROJECTION_STEP_S`; inf where there is none."""
    count, agents = ways.speed_mps.shape[1], at.agents[: ways.speed_mps.shape[1]]
    rear, speed, centre = ways.xy_yaw[0, :, None], ways.speed_mps[0, :, None], ways.centre[0, :, None]
    pose, half = agents.xy_yaw_world, 0.5 * agents.size_lwh_m[..., :2]
    velocity = _velocity(centre[..., 2], speed) - _velocity(pose[..., 2], agents.speed_mps)
    enter_s, leave_s = contact_interval_s(centre, HALF_EGO_M, pose, half, velocity)
    known = np.isfinite(enter_s)
    steps = np.maximum(1.0, np.ceil(np.where(known, enter_s, 0.0) / PROJECTION_STEP_S - 1e-9))
    ttc_s = np.where(known & (steps * PROJECTION_STEP_S < leave_s), steps * PROJECTION_STEP_S, np.inf)
    corners = ways.corners()[0]
    open_side = at.places.apart(corners) | at.places.off_road(corners) | at.places.in_junction(rear[:, 0, :2])
    counts = ahead(rear, pose[..., :2]) | (open_side[:, None] & ~behind(rear, pose[..., :2]))
    met = np.full(agents.valid.shape[1], NEVER)
    met[contacts.meetings.agent] = contacts.meetings.step
    counts &= agents.valid & (speed > STOPPED_MPS) & (np.arange(count)[:, None] < met)
    ttc_s = np.where(counts & (steps * PROJECTION_STEP_S < PROJECTED_S), ttc_s, np.inf)
    ttc_s[contacts.meetings.step[contacts.fault], contacts.meetings.agent[contacts.fault]] = 0.0
    return np.asarray(ttc_s)


def driving_direction(ways: Ways, at: Setting) -> Found:
    """Metres within a second against the lane that the middle of the ego is in."""
    gained_m = along_lane_m(ways.centre[0], at)
    window = int(WRONG_WAY_WINDOW_S / at.dt_s) + 1  # both ends of the second count
    summed = np.convolve(gained_m, np.ones(window))[: len(gained_m)]
    value = 0.5 if -summed.min() < WRONG_WAY_M else 0.0
    return Found.fallen((-summed >= WRONG_WAY_MILD_M)[None], value)


def along_lane_m(centre: Array, at: Setting) -> Array:
    """Metres [T + 1] gained along the lane since the instant before; the first two instants in a new lane tell nothing."""
    gained_m, lane = np.zeros(len(centre)), _driven_lanes(centre, at)
    somewhere = np.flatnonzero(lane >= 0)
    changes = np.flatnonzero(np.diff(lane[somewhere])) + 1
    for number, row in enumerate(np.split(somewhere, changes)):
        if len(row) == 0:
            continue
        s_m = frenet_sd(at.places.lanes[lane[row[0]]].centre_xy, centre[row, :2])[:, 0]
        silent = 1 if number == 0 else 2
        gained_m[row[silent:]] = np.diff(s_m)[silent - 1 :]
    return gained_m


def _driven_lanes(centre: Array, at: Setting) -> Array:
    """The lane [T + 1] that the ego is in, -1 for none: the one it was in while that holds it, then one that follows, then any;
    of several the one that it is best aligned with."""
    inside = at.places.cells.within(centre[:, :2])
    lane = np.full(len(centre), -1)
    for step, held in enumerate(inside):
        before = lane[step - 1] if step else -1
        if before >= 0 and held[before]:
            lane[step] = before
            continue
        following = held & at.places.follows[before] if before >= 0 else np.zeros_like(held)
        among = np.flatnonzero(following if following.any() else held)
        if len(among):
            lane[step] = among[np.argmax([_alignment(centre[step], int(one), at) for one in among])]
    return lane


def _alignment(pose: Array, lane: int, at: Setting) -> float:
    field = at.places.field
    pieces = np.flatnonzero(field.lane == lane)
    nearest = pieces[np.argmin(((field.xy[pieces] - pose[:2]) ** 2).sum(1))]
    return float(np.cos(field.yaw_rad[nearest] - pose[2]))


def speed_limit(ways: Ways, at: Setting) -> Found:
    """1 - mean overspeed over `SPEEDING_MPS`; where there is no lane nothing is too fast."""
    over = np.maximum(0.0, ways.speed_mps - at.places.speed_limit_mps(ways.centre[..., :2]))
    duration_s = float(at.t_s[-1] - at.t_s[0])
    if duration_s <= 0:
        return Found.fallen(np.zeros(over.shape, bool))
    return Found.fallen(over > 0, np.maximum(0.0, 1.0 - over.sum(1) * at.dt_s / (SPEEDING_MPS * duration_s)))


def _velocity(yaw_rad: Array, speed_mps: Array) -> Array:
    return np.asarray(np.stack([np.cos(yaw_rad), np.sin(yaw_rad)], -1) * speed_mps[..., None])
