"""The reference world: exact frames of exact states."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Action, CameraRig, Scene, WorldState
from drivewm.sim.raster.render import render


@dataclass(frozen=True, slots=True)
class RasterMemory:
    """What the reference world keeps of a batch: where it plays. A frame depends on nothing that came before."""

    scenes: tuple[Scene, ...]
    seed: int


class RasterWorld:
    """`protocols.World` by drawing. ``workers`` threads share the scenes of a batch; the result does not depend on them."""

    id = "raster"

    def __init__(self, rig: CameraRig, *, workers: int = 1) -> None:
        self.rig = rig
        self.workers = workers

    def start(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], RasterMemory]:
        """First frames uint8 [B, V, H, W, 3] of the states [B]."""
        memory = RasterMemory(tuple(scenes), seed)
        return self._frames(memory, state), memory

    def step(self, memory: RasterMemory, state: WorldState, action: Action) -> tuple[NDArray[np.uint8], RasterMemory]:
        """Frames of the states [B]; the action is in them already."""
        return self._frames(memory, state), memory

    def _frames(self, memory: RasterMemory, state: WorldState) -> NDArray[np.uint8]:
        def picture(index: int) -> NDArray[np.uint8]:
            scene, now = memory.scenes[index], state[index]
            seed = int(np.random.SeedSequence([memory.seed, scene.seed]).generate_state(1)[0])
            images: NDArray[np.uint8] = render(scene.road, now, scene.conditions_at(float(now.t_s)), self.rig, seed).images
            return images

        indices = range(len(memory.scenes))
        if self.workers == 1:
            return np.stack([picture(i) for i in indices])
        with ThreadPoolExecutor(self.workers) as pool:
            return np.stack(list(pool.map(picture, indices)))
