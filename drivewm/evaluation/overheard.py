"""A world whose doubts are written down while a policy drives in it; the loop does not notice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Action, Array, CameraRig, Rollout, Scene, WorldState
from drivewm.protocols import World
from drivewm.store import write_json


@runtime_checkable
class KnowsDoubt(Protocol):
    """A world that may say how far its last frame is off, such as `DreamWorld`."""

    def unsure(self, memory: Any) -> Array | None:
        """Expected error [B, V], in grey levels of 255; None where it is not known."""


class Overheard:
    """``world`` as it is; ``unsure`` are the expected errors [B, V] of each frame since the last start, empty where not known."""

    def __init__(self, world: World) -> None:
        self.id, self.rig = world.id, world.rig
        self.unsure: list[Array] = []
        self._world = world

    id: str
    rig: CameraRig

    def start(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], Any]:
        self.unsure = []
        return self._heard(*self._world.start(scenes, state, seed))

    def step(self, memory: Any, state: WorldState, action: Action) -> tuple[NDArray[np.uint8], Any]:
        return self._heard(*self._world.step(memory, state, action))

    def of_scene(self, row: int, frames: int) -> Array | None:
        """Expected errors [F, V] of one scene's first frames; None where they are not known."""
        return np.stack([unsure[row] for unsure in self.unsure[:frames]]) if self.unsure else None

    def _heard(self, images: NDArray[np.uint8], memory: Any) -> tuple[NDArray[np.uint8], Any]:
        unsure = self._world.unsure(memory) if isinstance(self._world, KnowsDoubt) else None
        if unsure is not None:
            self.unsure.append(unsure)
        return images, memory


def write_unsure(path: Path, unsure: Array | None, rollout: Rollout, world: World) -> Path | None:
    """Expected errors [F, V] of a drive as JSON; nothing where they are not known."""
    if unsure is None:
        return None
    t_s = rollout.states.t_s[:: rollout.plan_every][: len(unsure)]
    rows = {"t_s": np.round(t_s, 3).tolist(), "cameras": list(world.rig.names), "expected_error": np.round(unsure, 2).tolist()}
    write_json(path, {"world": world.id, "unit": "grey levels of 255, root mean square"} | rows)
    return path
