"""What CARLA's Leaderboard counts as infractions, found in a drive.

After the criteria of scenario_runner (branches leaderboard-2.0 and leaderboard-2.1, atomic_criteria.py; they are the same).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, ON_FOOT, STATIC_CLASSES, WHEELED_BODIES, Array, Event
from drivewm.metrics.grounds import ran_red
from drivewm.metrics.impacts import impacts
from drivewm.metrics.lanes import LaneField
from drivewm.metrics.series import Series

LEAST_ROUTE_M = 5.0  # a shorter way says nothing about completion
COMPLETE_SHARE, NEAR_M = 0.99, 10.0  # RouteCompletionTest: from here on a route counts as complete
STANDING_MPS = 0.1  # CollisionTest.EPSILON: a slower ego is not at fault
APART_M = 5.0  # CollisionTest.COLLISION_RADIUS: another collision nearer to the last one is the same
OUTSIDE_M = 0.5  # OutsideRouteLanesTest.ALLOWED_OUT_DISTANCE
CHECKPOINTS, LAST_SHARE = 4, 0.95  # MinimumSpeedRouteTest in route_scenario.py; the last one counts from this share of the route
NEVER_HERE = ("stop_sign", "scenario_timeout", "yield_to_emergency_vehicle")  # no signs, one scenario per drive, no sirens

KINDS = ("collision_pedestrian", "collision_vehicle", "collision_static")


@dataclass(frozen=True, slots=True)
class Infractions:
    """``completion`` is None where there is no route to complete, other parts where they cannot occur in the scene."""

    completion: float | None
    counts: dict[str, int]  # of collisions by kind, and of red lights where there are any
    outside_share: float | None  # of the completed way, outside the lanes or against traffic
    slow: tuple[float, ...] | None  # per checkpoint that was too slow, the ego's mean speed over that of the traffic
    events: tuple[Event, ...]


def infractions(series: Series) -> Infractions:
    """All infractions of a drive whose route ends where the reference driver came to."""
    gained_m = np.maximum.accumulate(np.maximum(0.0, series.route_sd[:, 0] - series.route_sd[0, 0]))
    length_m = series.reference_progress_m
    completion = None
    if length_m >= LEAST_ROUTE_M:
        completion = min(1.0, float(gained_m[-1]) / length_m)
        if completion > COMPLETE_SHARE and length_m - gained_m[-1] < NEAR_M:
            completion = 1.0
    counts, events = _collisions(series)
    if series.scene.road.signals:
        red = _red_lights(series)
        counts["red_light"] = len(red)
        events += [series.event("red_light", step) for step in red]
    outside_share, left = _outside(series, gained_m)
    events += left
    slow = _slow(series, gained_m, length_m) if completion is not None else None
    events += [series.event("min_speed", step) for step in slow or ()]
    return Infractions(
        completion,
        counts,
        outside_share,
        slow if slow is None else tuple(slow.values()),
        tuple(sorted(events, key=lambda event: event.t_s)),
    )


def _collisions(series: Series) -> tuple[dict[str, int], list[Event]]:
    counts, events, last = dict.fromkeys(KINDS, 0), [], None
    speed, agents = series.states.ego_speed_mps, series.states.agents
    for hit in impacts(series):
        place = series.centre[hit.step, :2]
        # A loop may already have stopped the ego at the instant of contact.
        standing = max(speed[hit.step - 1], speed[hit.step]) < STANDING_MPS
        if standing or (last is not None and np.hypot(*(place - last)) <= APART_M):
            continue
        last, category = place, int(agents.category[hit.step, hit.agent])
        kind = KINDS[0] if category in ON_FOOT else KINDS[2] if category in STATIC_CLASSES else KINDS[1]
        counts[kind] += 1
        events.append(series.event(kind, hit.step, hit.agent))
    return counts, events


def _red_lights(series: Series) -> list[int]:
    heading = np.stack([np.cos(series.centre[:, 2]), np.sin(series.centre[:, 2])], -1)
    front = series.centre[:, :2] + 0.5 * EGO_SHAPE.length_m * heading
    return [int(step) + 1 for step in np.flatnonzero(ran_red(series.scene.road, front, series.t_s))]


def _outside(series: Series, gained_m: Array) -> tuple[float | None, list[Event]]:
    """Share of the completed way on which the ego's middle is outside all lanes or against traffic, and where it begins."""
    if not series.scene.road.lanes:
        return None, []
    field, corners = LaneField.of(series.scene.road), series.centre
    wrong = field.against_traffic(corners) & ~series.hindered
    wrong |= ~field.holds(corners[:, :2], OUTSIDE_M).any(1)
    way_m = np.diff(gained_m, prepend=0.0)
    share = float(way_m[wrong].sum() / gained_m[-1]) if gained_m[-1] > 0 else 0.0
    return share, [series.event("outside_route_lanes", int(np.argmax(wrong)))] if share > 0 else []


def _slow(series: Series, gained_m: Array, length_m: float) -> dict[int, float] | None:
    """Mean speed over that of the surrounding traffic, by the step that ends a quarter of the route driven too slowly.

    Surrounding are vehicles that the scenario does not name and that ever drive.
    """
    agents, names = series.states.agents, series.scene.names
    bystander = np.array([not name for name in names], bool) if names else np.ones(agents.valid.shape[1], bool)
    vehicle = np.isin(agents.category, [int(kind) for kind in WHEELED_BODIES]) & agents.valid
    around = vehicle & bystander[: agents.valid.shape[1]] & (agents.speed_mps > STANDING_MPS).any(0)
    if not around.any():
        return None
    known = around.any(1)
    mean = np.where(around, agents.speed_mps, 0.0).sum(1) / np.maximum(around.sum(1), 1)
    begin, begin_m = 0, 0.0
    shares: dict[int, float] = {}
    ends = [step for step in range(len(gained_m)) if gained_m[step] > LAST_SHARE * length_m][-1:]
    for step in range(len(gained_m)):
        if gained_m[step] - begin_m > length_m / CHECKPOINTS or step in ends:
            within = known[begin:step]
            own, others = series.states.ego_speed_mps[begin:step][within].sum(), mean[begin:step][within].sum()
            if own < others:
                shares[step] = float(own / others)
            begin, begin_m = step, float(gained_m[step])
    return shares
