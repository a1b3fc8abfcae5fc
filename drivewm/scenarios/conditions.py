"""Weather, light and faults of a scene, from the words of its document."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Conditions
from drivewm.geometry import wrap_angle_rad
from drivewm.scenarios.schema import Surroundings

Changes = tuple[tuple[float, Conditions], ...]
_MAY_CHANGE = ("weather", "light", "lost_cameras", "dirty_cameras", "delayed_cameras")


def recorded_conditions(world: Surroundings, recorded: Conditions, heading_rad: float) -> tuple[Conditions, Changes]:
    """Like `conditions_of` on top of a recording, which holds wherever the document is silent."""
    silent = {name: getattr(recorded, name) for name in _MAY_CHANGE if name not in world.model_fields_set}
    sun = recorded.sun_azimuth_rad - heading_rad if world.sun is None else world.sun
    return conditions_of(world.model_copy(update={**silent, "sun": sun}), heading_rad, np.random.default_rng(0))


def conditions_of(world: Surroundings, heading_rad: float, rng: np.random.Generator) -> tuple[Conditions, Changes]:
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
        given = {name: getattr(change, name) for name in _MAY_CHANGE}
        current = replace(current, **{name: value for name, value in given.items() if value is not None})
        changes.append((change.at, current))
    return first, tuple(changes)
