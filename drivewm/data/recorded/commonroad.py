"""CommonRoad scenarios (XML 2018b and 2020a): lanelets, obstacles with trajectories, and a planning problem.

Positions are middles of vehicles; time counts in steps of ``timeStepSize``.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from drivewm.data.recorded.drive import SourceDrive, SourceTrack
from drivewm.data.recorded.lanes import UNKNOWN_MPS, joined_area, lane_between
from drivewm.data.recorded.tracks import onward
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array, Lane, Marking, RoadMap
from drivewm.errors import InputError, did_you_mean
from drivewm.geometry import point_at_s
from drivewm.scenarios.xml import Element, child, children, read_xml, real, tag

CLASS_OF: dict[str, AgentClass] = {
    **dict.fromkeys(("car", "parkedVehicle", "taxi", "priorityVehicle"), AgentClass.CAR),
    "truck": AgentClass.TRUCK,
    **dict.fromkeys(("bus", "train"), AgentClass.BUS),
    "motorcycle": AgentClass.MOTORCYCLE,
    "bicycle": AgentClass.BICYCLE,
    "pedestrian": AgentClass.PEDESTRIAN,
    **dict.fromkeys(("constructionZone", "roadBoundary"), AgentClass.BARRIER),
}
HEIGHT_M = {AgentClass.TRUCK: 3.2, AgentClass.BUS: 3.1, AgentClass.PEDESTRIAN: 1.7, AgentClass.BARRIER: 1.0}
MOST_STEPS = 100_000


def read_scenario(file: Path, ego: str | None = None) -> SourceDrive:
    """The drive in a file. The ego is the obstacle of that id, or keeps the speed and the lane of the planning problem's start.

    Raises InputError with file and line for what is missing or wrong, and for an unknown ``ego``.
    """
    root = read_xml(file, "commonRoad")
    step_s = real(root, "timeStepSize", file)
    if not 0.001 <= step_s <= 10.0:
        raise InputError(f"timeStepSize is {step_s:g} s", file=file, line=root.sourceline)
    road = _road(root, file)
    tracks, left_out = _obstacles(root, file, step_s)
    name = "cr_" + re.sub(r"[^a-z0-9]+", "_", str(root.get("benchmarkID", file.stem)).lower()).strip("_")
    source = f"CommonRoad {root.get('benchmarkID', file.stem)}"
    if ego is not None:
        known = [track.name for track in tracks]
        if ego not in known:
            raise InputError(f"has no obstacle {ego!r}", file=file, hint=did_you_mean(ego, known) or ", ".join(known[:12]))
        chosen = tracks.pop(known.index(ego))
        chosen = SourceTrack("ego", AgentClass.CAR, chosen.size_lwh_m, chosen.t_s, _rear_axle(chosen.xy_yaw))
        if len(chosen.t_s) < 2:
            raise InputError(f"obstacle {ego!r} does not move", file=file)
    else:
        chosen = _planned(root, file, road, max((track.t_s[-1] for track in tracks), default=10.0))
    return SourceDrive(name, source, chosen, tuple(tracks), road, left_out=left_out)


def _rear_axle(xy_yaw: Array) -> Array:
    out = xy_yaw.copy()
    out[:, :2] -= EGO_SHAPE.rear_axle_to_centre_m * np.stack([np.cos(xy_yaw[:, 2]), np.sin(xy_yaw[:, 2])], -1)
    return out


def _number(element: Element | None, file: Path, within: Element) -> float:
    """The value of an element that is exact or an interval, whose middle counts."""
    if element is None:
        raise InputError("a number is missing", file=file, line=within.sourceline, place=tag(within))
    ends = [child(element, name) for name in ("exact", "intervalStart", "intervalEnd")]
    texts = [str(one.text) for one in ends if one is not None] or [str(element.text)]
    try:
        value = float(np.mean([float(text) for text in texts]))
    except ValueError:
        value = np.nan
    if not abs(value) < 1e9:
        raise InputError(f"{texts[0].strip()[:40]!r} is not a number", file=file, line=element.sourceline, place=tag(element))
    return value


def _point(element: Element | None, file: Path, within: Element) -> Array:
    if element is None:
        raise InputError("a point is missing", file=file, line=within.sourceline, place=tag(within))
    return np.array([_number(child(element, axis), file, element) for axis in "xy"])


def _state(state: Element, file: Path, step_s: float) -> tuple[float, Array]:
    """Time in s and pose [3] of a state."""
    position = child(state, "position")
    region = next((one for one in ("rectangle", "circle") if child(position, one) is not None), None)  # its middle counts
    xy = _point(child(position, "point") if region is None else child(position, region, "center"), file, state)
    yaw = _number(child(state, "orientation"), file, state)
    steps = _number(child(state, "time"), file, state) if child(state, "time") is not None else 0.0
    if not 0 <= steps <= MOST_STEPS:
        raise InputError(f"a state at step {steps:g}", file=file, line=state.sourceline)
    return steps * step_s, np.array([*xy, yaw])


def _obstacles(root: Element, file: Path, step_s: float) -> tuple[list[SourceTrack], tuple[str, ...]]:
    out: list[SourceTrack] = []
    omitted = Counter[str]()
    last_s = 0.0
    for one in children(root, "obstacle", "dynamicObstacle", "staticObstacle"):
        word = str(getattr(child(one, "type"), "text", "") or "unknown").strip()
        size = _size(one, file, CLASS_OF.get(word))
        initial = child(one, "initialState")
        if word not in CLASS_OF or size is None or initial is None:
            omitted[word] += 1
            continue
        trajectory = child(one, "trajectory")
        states = [initial, *([] if trajectory is None else children(trajectory, "state"))]
        read = dict(_state(state, file, step_s) for state in states)
        t_s = np.array(sorted(read))
        last_s = max(last_s, t_s[-1])
        out.append(SourceTrack(str(one.get("id")), CLASS_OF[word], size, t_s, np.stack([read[t] for t in t_s])))
    # Who has no trajectory stands there all the time.
    out = [_lasting(track, last_s) if len(track.t_s) == 1 else track for track in out]
    return out, tuple(f"{count} of type {word}" for word, count in sorted(omitted.items()))


def _lasting(track: SourceTrack, last_s: float) -> SourceTrack:
    """Seen every step, so that no gap is in it."""
    t_s = np.arange(0.0, max(last_s, 1.0) + 0.25, 0.25)
    return SourceTrack(track.name, track.category, track.size_lwh_m, t_s, np.repeat(track.xy_yaw, len(t_s), axis=0))


def _size(obstacle: Element, file: Path, category: AgentClass | None) -> Array | None:
    rectangle, circle = child(obstacle, "shape", "rectangle"), child(obstacle, "shape", "circle")
    height = HEIGHT_M.get(category, 1.5) if category is not None else 1.5
    if rectangle is not None:
        sides = [_number(child(rectangle, side), file, rectangle) for side in ("length", "width")]
    elif circle is not None:
        sides = [2.0 * _number(child(circle, "radius"), file, circle)] * 2
    else:
        return None
    return np.array([*np.maximum(sides, 0.1), height])


def _planned(root: Element, file: Path, road: RoadMap, last_s: float) -> SourceTrack:
    """From the planning problem's start at its speed along the lane it stands on."""
    problem = child(root, "planningProblem")
    initial = None if problem is None else child(problem, "initialState")
    if initial is None:
        raise InputError("has no planning problem", file=file, hint="name an obstacle with --ego")
    _, start = _state(initial, file, 0.0)
    speed = max(0.0, _number(child(initial, "velocity"), file, initial))
    ahead = np.array([np.cos(start[2]), np.sin(start[2])])
    line = np.stack([start[:2] - ahead, start[:2]])
    way = np.concatenate([line, onward(road, line, speed * last_s + 10.0)])
    t_s = np.arange(0.0, max(last_s, 1.0) + 0.05, 0.1)
    size = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m, EGO_SHAPE.height_m])
    return SourceTrack("ego", AgentClass.CAR, size, t_s, _rear_axle(point_at_s(way, 1.0 + speed * t_s)))


