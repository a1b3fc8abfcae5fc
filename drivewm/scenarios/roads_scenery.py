"""From a plan to a place: paved area, edges, sidewalks, and by chance buildings and trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from shapely import Polygon, intersects, intersects_xy, line_merge, polygons, prepare, unary_union
from shapely.geometry.base import BaseGeometry

from drivewm.datatypes import Array, Marking, RoadMap
from drivewm.geometry import box_corners_xy, boxes_overlap, point_at_s, polyline_s_m
from drivewm.scenarios.roads_lines import lines_xy, polygons_xy
from drivewm.scenarios.roads_options import RoadOptions
from drivewm.scenarios.roads_plan import Plan

SIDEWALK_M = 2.6
MOUND_M = 6.0  # around a tunnel, where nothing is built


@dataclass(frozen=True, eq=False)
class Bare:
    """A finished road with nothing beside it, and what decides where something may stand."""

    road: RoadMap
    plan: Plan
    options: RoadOptions
    no_houses: BaseGeometry
    no_trees: BaseGeometry


def paved_road(plan: Plan, options: RoadOptions) -> Bare:
    """The road of a plan. Scenes share it, so its arrays cannot be written."""
    paved = unary_union(plan.paved)
    if plan.fillet_m:
        islands = unary_union(plan.islands)
        paved = paved.buffer(plan.fillet_m, quad_segs=6).buffer(-plan.fillet_m, quad_segs=6).difference(islands)
    caps = unary_union(plan.end_caps())
    sidewalks, edges = _edges(paved, caps, plan, options)
    tunnels = np.array(plan.tunnels).reshape(-1, 6)
    bores = [Polygon(box).buffer(MOUND_M) for box in box_corners_xy(tunnels[:, :3], tunnels[:, 3:5])]
    paths = unary_union([Polygon(box) for box in box_corners_xy(tunnels[:, :3], tunnels[:, 3:5])]).difference(paved)
    no_houses = unary_union([paved.buffer(SIDEWALK_M + 0.6), *plan.islands, *bores])
    no_trees = unary_union([paved, *bores]).buffer(1.3)
    prepare(no_houses)
    prepare(no_trees)
    road = RoadMap(
        lanes=tuple(plan.lanes),
        drivable=polygons_xy(paved),
        crosswalks=tuple(plan.crosswalks),
        sidewalks=(*sidewalks, *polygons_xy(paths)),
        markings=(*edges, *plan.markings),
        signals=tuple(plan.signals),
        tunnel_xy_yaw=tunnels[:, :3],
        tunnel_size_lwh_m=tunnels[:, 3:],
        height_xz_m=plan.height_xz_m,
    )
    lines = [lane.centre_xy for lane in road.lanes] + [marking.xy for marking in road.markings]
    for array in (*road.drivable, *road.crosswalks, *road.sidewalks, *lines):
        array.flags.writeable = False
    return Bare(road, plan, options, no_houses, no_trees)


def furnished(bare: Bare, rng: np.random.Generator) -> RoadMap:
    """The road with buildings and trees beside it."""
    buildings = _buildings(bare, rng)
    trees = _trees(bare, buildings, rng)
    return replace(bare.road, building_xy_yaw=buildings[:, :3], building_size_lwh_m=buildings[:, 3:], tree_xy_height=trees)


def _edges(paved: BaseGeometry, caps: BaseGeometry, plan: Plan, options: RoadOptions) -> tuple[tuple[Array, ...], list[Marking]]:
    """Sidewalks with kerbs in town, painted edge lines elsewhere."""
    kerbs = [Marking(line, "kerb", 0.25) for island in plan.islands for line in lines_xy(island.exterior)]
    if options.surroundings == "town":
        outline = _without_holes(paved)
        walks = outline.buffer(SIDEWALK_M, quad_segs=6).difference(outline).difference(caps)
        boundary = paved.boundary.difference(caps.buffer(0.05))
        merged = line_merge(boundary)
        return polygons_xy(walks), [Marking(line, "kerb", 0.25) for line in lines_xy(merged)]
    inner = paved.buffer(-options.margin_m + 0.1)
    boundary = inner.boundary.difference(caps.buffer(options.margin_m + 0.2))
    merged = line_merge(boundary)
    return (), kerbs + [Marking(line, "solid", 0.15) for line in lines_xy(merged)]


def _without_holes(shape: BaseGeometry) -> BaseGeometry:
    parts = shape.geoms if hasattr(shape, "geoms") else [shape]
    return unary_union([Polygon(part.exterior) for part in parts])


def _buildings(bare: Bare, rng: np.random.Generator) -> Array:
    """Rows [M, 6] of x, y, yaw, length, width, height along the frontages, clear of the road and of each other."""
    gap_m, setback_m, height_m = {
        "town": ((1.0, 9.0), (0.5, 4.0), (6.0, 19.0)),
        "rural": ((50.0, 140.0), (10.0, 40.0), (4.0, 8.0)),
        "motorway": ((40.0, 120.0), (18.0, 50.0), (6.0, 14.0)),
    }[bare.options.surroundings]
    rows = [np.zeros((0, 6))]
    for line, side, paved_m in _sides(bare):
        most = _most(line, 9.0 + gap_m[0])
        length, depth = rng.uniform(9.0, 22.0, most), rng.uniform(8.0, 14.0, most)
        away = side * (paved_m + SIDEWALK_M + 0.8 + rng.uniform(*setback_m, most) + depth / 2.0)
        height, gap = rng.uniform(*height_m, most), rng.uniform(*gap_m, most)
        begin = rng.uniform(0.0, 10.0) + np.cumsum(length + gap) - length - gap
        pose = point_at_s(line, begin + length / 2.0)
        pose[:, :2] += away[:, None] * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], -1)
        rows.append(np.column_stack([pose, length, depth, height])[begin < polyline_s_m(line)[-1]])
    houses = np.concatenate(rows)
    houses = houses[~intersects(bare.no_houses, polygons(box_corners_xy(houses[:, :3], houses[:, 3:5])))]
    return np.asarray(houses[_apart(houses)])


def _sides(bare: Bare) -> Iterator[tuple[Array, float, float]]:
    """Each frontage from both sides: its line, +1 (left) or -1, and the paved width there."""
    for line, left_m, right_m in bare.plan.frontages:
        yield line, 1.0, left_m
        yield line, -1.0, right_m


def _most(line: Array, every_m: float) -> int:
    return int(polyline_s_m(line)[-1] / every_m) + 2


def _apart(houses: Array) -> Array:
    """Which houses [M] stay: each that touches none before it that stays, with a metre between them."""
    centre, size = houses[:, :2], houses[:, 3:5]
    reach = np.hypot(*(size + 1.0).T) / 2.0
    near = np.hypot(*(centre[:, None] - centre[None]).transpose(2, 0, 1)) < reach[:, None] + reach[None]
    later, earlier = np.nonzero(np.tril(near, -1))
    boxes, wide = box_corners_xy(houses[:, :3], size), box_corners_xy(houses[:, :3], size + 1.0)
    touch = boxes_overlap(boxes[later], wide[earlier])
    stays = np.ones(len(houses), bool)
    for i, j in zip(later[touch].tolist(), earlier[touch].tolist(), strict=True):  # ascending i: all before it is decided
        stays[i] &= not stays[j]
    return stays


def _trees(bare: Bare, buildings: Array, rng: np.random.Generator) -> Array:
    """Rows [M, 3] of x, y, height beside the road, clear of paving and houses."""
    gap_m, away_m, height_m = {
        "town": ((10.0, 24.0), (1.6, 3.2), (4.0, 7.0)),
        "rural": ((4.0, 16.0), (3.5, 26.0), (4.0, 11.0)),
        "motorway": ((6.0, 18.0), (7.0, 30.0), (5.0, 12.0)),
    }[bare.options.surroundings]
    rows = [np.array([[*island.centroid.coords[0], rng.uniform(*height_m)] for island in bare.plan.islands]).reshape(-1, 3)]
    for line, side, paved_m in _sides(bare):
        most = _most(line, gap_m[0])
        gap, height = rng.uniform(*gap_m, most), rng.uniform(*height_m, most)
        at = np.cumsum(gap) - gap[0] * rng.random()
        x, y, yaw = point_at_s(line, at).T
        away = side * (paved_m + rng.uniform(*away_m, most))
        rows.append(np.column_stack([x - away * np.sin(yaw), y + away * np.cos(yaw), height])[at < polyline_s_m(line)[-1]])
    trees = np.concatenate(rows)
    free = ~intersects_xy(bare.no_trees, trees[:, 0], trees[:, 1])
    if len(buildings):
        delta = trees[:, None, :2] - buildings[None, :, :2]
        cos, sin = np.cos(buildings[:, 2]), np.sin(buildings[:, 2])
        along, across = delta[..., 0] * cos + delta[..., 1] * sin, -delta[..., 0] * sin + delta[..., 1] * cos
        inside = (np.abs(along) < buildings[:, 3] / 2 + 1.2) & (np.abs(across) < buildings[:, 4] / 2 + 1.2)
        free &= ~inside.any(1)
    return np.asarray(trees[free])
