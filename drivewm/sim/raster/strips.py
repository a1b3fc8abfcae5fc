"""Ground that is not level: everything on it, cut where the profile bends, and painted where the ground lets see it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import shapely

from drivewm.datatypes import Array
from drivewm.sim.raster.clipping import FAR_M, SHIFT, clip_rings_near, corners
from drivewm.sim.raster.ground import KERB, RANGE_M, SKY, TERRAIN, Ground
from drivewm.sim.raster.optics import Optics
from drivewm.sim.raster.relief import Relief, Standpoint

_SLIVER_M2 = 1e-3


@dataclass(frozen=True, slots=True)
class Strips:
    """G polygons in painting order, each on one straight piece of the profile, in world coordinates; rings as in `Ground`."""

    ring_xy: Array  # float64 [N, 2]
    ring_next: Array  # int64 [N]
    ring_polygon: Array  # int64 [N]
    surface: Array  # int64 [G]
    piece: Array  # int64 [G]
    centre_x_m: Array  # float64 [G]


def strips_of(ground: Ground, relief: Relief) -> Strips:
    """The ground of a place, cut for its relief."""
    cuts = np.concatenate([[relief.x_m[0] - 2.0 * FAR_M], relief.x_m, [relief.x_m[-1] + 2.0 * FAR_M]])
    bands = shapely.box(cuts[:-1], -2.0 * FAR_M, cuts[1:], 2.0 * FAR_M)
    ends = np.cumsum(np.bincount(ground.ring_polygon, minlength=len(ground.polygon_surface)))
    rings = [shapely.Polygon(ring) for ring in np.split(ground.ring_xy, ends[:-1]) if len(ring)]
    shapes = np.array([*rings, *shapely.polygons(ground.quad_xy)], object)
    surface = np.concatenate([ground.polygon_surface, ground.quad_surface])
    piece, shape = shapely.STRtree(shapes).query(bands, predicate="intersects")
    order = np.lexsort((piece, shape))  # painting order stays
    piece, shape = piece[order], shape[order]
    parts, source = shapely.get_parts(shapely.intersection(bands[piece], shapes[shape]), return_index=True)
    kept = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > _SLIVER_M2)
    parts, source = parts[kept], source[kept]
    xy, polygon = shapely.get_coordinates(shapely.get_exterior_ring(parts), return_index=True)
    closing = np.append(np.flatnonzero(np.diff(polygon)), len(polygon) - 1) if len(polygon) else np.zeros(0, np.int64)
    xy, polygon = np.delete(xy, closing, axis=0), np.delete(polygon, closing)
    first = np.searchsorted(polygon, np.arange(len(parts)))
    following = np.arange(len(xy)) + 1
    following[np.append(first[1:], len(xy))[: len(parts)] - 1] = first
    centre_x_m = shapely.get_coordinates(shapely.centroid(parts))[:, 0]
    return Strips(xy, following, polygon, surface[shape[source]], piece[source], centre_x_m)


def paint_strips(surface: Array, strips: Strips, optics: Optics, standpoint: Standpoint) -> None:
    """Fill the surface buffers [V, H, W] with sky, terrain and everything on the ground.

    Nothing that is hidden is painted: polygons are cut at the x from which their piece of ground is seen. This is exact for edges
    that run along or across the road.
    """
    surface[:] = np.where(optics.below_horizon, TERRAIN, SKY)
    close = (strips.surface < KERB) | (np.abs(strips.centre_x_m - standpoint.ego_xy_yaw_world[0]) < RANGE_M)
    piece = strips.piece[strips.ring_polygon]
    for view, buffer in enumerate(surface):
        low, high = standpoint.eye(optics.position[view]).visible_x_m()
        x = np.clip(strips.ring_xy[:, 0], low[piece], high[piece])
        xyz = np.column_stack([x, strips.ring_xy[:, 1], standpoint.relief.height_m(x)])
        camera = (standpoint.ego_from_world(xyz) - optics.position[view]) @ optics.camera_from_ego[view].T
        kept, polygon = clip_rings_near(camera, strips.ring_next, strips.ring_polygon)
        pixels = kept[:, :2] / kept[:, 2:] * optics.focal[view] + (optics.centre[view] - 0.5)
        stop = np.cumsum(np.bincount(polygon, minlength=len(strips.surface)))
        begin = stop - np.bincount(polygon, minlength=len(strips.surface))
        some = np.flatnonzero((stop - begin > 2) & close & (low < high)[strips.piece])
        fixed = corners(pixels)
        for i in some[_in_image(pixels, begin[some], stop[some], optics.size)].tolist():
            cv2.fillPoly(buffer, [fixed[begin[i] : stop[i]]], int(strips.surface[i]), 8, SHIFT)
        buffer[~optics.below_horizon[view]] = SKY  # cv2 also fills the samples that the edge of the crest touches


def _in_image(pixels: Array, begin: Array, stop: Array, size: tuple[int, int]) -> Array:
    """Which polygons, given as ranges of corners, may touch an image of (height, width)."""
    if not len(begin):
        return np.zeros(0, bool)
    ranges = np.column_stack([begin, stop]).reshape(-1)
    padded = np.concatenate([pixels, pixels[-1:]])  # a range may end where the corners end
    low, high = (extreme.reduceat(padded, ranges)[::2] for extreme in (np.minimum, np.maximum))
    return np.asarray(((high > -1) & (low < np.array(size[::-1]))).all(1))
