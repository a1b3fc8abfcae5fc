"""Weather, light and faults of a scene, from the words of its document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Conditions
from drivewm.geometry import wrap_angle_rad
from drivewm.scenarios.schema import Surroundings


def conditions_of(
    world: Surroundings, heading_rad: float, rng: np.random.Generator
) -> tuple[Conditions, tuple[tuple[float, Conditions], ...]]:
    """Conditions at the start, and the changes on the way as (from t_s, conditions); ``heading_rad`` is the ego's."""
    azimuth = rng.uniform(-np.pi, np.pi) if world.sun is None else heading_rad + world.sun
    current = Conditions(
        weather=world.weather,
        light=world.light,
        sun_azimuth_rad=float(wrap_angle_rad(azimuth)),
        lost_cameras=world.lost_cameras,
        dirty_cameras=world.dirty_cameras,
        delayed_cameras=world.delayed_cameras,
        camera_delay_s=world.camera_delay,
    )
    first, changes = current, []
    for change in sorted(world.changes, key=lambda c: c.at):
        given = {name: getattr(change, name) for name in ("weather", "light", "lost_cameras", "dirty_cameras", "delayed_cameras")}
        current = replace(current, **{name: value for name, value in given.items() if value is not None})
        changes.append((change.at, current))
    return first, tuple(changes)
