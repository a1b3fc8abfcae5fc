"""From the keys a person holds to what pedals and wheel do: smooth, and never more than the speed allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Action

KEYS = frozenset({"left", "right", "up", "down", "brake"})

# A key knows only held or not, so the wheel does the rest: a good half second from straight to the stop, faster back. The stop
# is where 3 m/s^2 sideways are reached (brisk; comfort ends at about 2), or the curvature of a tight corner in town.
TURN_PER_S, RETURN_PER_S = 1.8, 3.0
SIDEWAYS_MPS2, TIGHTEST_1PM = 3.0, 0.14
THROTTLE_MPS2, SLOW_MPS2, BRAKE_MPS2, COAST_MPS2 = 2.5, -3.5, -8.0, -0.3
TOP_SPEED_MPS = 36.0
STEERING_RATIO = 16.0  # turns of the steering wheel for one of the road wheels


@dataclass(frozen=True, slots=True)
class Wheel:
    """Where the steering wheel stands: -1 is all to the right, 1 all to the left of what the speed allows."""

    share: float = 0.0

    def turned(self, keys: frozenset[str], dt_s: float) -> Wheel:
        """The wheel ``dt_s`` later under held keys; without one, or with both, it turns back to the middle."""
        wish = float("left" in keys) - float("right" in keys)
        back = wish == 0 or wish * self.share < 0
        step = (RETURN_PER_S if back else TURN_PER_S) * dt_s
        return Wheel(self.share + float(np.clip(wish - self.share, -step, step)))

    def action(self, keys: frozenset[str], speed_mps: float) -> Action:
        """What the car is told [1] at this speed."""
        accel = COAST_MPS2
        if "brake" in keys or "down" in keys:
            accel = BRAKE_MPS2 if "brake" in keys else SLOW_MPS2
        elif "up" in keys:
            accel = THROTTLE_MPS2 * max(0.0, 1.0 - speed_mps / TOP_SPEED_MPS)
        return Action(np.array([accel]), np.array([self.share * stop_1pm(speed_mps)]))


def stop_1pm(speed_mps: float) -> float:
    """The curvature at which the wheel stops at this speed."""
    return min(TIGHTEST_1PM, SIDEWAYS_MPS2 / max(speed_mps**2, 1e-9))


def wheel_deg(curvature_1pm: float) -> float:
    """How far the steering wheel is turned on this curvature, left positive."""
    return float(np.degrees(np.arctan(curvature_1pm * EGO_SHAPE.wheelbase_m)) * STEERING_RATIO)
