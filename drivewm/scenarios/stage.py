"""The stage of a scene: the road, the ego's route through it, and where on it the ego starts.

Starts are solved backwards: whoever says when the ego reaches a place fixes how far before it the ego begins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from shapely import LineString, distance, points

from drivewm.datatypes import EGO_SHAPE, Array, Lane, RoadMap, Signal
from drivewm.errors import did_you_mean
from drivewm.geometry import frenet_sd, point_at_s, wrap_angle_rad
from drivewm.scenarios.roads import SURROUNDINGS, RoadOptions, known_road, lane_path_on
from drivewm.scenarios.schema import Actor, Document, SignalPlan
from drivewm.scenarios.source import Path_, Source

FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + EGO_SHAPE.length_m / 2
REAR_M = EGO_SHAPE.length_m / 2 - EGO_SHAPE.rear_axle_to_centre_m
RUN_IN_M = 80.0  # road behind an ego that no place holds, for those who follow it
JUNCTIONS = ("t_junction", "four_way", "roundabout")
WITH_SIGNALS = ("t_junction", "four_way", "crosswalk")
ONE_LANE = ("roundabout", "ramp", "narrow")  # where the ego comes from
TOUCHING_M = 0.05
ROUND_M = 50.0
YELLOW_S, ALL_RED_S, FOREVER_S = 3.0, 1.0, 1000.0


class Misplaced(Exception):
    """This draw cannot be placed; another draw of the same scenario may be."""

    def __init__(self, reason: str, place: Path_) -> None:
        super().__init__(reason)
        self.reason, self.place = reason, place


@dataclass(frozen=True)
class Stage:
    """What everybody is placed against."""

    document: Document
    source: Source
    road: RoadMap
    options: RoadOptions  # of the road
    route_xy: Array  # [R, 2], 1 m apart
    ego_s_m: float  # rear axle at t = 0
    place_s_m: float | None  # of the junction's entry, the crosswalk, the works, the bend ... on the route

    @property
    def ego_speed_mps(self) -> float:
        return self.document.ego.speed

    @cached_property
    def _around_ego(self) -> Array:
        return point_at_s(self.route_xy, self.ego_s_m + np.array([-1.0, 0.0, 1.0]))

    @property
    def ego_xy_yaw(self) -> Array:
        """Rear axle [3] at t = 0, world."""
        return self._around_ego[1]

    @property
    def ego_curvature_1pm(self) -> float:
        """Of the route where the ego starts."""
        return float(wrap_angle_rad(self._around_ego[2, 2] - self._around_ego[0, 2])) / 2.0

    @property
    def centre_s_m(self) -> float:
        return self.ego_s_m + EGO_SHAPE.rear_axle_to_centre_m

    def lane_of(self, word: str, place: Path_) -> Lane:
        """The lane that an actor's ``lane:`` means."""
        own = self.road.lane(f"main.{self.document.ego.lane - 1}")
        ids = [lane.id for lane in self.road.lanes]
        if word in ("same", "left", "right"):
            name = own.id if word == "same" else getattr(own, word)
            if name is None:
                hint = "raise road.lanes or move ego.lane" + ("; against the traffic it is 'oncoming'" if word == "left" else "")
                raise self.source.error(f"the ego has no lane to its {word}", place, hint)
            return self.road.lane(name)
        for name in (word, f"{word}.0"):
            if name in ids:
                return self.road.lane(name)
        approaches = {name.partition(".")[0] for name in ids if ">" not in name and not name.startswith("exit")}
        known = ["same", "left", "right", *sorted(approaches)]
        hint = did_you_mean(word, known) or f"here are {', '.join(known)}"
        raise self.source.error(f"there is no lane {word!r} on this {self.document.road.kind} road", place, hint)

    def path_of(self, lane: Lane, turn: str, length_m: float, place: Path_) -> Array:
        """The way [P, 2] along a lane and through its branch."""
        branches = [name.partition(">")[2] for name in lane.successors if ">" in name]
        if (turn not in branches) if branches else (turn != "straight"):
            possible = f"from {lane.id} it goes {' or '.join(branches) if branches else 'straight'}"
            raise self.source.error(f"there is no way {turn} here", (*place, "turn"), possible)
        return lane_path_on(self.document.road.kind, self.options, lane.id, turn, _rounded_up_m(length_m))


