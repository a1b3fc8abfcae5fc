"""What goes wrong with frames and with plans, for policies that are made worse on purpose."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Array, Trajectory

Images = NDArray[np.uint8]

NOISE_ACCEL_MPS2 = 3.0  # standard deviations of a noise of 1
NOISE_YAW_RAD = 0.15
KEPT = 0.8  # of a mistake from one frame to the next; with five frames a second it is gone after a second or two


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Of plans [B]: ``cruise`` is the share of keeping the speed, ``off`` [B, 2] errors of acceleration and direction."""

    cruise: float
    off: Array


def frames_of_noise(images: Images, share: float, rngs: Sequence[np.random.Generator]) -> Images:
    """Frames [B, ...] mixed with uniform noise, of each car by its own chance; 1 leaves nothing of them."""
    noise = np.stack([rng.integers(0, 256, images.shape[1:], np.uint8) for rng in rngs])
    return noise if share >= 1 else np.rint((1 - share) * images + share * noise.astype(np.float32)).astype(np.uint8)


def blurred(images: Images, block_px: int) -> Images:
    """Frames [..., H, W, 3] as a camera with pixels ``block_px`` times as large would see them."""
    height, width = images.shape[-3:-1]
    small = (max(1, round(width / block_px)), max(1, round(height / block_px)))
    flat = images.reshape(-1, height, width, 3)
    out = [cv2.resize(cv2.resize(one, small, interpolation=cv2.INTER_AREA), (width, height)) for one in flat]
    return np.stack(out).reshape(images.shape).astype(np.uint8)


def without_views(images: Images, views: Collection[int]) -> Images:
    """Frames [..., V, H, W, 3] with black ones where a camera is lost."""
    out = images.copy()
    out[..., list(views), :, :, :] = 0
    return out


def wandered(off: Array, rngs: Sequence[np.random.Generator], *, first: bool) -> Array:
    """Errors [B, 2] a frame later: they wander with standard deviation 1."""
    new = np.stack([rng.standard_normal(2) for rng in rngs])
    return new if first else KEPT * off + np.sqrt(1 - KEPT**2) * new


def misdriven(plan: Trajectory, speed_mps: Array, mistakes: Mistakes) -> Trajectory:
    """The plan with its mistakes: along its own path with another acceleration, and turned about the car."""
    if not mistakes.cruise and not mistakes.off.any():
        return plan
    t_s, poses = np.asarray(plan.t_s, np.float64), np.asarray(plan.xy_yaw_ego, np.float64)
    xy = np.concatenate([np.zeros((len(t_s), 1, 2)), poses[..., :2]], 1)
    length = np.concatenate([np.zeros((len(t_s), 1)), np.hypot(*np.moveaxis(np.diff(xy, axis=1), -1, 0)).cumsum(1)], 1)
    accel = NOISE_ACCEL_MPS2 * mistakes.off[:, :1]
    share, now = mistakes.cruise, speed_mps[:, None]
    speed = np.maximum(0.0, (1 - share) * plan.speed_mps + share * now + accel * t_s)
    distance = np.maximum(0.0, (1 - share) * length[:, 1:] + share * now * t_s + 0.5 * accel * t_s**2)
    yaw = np.concatenate([np.zeros((len(t_s), 1)), poses[..., 2]], 1)
    return Trajectory(t_s, _turned(_along(xy, yaw, length, distance), NOISE_YAW_RAD * mistakes.off[:, 1]), speed)


def _along(xy: Array, yaw: Array, length: Array, distance: Array) -> Array:
    """Poses [B, K, 3] at distances [B, K] along paths [B, K + 1]; straight on behind their end."""
    out = np.empty((*distance.shape, 3))
    for b, wanted in enumerate(distance):
        beyond = np.maximum(0.0, wanted - length[b, -1])
        end = np.stack([np.cos(yaw[b, -1]), np.sin(yaw[b, -1])])
        for axis in range(2):
            out[b, :, axis] = np.interp(wanted, length[b], xy[b, :, axis]) + beyond * end[axis]
        out[b, :, 2] = np.interp(wanted, length[b], yaw[b])
    return out


def _turned(poses: Array, angle_rad: Array) -> Array:
    """Poses [B, K, 3] turned about the car by [B]."""
    c, s = np.cos(angle_rad)[:, None], np.sin(angle_rad)[:, None]
    x, y = poses[..., 0], poses[..., 1]
    return np.stack([c * x - s * y, s * x + c * y, poses[..., 2] + angle_rad[:, None]], -1)
