"""The lanelets of a CommonRoad file, versions 2018b and 2020a, as a `RoadMap` in the file's coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from shapely import LineString, Polygon, make_valid, unary_union
from shapely.geometry.polygon import orient

from drivewm.data.recorded.assembly import joined_areas, lane_between, painted_once
from drivewm.datatypes import Array, Lane, Marking, RoadMap
from drivewm.errors import InputError
from drivewm.geometry import frenet_sd, point_at_s, polyline_s_m, wrap_angle_rad
from drivewm.scenarios.roads_lines import lines_xy
from drivewm.scenarios.xml import Element, child, children, tag

_PAINT = {"solid": "solid", "broad_solid": "solid", "dashed": "dashed", "broad_dashed": "dashed"}
_PAINT |= {"curb": "kerb", "lowered_curb": "kerb"}
_SHORTEST_PAINT_M = 1.0
_NOT_DRIVEN = frozenset({"sidewalk", "crosswalk", "bicycleLane"})


@dataclass(frozen=True, slots=True)
class _Lanelet:
    element: Element
    left_xy: Array  # [P, 2]
    right_xy: Array  # [P, 2]
    kinds: frozenset[str]

    @property
    def outline_xy(self) -> Array:
        return np.concatenate([self.left_xy, self.right_xy[::-1]])

    def neighbour(self, side: str, direction: str) -> str | None:
        """The id of the lanelet beside that runs the ``direction`` "same" or "opposite"."""
        beside = child(self.element, f"adjacent{side}")
        return None if beside is None or beside.get("drivingDir") != direction else beside.get("ref")


def read_lanelets(root: Element, file: Path) -> tuple[RoadMap, list[str]]:
    """The road, and sentences on what was assumed or left out. A lane without a stated speed limit has the limit 0."""
    lanelets = {str(element.get("id")): _lanelet(element, file) for element in children(root, "lanelet")}
    if not lanelets:
        raise InputError("has no lanelets", file=file)
    driven = {name: lanelet for name, lanelet in lanelets.items() if not lanelet.kinds & _NOT_DRIVEN}
    lanes = {name: lane for name, lanelet in driven.items() if (lane := _lane(name, lanelet, driven, file))}
    if not lanes:
        raise InputError("has no lanelet for vehicles", file=file)
    paint, notes = _paint(lanelets)
    crossings = [lanelet.outline_xy for lanelet in lanelets.values() if "crosswalk" in lanelet.kinds]
    walks = [lanelet.outline_xy for lanelet in lanelets.values() if "sidewalk" in lanelet.kinds]
    ground = [lanelet.outline_xy for lanelet in lanelets.values() if "sidewalk" not in lanelet.kinds]
    stops = [line for lanelet in driven.values() if (line := _stop_line(lanelet, file))]
    for name, words in (("trafficLight", "traffic lights"), ("trafficSign", "traffic signs")):
        if count := len(children(root, name)):
            notes.append(f"{count} {words} are not read")
    road = RoadMap(
        lanes=tuple(lanes.values()),
        drivable=joined_areas(ground),
        crosswalks=tuple(np.asarray(orient(Polygon(xy)).exterior.coords)[:-1] for xy in crossings),
        sidewalks=joined_areas(walks),
        markings=(*paint, *stops),
    )
    return road, notes


def points_xy(element: Element | None, file: Path) -> Array:
    """The points [P, 2] of an element, which must have some."""
    found = [] if element is None else children(element, "point")
    if element is None or not found:
        raise InputError("has no points", file=file, line=None if element is None else element.sourceline)
    return np.array([[number(child(point, axis), point, file) for axis in ("x", "y")] for point in found])


def number(element: Element | None, within: Element, file: Path) -> float:
    """The finite number an element holds as its text; ``within`` is where it should be."""
    text = "" if element is None else (element.text or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) > 1e12:
        reason = f"{text[:40]!r} is not a number" if text else "a number is missing"
        raise InputError(reason, file=file, line=(within if element is None else element).sourceline, place=tag(within))
    return value


def lane_at(road: RoadMap, xy_yaw: Array) -> Lane:
    """The lane that a pose [3] is on: nearest to its middle among those that run its way, else nearest of all."""

    def badness(lane: Lane) -> tuple[bool, float]:
        s, d = frenet_sd(lane.centre_xy, xy_yaw[:2])
        length = polyline_s_m(lane.centre_xy)[-1]
        turned = abs(float(wrap_angle_rad(point_at_s(lane.centre_xy, np.clip(s, 0.0, length))[2] - xy_yaw[2])))
        return turned > math.pi / 3, abs(float(d)) + max(0.0, float(-s), float(s - length))

    return min(road.lanes, key=badness)


def straight_on_xy(road: RoadMap, lane: Lane, length_m: float) -> Array:
    """The centre line [P, 2] of a lane and the straightest of its successors, ``length_m`` long unless they end before."""
    lanes = {lane.id: lane for lane in road.lanes}
    line, used = lane.centre_xy, {lane.id}
    while polyline_s_m(line)[-1] < length_m and (ways := [lanes[name] for name in lane.successors if name not in used]):
        yaw = point_at_s(line, polyline_s_m(line)[-1])[2]
        ends = {way.id: point_at_s(way.centre_xy, polyline_s_m(way.centre_xy)[-1])[2] for way in ways}
        lane = min(ways, key=lambda way: abs(float(wrap_angle_rad(ends[way.id] - yaw))))
        used.add(lane.id)
        line = np.concatenate([line, lane.centre_xy[1:]])
    return line


def _lanelet(element: Element, file: Path) -> _Lanelet:
    left, right = (points_xy(child(element, f"{side}Bound"), file) for side in ("left", "right"))
    if min(len(left), len(right)) < 2:
        raise InputError("a bound has fewer than two points", file=file, line=element.sourceline, place="lanelet")
    return _Lanelet(element, left, right, frozenset((kind.text or "").strip() for kind in children(element, "laneletType")))


def _lane(name: str, lanelet: _Lanelet, driven: dict[str, _Lanelet], file: Path) -> Lane | None:
    stated = child(lanelet.element, "speedLimit")
    limit = 0.0 if stated is None else number(stated, lanelet.element, file)
    lane = lane_between(name, lanelet.left_xy, lanelet.right_xy, limit)
    if lane is None:
        return None
    followers = tuple(str(link.get("ref")) for link in children(lanelet.element, "successor"))
    left, right = lanelet.neighbour("Left", "same"), lanelet.neighbour("Right", "same")
    return Lane(
        name,
        lane.centre_xy,
        lane.width_m,
        limit,
        successors=tuple(follower for follower in followers if follower in driven),
        left=left if left in driven else None,
        right=right if right in driven else None,
    )


def _paint(lanelets: dict[str, _Lanelet]) -> tuple[tuple[Marking, ...], list[str]]:
    """The painted bounds. A file that says nothing of paint gets lines where lanelets lie side by side, and a note."""
    sides = [
        (lanelet, side, lanelet.left_xy if side == "Left" else lanelet.right_xy)
        for lanelet in lanelets.values()
        for side in ("Left", "Right")
    ]
    stated = [(xy, child(lanelet.element, f"{side.lower()}Bound", "lineMarking")) for lanelet, side, xy in sides]
    if any(mark is not None for _, mark in stated):
        words = [(xy, "" if mark is None else (mark.text or "").strip()) for xy, mark in stated]
        return painted_once([(xy, _PAINT[word]) for xy, word in words if word in _PAINT]), []
    dashed = [(xy, "dashed") for lanelet, side, xy in sides if lanelet.neighbour(side, "same")]
    solid = [(xy, "solid") for lanelet, side, xy in sides if lanelet.neighbour(side, "opposite")]
    # Where another lanelet crosses, in a junction, nothing is painted.
    crossed = unary_union([make_valid(Polygon(lanelet.outline_xy)).buffer(-0.3) for lanelet in lanelets.values()])
    paint = [
        replace(line, xy=part)
        for line in painted_once([*solid, *dashed])
        for part in lines_xy(LineString(line.xy).difference(crossed))
        if polyline_s_m(part)[-1] > _SHORTEST_PAINT_M
    ]
    note = "the file says nothing of paint: lines are dashed between lanes of one direction and solid between two"
    return tuple(paint), [note] if paint else []


def _stop_line(lanelet: _Lanelet, file: Path) -> Marking | None:
    line = child(lanelet.element, "stopLine")
    if line is None:
        return None
    ends = points_xy(line, file) if children(line, "point") else np.stack([lanelet.left_xy[-1], lanelet.right_xy[-1]])
    return Marking(ends, "stop", 0.4) if len(ends) > 1 else None
