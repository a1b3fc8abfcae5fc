"""Cutting faces at the near plane, and turning camera points into image corners."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array

NEAR_M = 0.2
FAR_M = 1000.0  # depth of the sky, and of ground beyond
SHIFT = 4  # fractional bits of corner coordinates


def clip_near(points: Array) -> Array:
    """Convex faces [F, C, 3] cut at z = NEAR_M, as [F, 2 C, 3] with repeated corners; each must reach beyond the plane."""
    following = np.roll(points, -1, axis=1)
    z, z_next = points[..., 2], following[..., 2]
    inside, inside_next = z > NEAR_M, z_next > NEAR_M
    share = (NEAR_M - z) / np.where(np.abs(z_next - z) > 1e-9, z_next - z, 1.0)
    crossing = points + share[..., None] * (following - points)
    both = np.stack([points, crossing], 2).reshape(len(points), 2 * points.shape[1], 3)
    emitted = np.stack([inside, inside != inside_next], 2).reshape(len(points), 2 * points.shape[1])
    source = np.maximum.accumulate(np.where(emitted, np.arange(emitted.shape[1]), -1), axis=1)
    source = np.where(source < 0, source[:, -1:], source)
    return np.asarray(np.take_along_axis(both, source[..., None], axis=1))


def clip_rings_near(points: Array, following: Array, polygon: Array) -> tuple[Array, Array]:
    """The same for polygons of any shape [P, 3] laid one after another; gives corners [R, 3] and the polygon of each [R]."""
    after = points[following]
    z, z_next = points[:, 2], after[:, 2]
    inside, inside_next = z > NEAR_M, z_next > NEAR_M
    share = (NEAR_M - z) / np.where(np.abs(z_next - z) > 1e-9, z_next - z, 1.0)
    both = np.stack([points, points + share[:, None] * (after - points)], 1).reshape(-1, 3)
    emitted = np.stack([inside, inside != inside_next], 1).reshape(-1)
    return both[emitted], np.repeat(polygon, 2)[emitted]


def corners(pixels: Array) -> Array:
    """Sample coordinates as the fixed-point integers that cv2 takes."""
    return np.asarray(np.rint(pixels * (1 << SHIFT)), np.int32)


def in_image(pixels: Array, size: tuple[int, int]) -> Array:
    """Which faces [F, C, 2] may touch an image of (height, width)."""
    low, high = pixels.min(1), pixels.max(1)
    return np.asarray((high[:, 0] > -1) & (low[:, 0] < size[1]) & (high[:, 1] > -1) & (low[:, 1] < size[0]))
