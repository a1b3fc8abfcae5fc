"""Private actions: teleport, lateral, routing (ASAM OpenSCENARIO 1.2, section 7.4), compiled to functions that begin them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from drivewm.datatypes import Array
from drivewm.geometry import point_at_s, polyline_s_m, rotate_xy
from drivewm.scenarios.openscenario.causes import Cause
from drivewm.scenarios.openscenario.entities import IDM, METRES, properties
from drivewm.scenarios.openscenario.longitudinal import Done, Start, at_once, longitudinal, synchronize
from drivewm.scenarios.openscenario.movers import JUMP_MPS2, Mover, Planned
from drivewm.scenarios.openscenario.positions import position, route_line, stepped_lane
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.stage import LANE_M, WAY_M, Stage, every_metre
from drivewm.scenarios.openscenario.trajectories import Line, trajectory
from drivewm.scenarios.xml import Element, child, tag

PEAK_OF_SHAPE = {"linear": 1.0, "sinusoidal": math.pi / 2, "cubic": 1.5}  # highest to mean lateral speed
MOST_TIMES = 100  # vertices of a trajectory whose times are kept


def private_action(reading: Reading, element: Element) -> Start:
    """Compiles a <PrivateAction>; raises `Unsupported`."""
    inner = reading.one_of(element)
    reader = _READERS.get(tag(inner))
    if reader is None:
        raise Unsupported(inner, "not supported as an action")
    return reader(reading, inner)


def _controller(reading: Reading, element: Element) -> Start:
    """The one controller that the state engine has."""
    assigned = child(element, "AssignControllerAction", "Controller")
    if assigned is None or assigned.get("name") != IDM:
        raise Unsupported(element, "controllers are not simulated")
    told = properties(reading, assigned)
    try:
        desired = float(told["desired_speed_mps"]) if "desired_speed_mps" in told else None
    except ValueError:
        reading.fail(assigned, f"desired_speed_mps is {told['desired_speed_mps']!r}, not a number")
    reading.use_all(element)

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        if stage.t_s > 0 or mover.is_ego:
            reading.note(element, "a controller is that of the start, and never that of the ego")
        else:
            mover.reactive, mover.desired_mps = True, desired
        return at_once

    return start


def teleport(reading: Reading, element: Element) -> Start:
    where = position(reading, reading.need(element, "Position"))

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        if stage.t_s > 0.25 and mover.placed:
            reading.note(element, "nobody can be moved in an instant once the scene runs")
            return at_once
        pose = where(stage)
        y = 0.0 if mover.is_ego else mover.body.centre_y_m
        at = np.array([*(pose[:2] + rotate_xy([0.0, y], pose[2])), pose[2]])
        stage.place(mover, at)
        mover.stands_at = at
        return at_once

    return start


def _lateral(reading: Reading, element: Element) -> Start:
    inner = reading.one_of(element)
    reader = {"LaneChangeAction": _lane_change, "LaneOffsetAction": _lane_offset, "LateralDistanceAction": _lateral_distance}
    if tag(inner) not in reader:
        raise Unsupported(inner, "not supported as an action")
    move = reader[tag(inner)](reading, inner)
    reading.use_all(inner)

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        if mover.is_ego:
            reading.note(inner, "the policy drives the ego")
            return at_once
        target, within = move(stage, mover)
        if target is None:
            return at_once
        mover.slide_to(stage.t_s, target, within, cause.waits(stage, mover))
        slide = mover.slide
        return lambda later: mover.slide is not slide or slide is None

    return start


Sideways = Callable[[Stage, Mover], tuple[float | None, float]]  # the offset to reach (None: stay) and the time for it


def _to_lane(stage: Stage, mover: Mover, lane_of: Callable[[int], int], offset_m: float) -> float | None:
    """The offset on the mover's path at which the lane that ``lane_of`` gives for its own one is reached."""
    found = stage.network.locate(mover.pose, driving=True)
    if found is None or found.lane is None:
        return None
    lane = lane_of(found.lane)
    if lane != 0 and stage.network.node_at(found.road, lane, found.s_m) is None:
        return None
    yaw = float(stage.network.road(found.road).reference(found.s_m)[2])
    side = 1.0 if math.cos(yaw - mover.pose[2]) > 0 else -1.0
    return mover.offset_m + side * (float(stage.network.centre_t(found.road, lane, found.s_m)) + offset_m - found.t_m)


