"""Centre lines as the map expansion stores them: runs of circular arcs, each an arc-line path with a single segment."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from drivewm.datatypes import Array
from drivewm.geometry import resample_polyline

TOLERANCE_M = 0.02
_STRAIGHT_RADIUS_M = 1e5  # sagitta over 100 m below 2 cm


def arclines_from_polyline(xy: Array) -> list[dict[str, Any]]:
    """Arc-line paths within TOLERANCE_M of the vertices of a polyline [P, 2]; as long as possible each."""
    paths, first = [], 0
    while first < len(xy) - 1:
        low, high = first + 1, len(xy) - 1
        if _arc(xy[first : high + 1]) is None:
            while high - low > 1:  # a run that fits still fits when shortened: the lanes are smooth
                middle = (low + high) // 2
                low, high = (middle, high) if _arc(xy[first : middle + 1]) is not None else (low, middle)
            last = low
        else:
            last = high
        path = _arc(xy[first : last + 1])
        if path is not None:
            paths.append(path)
        first = last
    return paths


def _arc(xy: Array) -> dict[str, Any] | None:
    """One arc from the first to the last point that passes all others within the tolerance, or None."""
    start, end = xy[0], xy[-1]
    chord = end - start
    length = float(np.hypot(*chord))
    if length < 1e-6:
        return None
    unit = chord / length
    side = (xy - start) @ np.array([-unit[1], unit[0]])
    along = (xy - start) @ unit
    middle = int(np.argmin(np.abs(along - length / 2)))
    sagitta, at = float(side[middle]), float(along[middle])
    reach = at * (length - at)
    if abs(sagitta) < 1e-4 or reach <= 0:
        if np.abs(side).max() > TOLERANCE_M:
            return None
        return _path(start, end, math.atan2(unit[1], unit[0]), 0.0, length)
    # A circle through (0, 0), (length, 0) and (at, sagitta) in the frame of the chord.
    centre_y = (sagitta * sagitta - reach) / (2 * sagitta)
    radius = math.hypot(length / 2, centre_y)
    if radius > _STRAIGHT_RADIUS_M:
        return _path(start, end, math.atan2(unit[1], unit[0]), 0.0, length) if np.abs(side).max() <= TOLERANCE_M else None
    miss = np.abs(np.hypot(along - length / 2, side - centre_y) - radius)
    turned = 2 * math.asin(min(1.0, length / (2 * radius)))
    if miss.max() > TOLERANCE_M or turned > 2.8 or np.any(np.diff(along) <= 0):
        return None
    sign = -1.0 if sagitta > 0 else 1.0  # a path that bulges to its left turns right
    yaw = math.atan2(unit[1], unit[0]) - sign * turned / 2
    return _path(start, end, yaw, sign * turned, radius * turned)


def _path(start: Array, end: Array, yaw_rad: float, turned_rad: float, length_m: float) -> dict[str, Any]:
    shape, lengths, radius = "LSL", [0.0, length_m, 0.0], 999.999
    if turned_rad:
        shape, lengths, radius = ("LSL" if turned_rad > 0 else "RSR"), [length_m, 0.0, 0.0], length_m / abs(turned_rad)
    return {
        "start_pose": [float(start[0]), float(start[1]), yaw_rad],
        "end_pose": [float(end[0]), float(end[1]), yaw_rad + turned_rad],
        "shape": shape,
        "radius": radius,
        "segment_length": lengths,
    }


def polyline_from_arclines(paths: list[dict[str, Any]], spacing_m: float = 1.0) -> Array:
    """Centre line [P, 2] with vertices ``spacing_m`` apart; [0, 2] when there are no paths."""
    from nuscenes.map_expansion.arcline_path_utils import discretize_lane

    if not paths:
        return np.zeros((0, 2))
    xy = np.array(discretize_lane(paths, spacing_m))[:, :2]
    keep = np.append(True, np.hypot(*np.diff(xy, axis=0).T) > 1e-3)
    xy = xy[keep]
    return resample_polyline(xy, spacing_m) if len(xy) > 1 else np.zeros((0, 2))