def _road(root: Element, file: Path) -> RoadMap:
    lanes: dict[str, Lane] = {}
    edges: dict[str, tuple[Array, Array]] = {}
    for one in children(root, "lanelet"):
        left, right = (_bound(child(one, side), file, one) for side in ("leftBound", "rightBound"))
        limit = child(one, "speedLimit")  # 2020a names traffic signs instead; then nothing is known here
        lane = lane_between(str(one.get("id")), left, right, UNKNOWN_MPS if limit is None else _number(limit, file, one))
        if lane is not None:
            lanes[lane.id], edges[lane.id] = lane, (left, right)
    if not lanes:
        raise InputError("has no lanelet", file=file, line=root.sourceline)
    linked = tuple(
        _linked(lanes[str(one.get("id"))], one, lanes) for one in children(root, "lanelet") if str(one.get("id")) in lanes
    )
    markings = tuple(Marking(side, "dashed") for lane in linked for side in _painted(lane, edges[lane.id]))
    return RoadMap(lanes=linked, drivable=joined_area(list(edges.values())), markings=markings)


def _bound(bound: Element | None, file: Path, lanelet: Element) -> Array:
    points = [] if bound is None else [_point(one, file, bound) for one in children(bound, "point")]
    if len(points) < 2:
        raise InputError(
            "a bound of less than two points", file=file, line=lanelet.sourceline, place=f"lanelet {lanelet.get('id')}"
        )
    return np.stack(points)


def _linked(lane: Lane, lanelet: Element, lanes: dict[str, Lane]) -> Lane:
    ahead = tuple(str(one.get("ref")) for one in children(lanelet, "successor") if str(one.get("ref")) in lanes)
    sides = []
    for name in ("adjacentLeft", "adjacentRight"):
        beside = child(lanelet, name)
        same = beside is not None and beside.get("drivingDir") == "same" and str(beside.get("ref")) in lanes
        sides.append(str(beside.get("ref")) if beside is not None and same else None)
    return Lane(lane.id, lane.centre_xy, lane.width_m, lane.speed_limit_mps, ahead, sides[0], sides[1])


def _painted(lane: Lane, edges: tuple[Array, Array]) -> list[Array]:
    """Lanelets tell no paint; lines between lanes of one direction are taken for dashed."""
    return [edges[0]] if lane.left is not None else []
