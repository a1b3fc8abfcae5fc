"""A driver that does as it is told, absurd things included: full lock at speed, the wheel thrown about, the brake for nothing.

    2s left; 3s right; 4s brake          the wheel to its stop, then to the other, then everything that the brake has
    0s left; 1s right; 2s repeat         slalom
    1s steer=0.02 accel=-3 m/s2          a curvature in 1/m, left positive, and an acceleration

What an order does not speak of stays as it was. What the car cannot do it does not do: grip, the speed of the steering and the
build-up of the brake limit every order.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivewm.datatypes import Array, Observation, Trajectory
from drivewm.errors import InputError, did_you_mean
from drivewm.geometry import relative_xy_yaw
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.scenarios.edits import timed
from drivewm.scenarios.quantities import ACCELERATION, QuantityError, quantity
from drivewm.sim.bicycle import EGO_LIMITS, EgoMotion, advance_ego

STEERING = {"left": EGO_LIMITS.curvature_max_1pm, "straight": 0.0, "right": -EGO_LIMITS.curvature_max_1pm}
PEDALS = {"brake": EGO_LIMITS.accel_min_mps2, "coast": 0.0, "throttle": EGO_LIMITS.accel_max_mps2}
WORDS = (*STEERING, *PEDALS, "steer=", "accel=", "repeat")
_KEYED = re.compile(r"(steer|accel)\s*=\s*([^=]*?)(?=\s+\w+\s*=|\s+[a-z]+\s*$|$)")


@dataclass(frozen=True, slots=True)
class Order:
    """What the car is told from ``at_s`` on; None: as before. ``repeat`` begins again with the first order."""

    at_s: float
    curvature_1pm: float | None = None
    accel_mps2: float | None = None
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """Orders in ascending time; an empty script tells nothing."""

    orders: tuple[Order, ...] = ()

    @property
    def begins_s(self) -> float:
        return self.orders[0].at_s if self.orders else math.inf

    def told(self, t_s: float) -> tuple[float, float]:
        """Acceleration and curvature that hold at a time; straight on at its speed before the first order."""
        end = next((order.at_s for order in self.orders if order.repeat), math.inf)
        if t_s >= end - 1e-6:
            t_s = self.begins_s + (t_s - self.begins_s + 1e-6) % (end - self.begins_s)
        accel = curvature = 0.0
        for order in self.orders:
            if order.at_s <= t_s + 1e-6 and not order.repeat:
                accel = accel if order.accel_mps2 is None else order.accel_mps2
                curvature = curvature if order.curvature_1pm is None else order.curvature_1pm
        return accel, curvature


def parse_script(text: str, now_s: float = 0.0) -> Script:
    """The orders of a text; `InputError` says which one is none, and what would be right."""
    orders = sorted((parse_order(at_s, item) for at_s, item in timed(text, now_s)), key=lambda order: order.at_s)
    if not orders:
        raise InputError("holds no order", place="actions", hint="for example 2s left; 3s brake")
    repeats = [order for order in orders if order.repeat]
    if repeats and (len(repeats) > 1 or orders[-1] is not repeats[0] or repeats[0].at_s <= orders[0].at_s):
        raise InputError("'repeat' is not the last order", place="actions", hint="for example 0s left; 1s right; 2s repeat")
    return Script(tuple(orders))


def parse_order(at_s: float, item: str) -> Order:
    """The order that ``item`` stands for, without its time."""
    if item == "repeat":
        return Order(at_s, repeat=True)
    curvature = accel = None
    for key, value in _KEYED.findall(item):
        if key == "steer":
            curvature = _curvature(value, item)
        else:
            accel = _accel(value, item)
    for word in _KEYED.sub(" ", item).split():
        if word in STEERING:
            curvature = STEERING[word]
        elif word in PEDALS:
            accel = PEDALS[word]
        else:
            raise _wrong(item, f"{word!r} is no order", did_you_mean(word, list(WORDS)) or f"they are {', '.join(WORDS)}")
    return Order(at_s, curvature, accel)


def _curvature(value: str, item: str) -> float:
    most = EGO_LIMITS.curvature_max_1pm
    try:
        curvature = float(value)
    except ValueError:
        raise _wrong(item, f"{value!r} is no curvature", "a number in 1/m, left positive, for example steer=0.05") from None
    if not abs(curvature) <= most:
        raise _wrong(item, f"the car cannot be steered to {value} 1/m", f"from {-most:g} to {most:g}")
    return curvature


def _accel(value: str, item: str) -> float:
    try:
        accel = quantity(value, ACCELERATION)
    except QuantityError as error:
        raise _wrong(item, error.reason, error.hint) from None
    if not EGO_LIMITS.accel_min_mps2 <= accel <= EGO_LIMITS.accel_max_mps2:
        limits = f"from {EGO_LIMITS.accel_min_mps2:g} to {EGO_LIMITS.accel_max_mps2:g} m/s2"
        raise _wrong(item, f"the car cannot reach {value}", limits)
    return accel


def _wrong(item: str, reason: str, hint: str | None) -> InputError:
    return InputError(reason, place=f"action {item!r}", hint=hint)


class ScriptedPolicy:
    """Follows a script by the clock of the scene; its plan is what the car will do until the next frame.

    It is privileged, because it must know the time.
    """

    def __init__(self, script: Script, rate_hz: float, dt_s: float = 0.1) -> None:
        self.script, self.dt_s = script, dt_s
        steps = range(1, max(1, round(1.0 / (rate_hz * dt_s))) + 1)
        self.spec = PolicySpec("scripted", plan_t_s=tuple(dt_s * step for step in steps), privileged=True)

    def start(self, batch: int, seed: int) -> Any:
        return None

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        if truth is None:
            raise ValueError("a scripted driver is a privileged policy: it needs ground truth")
        state = truth.state
        start = np.asarray(state.ego_xy_yaw_world, np.float64)
        ego = EgoMotion(start, state.ego_speed_mps, state.ego_accel_mps2, state.ego_curvature_1pm)
        poses, speeds = [], []
        for step in range(len(self.spec.plan_t_s)):
            accel, curvature = self._told(np.asarray(state.t_s) + step * self.dt_s)
            ego = advance_ego(ego, accel, curvature, self.dt_s)
            poses.append(relative_xy_yaw(ego.xy_yaw, start))
            speeds.append(ego.speed_mps)
        t_s = np.tile(self.spec.plan_t_s, (len(start), 1))
        return Trajectory(t_s, np.stack(poses, 1), np.stack(speeds, 1)), memory

    def _told(self, t_s: Array) -> tuple[Array, Array]:
        accel, curvature = zip(*(self.script.told(float(one)) for one in t_s), strict=True)
        return np.array(accel), np.array(curvature)
