"""How a ride feels, in the six quantities of nuPlan with its filters, and whether two plans of one drive feel the same (NAVSIM).

`drivewm.metrics.comfort` smooths more, for our own score. Here window lengths, rounding and even a sign are those of the
published code: nuPlan shifts an acceleration from the rear axle to the middle of the body by + r (yaw rate^2 + yaw acceleration).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.signal import savgol_filter

from drivewm.datatypes import EGO_SHAPE, Array
from drivewm.metrics.comfort import COMFORT_BOUNDS
from drivewm.metrics.published.ways import Ways

ACCEL_WINDOW, JERK_WINDOW, YAW_WINDOW = 8, 15, 5  # samples of 0.1 s
DECIMALS = 8
# NAVSIM v2, two-frame extended comfort: greatest root mean square difference of two plans.
EXTENDED_BOUNDS = {"accel_mps2": 0.7, "jerk_mps3": 0.5, "yaw_rate_radps": 0.1, "yaw_accel_radps2": 0.1}


def felt(ways: Ways, dt_s: float, at_centre: bool) -> dict[str, Array]:
    """The quantities of `COMFORT_BOUNDS` [M, T + 1]; none where fewer than four states leave nothing to fit.

    ``at_centre``: longitudinal and lateral acceleration in the middle of the body (nuPlan, NAVSIM v2), else at the rear axle.
    """
    if ways.speed_mps.shape[1] < 4:
        return {}
    along, across, turning, turn = _accelerations(ways, dt_s)
    shift = EGO_SHAPE.rear_axle_to_centre_m * (turning**2 + turn) if at_centre else 0.0
    lon, lat, size = (_smooth(a) for a in (along + shift, across, np.hypot(along, across)))
    yaw = np.unwrap(ways.xy_yaw[..., 2], axis=-1)
    return {
        "accel_mps2": lon,
        "lateral_accel_mps2": lat,
        "jerk_mps3": _rate(size, JERK_WINDOW, dt_s),
        "jerk_lon_mps3": _rate(lon, JERK_WINDOW, dt_s),
        "yaw_rate_radps": _rate(yaw, YAW_WINDOW, dt_s),
        "yaw_accel_radps2": _rate(yaw, YAW_WINDOW, dt_s, order=2, degree=3),
    }


def uncomfortable(quantities: dict[str, Array]) -> dict[str, Array]:
    """Where [M, T + 1] each quantity is not strictly inside its bounds."""
    return {name: ~((v > COMFORT_BOUNDS[name][0]) & (v < COMFORT_BOUNDS[name][1])) for name, v in quantities.items()}


def alike(one: Ways, other: Ways, dt_s: float) -> Array:
    """Whether ways [M] that cover the same instants feel the same: every root mean square difference within its bound."""
    pairs = zip(_extended(one, dt_s), _extended(other, dt_s), EXTENDED_BOUNDS.values(), strict=True)
    return np.all([np.sqrt(((a - b) ** 2).mean(-1)) <= bound for a, b, bound in pairs], axis=0)


def _extended(ways: Ways, dt_s: float) -> tuple[Array, ...]:
    along, across, _, _ = _accelerations(ways, dt_s)
    size, yaw = _smooth(np.hypot(along, across)), np.unwrap(ways.xy_yaw[..., 2], axis=-1)
    rates = (_rate(yaw, YAW_WINDOW, dt_s, order=order) for order in (1, 2))
    return size, _rate(size, JERK_WINDOW, dt_s), *rates


def _accelerations(ways: Ways, dt_s: float) -> tuple[Array, Array, Array, Array]:
    """Along, across, yaw rate and yaw acceleration at the rear axle; a car on a curve is pulled across by speed x yaw rate."""
    turning = ways.speed_mps * ways.curvature_1pm
    return ways.accel_mps2, ways.speed_mps * turning, turning, np.gradient(turning, dt_s, axis=-1)


def _smooth(values: Array) -> Array:
    return _fitted(values, ACCEL_WINDOW, 2, 0, 1.0)


def _rate(values: Array, window: int, dt_s: float, order: int = 1, degree: int = 2) -> Array:
    return _fitted(values, window, degree, order, dt_s)


def _fitted(values: Array, window: int, degree: int, order: int, dt_s: float) -> Array:
    count = values.shape[-1]
    return np.round(values @ _filter(count, min(window, count), degree, order) / dt_s**order, DECIMALS)


@lru_cache(maxsize=64)
def _filter(count: int, window: int, degree: int, order: int) -> Array:
    """The Savitzky-Golay filter for series of ``count`` samples as the matrix [T, T] that it is."""
    return np.asarray(savgol_filter(np.eye(count), window, degree, deriv=order, axis=-1))
