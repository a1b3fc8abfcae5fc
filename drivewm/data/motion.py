"""Motion between what was recorded: boxes from key frames to camera times, and the ego's speed, acceleration and curvature."""

from __future__ import annotations

from typing import Any

import numpy as np

from drivewm.data.canbus import STEERING_RATIO
from drivewm.data.index import SceneIndex
from drivewm.datatypes import EGO_SHAPE, Agents, Array
from drivewm.geometry import wrap_angle_rad

EXTRAPOLATE_S = 0.6  # sweeps after the last key frame of a scene
_LONGEST_GAP_S = 1.5  # an instance that is not annotated for longer is gone in between


def agents_at_frames(index: SceneIndex) -> Agents:
    """The annotated agents [F, N] at the times of the frames.

    Positions follow a cubic through the key frames, so that braking and turning cars stay within centimetres; speed is along the
    heading, acceleration its change between key frames. An agent is valid from its first to its last annotation.
    """
    frames, count = len(index.time_us), len(index.track_id)
    key_s = (index.key_time_us - index.time_us[0]) * 1e-6
    frame_s = (index.time_us - index.time_us[0]) * 1e-6
    pose, speed, accel = np.zeros((frames, count, 3)), np.zeros((frames, count)), np.zeros((frames, count))
    valid = np.zeros((frames, count), bool)
    for i in range(count):
        known = np.flatnonzero(np.isfinite(index.box_xy_yaw_world[:, i, 0]))
        inside = _inside(frame_s, key_s, known)
        if inside.any():
            values = interpolated(index.box_xy_yaw_world[known, i], key_s[known], frame_s[inside])
            pose[inside, i], speed[inside, i], accel[inside, i] = values
            valid[:, i] = inside
    return Agents(
        track_id=np.broadcast_to(index.track_id, (frames, count)).astype(np.int32),
        category=np.broadcast_to(index.category, (frames, count)).astype(np.int8),
        xy_yaw_world=pose,
        speed_mps=speed,
        accel_mps2=accel,
        size_lwh_m=np.broadcast_to(index.box_size_lwh_m, (frames, count, 3)).copy(),
        valid=valid,
    )


def _inside(frame_s: Array, key_s: Array, known: Array) -> Array:
    """Frames [F] between annotations of an instance (key frames ``known``), and the sweeps after the end of the scene."""
    times = key_s[known]
    after = np.searchsorted(times, frame_s, side="left")
    before = np.clip(np.searchsorted(times, frame_s, side="right") - 1, 0, len(times) - 1)
    gap = times[np.clip(after, 0, len(times) - 1)] - times[before]
    inside = (frame_s >= times[0] - 1e-6) & (frame_s <= times[-1] + 1e-6) & (gap <= _LONGEST_GAP_S)
    if known[-1] == len(key_s) - 1:
        inside |= (frame_s > times[-1]) & (frame_s <= times[-1] + EXTRAPOLATE_S)
    if known[0] == 0:
        inside |= (frame_s < times[0]) & (frame_s >= times[0] - EXTRAPOLATE_S)
    return np.asarray(inside)


def interpolated(xy_yaw: Array, key_s: Array, at_s: Array) -> tuple[Array, Array, Array]:
    """Pose [F, 3], speed [F] and acceleration [F] at times ``at_s`` of a track known at ``key_s``."""
    track = np.column_stack([xy_yaw[:, :2], np.unwrap(xy_yaw[:, 2])])
    if len(key_s) == 1:
        return np.repeat(xy_yaw, len(at_s), 0), np.zeros(len(at_s)), np.zeros(len(at_s))
    slope = np.gradient(track, key_s, axis=0, edge_order=2 if len(key_s) > 2 else 1)
    k = np.clip(np.searchsorted(key_s, at_s, side="right") - 1, 0, len(key_s) - 2)
    step = (key_s[k + 1] - key_s[k])[:, None]
    u = (at_s - key_s[k])[:, None] / step
    p0, p1, m0, m1 = track[k], track[k + 1], slope[k] * step, slope[k + 1] * step
    value = (2 * u**3 - 3 * u**2 + 1) * p0 + (u**3 - 2 * u**2 + u) * m0 + (3 * u**2 - 2 * u**3) * p1 + (u**3 - u**2) * m1
    rate = ((6 * u**2 - 6 * u) * (p0 - p1) + (3 * u**2 - 4 * u + 1) * m0 + (3 * u**2 - 2 * u) * m1) / step
    outside = (u < 0) | (u > 1)  # straight on at the speed of the last interval
    mean = (p1 - p0) / step
    value = np.where(outside, np.where(u < 0, p0 + mean * u * step, p1 + mean * (u - 1) * step), value)
    rate = np.where(outside, mean, rate)
    yaw = value[:, 2]
    heading = np.stack([np.cos(yaw), np.sin(yaw)], -1)
    forward = np.stack([np.cos(track[:, 2]), np.sin(track[:, 2])], -1)
    key_speed = (slope[:, :2] * forward).sum(-1)
    accel = np.interp(at_s, 0.5 * (key_s[1:] + key_s[:-1]), np.diff(key_speed) / np.diff(key_s))
    pose = np.column_stack([value[:, :2], wrap_angle_rad(yaw)])
    return pose, (rate[:, :2] * heading).sum(-1), accel


