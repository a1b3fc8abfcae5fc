"""The part of a road network that a scene needs, as a `RoadMap`: lanes, paved area, sidewalks, painted lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from shapely import Polygon, make_valid, unary_union

from drivewm.datatypes import Array, Lane, Marking, RoadMap
from drivewm.geometry import resample_polyline, world_from_ego
from drivewm.scenarios.opendrive.furniture import RoadObject
from drivewm.scenarios.opendrive.network import DRIVING, Network, Node
from drivewm.scenarios.opendrive.reading import LaneSection, Road
from drivewm.scenarios.roads_lines import polygons_xy

PAVED = DRIVING | {"stop", "shoulder", "parking", "border", "biking", "median", "curb", "restricted", "tram", "special1"}
WALKED = frozenset({"sidewalk", "walking"})
PAINTED = {
    "solid": "solid",
    "broken": "dashed",
    "solid solid": "solid",
    "solid broken": "solid",
    "broken solid": "solid",
    "curb": "kerb",
}
PAINTED |= {"broken broken": "dashed", "botts dots": "dashed"}
COARSE_M = 5.0
THINNEST_M = 0.3  # lanes thinner than this everywhere are only drawn away


@dataclass(frozen=True)
class _Stretch:
    """A section between two arc lengths of its road."""

    road: Road
    index: int
    begin_m: float
    end_m: float

    @property
    def section(self) -> LaneSection:
        return self.road.sections[self.index]

    @property
    def s_m(self) -> Array:
        return np.linspace(self.begin_m, self.end_m, max(2, int(np.ceil(self.end_m - self.begin_m)) + 1))


def road_map(network: Network, near_xy: Array, reach_m: float) -> RoadMap:
    """Everything within about ``reach_m`` of the points ``near_xy`` [Q, 2]; the lane id is ``road.section.lane``."""
    stretches = _stretches(network, near_xy, reach_m)
    lanes: list[Lane] = []
    paved, walked, markings = [], [], []
    for stretch in stretches.values():
        lanes += _lanes(network, stretch, stretches)
        for lane in stretch.section.lanes.values():
            inner, outer = stretch.road.edges(stretch.section, lane.id, stretch.s_m)
            strip = _strip(stretch, inner, outer)
            if strip is not None and lane.kind in PAVED:
                paved.append(strip)
            elif strip is not None and lane.kind in WALKED:
                walked.append(strip)
        markings += _markings(stretch)
    ground = unary_union(paved).buffer(0.05) if paved else Polygon()
    walks = unary_union(walked).difference(ground) if walked else Polygon()
    objects = [found for one in stretches.values() for found in _objects(one)]
    houses = np.array([[*pose, *one.size_lwh_m] for one, pose in objects if one.kind == "building"]).reshape(-1, 6)
    return RoadMap(
        lanes=tuple(lanes),
        drivable=polygons_xy(ground),
        crosswalks=tuple(world_from_ego(one.outline_uv, pose) for one, pose in objects if one.kind == "crosswalk"),
        sidewalks=polygons_xy(walks),
        markings=tuple(markings),
        building_xy_yaw=houses[:, :3],
        building_size_lwh_m=houses[:, 3:],
        tree_xy_height=np.array([[*pose[:2], one.size_lwh_m[2]] for one, pose in objects if one.kind == "tree"]).reshape(-1, 3),
    )


def _objects(stretch: _Stretch) -> list[tuple[RoadObject, Array]]:
    """Objects of a stretch with their world poses [3]."""
    last = stretch.end_m >= stretch.road.length_m
    here = [one for one in stretch.road.objects if stretch.begin_m <= one.s_m and (one.s_m < stretch.end_m or last)]
    return [(one, stretch.road.pose(one.s_m, one.t_m) + np.array([0.0, 0.0, one.hdg_rad])) for one in here]


def _stretches(network: Network, near_xy: Array, reach_m: float) -> dict[tuple[str, int], _Stretch]:
    out: dict[tuple[str, int], _Stretch] = {}
    low, high = near_xy.min(0) - reach_m, near_xy.max(0) + reach_m
    for road in network.file.roads.values():
        s = np.linspace(0.0, road.length_m, max(2, int(road.length_m / COARSE_M) + 1))
        xy = road.reference(s)[:, :2]
        inside = ((xy >= low) & (xy <= high)).all(1)
        if not inside.any():
            continue
        close = np.zeros(len(s), bool)
        close[inside] = (((xy[inside, None] - near_xy[None]) ** 2).sum(-1) <= reach_m**2).any(1)
        if not close.any():
            continue
        begin, end = float(s[close].min()), float(s[close].max())
        begin, end = max(0.0, begin - COARSE_M), min(road.length_m, end + COARSE_M)
        for index, section in enumerate(road.sections):
            first, last = max(begin, section.s_m), min(end, section.end_m)
            if last - first > 0.05:
                out[road.id, index] = _Stretch(road, index, first, last)
    return out


def _lanes(network: Network, stretch: _Stretch, stretches: dict[tuple[str, int], _Stretch]) -> list[Lane]:
    out = []
    section = stretch.section
    driving = {n: lane for n, lane in section.lanes.items() if lane.kind in DRIVING}
    for number, lane in driving.items():
        inner, outer = stretch.road.edges(section, number, stretch.s_m)
        width = np.abs(outer - inner)
        if width.max() < THINNEST_M:
            continue
        node: Node = (stretch.road.id, stretch.index, number)
        along = stretch.road.along_s(number)
        ends = (stretch.begin_m, stretch.end_m) if along else (stretch.end_m, stretch.begin_m)
        line = network.centre_line(node, *ends)
        followers = [n for n in network.following(node) if (n[0], n[1]) in stretches and network.lane(n).kind in DRIVING]
        out.append(
            Lane(
                id=name(node),
                centre_xy=resample_polyline(line, 1.0),
                width_m=float(np.median(width)),
                speed_limit_mps=lane.speed_mps or stretch.road.speed_mps,
                successors=tuple(name(n) for n in followers),
                left=_beside(stretch, number, driving, 1 if along else -1),
                right=_beside(stretch, number, driving, -1 if along else 1),
            )
        )
    return out


def _beside(stretch: _Stretch, number: int, driving: Mapping[int, object], step: int) -> str | None:
    other = number + step
    return name((stretch.road.id, stretch.index, other)) if other in driving and other * number > 0 else None


def name(node: Node) -> str:
    return f"{node[0]}.{node[1]}.{node[2]}"


def _strip(stretch: _Stretch, inner: Array, outer: Array) -> Polygon | None:
    s = stretch.s_m
    shape = Polygon(np.concatenate([stretch.road.pose(s, inner)[:, :2], stretch.road.pose(s, outer)[::-1, :2]]))
    shape = shape if shape.is_valid else make_valid(shape)
    return shape if shape.area > 0.01 else None


def _markings(stretch: _Stretch) -> list[Marking]:
    section, out = stretch.section, []
    edges = {n: (lane.marks, stretch.road.edges(section, n, stretch.s_m)[1]) for n, lane in section.lanes.items()}
    edges[0] = (section.centre_marks, stretch.road.edges(LaneSection(section.s_m, section.end_m, {}, ()), -1, stretch.s_m)[0])
    for marks, edge in edges.values():
        for i, (start, kind, width) in enumerate(marks):
            until = marks[i + 1][0] if i + 1 < len(marks) else np.inf
            local = stretch.s_m - section.s_m
            part = (local >= start - 1e-6) & (local <= until + 1e-6)
            if kind in PAINTED and part.sum() >= 2:
                xy = stretch.road.pose(stretch.s_m[part], edge[part])[:, :2]
                out.append(Marking(xy, PAINTED[kind], float(np.clip(width, 0.08, 0.4))))
    return out
