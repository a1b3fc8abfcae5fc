"""The parts of NAVSIM's PDM scores for M ways at once: rollouts, references and candidate plans are judged by the same code.

A part is a value [M] and, where it fell, the first instant and the agent. Thresholds are those of NAVSIM's `PDMScorerConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Agents, Array, Records, RoadMap, SignalState
from drivewm.metrics.boxes import overlap
from drivewm.metrics.grounds import ran_red
from drivewm.metrics.published.places import Places
from drivewm.metrics.published.ride import felt, uncomfortable
from drivewm.metrics.published.ways import THINGS, Meetings, Ways, at_fault, concerns, first_meetings
from drivewm.metrics.routes import Routes
from drivewm.metrics.series import HALF_EGO_M

STOPPED_MPS = 5e-3  # below it there is no time to collision
LOOK_AHEAD_S = (0.0, 0.3, 0.6, 0.9)  # the ego at constant velocity, agents where they will be
WRONG_WAY_WINDOW_S, WRONG_WAY_MILD_M, WRONG_WAY_M = 1.0, 2.0, 6.0
OFF_LANE_M, OFF_LANE_S = 0.5, 2.0
LEAST_PROGRESS_M = 5.0
THING_SCORE = 0.5  # what is left after hitting something that cannot move


@dataclass(frozen=True, slots=True)
class Found(Records):
    """A part of M ways: value, first instant at which it fell (-1: it did not) and the agent (-1: none)."""

    value: Array
    step: Array
    agent: Array

    @classmethod
    def fallen(cls, offence: Array, value: Array | float = 0.0) -> Found:
        """``value`` where a way has an offence [M, T + 1], else 1."""
        fell = offence.any(1)
        return cls(np.where(fell, value, 1.0), np.where(fell, offence.argmax(1), -1), np.full(len(fell), -1))


@dataclass(frozen=True, slots=True)
class Setting:
    """What M ways share."""

    agents: Agents  # [T' + 1, N], from the first instant of the ways on, 0.1 s apart
    places: Places
    routes: Routes  # of one scene
    road: RoadMap
    t_s: Array  # [T + 1]
    dt_s: float


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts of M ways; those of one version only may be left out."""

    found: dict[str, Found]
    progress_m: Array  # [M], metres that the middle gains along the route, at least 0

    def gate(self) -> Array:
        """Product of the gates [M]."""
        return np.asarray(np.prod([self.found[name].value for name in GATES if name in self.found], axis=0))


GATES = ("no_at_fault_collision", "drivable_area", "driving_direction", "traffic_lights")


def parts_v1(ways: Ways, at: Setting) -> Parts:
    """What NAVSIM v1.1 looks at."""
    corners = ways.corners()
    found = {
        "no_at_fault_collision": no_collision(ways, corners, at),
        "drivable_area": drivable(corners, at),
        "ttc": time_to_collision(ways, corners, at, full_look=False),
        "comfort": comfort(ways, at, at_centre=False),
    }
    return Parts(found, _gained_m(at.routes.sd(ways.centre[:, [0, -1], :2].reshape(1, -1, 2))[0, :, 0].reshape(-1, 2)))


def parts_v2(ways: Ways, at: Setting) -> Parts:
    """What NAVSIM v2 looks at, without what compares two plans."""
    corners, centre = ways.corners(), ways.centre[..., :2]
    sd = at.routes.sd(centre.reshape(1, -1, 2))[0].reshape(centre.shape)
    found = {
        "no_at_fault_collision": no_collision(ways, corners, at),
        "drivable_area": drivable(corners, at),
        "driving_direction": driving_direction(centre, at),
        "traffic_lights": traffic_lights(ways, at),
        "ttc": time_to_collision(ways, corners, at, full_look=True),
        "lane_keeping": lane_keeping(centre, sd[..., 1], at),
        "history_comfort": comfort(ways, at, at_centre=True),
    }
    return Parts(found, _gained_m(sd[..., 0]))


def _gained_m(s_m: Array) -> Array:
    return np.maximum(0.0, s_m[:, -1] - s_m[:, 0])


def no_collision(ways: Ways, corners: Array, at: Setting) -> Found:
    """0 with an at-fault contact, 0.5 when only a thing was hit; the first contact with each agent decides."""
    meetings = first_meetings(ways, at.agents, (0,), at.dt_s)
    there = corners[meetings.way, meetings.step]
    fault = at_fault(ways, at.agents, meetings, at.places.astride(there) | at.places.off_road(there))
    hits = meetings[fault]
    thing = np.isin(at.agents.category[hits.step, hits.agent], THINGS)
    return _worst(len(corners), hits, np.where(thing, THING_SCORE, 0.0))


