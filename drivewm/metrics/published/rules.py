"""What the scores after nuPlan have in common, in words that carry the thresholds of the code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drivewm.datatypes import Array
from drivewm.metrics.comfort import COMFORT_BOUNDS
from drivewm.metrics.published import pdm
from drivewm.metrics.series import STANDING_MPS

AT_FAULT_CASES = (
    f"at fault: the ego moves (over {STANDING_MPS:g} m/s) and the other stands, or is met with the front bumper, or sideways "
    "while the ego is on several lanes or off the road; not at fault: hit from behind (over 150°) or while standing; the first "
    "contact decides"
)
AT_FAULT_RULE = f"0 with an at-fault collision, {pdm.THING_SCORE:g} when only a thing was hit; {AT_FAULT_CASES}"
DRIVABLE_RULE = "0 when a corner of the body leaves the drivable area"
TTC_RULE = (
    f"0 when the body, moved on at constant velocity by {', '.join(f'{s:g}' for s in pdm.LOOK_AHEAD_S)} s, meets an agent "
    "where it will be then, that is ahead (under 30°) or, while the ego is on several lanes, off the road or in a junction, "
    f"not behind; not below {pdm.STOPPED_MPS:g} m/s"
)


PULLED_SIDEWAYS = "a curve pulls sideways with speed x yaw rate, which the published simulators leave at 0"


def in_one_line(gates: Iterable[str], weights: Mapping[str, float]) -> str:
    """Product of gates times weighted mean of terms."""
    terms = " + ".join(f"{weight:g} {name}" for name, weight in weights.items())
    return f"{' x '.join(gates)} x ({terms}) / {sum(weights.values()):g}"


def _bounds(name: str) -> str:
    low, high = COMFORT_BOUNDS[name]
    return f"±{high:g}" if low == -high else f"{low:g} to {high:g}"


ACCEL_RULE = (
    f"0 when one leaves its bounds: acceleration {_bounds('accel_mps2')} m/s², lateral {_bounds('lateral_accel_mps2')} m/s², "
    f"jerk {_bounds('jerk_mps3')} m/s³, longitudinal {_bounds('jerk_lon_mps3')} m/s³, yaw rate {_bounds('yaw_rate_radps')} rad/s"
    f", yaw acceleration {_bounds('yaw_accel_radps2')} rad/s²; nuPlan's smoothing"
)


def as_measured(raw_m: Array, total: float) -> dict[str, float]:
    """Plain quantities of a drive judged together with its reference."""
    return {"progress_m": float(raw_m[0]), "reference_progress_m": float(raw_m[1]), "total": total}
