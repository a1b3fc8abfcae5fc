"""Controls: drivers whose place in a table is known beforehand, so that the table itself is tested. And a clock for any driver.

One that stands, one that cannot see; the third control, which sees the future, is the privileged expert.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from drivewm.datatypes import Observation, Trajectory
from drivewm.policies.load import load_policy
from drivewm.protocols import GroundTruth, Policy, PolicyFailed, PolicySpec


class Still:
    """Stops and stays. It belongs at the bottom wherever somebody should get on."""

    spec = PolicySpec("still")

    def start(self, batch: int, seed: int) -> Any:
        return None

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        t_s = np.tile(self.spec.plan_t_s, (len(observation.speed_limit_mps), 1))
        return Trajectory(t_s, np.zeros((*t_s.shape, 3)), np.zeros(t_s.shape)), memory


class Blind:
    """Another policy that is shown black frames and no more: what it still scores needs no cameras."""

    def __init__(self, seeing: Policy) -> None:
        self._seeing, self.spec = seeing, replace(seeing.spec, id=f"blind.{seeing.spec.id}")

    def start(self, batch: int, seed: int) -> Any:
        return self._seeing.start(batch, seed)

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        dark = replace(observation, images=np.zeros_like(observation.images))
        return self._seeing.act(dark, memory, truth)


def blind() -> Blind:
    """The large policy that comes with drivewm, the one that makes most of its cameras, with black frames."""
    return Blind(load_policy("teacher"))


class TimeLimited:
    """A policy that fails ("policy_timeout") when a plan takes longer than ``limit_s`` per car.

    A thread cannot be ended from outside: one that never comes back is left alone and ends with the process.
    """

    def __init__(self, policy: Policy, limit_s: float) -> None:
        self._policy, self.spec, self.limit_s = policy, policy.spec, limit_s

    def start(self, batch: int, seed: int) -> Any:
        return self._policy.start(batch, seed)

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        found: list[Any] = []

        def plan() -> None:
            try:
                found.append(self._policy.act(observation, memory, truth))
            except Exception as error:  # handed to the thread that waits
                found.append(error)

        thread = threading.Thread(target=plan, daemon=True)
        thread.start()
        thread.join(self.limit_s * len(observation.speed_limit_mps))
        if not found:
            raise PolicyFailed("policy_timeout", self.spec.id, f"took longer than {self.limit_s:g} s for a plan")
        if isinstance(found[0], Exception):
            raise found[0]
        outcome: tuple[Trajectory, Any] = found[0]
        return outcome
