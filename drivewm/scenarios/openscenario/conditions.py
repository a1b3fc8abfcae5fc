"""Conditions and triggers of the storyboard (ASAM OpenSCENARIO 1.2, section 8.4 and class Condition)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from drivewm.datatypes import Array
from drivewm.geometry import boxes_overlap, frenet_sd, rotate_xy
from drivewm.scenarios.openscenario.causes import Cause, Reacts, reacts_of
from drivewm.scenarios.openscenario.expressions import Value, compared
from drivewm.scenarios.openscenario.movers import Mover
from drivewm.scenarios.openscenario.positions import position
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.stage import Stage, is_mirrored
from drivewm.scenarios.xml import Element, child, tag

Test = Callable[[Stage], bool]
EntityTest = Callable[[Stage, Mover], bool]
RUNNING_STATES = ("runningState", "startTransition")


@dataclass
class Condition:
    """One condition with its edge and delay; before the first look it counts as false."""

    test: Test
    edge: str
    delay_s: float
    watches_ego: bool
    reacts: Reacts | None = None  # where the state engine has the same condition
    after: str | None = None  # the event that must have begun, where that is all
    seen: list[bool] = field(default_factory=list)

    def holds(self, stage: Stage) -> bool:
        self.seen.append(self.test(stage))
        back = round(self.delay_s / stage.dt_s)
        if len(self.seen) <= back:
            return False
        now = self.seen[-1 - back]
        before = self.seen[-2 - back] if len(self.seen) > back + 1 else False
        if self.edge == "rising":
            return now and not before
        if self.edge == "falling":
            return before and not now
        return before != now if self.edge == "risingOrFalling" else now


@dataclass
class Trigger:
    """Groups of which one must hold in full; ``latches``: what has held once counts as holding from then on."""

    groups: list[list[Condition]]
    latches: bool = False
    held: set[int] = field(default_factory=set)

    def fires(self, stage: Stage) -> bool:
        # Every condition is looked at every time, so that edges and delays know their past.
        found = [[one.holds(stage) or id(one) in self.held for one in group] for group in self.groups]
        if self.latches:
            every = zip((one for group in self.groups for one in group), (ok for row in found for ok in row), strict=True)
            self.held.update(id(one) for one, ok in every if ok)
        return any(all(group) for group in found)

    def cause(self, before: str | None) -> Cause:
        """What it waits for when the event ``before`` is the one that goes first in its manoeuvre."""
        watches = any(one.watches_ego for group in self.groups for one in group)
        rest = [[one for one in group if one.after is None or one.after != before] for group in self.groups]
        found = {group[0].reacts if len(group) == 1 else None for group in rest}
        gated = bool(self.groups) and all(len(a) < len(b) for a, b in zip(rest, self.groups, strict=True))
        return Cause(watches, found.pop() if len(found) == 1 else None, gated)

    def forget(self) -> None:
        self.held.clear()
        for group in self.groups:
            for one in group:
                one.seen.clear()


def trigger(reading: Reading, element: Element | None, ego: str) -> Trigger | None:
    """A start or stop trigger; None where there is none. A condition that is not supported is listed and never holds.

    In files of CARLA's scenario runner conditions of a group may hold one after another, as that program reads them.
    """
    if element is None:
        return None
    reading.use(element)
    groups = []
    for group in reading.children(element, "ConditionGroup"):
        groups.append([_condition(reading, one, ego) for one in reading.children(group, "Condition")])
    return Trigger([group for group in groups if group], is_mirrored(element.getroottree().getroot()))


def _condition(reading: Reading, element: Element, ego: str) -> Condition:
    delay, edge = reading.number(element, "delay", 0.0), reading.text(element, "conditionEdge", "none")
    if not 0 <= delay <= 1e5:
        reading.fail(element, f"delay is {delay:g} s")
    watches = False
    try:
        inner = reading.one_of(element, "ByEntityCondition", "ByValueCondition")
        plain = delay == 0 and edge in ("none", "rising")
        reacts, after = (reacts_of(reading, inner, ego), _begun(inner)) if plain else (None, None)
        if tag(inner) == "ByValueCondition":
            what = reading.one_of(inner)
            test = _by_value(reading, what)
        else:
            test, watches = _by_entity(reading, inner, ego)
    except Unsupported as problem:
        reading.note(problem.element, f"{problem.why}; the condition never holds")
        test, reacts, after = _never, None, None
    return Condition(test, edge, delay, watches, reacts, after)


def _begun(element: Element) -> str | None:
    """The event that must go on or be over, if that is what a ByValueCondition asks."""
    what = child(element, "StoryboardElementStateCondition")
    if what is None or what.get("storyboardElementType") != "event" or what.get("state") not in ("runningState", "completeState"):
        return None
    return str(what.get("storyboardElementRef", "")).replace("::", "/").rpartition("/")[2]


def _never(stage: Stage) -> bool:
    return False


def _by_value(reading: Reading, what: Element) -> Test:
    kind = tag(what)
    rule = reading.text(what, "rule", "equalTo")
    if kind == "SimulationTimeCondition":
        value = reading.number(what, "value")
        return lambda stage: compared(rule, round(stage.t_s, 6), value)
    if kind in ("ParameterCondition", "VariableCondition"):
        name = reading.text(what, "parameterRef" if kind == "ParameterCondition" else "variableRef")
        goal = reading.value(what, "value")
        known: Callable[[Stage], dict[str, Value]] = (
            (lambda s: s.parameters) if kind == "ParameterCondition" else (lambda s: s.variables)
        )
        if kind == "ParameterCondition" and name not in reading.values:
            raise Unsupported(what, f"there is no parameter {name!r}")
        return lambda stage: name in known(stage) and compared(rule, known(stage)[name], goal)
    if kind == "StoryboardElementStateCondition":
        of, name, state = (reading.text(what, n) for n in ("storyboardElementType", "storyboardElementRef", "state"))
        name = name.replace("::", "/").rpartition("/")[2]
        wanted = (
            ("running", "complete") if state == "startTransition" else ("running",) if state in RUNNING_STATES else ("complete",)
        )
        if state in ("standbyState", "skipTransition"):
            wanted = ("standby",)
        return lambda stage: stage.states.get((of, name), "standby") in wanted
    raise Unsupported(what, "not supported as a condition")


def _by_entity(reading: Reading, element: Element, ego: str) -> tuple[Test, bool]:
    who = reading.need(element, "TriggeringEntities")
    names = [reading.text(one, "entityRef") for one in reading.children(who, "EntityRef")]
    every = reading.text(who, "triggeringEntitiesRule", "any") == "all"
    what = reading.one_of(reading.need(element, "EntityCondition"))
    reader = _ENTITY_TESTS.get(tag(what))
    if reader is None:
        raise Unsupported(what, "not supported as a condition")
    test = reader(reading, what)
    reading.use_all(what)
    others = {str(e.get("entityRef", "")) for e in what.iter()}
    watches = (ego in names or ego in others) and tag(what) in _SPATIAL

    def holds(stage: Stage) -> bool:
        movers = [stage.mover(reading, who, one) for name in names for one in stage.members(name)]
        found = [mover.present and test(stage, mover) for mover in movers]
        return bool(found) and (all(found) if every else any(found))

    return holds, watches


def _rule(reading: Reading, element: Element, default: str) -> Callable[[float], bool]:
    rule, value = reading.text(element, "rule", default), reading.number(element, "value")
    return lambda measured: compared(rule, float(measured), value)


def _other(reading: Reading, element: Element, stage: Stage) -> Mover:
    return stage.mover(reading, element, reading.text(element, "entityRef"))


def apart_m(mover: Mover, other: Mover, kind: str, system: str, freespace: bool) -> float:
    """A relative distance of OpenSCENARIO 1.2, section 6.4, never negative."""
    a, b = (mover.centre, other.centre) if freespace else (mover.pose, other.pose)
    if system in ("lane", "road", "trajectory"):
        reach = float(np.hypot(*(b[:2] - a[:2]))) + 50.0
        near = mover.path_xy[max(0, int(mover.s_m - reach)) : max(2, int(mover.s_m + reach))]
        sd = frenet_sd(near if len(near) >= 2 else mover.path_xy, np.stack([a[:2], b[:2]]))
        along, across = (float(x) for x in np.abs(sd[1] - sd[0]))
    else:
        along, across = (float(x) for x in np.abs(rotate_xy(b[:2] - a[:2], -a[2])))
    if not freespace:
        return {"longitudinal": along, "lateral": across}.get(kind, math.hypot(along, across))
    turn = abs(math.cos(b[2] - a[2])), abs(math.sin(b[2] - a[2]))
    half_a, half_b = mover.size_lw_m / 2, other.size_lw_m / 2
    along -= float(half_a[0] + turn[0] * half_b[0] + turn[1] * half_b[1])
    across -= float(half_a[1] + turn[1] * half_b[0] + turn[0] * half_b[1])
    if kind in ("longitudinal", "lateral"):
        return max(along if kind == "longitudinal" else across, 0.0)
    return math.hypot(max(along, 0.0), max(across, 0.0))


def _system(reading: Reading, element: Element) -> str:
    default = "lane" if reading.truth(element, "alongRoute", False) else "entity"
    return reading.text(element, "coordinateSystem", default)


def _relative_distance(reading: Reading, element: Element) -> EntityTest:
    right, kind = _rule(reading, element, "lessThan"), reading.text(element, "relativeDistanceType")
    system, free = _system(reading, element), reading.truth(element, "freespace")
    return lambda stage, mover: right(apart_m(mover, _other(reading, element, stage), kind, system, free))


def _headway(reading: Reading, element: Element) -> EntityTest:
    right, system, free = (
        _rule(reading, element, "lessThan"),
        _system(reading, element),
        reading.truth(element, "freespace", False),
    )
    kind = reading.text(element, "relativeDistanceType", "longitudinal")

    def holds(stage: Stage, mover: Mover) -> bool:
        gap = apart_m(mover, _other(reading, element, stage), kind, system, free)
        return mover.speed_mps > 0.01 and right(gap / mover.speed_mps)

    return holds


def _ttc(reading: Reading, element: Element) -> EntityTest:
    right, free = _rule(reading, element, "lessThan"), reading.truth(element, "freespace", False)
    target = reading.one_of(reading.need(element, "TimeToCollisionConditionTarget"), "EntityRef", "Position")
    where = position(reading, target) if tag(target) == "Position" else None

    def holds(stage: Stage, mover: Mover) -> bool:
        if where is not None:
            delta, velocity, gap = where(stage)[:2] - mover.pose[:2], mover.velocity, None
        else:
            other = _other(reading, target, stage)
            delta, velocity = other.pose[:2] - mover.pose[:2], mover.velocity - other.velocity
            gap = apart_m(mover, other, "euclidianDistance", "entity", free)
        distance = float(np.hypot(*delta))
        closing = float(velocity @ delta) / max(distance, 1e-9)
        return closing > 0.01 and right((distance if gap is None else gap) / closing)

    return holds


def _place(reading: Reading, element: Element) -> Callable[[Stage], Array]:
    return position(reading, reading.need(element, "Position"))


def _distance(reading: Reading, element: Element) -> EntityTest:
    right, where = _rule(reading, element, "lessThan"), _place(reading, element)
    kind, free = reading.text(element, "relativeDistanceType", "euclidianDistance"), reading.truth(element, "freespace", False)

    def holds(stage: Stage, mover: Mover) -> bool:
        delta = rotate_xy(where(stage)[:2] - mover.pose[:2], -mover.pose[2])
        along, across = (abs(float(x)) for x in delta)
        gap = {"longitudinal": along, "lateral": across}.get(kind, math.hypot(along, across))
        return right(max(gap - (mover.size_lw_m[0] / 2 if free else 0.0), 0.0))

    return holds


def _reach(reading: Reading, element: Element) -> EntityTest:
    tolerance, where = reading.number(element, "tolerance"), _place(reading, element)
    return lambda stage, mover: float(np.hypot(*(where(stage)[:2] - mover.pose[:2]))) <= tolerance


def _travelled(reading: Reading, element: Element) -> EntityTest:
    value = reading.number(element, "value")
    return lambda stage, mover: mover.travelled_m >= value - 1e-9


def _speed(reading: Reading, element: Element) -> EntityTest:
    right = _rule(reading, element, "greaterThan")
    return lambda stage, mover: right(mover.speed_mps)


def _relative_speed(reading: Reading, element: Element) -> EntityTest:
    right = _rule(reading, element, "greaterThan")
    return lambda stage, mover: right(mover.speed_mps - _other(reading, element, stage).speed_mps)


def _acceleration(reading: Reading, element: Element) -> EntityTest:
    right = _rule(reading, element, "greaterThan")
    return lambda stage, mover: right(mover.accel_mps2)


def _stands(reading: Reading, element: Element) -> EntityTest:
    duration = reading.number(element, "duration")
    return lambda stage, mover: mover.stood_s >= duration - 1e-9 and mover.speed_mps < 0.01 and stage.t_s > 0


def _collision(reading: Reading, element: Element) -> EntityTest:
    reference = child(element, "EntityRef")

    def holds(stage: Stage, mover: Mover) -> bool:
        if reference is not None:
            others = [stage.mover(reading, reference, n) for n in stage.members(reading.text(reference, "entityRef"))]
        else:
            others = [other for other in stage.movers.values() if other.present]
        return any(other is not mover and bool(boxes_overlap(mover.corners, other.corners)) for other in others)

    return holds


def _end_of_road(reading: Reading, element: Element) -> EntityTest:
    duration = reading.number(element, "duration")
    since: dict[str, float] = {}

    def holds(stage: Stage, mover: Mover) -> bool:
        if stage.network.locate(mover.pose) is not None:
            since.pop(mover.name, None)
            return False
        return stage.t_s - since.setdefault(mover.name, stage.t_s) >= duration - 1e-9

    return holds


_ENTITY_TESTS: dict[str, Callable[[Reading, Element], EntityTest]] = {
    "RelativeDistanceCondition": _relative_distance,
    "TimeHeadwayCondition": _headway,
    "TimeToCollisionCondition": _ttc,
    "DistanceCondition": _distance,
    "ReachPositionCondition": _reach,
    "TraveledDistanceCondition": _travelled,
    "SpeedCondition": _speed,
    "RelativeSpeedCondition": _relative_speed,
    "AccelerationCondition": _acceleration,
    "StandStillCondition": _stands,
    "CollisionCondition": _collision,
    "EndOfRoadCondition": _end_of_road,
    "OffroadCondition": _end_of_road,
}
_SPATIAL = frozenset(_ENTITY_TESTS) - {"SpeedCondition", "AccelerationCondition", "StandStillCondition", "RelativeSpeedCondition"}
