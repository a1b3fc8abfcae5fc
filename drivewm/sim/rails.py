"""A world on rails: agents heed the ego of a recorded drive instead of the one that drives now, so they do what they did then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, Scene, WorldState


@dataclass(frozen=True, slots=True)
class Rails:
    """The recorded egos of B scenes."""

    ego: Array  # [B, T, 4]: x, y, yaw, speed, ``dt_s`` apart
    last: Array  # int [B], the last instant that was recorded; -1: this scene is not on rails
    dt_s: float

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Rails | None:
        """None when no scene is on rails."""
        instants = max(len(scene.rails) for scene in scenes)
        if instants == 0:
            return None
        ego = np.zeros((len(scenes), instants, 4))
        for b, scene in enumerate(scenes):
            ego[b, : len(scene.rails)] = scene.rails
        return cls(ego, np.array([len(scene.rails) - 1 for scene in scenes]), scenes[0].dt_s)

    def heeded(self, world: WorldState, t_s: Array) -> WorldState:
        """``world`` with the egos [B] that agents heed at times ``t_s`` [B]; beyond its record one goes straight on."""
        here, place = np.arange(len(self.last)), np.asarray(t_s, np.float64) / self.dt_s
        before = np.clip(np.floor(place + 1e-6).astype(int), 0, np.maximum(self.last, 0))
        after = np.minimum(before + 1, np.maximum(self.last, 0))
        low, step = self.ego[here, before], self.ego[here, after] - self.ego[here, before]
        step[:, 2] = (step[:, 2] + np.pi) % (2 * np.pi) - np.pi
        share = np.where(place - before > 1e-6, place - before, 0.0)
        ego = low + np.minimum(share, 1.0)[:, None] * step
        over_m = np.where(after == before, share * self.dt_s * low[:, 3], 0.0)
        ego[:, :2] += over_m[:, None] * np.stack([np.cos(low[:, 2]), np.sin(low[:, 2])], -1)
        on = self.last >= 0
        return replace(
            world,
            ego_xy_yaw_world=np.where(on[:, None], ego[:, :3], world.ego_xy_yaw_world),
            ego_speed_mps=np.where(on, ego[:, 3], world.ego_speed_mps),
        )
