"""Positions of OpenSCENARIO (1.2, section 6.3.8 and class Position) as world poses [3] of the moment they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from drivewm.datatypes import Array
from drivewm.geometry import compose_xy_yaw, point_at_s, polyline_s_m
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.stage import Stage
from drivewm.scenarios.xml import Element, child, children, tag

Where = Callable[[Stage], Array]


def position(reading: Reading, element: Element) -> Where:
    """What a <Position> means; raises `Unsupported` for kinds that are not."""
    inner = reading.one_of(element)
    reader = _READERS.get(tag(inner))
    if reader is None:
        raise Unsupported(inner, "not supported as a position")
    reading.use_all(inner)
    return reader(reading, inner)


def _turned(reading: Reading, element: Element) -> Callable[[Array, float], Array]:
    """The effect of an <Orientation>: from a pose and a reference heading to the pose with its heading."""
    orientation = child(element, "Orientation")
    if orientation is None:
        return lambda pose, heading: pose
    h = reading.number(orientation, "h", 0.0)
    if reading.text(orientation, "type", "absolute") == "relative":
        return lambda pose, heading: np.array([pose[0], pose[1], heading + h])
    return lambda pose, heading: np.array([pose[0], pose[1], h])


def _world(reading: Reading, element: Element) -> Where:
    x, y, h = reading.number(element, "x"), reading.number(element, "y"), reading.number(element, "h", 0.0)
    return lambda stage: np.array([x, -y, -h] if stage.mirrored else [x, y, h])


def _known_road(reading: Reading, element: Element, stage: Stage, road_id: str) -> None:
    if road_id not in stage.network.file.roads:
        reading.fail(element, f"there is no road {road_id!r}")


def _lane(reading: Reading, element: Element) -> Where:
    road_id, lane = reading.text(element, "roadId"), reading.whole(element, "laneId")
    s, offset = reading.number(element, "s"), reading.number(element, "offset", 0.0)
    turn = _turned(reading, element)

    def where(stage: Stage) -> Array:
        _known_road(reading, element, stage, road_id)
        if lane and stage.network.node_at(road_id, lane, s) is None:
            reading.fail(element, f"road {road_id!r} has no lane {lane} at s = {s:g}")
        return turn(stage.network.lane_pose(road_id, lane, s, offset), float(stage.network.road(road_id).reference(s)[2]))

    return where


def _road(reading: Reading, element: Element) -> Where:
    road_id, s, t = reading.text(element, "roadId"), reading.number(element, "s"), reading.number(element, "t")
    turn = _turned(reading, element)

    def where(stage: Stage) -> Array:
        _known_road(reading, element, stage, road_id)
        pose = stage.network.road(road_id).pose(s, t)
        return turn(pose, float(pose[2]))

    return where


def _relative_lane(reading: Reading, element: Element) -> Where:
    other, step = reading.text(element, "entityRef"), reading.whole(element, "dLane")
    ds = reading.number(element, "ds" if element.get("ds") is not None else "dsLane", 0.0)
    offset, turn = reading.number(element, "offset", 0.0), _turned(reading, element)

    def where(stage: Stage) -> Array:
        pose = stage.mover(reading, element, other).pose
        found = stage.network.locate(pose, driving=True) or stage.network.locate(pose)
        if found is None or found.lane is None:
            aside = step * 3.5 + offset
            return turn(compose_xy_yaw(pose, [ds, aside, 0.0]), float(pose[2]))
        lane = stepped_lane(found.lane, step)
        node = stage.network.node_at(found.road, found.lane, found.s_m)
        s = found.s_m + (ds if stage.network.road(found.road).along_s(found.lane) else -ds)
        road = found.road
        if node is not None and ds > 0 and not 0 <= s <= stage.network.road(road).length_m:
            onward = stage.network.locate(point_at_s(stage.network.way(node, found.s_m, ds + 2.0), ds), driving=True)
            if onward is not None and onward.lane is not None:
                road, s, lane = onward.road, onward.s_m, stepped_lane(onward.lane, step)
        if stage.network.node_at(road, lane, s) is None:
            reading.fail(element, f"road {road!r} has no lane {lane} beside {other!r} (dLane {step})")
        return turn(stage.network.lane_pose(road, lane, s, offset), float(stage.network.road(road).reference(s)[2]))

    return where


def stepped_lane(lane: int, step: int) -> int:
    """The lane ``step`` further to larger ids; the centre lane does not count."""
    target = lane + step
    return target + int(np.sign(step)) if step and (target == 0 or (target > 0) != (lane > 0)) else target


def _relative_road(reading: Reading, element: Element) -> Where:
    other, ds, dt = reading.text(element, "entityRef"), reading.number(element, "ds"), reading.number(element, "dt")
    turn = _turned(reading, element)

    def where(stage: Stage) -> Array:
        pose = stage.mover(reading, element, other).pose
        found = stage.network.locate(pose)
        if found is None:
            return turn(compose_xy_yaw(pose, [ds, dt, 0.0]), float(pose[2]))
        road = stage.network.road(found.road)
        at = road.pose(found.s_m + ds, found.t_m + dt)
        along = abs(math.remainder(float(at[2]) - float(pose[2]), 2 * math.pi)) < math.pi / 2
        return turn(at if along else np.array([at[0], at[1], at[2] + math.pi]), float(at[2]))

    return where


def _relative_world(reading: Reading, element: Element) -> Where:
    other, dx, dy = reading.text(element, "entityRef"), reading.number(element, "dx"), reading.number(element, "dy")
    turn = _turned(reading, element)

    def where(stage: Stage) -> Array:
        pose = stage.mover(reading, element, other).pose
        return turn(pose + np.array([dx, -dy if stage.mirrored else dy, 0.0]), float(pose[2]))

    return where


def _relative_object(reading: Reading, element: Element) -> Where:
    other, dx, dy = reading.text(element, "entityRef"), reading.number(element, "dx"), reading.number(element, "dy")
    turn = _turned(reading, element)

    def where(stage: Stage) -> Array:
        pose = stage.mover(reading, element, other).pose
        return turn(compose_xy_yaw(pose, [dx, -dy if stage.mirrored else dy, 0.0]), float(pose[2]))

    return where


def route_line(reading: Reading, element: Element) -> Callable[[Stage], Array]:
    """The polyline [P, 2] of a route (inline or from a catalog): along lanes where they lead, else straight between waypoints."""
    entry = reading.referenced(element, "Route")
    if entry is None:
        raise Unsupported(element, "the route is unknown")
    inner, route = entry
    inner.use_all(route)
    stops = [position(inner, inner.need(one, "Position")) for one in children(route, "Waypoint")]
    if len(stops) < 2:
        inner.fail(route, "needs at least two waypoints")

    def line(stage: Stage) -> Array:
        poses = [stop(stage) for stop in stops]
        nodes = [stage.lane_goal(pose) for pose in poses]
        first, goals = nodes[0], tuple(n for n in nodes[1:] if n is not None)
        if first is not None and len(goals) == len(nodes) - 1 and stage.network.lanes_between(first, goals[0]) is not None:
            found = stage.network.locate(poses[0])
            assert found is not None
            return stage.network.way(first, found.s_m, 50.0, goals)
        return np.array([pose[:2] for pose in poses])

    return line


def _on_route(reading: Reading, element: Element) -> Where:
    line = route_line(reading, reading.need(element, "RouteRef"))
    place = reading.one_of(
        reading.need(element, "InRoutePosition" if child(element, "InRoutePosition") is not None else "Position")
    )
    if tag(place) not in ("FromLaneCoordinates", "FromRoadCoordinates", "LaneCoordinates", "RoadCoordinates"):
        raise Unsupported(place, "not supported as a place on a route")
    s = reading.number(place, "pathS")
    t = reading.number(place, "t" if place.get("t") is not None else "laneOffset", 0.0)
    turn = _turned(reading, element)

    def where(stage: Stage) -> Array:
        pose = point_at_s(line(stage), s)
        return turn(compose_xy_yaw(pose, [0.0, t, 0.0]), float(pose[2]))

    return where


def _on_trajectory(reading: Reading, element: Element) -> Where:
    from drivewm.scenarios.openscenario.trajectories import trajectory

    shape = trajectory(reading, reading.need(element, "TrajectoryRef"))
    s, t, turn = reading.number(element, "s"), reading.number(element, "t", 0.0), _turned(reading, element)

    def where(stage: Stage) -> Array:
        line = shape(stage, None).xy
        pose = point_at_s(line, min(s, float(polyline_s_m(line)[-1]) + 100.0))
        return turn(compose_xy_yaw(pose, [0.0, t, 0.0]), float(pose[2]))

    return where


_READERS: dict[str, Callable[[Reading, Element], Where]] = {
    "WorldPosition": _world,
    "LanePosition": _lane,
    "RoadPosition": _road,
    "RelativeLanePosition": _relative_lane,
    "RelativeRoadPosition": _relative_road,
    "RelativeWorldPosition": _relative_world,
    "RelativeObjectPosition": _relative_object,
    "RoutePosition": _on_route,
    "TrajectoryPosition": _on_trajectory,
}