def ego_motion(index: SceneIndex, can: dict[str, Any] | None) -> tuple[Array, Array, Array]:
    """Speed, acceleration and curvature of the ego at every frame, each [F]; from the CAN bus, else from the poses."""
    if can is not None:
        return _from_can(index.time_us, can)
    time_s = (index.time_us - index.time_us[0]) * 1e-6
    pose = index.ego_xy_yaw_world
    if len(time_s) < 2:
        return np.zeros(len(time_s)), np.zeros(len(time_s)), np.zeros(len(time_s))
    rate = np.gradient(pose[:, :2], time_s, axis=0)
    yaw = np.unwrap(pose[:, 2])
    speed = rate[:, 0] * np.cos(yaw) + rate[:, 1] * np.sin(yaw)
    turn = np.gradient(yaw, time_s)
    curvature = np.where(np.abs(speed) > 0.5, turn / np.where(np.abs(speed) > 0.5, speed, 1.0), 0.0)
    return speed, np.gradient(speed, time_s), np.clip(curvature, -0.3, 0.3)


def _from_can(time_us: Array, can: dict[str, Any]) -> tuple[Array, Array, Array]:
    utime = can["utime"]
    speed, accel = np.interp(time_us, utime, can["speed"]), np.interp(time_us, utime, can["accel"])
    turn = np.interp(time_us, utime, can["turn"])
    steered = np.interp(time_us, can["steer_utime"], can["steer_1pm"]) if len(can["steer_utime"]) else np.zeros(len(time_us))
    moving = np.abs(speed) > 0.5
    return speed, accel, np.where(moving, turn / np.where(moving, speed, 1.0), steered)


def can_arrays(pose: list[dict[str, Any]], steering: list[dict[str, Any]]) -> dict[str, Array]:
    """The messages `pose` and `steeranglefeedback` as arrays by time."""
    return {
        "utime": np.array([row["utime"] for row in pose], np.int64),
        "speed": np.array([row["vel"][0] for row in pose], np.float64),
        "accel": np.array([row["accel"][0] for row in pose], np.float64),
        "turn": np.array([row["rotation_rate"][2] for row in pose], np.float64),
        "steer_utime": np.array([row["utime"] for row in steering], np.int64),
        "steer_1pm": np.tan(np.array([row["value"] for row in steering], np.float64) / STEERING_RATIO) / EGO_SHAPE.wheelbase_m,
    }


def actions_between(time_us: Array, xy_yaw: Array, speed_mps: Array, curvature_1pm: Array) -> Array:
    """Acceleration and curvature [T, 2] that took each frame to the next; the last row repeats the one before it."""
    if len(time_us) < 2:
        return np.column_stack([np.zeros(len(time_us)), curvature_1pm])
    step_s = np.diff(time_us) * 1e-6
    accel = np.diff(speed_mps) / step_s
    turned = wrap_angle_rad(np.diff(xy_yaw[:, 2]))
    chord = np.hypot(*np.diff(xy_yaw[:, :2], axis=0).T)
    length = chord / np.sinc(0.5 * turned / np.pi)
    # A car that hardly moves shows no curvature; what its wheels are set to does.
    curvature = np.where(length > 0.1, turned / np.maximum(length, 0.1), curvature_1pm[1:])
    actions = np.column_stack([accel, curvature])
    return np.concatenate([actions, actions[-1:]])