def _rounded_up_m(length_m: float) -> float:
    """Roads and ways have round lengths, so that many draws share one."""
    return float(np.ceil(length_m / ROUND_M) * ROUND_M)


def road_length_m(document: Document) -> float:
    """Enough road for everybody to drive to the end of the scene."""
    if document.road.length is not None:
        return document.road.length
    speed = max([document.ego.speed, *(actor.speed for actor in document.actors.values() if actor.lane)])
    ahead = speed * document.end.after + 120.0
    if document.road.kind in ("straight", "curve", "narrow"):
        return _rounded_up_m(max(300.0, RUN_IN_M + ahead))
    return 2.0 * _rounded_up_m(max(150.0, ahead, RUN_IN_M + document.ego.speed * _arrival_s(document)))


def _arrival_s(document: Document) -> float:
    times = [document.ego.reaches, *(actor.meet.after for actor in document.actors.values() if actor.meet)]
    return max((t for t in times if t is not None), default=5.0)


def set_stage(document: Document, source: Source, rng: np.random.Generator) -> Stage:
    """Builds the road and finds where the ego starts; ``rng`` only decorates."""
    wanted = document.road
    if wanted.signal is not None and wanted.kind not in WITH_SIGNALS:
        hint = f"these have: {', '.join(WITH_SIGNALS)}"
        raise source.error(f"a {wanted.kind} road has no traffic light", ("road", "signal"), hint)
    if wanted.sight is not None and wanted.kind != "crest":
        raise source.error(f"a {wanted.kind} road has no crest to see over", ("road", "sight"), "leave it out")
    lanes = 1 if wanted.kind in ONE_LANE else wanted.lanes
    if document.ego.lane > lanes:
        reason = f"the ego is in lane {document.ego.lane} of {lanes}"
        raise source.error(reason, ("ego", "lane"), "lanes are counted from the right")
    length = road_length_m(document)
    options = _options(document, length)
    road = known_road(wanted.kind, options, int(rng.integers(SURROUNDINGS)))
    if wanted.signal is not None:
        road = replace(road, signals=tuple(_timed(signal, wanted.signal) for signal in road.signals))
    blank = Stage(document, source, road, options, np.zeros((2, 2)), 0.0, None)
    lane = road.lane(f"main.{document.ego.lane - 1}")
    faster_mps = max(0.0, wanted.speed_limit - document.ego.speed)  # the road is long enough for the speed it starts with
    route = blank.path_of(lane, document.ego.turn, length + faster_mps * document.end.after + 50.0, ("ego",))
    stage = replace(blank, route_xy=route, place_s_m=_place_s_m(document, lane, route, length))
    return replace(stage, ego_s_m=_ego_start_s_m(stage))


def _options(document: Document, length_m: float) -> RoadOptions:
    road = document.road
    return RoadOptions(
        lanes=road.lanes,
        oncoming=road.oncoming,
        lane_width_m=road.lane_width,
        length_m=length_m,
        radius_m=road.radius,
        sight_m=road.sight,
        turn=road.turn,
        speed_limit_mps=road.speed_limit,
        surroundings=road.surroundings,
        signals=road.signal is not None,
        crosswalks=road.crosswalks,
    )


def _place_s_m(document: Document, lane: Lane, route: Array, length_m: float) -> float | None:
    if document.road.kind in ("straight", "narrow"):
        return None
    if document.road.kind == "curve":
        return 0.3 * length_m
    if document.road.kind in JUNCTIONS:
        return float(frenet_sd(route, lane.centre_xy[-1])[0])
    return float(frenet_sd(route, np.zeros(2))[0])