def time_to_collision(ways: Ways, corners: Array, at: Setting, full_look: bool) -> Found:
    """0 when a body moved on at constant velocity meets an agent that is ahead, or beside while the side is open.

    ``full_look`` (NAVSIM v2): the last instants, from which not all of `LOOK_AHEAD_S` is known, are left out.
    """
    looks = tuple(round(s / at.dt_s) for s in LOOK_AHEAD_S)
    judged = ways[:, : max(0, ways.speed_mps.shape[1] - looks[-1])] if full_look else ways
    meetings = first_meetings(judged, at.agents, looks, at.dt_s, STOPPED_MPS)
    there = corners[meetings.way, meetings.step]
    rear = ways.xy_yaw[meetings.way, meetings.step, :2]
    open_side = at.places.astride(there) | at.places.off_road(there) | at.places.in_junction(rear)
    hits = meetings[concerns(ways, at.agents, meetings, open_side)]
    return _worst(len(corners), hits, np.zeros(len(hits.way)))


def drivable(corners: Array, at: Setting) -> Found:
    """0 when a corner leaves the drivable area."""
    return Found.fallen(at.places.off_road(corners))


def driving_direction(centre_xy: Array, at: Setting) -> Found:
    """Metres within 1 s outside every lane of the route and outside junctions: below 2 m 1, below 6 m 0.5, else 0."""
    step_m = np.zeros(centre_xy.shape[:2])
    step_m[:, 1:] = np.hypot(*np.moveaxis(np.diff(centre_xy, axis=1), -1, 0))
    astray = at.places.off_route(centre_xy)
    astray[astray] = ~at.places.in_junction(centre_xy[astray])
    metres = np.where(astray, step_m, 0.0)
    window = int(WRONG_WAY_WINDOW_S / at.dt_s) + 1  # both ends of the second count
    summed = np.cumsum(metres, axis=1)
    summed[:, window:] -= summed[:, :-window].copy()
    value = np.where(summed.max(1) < WRONG_WAY_M, 0.5, 0.0)
    return Found.fallen(summed >= WRONG_WAY_MILD_M, value)


def traffic_lights(ways: Ways, at: Setting) -> Found:
    """0 when the body touches a lane of the route that connects and whose light is red.

    A light that rules no such lane, as one at a crosswalk, is run when the front bumper crosses its stop line.
    """
    field, places = at.places.field, at.places
    row = {lane.id: number for number, lane in enumerate(places.lanes)}
    offence = np.zeros(ways.speed_mps.shape, bool)
    reach_m = EGO_SHAPE.rear_axle_to_centre_m + HALF_EGO_M[0]
    front_xy = ways.xy_yaw[..., :2] + reach_m * np.stack([np.cos(ways.xy_yaw[..., 2]), np.sin(ways.xy_yaw[..., 2])], -1)
    for signal in at.road.signals:
        rows = [row[name] for name in signal.lane_ids if name in row]
        ruled = places.follows[rows].any(0) & places.connects
        if not ruled.any():
            offence[:, 1:] |= ran_red(replace(at.road, signals=(signal,)), front_xy, at.t_s)
            continue
        red = np.flatnonzero(signal.state_at(at.t_s) == SignalState.RED)
        pieces = field[np.flatnonzero((ruled & places.on_route)[field.lane])]
        if not len(red) or not len(pieces.lane):
            continue
        pose = np.concatenate([pieces.xy, pieces.yaw_rad[:, None]], -1)
        half = np.stack([pieces.half_length_m, pieces.half_width_m], -1)
        offence[:, red] |= overlap(ways.centre[:, red, None], HALF_EGO_M, pose, half).any(-1)
    return Found.fallen(offence)


def lane_keeping(centre_xy: Array, offset_m: Array, at: Setting) -> Found:
    """0 when the middle is over 0.5 m beside the route for 2 s on end; instants in junctions neither count nor break the row.

    ``offset_m`` [M, T + 1] are the offsets of ``centre_xy`` from the route.
    """
    off, most = np.abs(offset_m) > OFF_LANE_M, round(OFF_LANE_S / at.dt_s)
    broken = np.zeros(off.shape, bool)
    wide = np.flatnonzero(off.sum(1) >= most)  # the others need no look at junctions
    counted = ~at.places.in_junction(centre_xy[wide])
    number = np.cumsum(off[wide] & counted, axis=1)
    before = np.maximum.accumulate(np.where(counted & ~off[wide], number, 0), axis=1)
    broken[wide] = off[wide] & counted & (number - before >= most)
    return Found.fallen(broken)


def comfort(ways: Ways, at: Setting, at_centre: bool) -> Found:
    """0 when one of the six quantities leaves its bounds."""
    outside = uncomfortable(felt(ways, at.dt_s, at_centre))
    return Found.fallen(np.any(list(outside.values()), axis=0) if outside else np.zeros(ways.speed_mps.shape, bool))


def _worst(count: int, hits: Meetings, values: Array) -> Found:
    """The lowest value per way, with the first of its hits."""
    out, step, agent = np.ones(count), np.full(count, -1), np.full(count, -1)
    np.minimum.at(out, hits.way, values)
    order = np.lexsort((-hits.step, -values))  # what is written last stays
    step[hits.way[order]], agent[hits.way[order]] = hits.step[order], hits.agent[order]
    return Found(out, step, agent)
