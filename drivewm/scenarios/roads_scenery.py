"""From a plan to a place: paved area, edges, sidewalks, and by chance buildings and trees."""

from __future__ import annotations

import numpy as np
from shapely import Polygon, intersects_xy, line_merge, prepare, unary_union
from shapely.geometry.base import BaseGeometry

from drivewm.datatypes import Array, Marking, RoadMap
from drivewm.geometry import box_corners_xy, boxes_overlap, point_at_s, polyline_s_m
from drivewm.scenarios.roads_lines import lines_xy, polygons_xy
from drivewm.scenarios.roads_options import RoadOptions
from drivewm.scenarios.roads_plan import Plan

SIDEWALK_M = 2.6
MOUND_M = 6.0  # around a tunnel, where nothing is built


def furnish(plan: Plan, options: RoadOptions, rng: np.random.Generator) -> RoadMap:
    """The finished map of a plan; only ``building_*`` and ``tree_*`` depend on ``rng``."""
    paved = unary_union(plan.paved)
    if plan.fillet_m:
        islands = unary_union(plan.islands)
        paved = paved.buffer(plan.fillet_m, quad_segs=6).buffer(-plan.fillet_m, quad_segs=6).difference(islands)
    caps = unary_union(plan.end_caps())
    sidewalks, edges = _edges(paved, caps, plan, options)
    tunnels = np.array(plan.tunnels).reshape(-1, 6)
    bores = [Polygon(box).buffer(MOUND_M) for box in box_corners_xy(tunnels[:, :3], tunnels[:, 3:5])]
    paths = unary_union([Polygon(box) for box in box_corners_xy(tunnels[:, :3], tunnels[:, 3:5])]).difference(paved)
    keep_clear = unary_union([paved.buffer(SIDEWALK_M + 0.6), *plan.islands, *bores])
    buildings = _buildings(plan, keep_clear, options, rng)
    return RoadMap(
        lanes=tuple(plan.lanes),
        drivable=polygons_xy(paved),
        crosswalks=tuple(plan.crosswalks),
        sidewalks=(*sidewalks, *polygons_xy(paths)),
        markings=(*edges, *plan.markings),
        signals=tuple(plan.signals),
        building_xy_yaw=buildings[:, :3],
        building_size_lwh_m=buildings[:, 3:],
        tree_xy_height=_trees(plan, unary_union([paved, *bores]), buildings, options, rng),
        tunnel_xy_yaw=tunnels[:, :3],
        tunnel_size_lwh_m=tunnels[:, 3:],
        height_xz_m=plan.height_xz_m,
    )


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


def _buildings(plan: Plan, keep_clear: BaseGeometry, options: RoadOptions, rng: np.random.Generator) -> Array:
    """Rows [M, 6] of x, y, yaw, length, width, height along the frontages, clear of the road and of each other."""
    gap_m, setback_m, height_m = {
        "town": ((1.0, 9.0), (0.5, 4.0), (6.0, 19.0)),
        "rural": ((50.0, 140.0), (10.0, 40.0), (4.0, 8.0)),
        "motorway": ((40.0, 120.0), (18.0, 50.0), (6.0, 14.0)),
    }[options.surroundings]
    prepare(keep_clear)
    rows: list[Array] = []
    corners = np.zeros((0, 4, 2))
    for line, left_m, right_m in plan.frontages:
        for side, paved_m in ((1.0, left_m), (-1.0, right_m)):
            s, total = float(rng.uniform(0.0, 10.0)), polyline_s_m(line)[-1]
            while s < total:
                length, depth = rng.uniform(9.0, 22.0), rng.uniform(8.0, 14.0)
                away = paved_m + SIDEWALK_M + 0.8 + rng.uniform(*setback_m) + depth / 2.0
                height, gap = rng.uniform(*height_m), rng.uniform(*gap_m)
                x, y, yaw = point_at_s(line, s + length / 2.0)
                centre = np.array([x - side * away * np.sin(yaw), y + side * away * np.cos(yaw), yaw])
                box = box_corners_xy(centre, (length, depth))
                if not keep_clear.intersects(Polygon(box)) and not boxes_overlap(box, corners).any():
                    rows.append(np.array([*centre, length, depth, height]))
                    corners = np.concatenate([corners, box_corners_xy(centre, (length + 1.0, depth + 1.0))[None]])
                s += length + gap
    return np.array(rows).reshape(-1, 6)


def _trees(plan: Plan, paved: BaseGeometry, buildings: Array, options: RoadOptions, rng: np.random.Generator) -> Array:
    """Rows [M, 3] of x, y, height beside the road, clear of paving and houses."""
    gap_m, away_m, height_m = {
        "town": ((10.0, 24.0), (1.6, 3.2), (4.0, 7.0)),
        "rural": ((4.0, 16.0), (3.5, 26.0), (4.0, 11.0)),
        "motorway": ((6.0, 18.0), (7.0, 30.0), (5.0, 12.0)),
    }[options.surroundings]
    points = []
    for line, left_m, right_m in plan.frontages:
        for side, paved_m in ((1.0, left_m), (-1.0, right_m)):
            s, total = float(rng.uniform(0.0, gap_m[1])), polyline_s_m(line)[-1]
            while s < total:
                x, y, yaw = point_at_s(line, s)
                away = side * (paved_m + rng.uniform(*away_m))
                points.append([x - away * np.sin(yaw), y + away * np.cos(yaw), rng.uniform(*height_m)])
                s += rng.uniform(*gap_m)
    for island in plan.islands:
        points.append([*island.centroid.coords[0], rng.uniform(*height_m)])
    trees = np.array(points).reshape(-1, 3)
    clear = paved.buffer(1.3)
    prepare(clear)
    free = ~intersects_xy(clear, trees[:, 0], trees[:, 1])
    if len(buildings):
        delta = trees[:, None, :2] - buildings[None, :, :2]
        cos, sin = np.cos(buildings[:, 2]), np.sin(buildings[:, 2])
        along, across = delta[..., 0] * cos + delta[..., 1] * sin, -delta[..., 0] * sin + delta[..., 1] * cos
        inside = (np.abs(along) < buildings[:, 3] / 2 + 1.2) & (np.abs(across) < buildings[:, 4] / 2 + 1.2)
        free &= ~inside.any(1)
    return np.asarray(trees[free])
