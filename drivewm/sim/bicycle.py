"""How the ego moves: a kinematic bicycle whose reference point is the rear axle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.geometry import Array, wrap_angle_rad


@dataclass(frozen=True, slots=True)
class EgoLimits:
    """What the car can do, whatever it is told.

    0.2 1/m is the turning circle of a small car (5 m at the rear axle); 0.3 1/(m s) is about 45 degrees per second at the road
    wheels; 8 m/s^2 is what dry tyres hold sideways; 60 m/s^3 lets full braking build up in 0.15 s, as a hydraulic brake does.
    """

    accel_min_mps2: float = -9.0
    accel_max_mps2: float = 4.0
    jerk_max_mps3: float = 60.0
    curvature_max_1pm: float = 0.2
    curvature_rate_max_1pms: float = 0.3
    lateral_accel_max_mps2: float = 8.0


EGO_LIMITS = EgoLimits()


@dataclass(frozen=True, slots=True)
class EgoMotion:
    """Ego poses [..., 3] at the rear axle with speed, acceleration and curvature [...]."""

    xy_yaw: Array
    speed_mps: Array
    accel_mps2: Array
    curvature_1pm: Array


def travel(speed_mps: Array, accel_mps2: Array, dt_s: Array | float) -> tuple[Array, Array]:
    """Distance covered and final speed after ``dt_s`` at constant acceleration; a braking body stops and stays."""
    stopped = speed_mps + accel_mps2 * dt_s <= 0
    stop_m = 0.5 * speed_mps**2 / np.maximum(-accel_mps2, 1e-9)
    distance = np.where(stopped, stop_m, (speed_mps + 0.5 * accel_mps2 * dt_s) * dt_s)
    return distance, np.where(stopped, 0.0, speed_mps + accel_mps2 * dt_s)


def along_arc(xy_yaw: Array, distance_m: Array, curvature_1pm: Array) -> Array:
    """Poses [..., 3] after an arc of exactly ``distance_m`` at constant curvature."""
    half_turn = 0.5 * curvature_1pm * distance_m
    chord_m = distance_m * np.sinc(half_turn / np.pi)
    heading = xy_yaw[..., 2] + half_turn
    out = np.stack(
        [
            xy_yaw[..., 0] + chord_m * np.cos(heading),
            xy_yaw[..., 1] + chord_m * np.sin(heading),
            wrap_angle_rad(xy_yaw[..., 2] + 2 * half_turn),
        ],
        axis=-1,
    )
    return np.asarray(out, np.float64)


def advance_ego(
    ego: EgoMotion, accel_mps2: Array, curvature_1pm: Array, dt_s: float, limits: EgoLimits = EGO_LIMITS
) -> EgoMotion:
    """The ego ``dt_s`` later; the wish is held constant after it was cut to ``limits``.

    The curvature is held on the whole step, so the pose is exact. The acceleration in the result is the one that took place:
    (speed after - speed before) / dt, hence 0 for a standing car however hard it brakes.
    """
    jerk = limits.jerk_max_mps3 * dt_s
    accel = np.clip(accel_mps2, ego.accel_mps2 - jerk, ego.accel_mps2 + jerk)
    accel = np.clip(accel, limits.accel_min_mps2, limits.accel_max_mps2)
    distance, speed = travel(ego.speed_mps, accel, dt_s)
    rate = limits.curvature_rate_max_1pms * dt_s
    curvature = np.clip(curvature_1pm, ego.curvature_1pm - rate, ego.curvature_1pm + rate)
    # Grip is judged at the mean speed of the step; it wins over the steering rate because tyres slide when it is exceeded.
    grip = limits.lateral_accel_max_mps2 / np.maximum((distance / dt_s) ** 2, 1e-9)
    most = np.minimum(limits.curvature_max_1pm, grip)
    curvature = np.clip(curvature, -most, most)
    return EgoMotion(along_arc(ego.xy_yaw, distance, curvature), speed, (speed - ego.speed_mps) / dt_s, curvature)