def _lane_change(reading: Reading, element: Element) -> Sideways:
    dynamics = reading.need(element, "LaneChangeActionDynamics")
    shape, value = reading.text(dynamics, "dynamicsShape", "sinusoidal"), reading.number(dynamics, "value", 0.0)
    dimension = reading.text(dynamics, "dynamicsDimension", "time")
    goal = reading.one_of(reading.need(element, "LaneChangeTarget"), "AbsoluteTargetLane", "RelativeTargetLane")
    number = reading.whole(goal, "value")
    other = reading.text(goal, "entityRef") if tag(goal) == "RelativeTargetLane" else None
    extra = reading.number(element, "targetLaneOffset", 0.0)

    def move(stage: Stage, mover: Mover) -> tuple[float | None, float]:
        def lane_of(own: int) -> int:
            if other is None:
                return number
            found = stage.network.locate(stage.mover(reading, goal, other).pose, driving=True)
            return stepped_lane(own if found is None or found.lane is None else found.lane, number)

        target = _to_lane(stage, mover, lane_of, extra)
        if target is None and other is not None:
            target = mover.offset_m + LANE_M * number + extra
            reading.note(goal, f"there is no such lane on the road; {abs(LANE_M * number):g} m to the side stand for it")
        elif target is None:
            reading.note(goal, "there is no such lane on the road")
            return None, 0.0
        return target, _slide_s(dimension, shape, value, mover, target)

    return move


def _slide_s(dimension: str, shape: str, value: float, mover: Mover, target: float) -> float:
    way = abs(target - mover.offset_m)
    if shape == "step":
        return 0.1
    if dimension == "rate":
        return PEAK_OF_SHAPE.get(shape, 1.0) * way / max(abs(value), 0.05)
    return value if dimension == "time" else value / max(mover.speed_mps, 0.5)


def _lane_offset(reading: Reading, element: Element) -> Sideways:
    dynamics = child(element, "LaneOffsetActionDynamics")
    accel = reading.number(dynamics, "maxLateralAcc", 0.0) if dynamics is not None else 0.0
    step = dynamics is not None and reading.text(dynamics, "dynamicsShape", "sinusoidal") == "step"
    goal = reading.one_of(reading.need(element, "LaneOffsetTarget"), "AbsoluteTargetLaneOffset", "RelativeTargetLaneOffset")
    value = reading.number(goal, "value")
    other = reading.text(goal, "entityRef") if tag(goal) == "RelativeTargetLaneOffset" else None
    if reading.truth(element, "continuous", False):
        reading.note(element, "the offset is reached once and kept")

    def move(stage: Stage, mover: Mover) -> tuple[float | None, float]:
        base = 0.0
        if other is not None:
            found = stage.network.locate(stage.mover(reading, goal, other).pose, driving=True)
            if found is not None and found.lane is not None:
                base = found.t_m - float(stage.network.centre_t(found.road, found.lane, found.s_m))
        target = _to_lane(stage, mover, lambda own: own, base + value)
        if target is None:
            target = base + value
        way = abs(target - mover.offset_m)
        # A sinusoidal slide of duration T peaks at pi^2 way / (2 T^2).
        return target, 0.1 if step and accel <= 0 else math.pi * math.sqrt(way / (2 * (accel if accel > 0 else 1.0)))

    return move


def _lateral_distance(reading: Reading, element: Element) -> Sideways:
    other, distance = reading.text(element, "entityRef"), reading.number(element, "distance", 0.0)
    free, side = reading.truth(element, "freespace", True), reading.text(element, "displacement", "any")
    if reading.truth(element, "continuous", False):
        reading.note(element, "the lateral distance is reached once and kept")

    def move(stage: Stage, mover: Mover) -> tuple[float | None, float]:
        base = stage.mover(reading, element, other)
        wanted = distance + (float(mover.size_lw_m[1] + base.size_lw_m[1]) / 2 if free else 0.0)
        aside = float(rotate_xy(mover.pose[:2] - base.pose[:2], -mover.pose[2])[1])
        left = aside > 0 if side == "any" else side == "leftToReferencedEntity"
        way = (wanted if left else -wanted) - aside
        return mover.offset_m + way, max(abs(way) / 1.0, 1.0)

    return move


def _routing(reading: Reading, element: Element) -> Start:
    inner = reading.one_of(element, "AssignRouteAction", "FollowTrajectoryAction", "AcquirePositionAction")
    if tag(inner) == "FollowTrajectoryAction":
        return _follow(reading, inner)
    if tag(inner) == "AcquirePositionAction":
        where = position(reading, reading.need(inner, "Position"))
        return _towards(reading, inner, lambda stage, mover: np.array([mover.pose[:2], where(stage)[:2]]), where)
    line = route_line(reading, inner)
    return _towards(reading, inner, lambda stage, mover: line(stage), None)


