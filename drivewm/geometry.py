"""Plane and camera geometry in numpy. Every function broadcasts over leading axes.

Frames: world east-north-up; ego at the rear axle on the ground, x forward, y left, z up; camera x right, y down, z forward.
A pose in the plane is ``xy_yaw`` [..., 3] (m, m, rad). ``a_from_b`` maps coordinates in frame b to frame a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def wrap_angle_rad(angle_rad: ArrayLike) -> Array:
    """The same angle in [-pi, pi)."""
    return np.asarray((np.asarray(angle_rad, np.float64) + np.pi) % (2 * np.pi) - np.pi)


def rotate_xy(xy: ArrayLike, yaw_rad: ArrayLike) -> Array:
    """``xy`` [..., 2] turned counter-clockwise by ``yaw_rad`` [...]."""
    xy = np.asarray(xy, np.float64)
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    return np.stack([cos * xy[..., 0] - sin * xy[..., 1], sin * xy[..., 0] + cos * xy[..., 1]], axis=-1)


def world_from_ego(xy_ego: ArrayLike, ego_xy_yaw: ArrayLike) -> Array:
    """Points [..., 2] in the frame of ``ego_xy_yaw`` [..., 3], given in world coordinates."""
    pose = np.asarray(ego_xy_yaw, np.float64)
    return rotate_xy(xy_ego, pose[..., 2]) + pose[..., :2]


def ego_from_world(xy_world: ArrayLike, ego_xy_yaw: ArrayLike) -> Array:
    """World points [..., 2] seen from the frame of ``ego_xy_yaw`` [..., 3]."""
    pose = np.asarray(ego_xy_yaw, np.float64)
    return rotate_xy(np.asarray(xy_world, np.float64) - pose[..., :2], -pose[..., 2])


def relative_xy_yaw(target_xy_yaw: ArrayLike, frame_xy_yaw: ArrayLike) -> Array:
    """Pose [..., 3] of ``target`` in the frame of ``frame``; both are given in the same outer frame."""
    target, frame = np.asarray(target_xy_yaw, np.float64), np.asarray(frame_xy_yaw, np.float64)
    xy = ego_from_world(target[..., :2], frame)
    return np.concatenate([xy, wrap_angle_rad(target[..., 2] - frame[..., 2])[..., None]], axis=-1)


def compose_xy_yaw(frame_xy_yaw: ArrayLike, local_xy_yaw: ArrayLike) -> Array:
    """Pose [..., 3] in the outer frame of a ``local`` pose given in ``frame``; the inverse of `relative_xy_yaw`."""
    frame, local = np.asarray(frame_xy_yaw, np.float64), np.asarray(local_xy_yaw, np.float64)
    xy = world_from_ego(local[..., :2], frame)
    return np.concatenate([xy, wrap_angle_rad(frame[..., 2] + local[..., 2])[..., None]], axis=-1)


def box_corners_xy(xy_yaw: ArrayLike, size_lw_m: ArrayLike) -> Array:
    """Corners [..., 4, 2] of rectangles centred at ``xy_yaw``: front left, front right, rear right, rear left."""
    pose, size = np.asarray(xy_yaw, np.float64), np.asarray(size_lw_m, np.float64)
    signs = np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, -0.5], [-0.5, 0.5]])
    return world_from_ego(signs * size[..., None, :], pose[..., None, :])


def upright_corners(base_xy: ArrayLike, height_m: ArrayLike) -> Array:
    """Corners [..., 8, 3] of boxes that stand on z = 0 with bases [..., 4, 2]: four below, then four above."""
    base, height = np.asarray(base_xy, np.float64), np.asarray(height_m, np.float64)
    low = np.concatenate([base, np.zeros((*base.shape[:-1], 1))], -1)
    return np.concatenate([low, low + height[..., None, None] * [0.0, 0.0, 1.0]], -2)


def boxes_overlap(corners_a: ArrayLike, corners_b: ArrayLike) -> NDArray[np.bool_]:
    """Whether convex quadrilaterals [..., 4, 2] overlap, by the separating-axis theorem; touching edges do not."""
    a, b = np.asarray(corners_a, np.float64), np.asarray(corners_b, np.float64)
    apart = _projections_part(a, b, a) | _projections_part(a, b, b)
    return np.asarray(~apart)


def _projections_part(a: Array, b: Array, box: Array) -> NDArray[np.bool_]:
    """Whether a line along one of the first two edges' normals of ``box`` [..., 4, 2] parts ``a`` from ``b``."""
    edge = box[..., 1:3, :] - box[..., 0:2, :]
    normal = edge[..., ::-1] * np.array([-1.0, 1.0])
    pa, pb = a @ normal.swapaxes(-1, -2), b @ normal.swapaxes(-1, -2)
    return np.asarray(((pa.max(-2) <= pb.min(-2)) | (pb.max(-2) <= pa.min(-2))).any(-1))


