"""Longitudinal actions: speed, speed profile, distance, synchronisation (ASAM OpenSCENARIO 1.2, section 7.4.1)."""

from __future__ import annotations

import math
from collections.abc import Callable

from drivewm.scenarios.openscenario.causes import Cause, rehearsed_gap
from drivewm.scenarios.openscenario.conditions import apart_m
from drivewm.scenarios.openscenario.movers import JUMP_MPS2, Mover, Planned
from drivewm.scenarios.openscenario.positions import position
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.stage import Stage
from drivewm.scenarios.xml import Element, child, children, tag

Done = Callable[[Stage], bool]
Start = Callable[[Stage, Mover, Cause], Done]
COMFORT_MPS2 = 2.0


class Impossible(Exception):
    """These values ask for something that cannot be; another draw may be possible."""

    def __init__(self, reason: str, element: Element) -> None:
        super().__init__(reason)
        self.reason, self.element = reason, element


def at_once(stage: Stage) -> bool:
    return True


def speed_done(mover: Mover) -> Done:
    goal = mover.aim_mps
    return lambda stage: mover.aim_mps is None or mover.aim_mps != goal


def change_rate(dimension: str, value: float, before: float, after: float) -> float:
    """Acceleration (positive) of a transition whose dynamics are given as time, rate or distance."""
    change = abs(after - before)
    if dimension == "rate":
        return abs(value)
    time = value if dimension == "time" else 2.0 * value / max(before + after, 0.1)
    return change / time if time > 1e-6 else JUMP_MPS2


def longitudinal(reading: Reading, element: Element) -> Start:
    inner = reading.one_of(element)
    reader = {"SpeedAction": _speed, "SpeedProfileAction": _profile, "LongitudinalDistanceAction": _distance}.get(tag(inner))
    if reader is None:
        raise Unsupported(inner, "not supported as an action")
    start = reader(reading, inner)
    reading.use_all(inner)
    return start


def _speed(reading: Reading, element: Element) -> Start:
    dynamics = reading.need(element, "SpeedActionDynamics")
    shape = reading.text(dynamics, "dynamicsShape", "linear")
    dimension, value = reading.text(dynamics, "dynamicsDimension", "time"), reading.number(dynamics, "value", 0.0)
    goal = reading.one_of(reading.need(element, "SpeedActionTarget"), "AbsoluteTargetSpeed", "RelativeTargetSpeed")
    number = reading.number(goal, "value")
    other = reading.text(goal, "entityRef") if tag(goal) == "RelativeTargetSpeed" else None
    factor = reading.text(goal, "speedTargetValueType", "delta") == "factor"
    if reading.truth(goal, "continuous", False):
        reading.note(goal, "the speed of the other is taken once, not followed")

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        target = number
        if other is not None:
            base = stage.mover(reading, goal, other).speed_mps
            target = base * number if factor else base + number
        if target < 0:
            if mover.free_route and target < -1e-6:
                raise Impossible(f"{mover.name} would drive backwards at {target:.3g} m/s", element)
            reading.note(goal, "driving backwards becomes driving forwards on the same way")
            target = abs(target)
        if mover.is_ego and stage.t_s > 0:
            reading.note(element, "the policy drives the ego; only the rehearsal follows this")
        rate = JUMP_MPS2 if shape == "step" else change_rate(dimension, value, mover.speed_mps, target)
        mover.aim(stage.t_s, target, rate, cause.waits(stage, mover))
        return _held(stage, mover, dimension, value) if shape == "step" and value > 0 else speed_done(mover)

    return start


def _held(stage: Stage, mover: Mover, dimension: str, value: float) -> Done:
    """A step that has a duration or distance all the same lasts that long."""
    t_s, travelled_m = stage.t_s, mover.travelled_m
    if dimension == "distance":
        return lambda later: mover.travelled_m - travelled_m >= value - 1e-9
    return lambda later: later.t_s - t_s >= value - 1e-9


def _profile(reading: Reading, element: Element) -> Start:
    entries = [(reading.number(e, "speed"), reading.number(e, "time", 0.0)) for e in children(element, "SpeedProfileEntry")]
    if not entries:
        reading.fail(element, "has no SpeedProfileEntry")
    other = reading.text(element, "entityRef") if element.get("entityRef") is not None else None

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        base = stage.mover(reading, element, other).speed_mps if other is not None else 0.0
        at, before = stage.t_s, mover.speed_mps
        for speed, time in entries:
            rate = abs(base + speed - before) / time if time > 1e-6 else COMFORT_MPS2
            mover.plan.append(Planned(at, base + speed, max(rate, 1e-3), cause.watches_ego and at == stage.t_s))
            at += time if time > 1e-6 else abs(base + speed - before) / COMFORT_MPS2
            before = base + speed
        return lambda later: later.t_s >= at - 1e-9

    return start