def _towards(
    reading: Reading,
    element: Element,
    line: Callable[[Stage, Mover], Array],
    where: Callable[[Stage], Array] | None,
) -> Start:
    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        if mover.is_ego and stage.t_s > 0:
            reading.note(element, "the ego's route is the one of the start")
            return at_once
        path = line(stage, mover)
        # A way ends where its last lane does, and there nobody is in it any more.
        last = point_at_s(path, max(float(polyline_s_m(path)[-1]) - 1.0, 0.0)) if where is None else where(stage)
        found, goal = stage.network.locate(mover.pose, driving=True), stage.lane_goal(last)
        node = None if found is None or found.lane is None else stage.network.node_at(found.road, found.lane, found.s_m)
        if node is not None and found is not None and goal is not None and stage.network.lanes_between(node, goal) is not None:
            path = stage.network.way(node, found.s_m, WAY_M, (goal,))
        elif len(path) >= 2 and float(polyline_s_m(path)[-1]) > 1.0:
            reading.note(element, "no lanes lead there; a straight line does")
        else:
            return at_once
        _onto(stage, mover, Line(path))
        return at_once

    return start


def _onto(stage: Stage, mover: Mover, line: Line) -> None:
    """Leads a mover onto another way: exactly at the start of a scene, without a jump later."""
    own = _metres(line.xy) if METRES in mover.body.properties else every_metre(line.xy)
    beyond = stage.way_on(own, WAY_M)[len(own) - 1 :]
    xy = np.vstack([own, every_metre(beyond)[1:]]) if len(beyond) > 1 else own
    if stage.t_s > 0.25:
        mover.splice(xy)
        return
    offset = mover.offset_m if mover.placed and mover.free_route else 0.0
    mover.follow(xy, max(0.0, float(_nearest(xy, mover))) if mover.placed else 0.0, offset)
    mover.placed = True


def _metres(xy: Array) -> Array:
    """A polyline whose vertices lie whole metres of its path apart, with a vertex at each of them.

    In bends that are driven beside the middle a metre of the path is not a metre long.
    """
    count = np.maximum(np.round(np.hypot(*np.diff(xy, axis=0).T)), 1.0)
    at = np.append(0.0, np.cumsum(count))
    return np.stack([np.interp(np.arange(at[-1] + 1.0), at, column) for column in xy.T], 1)


def _nearest(xy: Array, mover: Mover) -> float:
    away = np.hypot(*(xy - mover.pose[:2]).T)
    index = int(np.argmin(away))
    return float(index) if away[index] < 10.0 else 0.0


def _follow(reading: Reading, element: Element) -> Start:
    place = child(element, "TrajectoryRef")
    shape = trajectory(reading, reading.use(place) if place is not None else element)
    offset = reading.number(element, "initialDistanceOffset", 0.0)
    timing = reading.child(element, "TimeReference", "Timing")
    scale = 1.0 if timing is None else reading.number(timing, "scale", 1.0)
    shift = 0.0 if timing is None else reading.number(timing, "offset", 0.0)
    relative = timing is not None and reading.text(timing, "domainAbsoluteRelative", "relative") == "relative"
    reading.use_all(element)

    def start(stage: Stage, mover: Mover, cause: Cause) -> Done:
        if mover.is_ego and stage.t_s > 0:
            reading.note(element, "the policy drives the ego; its route is the one of the start")
            return at_once
        line = shape(stage, mover.pose if mover.placed else None)
        length = float(polyline_s_m(line.xy)[-1])
        if mover.free_route and stage.t_s <= 0.25:
            mover.offset_m = 0.0
        _onto(stage, mover, line)
        mover.free_route = False
        if offset and stage.t_s <= 0.25:
            mover.s_m = offset
        begin = mover.travelled_m
        if timing is not None and line.t_s is not None:
            _keep_times(stage, mover, line, (stage.t_s if relative else 0.0) + shift, scale)
        return lambda later: mover.travelled_m - begin >= length - 0.5

    return start


def _keep_times(stage: Stage, mover: Mover, line: Line, since_s: float, scale: float) -> None:
    """Speed changes that bring the mover to the vertices at their times."""
    assert line.t_s is not None
    t, s = since_s + scale * line.t_s, polyline_s_m(line.xy)
    every = max(1, math.ceil(len(t) / MOST_TIMES))
    t, s = np.append(t[:-1:every], t[-1]), np.append(s[:-1:every], s[-1])
    mover.plan.clear()
    for i in range(len(t) - 1):
        if t[i + 1] - t[i] > 1e-3:
            speed = (s[i + 1] - s[i]) / (t[i + 1] - t[i])
            mover.plan.append(Planned(max(float(t[i]), stage.t_s), float(speed), JUMP_MPS2 if i == 0 else 10.0, False))
    mover.plan.append(Planned(float(t[-1]), mover.plan[-1].speed_mps if mover.plan else mover.speed_mps, 10.0, False))


_READERS: dict[str, Callable[[Reading, Element], Start]] = {
    "TeleportAction": teleport,
    "LongitudinalAction": longitudinal,
    "LateralAction": _lateral,
    "RoutingAction": _routing,
    "SynchronizeAction": synchronize,
    "ControllerAction": _controller,
}
