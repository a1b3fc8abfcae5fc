"""CommonRoad scenario files, versions 2018b and 2020a: recorded vehicles on lanelets, and a place where a planner would start.

Source: the XML documentation of both versions (commonroad.in.tum.de). Positions are centres of vehicles.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from drivewm.data.recorded.assembly import Found, Track
from drivewm.data.recorded.lanelets import lane_at, number, points_xy, read_lanelets, straight_on_xy
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array, RoadMap
from drivewm.errors import InputError, did_you_mean
from drivewm.geometry import frenet_sd, point_at_s
from drivewm.scenarios.bodies import BODIES
from drivewm.scenarios.xml import Element, child, children, read_xml, real, tag

_VERSIONS = ("2018b", "2020a")
_STEP_S = 0.1
_DROVE_M = 5.0

# Types of obstacles in both versions; those of buildings and of the road's own edges are left out.
CLASS_OF: dict[str, AgentClass] = {
    "car": AgentClass.CAR,
    "taxi": AgentClass.CAR,
    "priorityVehicle": AgentClass.CAR,
    "parkedVehicle": AgentClass.CAR,
    "unknown": AgentClass.CAR,
    "truck": AgentClass.TRUCK,
    "bus": AgentClass.BUS,
    "train": AgentClass.BUS,
    "motorcycle": AgentClass.MOTORCYCLE,
    "bicycle": AgentClass.BICYCLE,
    "pedestrian": AgentClass.PEDESTRIAN,
    "constructionZone": AgentClass.BARRIER,
}
_HEIGHT_M = {kind.category: kind.size_lwh_m[2] for kind in reversed(BODIES.values())}


def read_commonroad(file: Path, ego: str | None) -> Found:
    """A scenario file.

    ``ego`` is the id of the obstacle that becomes the ego. When None the ego starts where the first planning problem does. The
    file does not say how it goes on: it keeps its speed and its place in the lane, and goes straight on where lanes part, until
    the last obstacle is gone. In a file without planning problem the ego is the vehicle that is seen longest of those that
    drive more than 5 m. The ego has its own size, whatever the vehicle had whose place it takes.
    Raises `InputError` naming file and line for what is missing or no number, and for an unknown ``ego``.
    """
    root = read_xml(file, "commonRoad")
    if root.get("commonRoadVersion") not in _VERSIONS:
        reason = f"is version {root.get('commonRoadVersion')!r}"
        raise InputError(reason, file=file, line=root.sourceline, hint="we read " + " and ".join(_VERSIONS))
    step_s = real(root, "timeStepSize", file, _STEP_S)
    if step_s <= 0:
        raise InputError("timeStepSize is not above 0", file=file, line=root.sourceline)
    road, left_out = read_lanelets(root, file)
    tracks, notes = _tracks(root, step_s, file)
    problem = next(iter(children(root, "planningProblem")), None)
    if ego is None and problem is not None:
        driver = _planned(problem, road, tracks, step_s, file)
        notes.append("the ego's way is not recorded: from the start of the planning problem it holds its speed and its lane")
        notes.append("the goal of the planning problem is not read")
    else:
        chosen = _chosen(tracks, ego, file)
        tracks = [track for track in tracks if track is not chosen]
        driver = Track(chosen.name, chosen.category, chosen.t_s, _rear_axle(chosen.xy_yaw), chosen.size_lwh_m)
    limit = lane_at(road, EGO_SHAPE.centre_xy_yaw(driver.xy_yaw[0])).speed_limit_mps
    name = root.get("benchmarkID") or file.stem
    return Found(
        file=file,
        name=name,
        source=f"CommonRoad scenario {name}",
        ego=driver,
        tracks=tuple(tracks),
        road=road,
        speed_limit_mps=limit or None,
        left_out=(*left_out, *notes),
    )


def _tracks(root: Element, step_s: float, file: Path) -> tuple[list[Track], list[str]]:
    """The obstacles that have a class and a trajectory, and sentences on the others."""
    tracks: list[Track] = []
    standing: list[tuple[Element, AgentClass, Array, float]] = []
    skipped: Counter[str] = Counter()
    for element in children(root, "obstacle", "dynamicObstacle", "staticObstacle"):
        kind = (getattr(child(element, "type"), "text", None) or "").strip()
        begin = child(element, "initialState")
        if kind not in CLASS_OF or begin is None:
            skipped[f"obstacles of type {kind!r}"] += 1
        elif tag(element) == "staticObstacle" or getattr(child(element, "role"), "text", "") == "static":
            standing.append((element, CLASS_OF[kind], *_state(begin, step_s, file)))
        elif (course := child(element, "trajectory")) is None:
            skipped["moving obstacles without a trajectory"] += 1
        else:
            states = sorted((_state(state, step_s, file) for state in (begin, *children(course, "state"))), key=lambda s: s[1])
            t_s, first = np.unique([time for _, time in states], return_index=True)
            poses = np.stack([states[i][0] for i in first])
            tracks.append(Track(str(element.get("id")), CLASS_OF[kind], t_s, poses, _size_lwh_m(element, CLASS_OF[kind], file)))
    for name in ("environmentObstacle", "phantomObstacle"):
        skipped[f"elements <{name}>"] += len(children(root, name))
    last_s = max((float(track.t_s[-1]) for track in tracks), default=0.0)
    for element, category, pose, time in standing:
        t_s = time + step_s * np.arange(max(2, round((last_s - time) / step_s) + 1))
        size = _size_lwh_m(element, category, file)
        tracks.append(Track(str(element.get("id")), category, t_s, np.tile(pose, (len(t_s), 1)), size))
    return tracks, [f"{count} {what} are left out" for what, count in skipped.items() if count]


def _state(element: Element, step_s: float, file: Path) -> tuple[Array, float]:
    """Pose [3] and time in s of a state; what is given as an interval or an area is taken in its middle."""
    position = child(element, "position")
    areas = [] if position is None else children(position)
    if not areas:
        raise InputError("has no position", file=file, line=element.sourceline, place=tag(element))
    shape = areas[0]
    if tag(shape) == "point":
        xy = [number(child(shape, axis), shape, file) for axis in ("x", "y")]
    elif tag(shape) == "polygon":
        xy = list(points_xy(shape, file).mean(0))
    else:
        centre = child(shape, "center")
        xy = [number(child(centre, axis), shape, file) for axis in ("x", "y")]
    return np.array([*xy, _value(element, "orientation", file)]), step_s * _value(element, "time", file)


def _value(element: Element, name: str, file: Path) -> float:
    holder = child(element, name)
    if holder is None:
        raise InputError(f"has no {name}", file=file, line=element.sourceline, place=tag(element))
    if (exact := child(holder, "exact")) is not None:
        return number(exact, holder, file)
    return 0.5 * sum(number(child(holder, end), holder, file) for end in ("intervalStart", "intervalEnd"))


def _size_lwh_m(element: Element, category: AgentClass, file: Path) -> Array:
    """Length and width from the shape (the square around a circle), height as usual for the class."""
    shape = child(element, "shape")
    kind = next(iter(children(shape)), None) if shape is not None else None
    if kind is None:
        raise InputError("has no shape", file=file, line=element.sourceline, place=tag(element))
    if tag(kind) == "rectangle":
        length, width = (number(child(kind, name), kind, file) for name in ("length", "width"))
    elif tag(kind) == "circle":
        length = width = 2 * number(child(kind, "radius"), kind, file)
    else:
        length, width = np.ptp(points_xy(kind, file), axis=0)
    if length <= 0 or width <= 0:
        raise InputError("a shape has no size", file=file, line=kind.sourceline, place=tag(kind))
    return np.array([length, width, _HEIGHT_M[category]])


def _rear_axle(centre_xy_yaw: Array) -> Array:
    yaw = centre_xy_yaw[:, 2]
    back = EGO_SHAPE.rear_axle_to_centre_m * np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], -1)
    return np.asarray(centre_xy_yaw - back)


def _planned(problem: Element, road: RoadMap, tracks: list[Track], step_s: float, file: Path) -> Track:
    """An ego that drives along the lanes from the start of a planning problem at the speed it has there."""
    begin = child(problem, "initialState")
    if begin is None:
        raise InputError("has no initialState", file=file, line=problem.sourceline, place="planningProblem")
    (pose, start_s), speed = _state(begin, step_s, file), _value(begin, "velocity", file)
    last_s = max((float(track.t_s[-1]) for track in tracks), default=start_s)
    t_s = start_s + step_s * np.arange(round((last_s - start_s) / step_s) + 1)
    if len(t_s) < 2:
        raise InputError("no obstacle is seen after the start of the planning problem", file=file, line=begin.sourceline)
    lane = lane_at(road, pose)
    offset = float(frenet_sd(lane.centre_xy, pose[:2])[1])
    whole = straight_on_xy(road, lane, speed * float(t_s[-1] - t_s[0]) + lane.centre_xy.shape[0])
    s = float(frenet_sd(lane.centre_xy, pose[:2])[0]) + speed * (t_s - start_s)
    course = point_at_s(whole, s)
    yaw = course[:, 2]
    course[:, :2] += offset * np.stack([-np.sin(yaw), np.cos(yaw)], -1)
    return Track("ego", AgentClass.CAR, t_s, _rear_axle(course), np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m, 1.5]))


def _chosen(tracks: list[Track], ego: str | None, file: Path) -> Track:
    """The vehicle with the id ``ego``, or the one that is seen longest of those that drive."""
    drive = [t for t in tracks if len(t.t_s) > 1 and np.hypot(*(t.xy_yaw[-1] - t.xy_yaw[0])[:2]) > _DROVE_M]
    if ego is None:
        if not drive:
            raise InputError("has neither a planning problem nor a vehicle that drives", file=file)
        return max(drive, key=lambda track: float(track.t_s[-1] - track.t_s[0]))
    for track in tracks:
        if track.name == ego:
            return track
    names = [track.name for track in drive]
    hint = did_you_mean(ego, names) or "vehicles that drive: " + ", ".join(names[:12])
    raise InputError(f"has no obstacle {ego!r}", file=file, hint=hint)
