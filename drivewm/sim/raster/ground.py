"""The ground: everything at z = 0, from a map once per place, painted in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from drivewm.datatypes import Array, Marking, RoadMap, SemanticClass
from drivewm.geometry import box_corners_xy, polyline_s_m
from drivewm.scenarios.roads_lines import offset_line, part_of
from drivewm.sim.raster.clipping import NEAR_M, SHIFT, clip_near, clip_rings_near, corners, in_image
from drivewm.sim.raster.optics import Optics

SKY, TERRAIN, ROAD, SIDEWALK, CROSSWALK, KERB, STRIPE, PAINT = range(8)
SURFACES = 8  # surface numbers from here on are faces
SURFACE_LABEL = np.array(
    [
        SemanticClass.SKY, SemanticClass.TERRAIN, SemanticClass.ROAD, SemanticClass.SIDEWALK, SemanticClass.CROSSWALK,
        SemanticClass.SIDEWALK, SemanticClass.CROSSWALK, SemanticClass.MARKING,
    ],
    np.uint8,
)  # fmt: skip
RANGE_M = 90.0  # paint beyond this is left out
DASH_M, DASH_GAP_M = 3.0, 6.0
_PIECE_M = 12.0


@dataclass(frozen=True, slots=True)
class Ground:
    """Polygons of any shape, then quads, both in painting order, in world coordinates."""

    ring_xy: Array  # float64 [P, 2], corners of all polygons one after another
    ring_next: Array  # int64 [P], following corner in its polygon
    ring_polygon: Array  # int64 [P]
    polygon_surface: Array  # int64 [G]
    quad_xy: Array  # float64 [Q, 4, 2]
    quad_centre_xy: Array  # float64 [Q, 2]
    quad_surface: Array  # int64 [Q]


def ground_of(road: RoadMap) -> Ground:
    """The ground of a place."""
    layers = ((road.drivable, ROAD), (road.sidewalks, SIDEWALK), (road.crosswalks, CROSSWALK))
    rings = [(np.asarray(ring, np.float64), surface) for polygons, surface in layers for ring in polygons]
    start = np.cumsum([0] + [len(ring) for ring, _ in rings])
    following = [np.roll(np.arange(a, b), -1) for a, b in pairwise(start)]
    kerbs: list[Array] = []
    paint: list[Array] = []
    for marking in road.markings:
        (kerbs if marking.kind == "kerb" else paint).extend(_strokes(marking))
    stripes = [stripe for polygon in road.crosswalks for stripe in _stripes(polygon)]
    quads = np.array([*kerbs, *stripes, *paint], np.float64).reshape(-1, 4, 2)
    surface = np.repeat([KERB, STRIPE, PAINT], [len(kerbs), len(stripes), len(paint)])
    return Ground(
        np.concatenate([ring for ring, _ in rings]) if rings else np.zeros((0, 2)),
        np.concatenate(following) if rings else np.zeros(0, np.int64),
        np.repeat(np.arange(len(rings)), np.diff(start)),
        np.array([s for _, s in rings], np.int64),
        quads,
        quads.mean(1),
        surface,
    )


def _strokes(marking: Marking) -> list[Array]:
    """Quads [4, 2] along a marking: its dashes, or pieces short enough to be culled one by one."""
    xy = cv2.approxPolyDP(np.asarray(marking.xy, np.float32)[:, None], 0.04, False)[:, 0].astype(np.float64)
    if len(xy) < 2:
        return []
    total = polyline_s_m(xy)[-1]
    if marking.kind == "dashed":
        starts = np.arange(0.0, total, DASH_M + DASH_GAP_M)
        lines = [part_of(xy, s, min(s + DASH_M, total)) for s in starts if total - s > 0.3]
    else:
        pieces = max(1, int(np.ceil(total / _PIECE_M)))
        cuts = np.linspace(0.0, total, pieces + 1)
        lines = [part_of(xy, a, b) for a, b in pairwise(cuts)]
    quads = []
    for line in lines:
        right, left = offset_line(line, -marking.width_m / 2.0), offset_line(line, marking.width_m / 2.0)
        quads += [np.stack([right[i], right[i + 1], left[i + 1], left[i]]) for i in range(len(line) - 1)]
    return quads


def _stripes(polygon: Array) -> list[Array]:
    """Zebra stripes 0.5 m wide every metre, across the longer side of a crosswalk."""
    (x, y), (a, b), degrees = cv2.minAreaRect(np.asarray(polygon - polygon[0], np.float32))
    yaw, long, short = (np.radians(degrees), a, b) if a >= b else (np.radians(degrees + 90.0), b, a)
    count = max(1, int(long))
    offsets = (np.arange(count) - (count - 1) / 2.0) * (long / count)
    centre = polygon[0] + np.array([x, y]) + offsets[:, None] * np.array([np.cos(yaw), np.sin(yaw)])
    poses = np.concatenate([centre, np.full((count, 1), yaw)], 1)
    return list(box_corners_xy(poses, (0.5, short)))


def paint_ground(surface: Array, ground: Ground, optics: Optics, ego_xy_yaw_world: Array) -> None:
    """Fill the surface buffers [V, H, W] with sky, terrain and everything on the ground."""
    surface[:] = np.where(optics.below_horizon, TERRAIN, SKY)
    rings = _to_ego_xy(ground.ring_xy, ego_xy_yaw_world)
    near = np.hypot(*(ground.quad_centre_xy - ego_xy_yaw_world[:2]).T) < RANGE_M
    quads = _to_ego_xy(ground.quad_xy[near], ego_xy_yaw_world)
    numbers = ground.quad_surface[near]
    for view, buffer in enumerate(surface):
        _paint_rings(buffer, rings, ground, optics, view)
        for polygon, i in flat_quads(quads, optics, view):
            cv2.fillConvexPoly(buffer, polygon, int(numbers[i]), 8, SHIFT)


def flat_quads(quads_ego: Array, optics: Optics, view: int) -> list[tuple[Array, int]]:
    """Image corners of convex polygons [Q, n, 2] on the ground that a camera sees, with their row; in the given order."""
    if not len(quads_ego):
        return []
    points = _camera_points(quads_ego, optics, view)
    reach = np.flatnonzero(points[..., 2].max(1) > NEAR_M)
    points = points[reach]
    cut = points[..., 2].min(1) <= NEAR_M
    if cut.any():
        clipped = clip_near(points[cut])
        points = np.concatenate([points, np.repeat(points[:, -1:], points.shape[1], axis=1)], axis=1)
        points[cut] = clipped
    pixels = _pixels(points, optics, view)
    inside = np.flatnonzero(in_image(pixels, optics.size))
    return list(zip(list(corners(pixels[inside])), reach[inside].tolist(), strict=True))


def _paint_rings(buffer: Array, rings_ego: Array, ground: Ground, optics: Optics, view: int) -> None:
    if not len(rings_ego):
        return
    points, polygon = clip_rings_near(_camera_points(rings_ego, optics, view), ground.ring_next, ground.ring_polygon)
    pixels = corners(_pixels(points, optics, view))
    stops = np.cumsum(np.bincount(polygon, minlength=len(ground.polygon_surface)))
    begin = 0
    for number, stop in zip(ground.polygon_surface.tolist(), stops.tolist(), strict=True):
        if stop - begin > 2:
            cv2.fillPoly(buffer, [pixels[begin:stop]], number, 8, SHIFT)
        begin = stop


def _pixels(points: Array, optics: Optics, view: int) -> Array:
    return np.asarray(points[..., :2] / points[..., 2:] * optics.focal[view] + (optics.centre[view] - 0.5))


def _to_ego_xy(xy_world: Array, ego_xy_yaw_world: Array) -> Array:
    """float32 copies [..., 2] in the ego frame."""
    x, y, yaw = ego_xy_yaw_world
    cos, sin = np.cos(yaw), np.sin(yaw)
    dx, dy = xy_world[..., 0] - x, xy_world[..., 1] - y
    return np.asarray(np.stack([cos * dx + sin * dy, cos * dy - sin * dx], -1), np.float32)


def _camera_points(xy_ego: Array, optics: Optics, view: int) -> Array:
    """Points of the ground [..., 2] in the frame of a camera, [..., 3]."""
    matrix, position = optics.camera_from_ego[view], optics.position[view]
    return np.asarray(xy_ego @ matrix[:, :2].T - matrix @ position)
