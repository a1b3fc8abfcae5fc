"""Bounds of a comfortable ride (nuPlan) and the smoothed motion they are held against."""

from __future__ import annotations

import numpy as np
from scipy.signal import savgol_filter

from drivewm.datatypes import Array

# nuPlan ego_is_comfortable: lowest and highest value of each quantity.
COMFORT_BOUNDS: dict[str, tuple[float, float]] = {
    "accel_mps2": (-4.05, 2.40),
    "lateral_accel_mps2": (-4.89, 4.89),
    "jerk_mps3": (-8.37, 8.37),
    "jerk_lon_mps3": (-4.13, 4.13),
    "yaw_rate_radps": (-0.95, 0.95),
    "yaw_accel_radps2": (-1.93, 1.93),
}
ACCEL_WINDOW, RATE_WINDOW = 7, 15  # samples of 0.1 s; a quadratic is fitted, as nuPlan does


def comfort_series(speed_mps: Array, yaw_rad: Array, curvature_1pm: Array, dt_s: float) -> dict[str, Array]:
    """The six quantities [T] from states [T], after Savitzky-Golay smoothing; empty when there are fewer than three states."""
    count = len(speed_mps)
    if count < 3:
        return {}
    accel_window, rate_window = (min(w, count - (count + 1) % 2) for w in (ACCEL_WINDOW, RATE_WINDOW))
    lon = np.gradient(speed_mps, dt_s)
    lateral = speed_mps**2 * curvature_1pm
    accel = savgol_filter(np.stack([lon, lateral]), accel_window, 2)
    jerk = savgol_filter(np.stack([lon, lateral]), rate_window, 2, deriv=1, delta=dt_s)
    yaw = np.unwrap(yaw_rad)
    rate, turn = (savgol_filter(yaw, rate_window, 2, deriv=order, delta=dt_s) for order in (1, 2))
    return {
        "accel_mps2": accel[0],
        "lateral_accel_mps2": accel[1],
        "jerk_mps3": np.hypot(jerk[0], jerk[1]),
        "jerk_lon_mps3": jerk[0],
        "yaw_rate_radps": rate,
        "yaw_accel_radps2": turn,
    }
