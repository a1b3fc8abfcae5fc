"""CAN bus messages of a drive, in the files and units of the nuScenes CAN bus expansion.

Written at the rate of the states (10 Hz) where nuScenes records 2 to 100 Hz. Signals that a simulated car does not have
(battery, solar, torque) are left out rather than invented.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, WorldState
from drivewm.geometry import wrap_angle_rad

STEERING_RATIO = 15.0  # turns of the steering wheel per turn of the road wheels
GRAVITY_MPS2 = 9.81
WHEEL_RADIUS_M = 0.31


def can_messages(states: WorldState, utime_us: Array, route_xy: Array) -> dict[str, Any]:
    """Message name -> content of scene-XXXX_NAME.json, for states [T] at ``utime_us`` [T] and a route [R, 2]."""
    yaw = states.ego_xy_yaw_world[:, 2]
    speed, accel, curvature = states.ego_speed_mps, states.ego_accel_mps2, states.ego_curvature_1pm
    turn = speed * curvature
    wheel = STEERING_RATIO * np.arctan(EGO_SHAPE.wheelbase_m * curvature)
    wheel_speed = np.gradient(wheel, utime_us * 1e-6) if len(wheel) > 1 else np.zeros_like(wheel)
    quaternion = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], -1)
    position = np.concatenate([states.ego_xy_yaw_world[:, :2], 0 * yaw[:, None]], -1)
    linear = np.stack([accel, speed * turn, 0 * yaw + GRAVITY_MPS2], -1)
    rotation = np.stack([0 * yaw, 0 * yaw, turn], -1)
    braking = accel < -0.3
    rpm = speed / (2 * math.pi * WHEEL_RADIUS_M) * 60
    messages: dict[str, Any] = {
        "pose": _rows(
            utime_us,
            accel=linear,
            orientation=quaternion,
            pos=position,
            rotation_rate=rotation,
            vel=np.stack([speed, 0 * speed, 0 * speed], -1),
        ),
        "ms_imu": _rows(utime_us, linear_accel=linear, q=quaternion, rotation_rate=rotation),
        "steeranglefeedback": _rows(utime_us, value=wheel),
        "vehicle_monitor": _rows(
            utime_us,
            brake=np.clip(-accel / 9.0, 0, 1) * 126,
            brake_switch=np.where(braking, 2, 1),
            gear_position=np.full(len(yaw), 7),
            left_signal=np.zeros(len(yaw), int),
            rear_left_rpm=rpm,
            rear_right_rpm=rpm,
            right_signal=np.zeros(len(yaw), int),
            steering=np.degrees(wheel),
            steering_speed=np.degrees(wheel_speed),
            throttle=np.clip(accel / 4.0, 0, 1) * 1000,
            vehicle_speed=speed * 3.6,
            yaw_rate=np.degrees(turn),
        ),
        "zoesensors": _rows(
            utime_us, brake_sensor=np.clip(-accel / 9.0, 0, 1), steering_sensor=wheel, throttle_sensor=np.clip(accel / 4.0, 0, 1)
        ),
        "zoe_veh_info": _rows(
            utime_us,
            FL_wheel_speed=rpm,
            FR_wheel_speed=rpm,
            RL_wheel_speed=rpm,
            RR_wheel_speed=rpm,
            longitudinal_accel=accel,
            odom_speed=speed * 3.6,
            steer_corrected=np.degrees(wheel),
            transversal_accel=speed * turn,
        ),
        "route": np.round(route_xy, 3).tolist(),
    }
    messages["meta"] = {name: _meta(rows, utime_us) for name, rows in messages.items() if name != "route"}
    return messages


def _rows(utime_us: Array, **columns: Array) -> list[dict[str, Any]]:
    """One dict per time from columns [T] or [T, k], keys in alphabetical order like the originals."""
    lists = {name: (np.round(column, 6) if column.dtype.kind == "f" else column).tolist() for name, column in columns.items()}
    lists["utime"] = [int(t) for t in utime_us]
    return [{name: lists[name][i] for name in sorted(lists)} for i in range(len(utime_us))]


def _meta(rows: list[dict[str, Any]], utime_us: Array) -> dict[str, Any]:
    steps = np.diff(utime_us) * 1e-6
    stats = {
        name: _stats(np.array([row[name] for row in rows], np.float64)) for name in rows[0] if not isinstance(rows[0][name], list)
    }
    return {
        "message_count": len(rows),
        "message_freq": round(float(1 / steps.mean()), 3) if len(steps) else 0.0,
        "timespan": round(float(steps.sum()), 3),
        "var_stats": stats,
    }


def _stats(values: Array) -> dict[str, float]:
    return {
        "max": float(values.max()),
        "mean": float(values.mean()),
        "min": float(values.min()),
        "std": float(values.std()),
        "unique": len(np.unique(values)),
    }


def yaw_from_quaternion(wxyz: Array) -> Array:
    """Heading [...] of quaternions [..., 4]."""
    w, x, y, z = np.moveaxis(np.asarray(wxyz, np.float64), -1, 0)
    return wrap_angle_rad(np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))
