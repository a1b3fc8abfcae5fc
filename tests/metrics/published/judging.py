"""Drives on the straight road for tests of published scores: the ego starts at x = 20 m, its front bumper at `FRONT_M`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Rollout, Scene, Trajectory
from tests.straight_road import Actor, drive, scene

FRONT_M = 20.0 + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
HALF_WIDTH_M = 0.5 * EGO_SHAPE.width_m


def at_10_mps(actors: Sequence[Actor] = (), where: Scene | None = None) -> Rollout:
    """10 s, 100 m straight on."""
    return drive(scene(actors, speed_mps=10.0) if where is None else where, 0.0)


def standing_car(gap_m: float) -> Actor:
    """A car of 4 m whose rear is ``gap_m`` ahead of the bumper."""
    return Actor(FRONT_M + gap_m + 2.0)


def with_plans(rollout: Rollout, accels_mps2: Sequence[float]) -> Rollout:
    """The drive with plans made every 0.2 s: straight on from 10 m/s with these accelerations in turn, 4 s far."""
    t_s = 0.5 * np.arange(1, 9)
    frames = (len(rollout.states.t_s) - 1) // rollout.plan_every
    accel = np.resize(np.asarray(accels_mps2, np.float64), frames)[:, None]
    pose = np.zeros((frames, 8, 3))
    pose[..., 0] = 10.0 * t_s + 0.5 * accel * t_s**2
    return replace(rollout, plans=Trajectory(np.tile(t_s, (frames, 1)), pose, 10.0 + accel * t_s))


def planned_drives(count: int = 12) -> list[Rollout]:
    """Drives of 3 s among three cars with plans at random, 4 s far: some swerve, brake hard or leave the road."""
    rng = np.random.default_rng(0)
    t_s, out = 0.5 * np.arange(1, 9), []
    for _ in range(count):
        cars = [Actor(float(x), float(v), float(y)) for x, v, y in zip(*_three(rng), strict=True)]
        driven = drive(scene(cars, speed_mps=8.0, horizon_s=3.0), rng.uniform(-1.0, 1.0))
        frames = driven.scene.steps // driven.plan_every
        accel, jerk, left = rng.uniform(-3.5, 2.5, frames), rng.normal(0.0, 0.5, frames), rng.normal(0.0, 2.5, frames)
        speed = np.maximum(0.0, 8.0 + accel[:, None] * t_s + jerk[:, None] * t_s**2)
        x = np.cumsum(0.5 * speed, axis=1)
        y = left[:, None] * (t_s / 4.0) ** 2
        yaw = np.arctan2(np.diff(y, prepend=0.0), np.maximum(np.diff(x, prepend=0.0), 1e-3))
        out.append(replace(driven, plans=Trajectory(np.tile(t_s, (frames, 1)), np.stack([x, y, yaw], -1), speed)))
    return out


def _three(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return rng.uniform(38.0, 70.0, 3), rng.uniform(0.0, 9.0, 3), rng.choice([0.0, 3.5, -3.0], 3)
