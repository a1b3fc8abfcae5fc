"""Recorded motion inside the engine: agents are where a log says, until their scripts take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, Scene
from drivewm.sim.leaders import IDM
from drivewm.sim.traffic import Traffic

TIME_GAP_S = 0.6  # people follow closer than `CarFollowing` has it; with 1.4 s recorded columns come apart
RATE_MPS2 = 4.0  # how hard those who left their log change to the speed that they had in it


@dataclass(frozen=True, slots=True)
class Replay:
    """The logs of B scenes with N agents, T instants ``dt_s`` apart."""

    s_m: Array  # [B, N, T], NaN where the agent is not seen
    speed_mps: Array  # [B, N, T]
    until_s: Array  # [B, N], -1 for agents without a log
    stays: Array  # bool [B, N], whether the agent is there when its log ends, or has none
    ends_s: Array  # [B], last instant of each scene's own log
    dt_s: float

    @property
    def logged(self) -> Array:
        """Which agents [B, N] have a log."""
        return np.asarray(self.until_s >= 0)

    @property
    def time_gap_s(self) -> Array:
        """What agents [B, N] keep behind others: those of a log follow it, and yield only where it would get dangerous."""
        return np.where(self.logged, TIME_GAP_S, IDM.time_gap_s)

    @classmethod
    def of(cls, scenes: Sequence[Scene], agents: int) -> Replay | None:
        """None when no scene has a log."""
        instants = max(scene.log_s_m.shape[1] for scene in scenes)
        if instants == 0:
            return None
        shape, dt_s = (len(scenes), agents, instants), scenes[0].dt_s
        s_m, speed, until_s = np.full(shape, np.nan), np.zeros(shape), np.full(shape[:2], -1.0)
        ends_s = np.zeros(len(scenes))
        for b, scene in enumerate(scenes):
            rows, own = scene.log_s_m.shape
            if own:
                held = np.minimum(
                    np.arange(instants), own - 1
                )  # a shorter log is held, so that a batch is its scenes side by side
                s_m[b, :rows], speed[b, :rows] = scene.log_s_m[:, held], _speed(scene.log_s_m, dt_s)[:, held]
                until_s[b, :rows], ends_s[b] = scene.log_until_s, (own - 1) * dt_s
        last = np.clip(np.round(until_s / dt_s).astype(int), 0, instants - 1)
        seen_last = np.isfinite(np.take_along_axis(s_m, last[..., None], -1)[..., 0])
        return cls(s_m, speed, until_s, seen_last | (until_s < 0), ends_s, dt_s)

    def present(self, t_s: Array) -> Array:
        """Which agents [B, N] are there at times [B]."""
        here = np.isfinite(self._at(self.s_m, t_s))
        return np.asarray(np.where(self._on(t_s), here, self.stays))

    def applied(self, traffic: Traffic, t_s: Array, dt_s: float) -> Traffic:
        """Traffic at times [B], ``dt_s`` after the last one, with everybody who follows a log put where it says.

        Who has left its log goes on wishing the speed it had there: it waits where it waited, at a light that no map knows.
        """
        s_m, speed = self._at(self.s_m, t_s), self._at(self.speed_mps, t_s)
        seen = np.isfinite(s_m) & (self.until_s >= 0) & (t_s <= self.ends_s + 1e-6)[:, None]
        on = self._on(t_s) & np.isfinite(s_m)
        # Who was not seen a moment ago has no speed from which to tell how it accelerates.
        known = np.isfinite(self._at(self.s_m, np.maximum(t_s - dt_s, 0.0)))
        accel = np.where(known, (speed - traffic.speed_mps) / dt_s, 0.0) if dt_s > 0 else np.zeros_like(speed)
        return replace(
            traffic,
            s_m=np.where(on, s_m, traffic.s_m),
            speed_mps=np.where(on, speed, traffic.speed_mps),
            accel_mps2=np.where(on, accel, traffic.accel_mps2),
            wish_mps=np.where(seen, np.maximum(speed, 0.0), traffic.wish_mps),
            speed_rate_mps2=np.where(seen, RATE_MPS2, traffic.speed_rate_mps2),
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
    blank = np.full((*s_m.shape[:-1], 1), np.nan)
    before, after = np.concatenate([blank, step], -1), np.concatenate([step, blank], -1)
    mean = np.where(
        np.isfinite(before) & np.isfinite(after), 0.5 * (before + after), np.where(np.isfinite(before), before, after)
    )
    return np.asarray(np.where(np.isfinite(mean), mean, 0.0))
