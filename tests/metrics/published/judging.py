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
