"""Lanes that a source draws by their two edges."""

from __future__ import annotations

import numpy as np
from shapely import Polygon, unary_union

from drivewm.datatypes import Array, Lane
from drivewm.geometry import point_at_s, polyline_s_m, resample_polyline
from drivewm.scenarios.roads_lines import polygons_xy

UNKNOWN_MPS = np.inf  # a speed limit that the source does not tell


def lane_between(name: str, left_xy: Array, right_xy: Array, limit_mps: float = UNKNOWN_MPS) -> Lane | None:
    """The lane whose edges run in its direction of travel; None where they are too short to be one."""
    lengths = [float(polyline_s_m(side)[-1]) for side in (left_xy, right_xy)]
    if min(lengths) < 0.5:
        return None
    share = np.linspace(0.0, 1.0, max(3, int(max(lengths)) + 1))
    left, right = (point_at_s(side, share * length)[:, :2] for side, length in zip((left_xy, right_xy), lengths, strict=True))
    width = float(np.median(np.hypot(*(left - right).T)))
    return Lane(name, resample_polyline((left + right) / 2.0, 1.0), width, limit_mps)


def joined_area(edges: list[tuple[Array, Array]]) -> tuple[Array, ...]:
    """The ground [P, 2] that lanes cover together, from their (left, right) edges; seams between neighbours are closed."""
    shapes = [Polygon(np.concatenate([left, right[::-1]])).buffer(0.05) for left, right in edges]
    return polygons_xy(unary_union([shape for shape in shapes if shape.is_valid and not shape.is_empty]).buffer(-0.02))
