"""A road before it is decorated: lanes, paint and paved area, collected while a kind is laid out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from drivewm.datatypes import Array, Lane, Marking, Signal
from drivewm.geometry import box_corners_xy
from drivewm.scenarios.roads_lines import end_pose, offset_line, part_of
from drivewm.scenarios.roads_options import RoadOptions


@dataclass
class Plan:
    """What a kind lays out; `roads_scenery.furnish` turns it into a RoadMap."""

    paved: list[BaseGeometry] = field(default_factory=list)
    fillet_m: float = 0.0  # rounding of inner corners of the paved area
    islands: list[Polygon] = field(default_factory=list)  # not paved, kerbed
    ends: list[Array] = field(default_factory=list)  # poses [3] where the road leaves the map, pointing outwards
    frontages: list[tuple[Array, float, float]] = field(default_factory=list)  # line, paved width to its left and right
    lanes: list[Lane] = field(default_factory=list)
    markings: list[Marking] = field(default_factory=list)
    crosswalks: list[Array] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    tunnels: list[Array] = field(default_factory=list)  # x, y, yaw, length, width, height
    height_xz_m: Array = field(default_factory=lambda: np.zeros((0, 2)))  # of the ground

    def end_caps(self) -> list[Polygon]:
        """Areas beyond the ends of the road, where nothing is built."""
        return [_beyond(pose) for pose in self.ends]


def _beyond(pose: Array) -> Polygon:
    shift = 15.0 * np.array([np.cos(pose[2]), np.sin(pose[2])])
    return Polygon(box_corners_xy(np.append(pose[:2] + shift, pose[2]), (30.0, 60.0)))


def main_offset_m(options: RoadOptions, index: int, count: int | None = None) -> float:
    """Distance of ``main.<index>`` to the right of the centre line."""
    return ((options.lanes if count is None else count) - index - 0.5) * options.lane_width_m


def side_by_side(name: str, centres: list[Array], options: RoadOptions, *, rightmost_first: bool) -> list[Lane]:
    """Lanes ``name.0``, ``name.1`` ... that know their neighbours."""
    lanes = []
    for i, centre in enumerate(centres):
        up = f"{name}.{i + 1}" if i + 1 < len(centres) else None
        down = f"{name}.{i - 1}" if i else None
        left, right = (up, down) if rightmost_first else (down, up)
        lanes.append(Lane(f"{name}.{i}", centre, options.lane_width_m, options.speed_limit_mps, (), left, right))
    return lanes


def carriageway_markings(reference_xy: Array, options: RoadOptions, lanes: int, oncoming: int) -> list[Marking]:
    """Centre line and lane lines along a reference line that divides the directions of travel."""
    width = options.lane_width_m
    lines = [Marking(offset_line(reference_xy, -i * width), "dashed") for i in range(1, lanes)]
    lines += [Marking(offset_line(reference_xy, i * width), "dashed") for i in range(1, oncoming)]
    if lanes and oncoming:
        if options.surroundings == "motorway" or max(lanes, oncoming) > 1:
            lines += [Marking(offset_line(reference_xy, side), "solid", 0.12) for side in (-0.13, 0.13)]
        else:
            lines.append(Marking(reference_xy, "dashed"))
    return lines


def solid_near_end(marking: Marking, length_m: float, *, at_start: bool) -> list[Marking]:
    """A dashed line that turns solid over the last stretch before a junction."""
    total = float(np.hypot(*np.diff(marking.xy, axis=0).T).sum())
    cut = min(length_m, total / 2.0)
    if marking.kind != "dashed":
        return [marking]
    near = part_of(marking.xy, 0.0, cut) if at_start else part_of(marking.xy, total - cut, total)
    far = part_of(marking.xy, cut, total) if at_start else part_of(marking.xy, 0.0, total - cut)
    return [Marking(near, "solid", marking.width_m), Marking(far, "dashed", marking.width_m)]


def outward_ends(line: Array) -> list[Array]:
    """Poses at both ends of a line, pointing away from it."""
    return [end_pose(line[::-1]), end_pose(line)]


def zebra(centre_xy_yaw: Array, along_m: float, across_m: float) -> Array:
    """A crosswalk [4, 2] over a road that runs along the yaw."""
    return box_corners_xy(centre_xy_yaw, (along_m, across_m))[::-1].copy()
