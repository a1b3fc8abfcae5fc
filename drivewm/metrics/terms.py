"""How well a drive was driven. Each term takes the shared `Series` and gives a value in [0, 1]."""

from __future__ import annotations

import numpy as np

from drivewm.metrics.comfort import COMFORT_BOUNDS, comfort_series
from drivewm.metrics.gates import APPLICABLE_PROGRESS_M
from drivewm.metrics.series import Judged, Series

TTC_S = 1.0
OFF_LANE_M, OFF_LANE_S = 0.5, 2.0  # EPDMS lane keeping: farther from the centre line than this, for longer than this
NOTABLE = 0.95  # a graded term leaves evidence from here down
OVERSPEED_MPS = 2.23  # nuPlan max_overspeed_value_threshold: five miles per hour over the whole drive give 0


def time_to_collision(series: Series) -> Judged:
    """1 unless at some instant an agent that is not behind would be hit in less than a second (NAVSIM: checked 1 s ahead)."""
    close = series.ttc_s < TTC_S
    close[0] &= ~series.overlap[0]  # an overlap at the start is the scene's, not the driver's
    if not close.any():
        return Judged(1.0)
    step = int(np.argmax(close.any(1)))
    return Judged(0.0, (series.event("time_to_collision", step, int(np.argmin(series.ttc_s[step]))),))


def progress(series: Series) -> Judged:
    """Way along the route over that of the reference driver, at most 1."""
    if series.reference_progress_m < APPLICABLE_PROGRESS_M:
        return Judged(None)
    value = min(1.0, series.progress_m / series.reference_progress_m)
    return Judged(value, () if value > NOTABLE else (series.event("progress", len(series.t_s) - 1),))


def comfort(series: Series) -> Judged:
    """1 while all six smoothed quantities stay inside the nuPlan bounds, else 0 with the first one that leaves them."""
    states = series.states
    smoothed = comfort_series(states.ego_speed_mps, states.ego_xy_yaw_world[:, 2], states.ego_curvature_1pm, series.scene.dt_s)
    if not smoothed:
        return Judged(None)
    events = []
    for name, values in smoothed.items():
        low, high = COMFORT_BOUNDS[name]
        outside = (values < low) | (values > high)
        if outside.any():
            events.append(series.event(f"comfort_{name}", int(np.argmax(outside))))
    return Judged(0.0 if events else 1.0, tuple(sorted(events, key=lambda event: event.t_s)))


def speed_limit(series: Series) -> Judged:
    """nuPlan: 1 - mean overspeed / 2.23 m/s, at least 0."""
    limit = series.scene.speed_limit_mps
    if not 0 < limit < np.inf:
        return Judged(None)
    over = np.maximum(0.0, series.states.ego_speed_mps - limit)
    value = max(0.0, 1.0 - float(over.mean()) / OVERSPEED_MPS)
    return Judged(value, () if value > NOTABLE else (series.event("speed_limit", int(np.argmax(over > 0))),))


def lane_keeping(series: Series) -> Judged:
    """0 when the ego is over 0.5 m beside its route for over 2 s on end without an obstacle to go around (after EPDMS)."""
    off = (np.abs(series.route_sd[:, 1]) > OFF_LANE_M) & ~series.hindered
    # Length of the run of offences that ends at each step.
    steps = np.arange(1, len(off) + 1)
    run = steps - np.maximum.accumulate(np.where(off, 0, steps))
    too_long = run > round(OFF_LANE_S / series.scene.dt_s)
    if not too_long.any():
        return Judged(1.0)
    return Judged(0.0, (series.event("lane_keeping", int(np.argmax(too_long))),))
