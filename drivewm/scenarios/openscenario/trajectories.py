"""Trajectories as polylines: polyline, clothoid, clothoid spline, NURBS (ASAM OpenSCENARIO 1.2, section 6.9)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from drivewm.datatypes import Array
from drivewm.geometry import compose_xy_yaw
from drivewm.scenarios.opendrive.planview import clothoid_pose
from drivewm.scenarios.openscenario.positions import Where, position
from drivewm.scenarios.openscenario.reading import Reading, Unsupported
from drivewm.scenarios.openscenario.stage import Stage
from drivewm.scenarios.xml import Element, child, children, tag

LONGEST_M = 20_000.0


@dataclass(frozen=True)
class Line:
    """A way [P, 2] and, where the file gives them, the times [P] at its vertices."""

    xy: Array
    t_s: Array | None = None
    yaw_rad: float | None = None  # at the start, where the shape gives it


Shape = Callable[[Stage, Array | None], Line]  # from the pose [3] at which the entity is


def trajectory(reading: Reading, element: Element) -> Shape:
    """The shape of a trajectory that stands in ``element`` or in a catalog."""
    entry = reading.referenced(element, "Trajectory")
    if entry is None:
        raise Unsupported(element, "the trajectory is unknown")
    inner, found = entry
    shape = inner.one_of(inner.need(found, "Shape"))
    reader = {"Polyline": _polyline, "Clothoid": _clothoid, "ClothoidSpline": _spline, "Nurbs": _nurbs}.get(tag(shape))
    if reader is None:
        raise Unsupported(shape, "not supported as the shape of a trajectory")
    inner.use_all(shape)
    return reader(inner, shape)


def _polyline(reading: Reading, shape: Element) -> Shape:
    vertices = children(shape, "Vertex")
    if len(vertices) < 2:
        reading.fail(shape, "needs at least two vertices")
    places = [position(reading, reading.need(vertex, "Position")) for vertex in vertices]
    times = [reading.number(v, "time") for v in vertices] if all(v.get("time") is not None for v in vertices) else None

    def line(stage: Stage, _: Array | None) -> Line:
        poses = np.array([place(stage) for place in places])
        return Line(*_apart(reading, shape, poses[:, :2], None if times is None else np.array(times)), float(poses[0, 2]))

    return line


def _apart(reading: Reading, shape: Element, xy: Array, t_s: Array | None) -> tuple[Array, Array | None]:
    """Without vertices on top of each other."""
    keep = np.append(True, np.hypot(*np.diff(xy, axis=0).T) > 1e-3)
    if keep.sum() < 2:
        reading.fail(shape, "stays in one place")
    if np.hypot(*np.diff(xy, axis=0).T).sum() > LONGEST_M:
        reading.fail(shape, f"is longer than {LONGEST_M:g} m")
    return xy[keep], None if t_s is None else t_s[keep]


def _segment(reading: Reading, element: Element, start: float, end: float, length: float) -> Callable[[Array], Array]:
    """The points of a clothoid from a pose [3] on, [P, 3]."""
    if not 0 < length <= LONGEST_M or max(abs(start), abs(end)) > 2.0:
        reading.fail(element, f"a clothoid of {length:g} m with curvatures {start:g} to {end:g} 1/m")
    local = clothoid_pose(np.linspace(0.0, length, max(2, math.ceil(length / 0.5) + 1)), start, (end - start) / length)
    return lambda pose: compose_xy_yaw(pose, local)


def _start(reading: Reading, element: Element | None) -> Where | None:
    return None if element is None else position(reading, element)


def _begin(reading: Reading, element: Element, stage: Stage, given: Where | None, current: Array | None) -> Array:
    if given is not None:
        return given(stage)
    if current is None:
        reading.fail(element, "has no start")
    return current


def _clothoid(reading: Reading, shape: Element) -> Shape:
    length, curvature = reading.number(shape, "length"), reading.number(shape, "curvature")
    rate = reading.number(shape, "curvatureDot" if shape.get("curvatureDot") is not None else "curvaturePrime", 0.0)
    segment = _segment(reading, shape, curvature, curvature + rate * length, length)
    start = _start(reading, child(shape, "Position"))

    def line(stage: Stage, current: Array | None) -> Line:
        poses = segment(_begin(reading, shape, stage, start, current))
        return Line(poses[:, :2], None, float(poses[0, 2]))

    return line


def _spline(reading: Reading, shape: Element) -> Shape:
    parts = []
    for one in children(shape, "ClothoidSplineSegment"):
        length = reading.number(one, "length")
        if length == 0:
            continue
        curvatures = reading.number(one, "curvatureStart"), reading.number(one, "curvatureEnd")
        parts.append((_segment(reading, one, *curvatures, length), _start(reading, child(one, "PositionStart"))))
    if not parts:
        reading.fail(shape, "has no ClothoidSplineSegment")

    def line(stage: Stage, current: Array | None) -> Line:
        pose, out = current, []
        for segment, start in parts:
            points = segment(
                _begin(reading, shape, stage, start if start is not None else (None if pose is None else _at(pose)), pose)
            )
            pose = points[-1]
            out.append(points)
        poses = np.concatenate(out)
        return Line(_apart(reading, shape, poses[:, :2], None)[0], None, float(poses[0, 2]))

    return line


def _at(pose: Array) -> Where:
    return lambda stage: pose


def _nurbs(reading: Reading, shape: Element) -> Shape:
    order = reading.whole(shape, "order")
    points = children(shape, "ControlPoint")
    places = [position(reading, reading.need(point, "Position")) for point in points]
    weights = np.array([reading.number(point, "weight", 1.0) for point in points])
    knots = np.array([reading.number(knot, "value") for knot in children(shape, "Knot")])
    if not 2 <= order <= 10 or len(points) < order or len(knots) != len(points) + order:
        reading.fail(shape, f"order {order}, {len(points)} control points and {len(knots)} knots do not fit together")
    if (np.diff(knots) < 0).any() or knots[order - 1] >= knots[len(points)] or (weights <= 0).any():
        reading.fail(shape, "knots must ascend and weights must be positive")

    def line(stage: Stage, _: Array | None) -> Line:
        poses = np.array([place(stage) for place in places])
        u = np.linspace(knots[order - 1], knots[len(points)], 50 * len(points))
        homogeneous = BSpline(knots, np.column_stack([poses[:, :2] * weights[:, None], weights]), order - 1)(u)
        return Line(_apart(reading, shape, homogeneous[:, :2] / homogeneous[:, 2:], None)[0])

    return line