def _distance(reading: Reading, element: Element) -> Start:
    other = reading.text(element, "entityRef")
    free, continuous = reading.truth(element, "freespace", True), reading.truth(element, "continuous", False)
    by_time = element.get("timeGap") is not None
    wanted = reading.number(element, "timeGap" if by_time else "distance")
    behind = reading.text(element, "displacement", "any") == "trailingReferencedEntity"
    limits = child(element, "DynamicConstraints")
    accel = COMFORT_MPS2 if limits is None else reading.number(limits, "maxAcceleration", COMFORT_MPS2)
    if continuous:
        reading.note(element, "the distance is reached once; from then on the speed of the other is kept")

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        leader = stage.mover(reading, element, other)
        gap = wanted * mover.speed_mps if by_time else wanted
        if free:
            gap += float(mover.size_lw_m[0] + leader.size_lw_m[0]) / 2
        # Measured between the middles when free space counts, else between the reference points.
        mine, theirs = (mover.centre, leader.centre) if free else (mover.pose, leader.pose)
        now = mover.along_m(mine[:2]) - mover.along_m(theirs[:2])
        ahead = not behind if element.get("displacement") in ("leadingReferencedEntity", "trailingReferencedEntity") else now > 0
        shift = (gap if ahead else -gap) - now
        if limits is None and not mover.steps and mover.travelled_m <= mover.speed_mps * (stage.t_s + stage.dt_s):
            mover.s_m += shift
            mover.stands_at = None
            mover.start = (mover.start[0] + shift, *mover.start[1:])
            return at_once
        closing = math.copysign(min(math.sqrt(abs(shift) * max(accel, 0.1)), 8.0), shift)
        time = abs(shift) / max(abs(closing), 0.1)
        mover.aim(stage.t_s, leader.speed_mps + closing, max(accel, 0.1), cause.waits(stage, mover))
        mover.plan.append(Planned(stage.t_s + time, leader.speed_mps, max(accel, 0.1), False))
        return lambda later: later.t_s >= stage.t_s or apart_m(mover, leader, "longitudinal", "entity", free) <= wanted

    return start


def synchronize(reading: Reading, element: Element) -> Start:
    """Both reach their targets together if the master keeps its speed; who must not be early waits or slows down first."""
    master = reading.text(element, "masterEntityRef" if element.get("masterEntityRef") is not None else "entityRef")
    where_master = position(reading, reading.need(element, "TargetPositionMaster"))
    where = position(reading, reading.need(element, "TargetPosition"))
    final, kind, steady_m, steady_s = _final_speed(reading, element)
    reading.use_all(element)

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        lead = stage.mover(reading, element, master)
        lead_way, way = lead.along_m(where_master(stage)[:2]), mover.along_m(where(stage)[:2])
        if lead_way <= 0 or way <= 0 or lead.speed_mps < 0.1:
            reading.note(element, "nobody is on the way to the targets when it begins")
            return at_once
        time = lead_way / lead.speed_mps
        speed = final if final is None or kind == "absolute" else lead.speed_mps + final
        _meet(stage, mover, (way, time), speed, min(max(steady_m, steady_s * (speed or 0.0)), 0.95 * way))
        arrival = stage.t_s + time
        return lambda later: later.t_s >= arrival

    return start


def _meet(stage: Stage, mover: Mover, target: tuple[float, float], speed: float | None, hold_m: float) -> None:
    """Plans the way (m) in the time (s) of ``target`` so that its last ``hold_m`` are driven at ``speed``."""
    way, time = target
    gap = rehearsed_gap(stage, mover, True)
    if speed is None or speed <= 0.05:
        mover.aim(stage.t_s, way / time, COMFORT_MPS2, gap)
        return
    before_m, before_s = way - hold_m, max(time - hold_m / speed, 0.1)
    if mover.speed_mps < 0.05:
        ramp_s = min(2.0 * before_m / speed, max(speed / COMFORT_MPS2, 0.3) if before_m > speed**2 else math.inf)
        wait = before_s - ramp_s - (before_m - 0.5 * speed * ramp_s) / speed
        if wait >= 0:
            mover.plan.append(Planned(stage.t_s + wait, speed, speed / max(ramp_s, 0.1), True))
            return
    mover.aim(stage.t_s, before_m / before_s, 3.0, gap)
    mover.plan.append(Planned(stage.t_s + before_s, speed, 3.0, True))


def _final_speed(reading: Reading, element: Element) -> tuple[float | None, str, float, float]:
    final = child(element, "FinalSpeed")
    if final is None:
        return None, "absolute", 0.0, 0.0
    goal = reading.one_of(final, "AbsoluteSpeed", "RelativeSpeedToMaster")
    distance, time = child(goal, "TargetDistanceSteadyState"), child(goal, "TargetTimeSteadyState")
    steady_m = 0.0 if distance is None else reading.number(distance, "distance")
    steady_s = 0.0 if time is None else reading.number(time, "time" if time.get("time") is not None else "time_gap", 0.0)
    kind = "absolute" if tag(goal) == "AbsoluteSpeed" else "relative"
    return reading.number(goal, "value"), kind, steady_m, steady_s
