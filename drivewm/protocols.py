"""The two things a loop puts together: a Policy drives, a World shows. Both are batched and keep explicit memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Action, Agents, Array, CameraRig, Observation, Scene, Trajectory, WorldState
from drivewm.errors import InputError


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """What a policy needs and gives.

    A ``privileged`` policy (expert, IDM) is handed ground truth and can never be exported.
    """

    id: str  # "expert", "teacher@3fa9c1d2" ...
    history: int = 1  # frames To it wants, the newest last
    plan_t_s: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What only a privileged policy sees."""

    scenes: Sequence[Scene]
    state: WorldState  # leading [B]
    futures: Callable[[Array], Agents]  # agents [B, K, N] at t_s [K] s ahead if the egos keep their speed and curvature


# How a drive ends in which the policy failed: a plan that cannot be followed, an exception, no plan in time.
POLICY_FAILURES = frozenset({"policy_error", "policy_raised", "policy_timeout"})


class PolicyFailed(InputError):
    """A policy raised or took too long; ``ended`` is how a drive that ends with it is called."""

    def __init__(self, ended: str, policy: str, what: str) -> None:
        super().__init__(f"policy {policy} {what}")
        self.ended, self.what = ended, what


class Policy(Protocol):
    spec: PolicySpec

    def start(self, batch: int, seed: int) -> Any:
        """Fresh memory for ``batch`` cars."""

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        """A plan for every car, and the memory to hand in next time; ``truth`` is given to privileged policies only."""


class World(Protocol):
    """Turns state into camera frames. ``RasterWorld`` is exact, ``DreamWorld`` is learned; the loop cannot tell."""

    id: str
    rig: CameraRig

    def start(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], Any]:
        """First frames [B, V, H, W, 3] for the states [B], and memory.

        A memory that keeps the scenes is a dataclass with a field ``scenes``; when scenes are edited on the way, it is replaced.
        """

    def step(self, memory: Any, state: WorldState, action: Action) -> tuple[NDArray[np.uint8], Any]:
        """Frames after ``action`` led to ``state`` (both [B]; one camera period after the last call), and new memory."""
