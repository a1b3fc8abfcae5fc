"""The painter: ground first, then faces far to near, into one buffer of surface numbers per camera.

A sample of the buffer says which surface is seen there; colour, semantics, instance and depth are looked up from the surface.
Nothing is drawn twice, so the exact buffers cannot disagree with the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from drivewm.datatypes import Array
from drivewm.sim.raster.clipping import NEAR_M, SHIFT, clip_near, corners, in_image
from drivewm.sim.raster.faces import Faces, normals
from drivewm.sim.raster.ground import SURFACES, paint_ground
from drivewm.sim.raster.optics import Optics, standing
from drivewm.sim.raster.place import Place
from drivewm.sim.raster.relief import standpoint_of
from drivewm.sim.raster.strips import paint_strips

_FAR_M = 400.0
_SHRINK = 0.3  # samples; cv2 also fills the samples that an edge touches, this takes the surplus back

_CONTACT_M = 0.05  # depth by which a face may lie behind the ground that it touches


@dataclass(frozen=True, slots=True)
class Painted:
    """What every sample shows. Numbers below SURFACES are ground and sky, the others are ``face[number - SURFACES]``."""

    surface: Array  # int32 [V, H, W]
    face: Array  # int32 [M], index into the faces that were painted
    plane: Array  # float32 [M, 3]: 1 / depth = plane . (ray x, ray y, 1) on the face
    depth_range_m: Array  # float32 [M, 2]


@dataclass(frozen=True, slots=True)
class Samples:
    """The painted samples of V cameras and what is known about each."""

    optics: Optics
    painted: Painted
    faces: Faces
    depth_m: Array  # float32 [V, H, W], along the optical axis
    face_at: Array  # int64 [n], flat indices of samples on faces
    face_row: Array  # int64 [n], row of ``painted.face`` they show


def look(place: Place, faces: Faces, optics: Optics, ego_xy_yaw_world: Array) -> Samples:
    """What the cameras see from where the ego is; faces are given in the ego frame."""
    surface = np.empty((len(optics.position), *optics.size), np.int32)
    if place.relief is None or place.strips is None:
        paint_ground(surface, place.ground, optics, ego_xy_yaw_world)
        painted = _paint_faces(surface, faces, optics)
        return Samples(optics, painted, faces, *_depth_of(painted, optics))
    standpoint = standpoint_of(place.relief, ego_xy_yaw_world)
    optics = standing(optics, standpoint)
    paint_strips(surface, place.strips, optics, standpoint)
    ground = surface.copy()
    painted = _paint_faces(surface, faces, optics)
    return _behind_ground(Samples(optics, painted, faces, *_depth_of(painted, optics)), ground)


def _behind_ground(samples: Samples, ground: Array) -> Samples:
    """Show the ``ground`` [V, H, W] again where it is nearer than the face that was painted over it."""
    depth, before = samples.depth_m.reshape(-1), samples.optics.ground_depth_m.reshape(-1).take(samples.face_at)
    shown = depth.take(samples.face_at) < before + _CONTACT_M
    behind = samples.face_at[~shown]
    samples.painted.surface.reshape(-1)[behind] = ground.reshape(-1).take(behind)
    depth[behind] = before[~shown]
    return replace(samples, face_at=samples.face_at[shown], face_row=samples.face_row[shown])


def _paint_faces(surface: Array, faces: Faces, optics: Optics) -> Painted:
    """Paint faces over the ground."""
    normal = normals(faces.points)
    seen, planes, ranges = [], [], []
    first = SURFACES
    for view, buffer in enumerate(surface):
        index = _candidates(faces, normal, optics, view)
        camera = (faces.points[index] - optics.position[view]) @ optics.camera_from_ego[view].T
        depth = camera[..., 2]
        whole = depth.min(1) > NEAR_M
        cut = ~whole & (depth.max(1) > NEAR_M)
        polygons, kept, limits = _polygons(camera, whole, cut, optics, view)
        index = index[kept]
        distance = np.linalg.norm(faces.centre - optics.position[view], axis=1)[faces.group[index]]
        order = np.lexsort((index, faces.group[index], -distance))
        fill, number = cv2.fillConvexPoly, first
        for i in order.tolist():
            fill(buffer, polygons[i], number, 8, SHIFT)
            number += 1
        first = number
        seen.append(index[order])
        planes.append(_planes(normal[index[order]], camera[kept[order], 0], limits[order], optics.camera_from_ego[view]))
        ranges.append(limits[order])
    return Painted(surface, np.concatenate(seen), np.concatenate(planes), np.concatenate(ranges))


def _candidates(faces: Faces, normal: Array, optics: Optics, view: int) -> Array:
    """Indices of faces that look at the camera and whose object may be in its field of view."""
    offset = faces.centre[:, :2] - optics.position[view, :2]
    distance = np.hypot(offset[:, 0], offset[:, 1])
    bearing = np.arctan2(offset[:, 1], offset[:, 0]) - optics.heading_rad[view]
    bearing = np.abs((bearing + np.pi) % (2 * np.pi) - np.pi)
    reach = np.arcsin(np.minimum(faces.radius_m / np.maximum(distance, 1e-3), 1.0))
    visible = (bearing < optics.half_fov_rad[view] + reach) | (distance < faces.radius_m + 1.0)
    index = np.flatnonzero(visible[faces.group])
    facing = (normal[index] * (optics.position[view] - faces.points[index, 0])).sum(1) > 0.0
    index = index[facing | faces.two_sided[index]]
    if optics.standpoint is not None:
        index = index[~optics.standpoint.hides(faces.points[index], optics.position[view]).all(1)]
    return np.asarray(index)


def _polygons(camera: Array, whole: Array, cut: Array, optics: Optics, view: int) -> tuple[list[Array], Array, Array]:
    """Corners of the faces inside the image, which of the given faces they are, and their nearest and farthest depth."""
    whole_at, cut_at = np.flatnonzero(whole), np.flatnonzero(cut)
    polygons: list[Array] = []
    kept, limits = [], []
    for at, points in ((whole_at, camera[whole_at]), (cut_at, clip_near(camera[cut_at]))):
        if not len(at):
            continue
        pixels = points[..., :2] / points[..., 2:] * optics.focal[view] + (optics.centre[view] - 0.5)
        inside = in_image(pixels, optics.size)
        pixels = pixels[inside]
        low, high = pixels.min(1)[:, None], pixels.max(1)[:, None]
        middle, half = (low + high) / 2.0, np.maximum((high - low) / 2.0, 1e-3)
        polygons += list(corners(middle + (pixels - middle) * np.maximum(1.0 - _SHRINK / half, 0.0)))
        kept.append(at[inside])
        depth = points[inside, :, 2]
        limits.append(np.stack([depth.min(1), depth.max(1)], 1))
    if not kept:
        return [], np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    return polygons, np.concatenate(kept), np.concatenate(limits)


def _planes(normal_ego: Array, point_camera: Array, limits: Array, camera_from_ego: Array) -> Array:
    normal = normal_ego @ camera_from_ego.T
    distance = (normal * point_camera).sum(1)
    edge_on = np.abs(distance) < 0.02
    plane = normal / np.where(edge_on, 1.0, distance)[:, None]
    plane[edge_on] = 0.0
    plane[edge_on, 2] = 2.0 / limits[edge_on].sum(1)
    return np.asarray(plane, np.float32)


def _depth_of(painted: Painted, optics: Optics) -> tuple[Array, Array, Array]:
    """Depth float32 [V, H, W] along the optical axis, flat indices of the samples that show faces, and the face row they show."""
    depth = optics.ground_depth_m.copy()
    flat = painted.surface.reshape(-1)
    at = np.flatnonzero(flat >= SURFACES)
    row = flat.take(at).astype(np.intp) - SURFACES  # the index type that numpy gathers with fastest
    plane, limits = painted.plane, painted.depth_range_m
    rays = optics.ray_xy.reshape(-1, 2)
    inverse = plane[:, 0].take(row) * rays[:, 0].take(at) + plane[:, 1].take(row) * rays[:, 1].take(at) + plane[:, 2].take(row)
    near, far = limits[:, 0].take(row), limits[:, 1].take(row)
    depth.reshape(-1)[at] = np.minimum(np.maximum(1.0 / np.maximum(inverse, 1.0 / _FAR_M), near), far)
    return depth, at, row
