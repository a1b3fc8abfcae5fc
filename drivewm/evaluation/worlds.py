"""Worlds by name: the exact one, the learned one in both regimes, a folder of trained weights, or a plug-in."""

from __future__ import annotations

from pathlib import Path

from drivewm.protocols import World
from drivewm.registry import resolve
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig


def load_world(name_or_path: str) -> World:
    """``raster``, ``dream``, ``free``, the name of a plug-in, or a folder written by training.

    Raises InputError for an unknown name and for damaged weights.
    """
    if Path(name_or_path).is_dir():
        from drivewm.worldmodel.world import DreamWorld

        return DreamWorld.load(name_or_path)
    world: World = resolve("drivewm.worlds", name_or_path)()
    return world


def raster() -> World:
    """The reference: exact, procedural."""
    return RasterWorld(nuscenes_rig())


def dream() -> World:
    """The embedded world model, driven by the layout of the state."""
    from drivewm.worldmodel.world import DreamWorld

    return DreamWorld.load()


def free() -> World:
    """The embedded world model in the free regime: it knows only past frames, ego motion, weather and light."""
    from drivewm.worldmodel.conditions import FREE_REGIME
    from drivewm.worldmodel.world import DreamWorld

    return DreamWorld.load(drop=FREE_REGIME)