def _ego_start_s_m(stage: Stage) -> float:
    """Solved from ``ego.reaches`` or from the one meeting whose place is fixed on the road."""
    document, source = stage.document, stage.source
    found: list[tuple[str, Path_, float]] = []
    if document.ego.reaches is not None:
        if stage.place_s_m is None:
            raise source.error(f"a {document.road.kind} road has no place to reach", ("ego", "reaches"), "leave it out")
        start = stage.place_s_m - FRONT_M - document.ego.speed * document.ego.reaches
        found.append(("ego.reaches", ("ego", "reaches"), start))
    for name, actor in document.actors.items():
        if actor.meet is not None and actor.meet.after is not None:
            crossing = fixed_crossing_s_m(stage, actor, ("actors", name))
            if crossing is not None:
                start = crossing - EGO_SHAPE.rear_axle_to_centre_m - document.ego.speed * actor.meet.after
                found.append((f"the meeting with {name}", ("actors", name, "meet", "after"), start))
    if len(found) > 1:
        reason = f"{found[0][0]} already fixes where the ego starts"
        raise source.error(reason, found[1][1], "leave out 'after', use 'late' instead")
    default = RUN_IN_M if stage.place_s_m is None else stage.place_s_m - FRONT_M - document.ego.speed * 5.0
    start = found[0][2] if found else max(default, RUN_IN_M if document.road.kind == "curve" else 0.0)
    if start < REAR_M:
        place = found[0][1] if found else ("ego", "speed")
        raise Misplaced("the ego would start before the road begins; raise road.length", place)
    return start


def fixed_crossing_s_m(stage: Stage, actor: Actor, place: Path_) -> float | None:
    """Where on the route the paths cross, when the road decides it: at a junction or a crosswalk; else None."""
    if actor.from_ is not None:
        return crosswalk_s_m(stage)
    assert actor.lane is not None
    lane = stage.lane_of(actor.lane, (*place, "lane"))
    if lane.id.startswith("main."):
        reason = f"lane {actor.lane!r} goes the ego's way and crosses nothing"
        raise stage.source.error(reason, (*place, "meet"), "use ahead or behind")
    path = stage.path_of(lane, actor.turn, 400.0, place)
    return first_touch_s_m(stage.route_xy, path)


def crosswalk_s_m(stage: Stage) -> float | None:
    """The crosswalk that matters on the route: the first one straight on, the last one (after the turn) when the ego turns."""
    line = LineString(stage.route_xy)
    at = []
    for crosswalk in stage.road.crosswalks:
        centre = np.asarray(crosswalk).mean(axis=0)
        if line.intersects(LineString(np.vstack([crosswalk, crosswalk[:1]]))):
            at.append(float(frenet_sd(stage.route_xy, centre)[0]))
    if not at:
        return None
    return min(at) if stage.document.ego.turn == "straight" else max(at)


def first_touch_s_m(route_xy: Array, path_xy: Array, within_m: float = 0.5) -> float | None:
    """Arc length on the route where another path first comes near, at its closest there; None if it never does."""
    s = np.arange(0.0, len(route_xy) - 1.0, 0.25)
    gap = distance(points(point_at_s(route_xy, s)[:, :2]), LineString(path_xy).simplify(0.01))
    near = np.flatnonzero(gap < within_m)
    if len(near) == 0:
        return None
    index = int(near[0])
    # Paths that have joined stay together: there the first place counts, not the closest by a hair.
    while gap[index] > TOUCHING_M and index + 1 < len(gap) and gap[index + 1] < gap[index]:
        index += 1
    return float(s[index])


def _timed(signal: Signal, plan: SignalPlan) -> Signal:
    """The lamp with the phases of the plan; streets that cross see the opposite."""
    along = any(lane.startswith(("main.", "oncoming.")) for lane in signal.lane_ids)
    until = FOREVER_S if plan.until is None else plan.until
    green = (plan.shows == "green") == along
    if green and not along:  # it must have cleared before the ego gets green
        until = until - YELLOW_S - ALL_RED_S
        green = until > 0
        until = until if green else FOREVER_S
    elif not green and not along:
        until = min(until + YELLOW_S + ALL_RED_S, FOREVER_S)
    if green:
        return replace(signal, phase_s=(max(until, 0.1), YELLOW_S, FOREVER_S), offset_s=0.0)
    cycle = FOREVER_S + YELLOW_S + FOREVER_S
    return replace(signal, phase_s=(FOREVER_S, YELLOW_S, FOREVER_S), offset_s=cycle - until)
