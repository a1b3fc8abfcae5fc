"""Exact relations of oriented boxes in the plane. A box is a centre pose [..., 3] and half sizes [..., 2] (length, width)."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array
from drivewm.geometry import box_corners_xy

TOUCH_M = 1e-9  # boxes that only touch do not overlap


def time_to_contact_s(pose_a: Array, half_a: Array, pose_b: Array, half_b: Array, velocity_ab: Array) -> Array:
    """Time until box a touches box b when a moves with ``velocity_ab`` [..., 2] relative to b and neither turns.

    0 where they overlap, inf where they never meet.
    """
    return contact_interval_s(pose_a, half_a, pose_b, half_b, velocity_ab)[0]


def contact_interval_s(pose_a: Array, half_a: Array, pose_b: Array, half_b: Array, velocity_ab: Array) -> tuple[Array, Array]:
    """First and last time at which box a overlaps box b, as `time_to_contact_s`; both inf where they never meet.

    Exact: by the separating-axis theorem they overlap while their shadows overlap on all four edge normals, and under a constant
    relative velocity each of these is one interval of time.
    """
    delta, turn = pose_b[..., :2] - pose_a[..., :2], pose_b[..., 2] - pose_a[..., 2]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    enter, leave = np.zeros(delta.shape[:-1]), np.full(delta.shape[:-1], np.inf)
    for yaw, own, other in ((pose_a[..., 2], half_a, half_b), (pose_b[..., 2], half_b, half_a)):
        c, s = np.cos(yaw), np.sin(yaw)
        axes = (
            (c, s, own[..., 0] + cos * other[..., 0] + sin * other[..., 1]),
            (-s, c, own[..., 1] + sin * other[..., 0] + cos * other[..., 1]),
        )
        for x, y, reach in axes:
            gap = x * delta[..., 0] + y * delta[..., 1]
            rate = x * velocity_ab[..., 0] + y * velocity_ab[..., 1]
            reach = reach - TOUCH_M
            still = np.abs(rate) < 1e-9
            inverse = 1.0 / np.where(still, 1.0, np.abs(rate))
            gap = np.where(rate < 0, -gap, gap)
            apart = np.abs(gap) >= reach
            enter = np.maximum(enter, np.where(still, np.where(apart, np.inf, 0.0), (gap - reach) * inverse))
            leave = np.minimum(leave, np.where(still, np.inf, (gap + reach) * inverse))
    meet = enter < leave
    return np.where(meet, enter, np.inf), np.where(meet, leave, np.inf)


def overlap(pose_a: Array, half_a: Array, pose_b: Array, half_b: Array) -> Array:
    """Whether two boxes overlap."""
    return np.asarray(time_to_contact_s(pose_a, half_a, pose_b, half_b, np.zeros(2)) == 0)


def gap_m(pose_a: Array, half_a: Array, pose_b: Array, half_b: Array) -> Array:
    """Smallest distance between two boxes; 0 where they overlap."""
    corners = box_corners_xy(pose_a, 2 * half_a), box_corners_xy(pose_b, 2 * half_b)
    # Two convex shapes apart from each other are nearest at a corner of one of them.
    far = [_corners_to_box(corners[1], pose_a, half_a), _corners_to_box(corners[0], pose_b, half_b)]
    return np.where(overlap(pose_a, half_a, pose_b, half_b), 0.0, np.minimum(far[0], far[1]))


def _corners_to_box(corners_xy: Array, pose: Array, half: Array) -> Array:
    delta = corners_xy - pose[..., None, :2]
    cos, sin = np.cos(pose[..., 2])[..., None], np.sin(pose[..., 2])[..., None]
    along = np.abs(cos * delta[..., 0] + sin * delta[..., 1]) - half[..., 0, None]
    across = np.abs(cos * delta[..., 1] - sin * delta[..., 0]) - half[..., 1, None]
    return np.asarray(np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0)).min(-1))


def behind(ego_rear_axle: Array, xy: Array) -> Array:
    """Whether points lie behind an ego: more than 150 degrees off its heading, seen from the rear axle (as nuPlan)."""
    along, away = _bearing(ego_rear_axle, xy)
    return np.asarray(along < np.cos(np.deg2rad(150.0)) * away)


def ahead(ego_rear_axle: Array, xy: Array) -> Array:
    """Whether points lie ahead of an ego: less than 30 degrees off its heading, seen from the rear axle (as nuPlan)."""
    along, away = _bearing(ego_rear_axle, xy)
    return np.asarray(along > np.cos(np.deg2rad(30.0)) * away)


def _bearing(ego_rear_axle: Array, xy: Array) -> tuple[Array, Array]:
    """How far points lie along an ego's heading, and how far away."""
    delta = xy - ego_rear_axle[..., :2]
    along = delta[..., 0] * np.cos(ego_rear_axle[..., 2]) + delta[..., 1] * np.sin(ego_rear_axle[..., 2])
    return along, np.hypot(delta[..., 0], delta[..., 1])
