"""Recorded motion inside the engine: agents are where a log says, until their scripts take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, Scene
from drivewm.sim.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Replay:
    """The logs of B scenes with N agents, T instants ``dt_s`` apart."""

    s_m: Array  # [B, N, T], NaN where the agent is not seen
    speed_mps: Array  # [B, N, T]
    until_s: Array  # [B, N], -1 for agents without a log
    stays: Array  # bool [B, N], whether the agent is there when its log ends, or has none
    dt_s: float

    @classmethod
    def of(cls, scenes: Sequence[Scene], agents: int) -> Replay | None:
        """None when no scene has a log."""
        instants = max(scene.log_s_m.shape[1] for scene in scenes)
        if instants == 0:
            return None
        s_m, until_s = np.full((len(scenes), agents, instants), np.nan), np.full((len(scenes), agents), -1.0)
        for b, scene in enumerate(scenes):
            rows, own = scene.log_s_m.shape
            s_m[b, :rows, :own], until_s[b, :rows] = scene.log_s_m, scene.log_until_s
            s_m[b, :rows, own:] = scene.log_s_m[:, -1:] if own else np.nan
        dt_s = scenes[0].dt_s
        last = np.clip(np.round(until_s / dt_s).astype(int), 0, instants - 1)
        seen_last = np.isfinite(np.take_along_axis(s_m, last[..., None], -1)[..., 0])
        return cls(s_m, _speed(s_m, dt_s), until_s, seen_last | (until_s < 0), dt_s)

    def present(self, t_s: Array) -> Array:
        """Which agents [B, N] are there at times [B]."""
        here = np.isfinite(self._at(self.s_m, t_s))
        return np.asarray(np.where(self._on(t_s), here, self.stays))

    def applied(self, traffic: Traffic, t_s: Array, dt_s: float) -> Traffic:
        """Traffic at times [B], ``dt_s`` after the last one, with everybody who follows a log put where it says."""
        s_m, speed = self._at(self.s_m, t_s), self._at(self.speed_mps, t_s)
        on = self._on(t_s) & np.isfinite(s_m)
        accel = (speed - traffic.speed_mps) / dt_s if dt_s > 0 else np.zeros_like(speed)
        return replace(
            traffic,
            s_m=np.where(on, s_m, traffic.s_m),
            speed_mps=np.where(on, speed, traffic.speed_mps),
            accel_mps2=np.where(on, accel, traffic.accel_mps2),
        )

    def _on(self, t_s: Array) -> Array:
        return np.asarray(t_s[:, None] <= self.until_s + 1e-6)

    def _at(self, table: Array, t_s: Array) -> Array:
        """Values [B, N] between the instants of a table [B, N, T]; held after the last one."""
        place = np.minimum(np.asarray(t_s) / self.dt_s, table.shape[2] - 1)
        before = np.floor(place + 1e-6).astype(int)
        share = np.clip(place - before, 0.0, 1.0)[:, None]
        scene = np.arange(len(table))
        low, high = table[scene, :, before], table[scene, :, np.minimum(before + 1, table.shape[2] - 1)]
        return np.asarray(np.where(share < 1e-6, low, low + share * (high - low)))


def _speed(s_m: Array, dt_s: float) -> Array:
    """Central differences; one-sided where an agent appears or vanishes, 0 where it is seen once."""
    step = np.diff(s_m, axis=-1) / dt_s
    blank = np.full((*s_m.shape[:2], 1), np.nan)
    before, after = np.concatenate([blank, step], -1), np.concatenate([step, blank], -1)
    mean = np.where(
        np.isfinite(before) & np.isfinite(after), 0.5 * (before + after), np.where(np.isfinite(before), before, after)
    )
    return np.asarray(np.where(np.isfinite(mean), mean, 0.0))
