"""Lines that roads are made of: offsets, arcs, turns and lateral shifts. All polylines are [P, 2] in metres."""

from __future__ import annotations

from typing import Any

import numpy as np
from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from drivewm.datatypes import Array
from drivewm.geometry import point_at_s, polyline_s_m, resample_polyline, world_from_ego


def offset_line(xy: Array, left_m: float) -> Array:
    """The line moved sideways; ``left_m`` is positive to the left of its direction."""
    step = np.diff(xy, axis=0)
    unit = step / np.hypot(step[:, 0], step[:, 1])[:, None]
    before, after = np.vstack([unit[:1], unit]), np.vstack([unit, unit[-1:]])
    mean = before + after
    normal = np.stack([-mean[:, 1], mean[:, 0]], axis=1)
    scale = 2.0 / (mean**2).sum(1)  # mitre: keeps the distance to both neighbouring segments
    return np.asarray(xy + left_m * normal * scale[:, None])


def straight_line(start_xy: tuple[float, float], end_xy: tuple[float, float]) -> Array:
    return resample_polyline(np.array([start_xy, end_xy], np.float64), 1.0)


def arc_line(start_xy_yaw: Array, radius_m: float, angle_rad: float) -> Array:
    """An arc from a pose; a positive angle turns left."""
    steps = max(2, int(np.ceil(abs(angle_rad) * radius_m)))
    turned = np.linspace(0.0, abs(angle_rad), steps + 1)
    local = radius_m * np.stack([np.sin(turned), np.sign(angle_rad) * (1.0 - np.cos(turned))], axis=1)
    return world_from_ego(local, start_xy_yaw)


def joined(*lines: Array) -> Array:
    """Lines laid end to end and sampled every metre."""
    xy = np.concatenate(lines)
    keep = np.append(True, np.hypot(*np.diff(xy, axis=0).T) > 1e-6)
    return resample_polyline(xy[keep], 1.0)


def turn_line(start_xy_yaw: Array, end_xy_yaw: Array, straight_start_m: float, straight_end_m: float) -> Array:
    """From one pose to another through one arc; the straight parts at both ends are at least as long as asked."""
    unit_in = np.array([np.cos(start_xy_yaw[2]), np.sin(start_xy_yaw[2])])
    unit_out = np.array([np.cos(end_xy_yaw[2]), np.sin(end_xy_yaw[2])])
    sine = unit_in[0] * unit_out[1] - unit_in[1] * unit_out[0]
    if abs(sine) < 1e-6:
        return joined(np.stack([start_xy_yaw[:2], end_xy_yaw[:2]]))
    gap = end_xy_yaw[:2] - start_xy_yaw[:2]
    to_corner = (gap[0] * unit_out[1] - gap[1] * unit_out[0]) / sine
    from_corner = (unit_in[0] * gap[1] - unit_in[1] * gap[0]) / sine
    tangent = min(to_corner - straight_start_m, from_corner - straight_end_m)
    angle = np.arctan2(sine, unit_in @ unit_out)
    begin = start_xy_yaw[:2] + (to_corner - tangent) * unit_in
    arc = arc_line(np.append(begin, start_xy_yaw[2]), tangent / np.tan(abs(angle) / 2.0), angle)
    return joined(start_xy_yaw[None, :2], arc, end_xy_yaw[None, :2])


def bezier_line(start_xy_yaw: Array, end_xy_yaw: Array) -> Array:
    """A smooth cubic between two poses."""
    reach = 0.4 * np.hypot(*(end_xy_yaw[:2] - start_xy_yaw[:2]))
    p0, p3 = start_xy_yaw[:2], end_xy_yaw[:2]
    p1 = p0 + reach * np.array([np.cos(start_xy_yaw[2]), np.sin(start_xy_yaw[2])])
    p2 = p3 - reach * np.array([np.cos(end_xy_yaw[2]), np.sin(end_xy_yaw[2])])
    u = np.linspace(0.0, 1.0, 25)[:, None]
    return np.asarray((1 - u) ** 3 * p0 + 3 * (1 - u) ** 2 * u * p1 + 3 * (1 - u) * u**2 * p2 + u**3 * p3)


def shifted_line(x_from_m: float, x_to_m: float, y_from_m: float, y_to_m: float) -> Array:
    """A lane change along +x with a cosine profile."""
    x = np.linspace(x_from_m, x_to_m, max(2, int(abs(x_to_m - x_from_m)) + 1))
    share = (1.0 - np.cos(np.pi * (x - x_from_m) / (x_to_m - x_from_m))) / 2.0
    return np.stack([x, y_from_m + share * (y_to_m - y_from_m)], axis=1)


def end_pose(xy: Array) -> Array:
    return point_at_s(xy, polyline_s_m(xy)[-1])


def ribbon(xy: Array, left_m: float, right_m: float) -> Polygon:
    """The strip between two offsets of a line; both distances are positive."""
    return Polygon(np.concatenate([offset_line(xy, -right_m), offset_line(xy, left_m)[::-1]]))


def part_of(xy: Array, from_s_m: float, to_s_m: float) -> Array:
    """The stretch of a line between two arc lengths."""
    s = polyline_s_m(xy)
    inner = xy[(s > from_s_m + 1e-6) & (s < to_s_m - 1e-6)]
    return np.vstack([point_at_s(xy, from_s_m)[:2], inner, point_at_s(xy, to_s_m)[:2]])


def polygons_xy(shape: BaseGeometry, tolerance_m: float = 0.02) -> tuple[Array, ...]:
    """The parts of a shape as counter-clockwise rings without closing point; a part with holes is cut into halves."""
    rings: list[Array] = []
    parts: list[Any] = [shape]
    while parts:
        part = parts.pop()
        if hasattr(part, "geoms"):
            parts.extend(part.geoms)
        elif isinstance(part, Polygon) and part.area > 0.05:
            if part.interiors:
                west, south, east, north = part.bounds
                middle = Polygon(part.interiors[0]).centroid.x
                parts += [part & box(west, south, middle, north), part & box(middle, south, east, north)]
            else:
                rings.append(np.asarray(orient(part.simplify(tolerance_m)).exterior.coords, np.float64)[:-1])
    return tuple(rings)


def lines_xy(shape: BaseGeometry, tolerance_m: float = 0.02) -> list[Array]:
    """The line strings in a shape."""
    parts = list(shape.geoms) if hasattr(shape, "geoms") else [shape]
    return [
        np.asarray(p.simplify(tolerance_m).coords, np.float64)[:, :2] for p in parts if p.length > 0.5 and hasattr(p, "coords")
    ]