def polyline_s_m(xy: ArrayLike) -> Array:
    """Arc length [P] at each vertex of a polyline [P, 2]."""
    xy = np.asarray(xy, np.float64)
    step = xy[1:] - xy[:-1]
    out = np.zeros(len(xy))
    np.cumsum(np.hypot(step[:, 0], step[:, 1]), out=out[1:])
    return out


def point_at_s(xy: ArrayLike, s_m: ArrayLike) -> Array:
    """Poses [..., 3] at arc lengths ``s_m`` [...] of a polyline [P, 2]; straight on beyond both ends."""
    xy, s_m = np.asarray(xy, np.float64), np.asarray(s_m, np.float64)
    s = polyline_s_m(xy)
    i = np.minimum(np.maximum(np.searchsorted(s, s_m, side="right") - 1, 0), len(xy) - 2)
    start = xy[i]
    step = xy[i + 1] - start
    share = (s_m - s[i]) / np.maximum(np.hypot(step[..., 0], step[..., 1]), 1e-9)
    out = np.empty((*s_m.shape, 3))
    out[..., :2] = start + step * share[..., None]
    out[..., 2] = np.arctan2(step[..., 1], step[..., 0])
    return out


def frenet_sd(xy: ArrayLike, points_xy: ArrayLike) -> Array:
    """Arc length and left-positive offset [..., 2] of points [..., 2] with respect to a polyline [P, 2]; ends extend."""
    xy, points = np.asarray(xy, np.float64), np.asarray(points_xy, np.float64)
    start, step = xy[:-1], xy[1:] - xy[:-1]
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    begin = np.cumsum(length) - length
    unit = step / length[:, None]
    delta = points[..., None, :] - start
    along = np.einsum("...pc,pc->...p", delta, unit)
    low = np.zeros(len(length))
    low[0] = -np.inf
    high = length.copy()
    high[-1] = np.inf
    clipped = np.minimum(np.maximum(along, low), high)
    away = delta - clipped[..., None] * unit
    nearest = np.argmin(np.einsum("...pc,...pc->...p", away, away), axis=-1)
    along_m = np.take_along_axis(clipped, nearest[..., None], -1)[..., 0]
    aside, ahead = np.take_along_axis(delta, nearest[..., None, None], -2)[..., 0, :], unit[nearest]
    out = np.empty((*nearest.shape, 2))
    out[..., 0] = along_m + begin[nearest]
    out[..., 1] = ahead[..., 0] * aside[..., 1] - ahead[..., 1] * aside[..., 0]
    return out


def height_at_m(height_xz_m: ArrayLike, x_m: ArrayLike) -> Array:
    """Height [...] of the ground at ``x_m`` [...] under a profile [P, 2] of rising x; level beyond its ends, 0 without points."""
    profile, x = np.asarray(height_xz_m, np.float64), np.asarray(x_m, np.float64)
    return np.asarray(np.interp(x, profile[:, 0], profile[:, 1])) if len(profile) else np.zeros(x.shape)


def hidden_by_ground(height_xz_m: ArrayLike, eye_xyz: ArrayLike, point_xyz: ArrayLike) -> NDArray[np.bool_]:
    """Whether the ground of a profile [P, 2] stands between eyes [..., 3] and points [..., 3], or above a point.

    Ground and line of sight are straight between the vertices of the profile, so it is enough to compare them there.
    """
    profile = np.asarray(height_xz_m, np.float64).reshape(-1, 2)
    eye, point = np.asarray(eye_xyz, np.float64)[..., None, :], np.asarray(point_xyz, np.float64)[..., None, :]
    run = point[..., 0] - eye[..., 0]
    share = (profile[:, 0] - eye[..., 0]) / np.where(run == 0.0, np.inf, run)
    between = (share > 0.0) & (share < 1.0)
    above = profile[:, 1] > eye[..., 2] + share * (point[..., 2] - eye[..., 2]) + 1e-9
    buried = point[..., 0, 2] < height_at_m(profile, point[..., 0, 0]) - 1e-9
    return np.asarray((between & above).any(-1) | buried)


def resample_polyline(xy: ArrayLike, spacing_m: float) -> Array:
    """The polyline [P, 2] with vertices every ``spacing_m`` (the last interval may be shorter)."""
    s = polyline_s_m(xy)
    return point_at_s(xy, np.append(np.arange(0.0, s[-1], spacing_m), s[-1]))[:, :2]


def first_metres(xy: ArrayLike, count: int) -> Array:
    """The first ``count`` vertices of a polyline [P, 2] whose vertices are 1 m apart; straight on beyond its end."""
    xy = np.asarray(xy, np.float64)
    if count <= len(xy):
        return xy[:count]
    beyond = np.arange(1, count - len(xy) + 1)[:, None]
    return np.concatenate([xy, xy[-1] + beyond * (xy[-1] - xy[-2])])
