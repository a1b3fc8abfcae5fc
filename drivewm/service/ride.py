"""What everybody who connects drives through: one scene, and the worlds that may show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drivewm.datatypes import Scene
from drivewm.errors import InputError
from drivewm.evaluation.worlds import load_world
from drivewm.protocols import World

LAYOUT, FREE, EXACT = "layout", "free", "exact"


@dataclass(frozen=True, slots=True)
class Ride:
    """A scene and its worlds by regime: a dream has "layout" and "free", of the same weights and memory; others have "exact"."""

    scene: Scene
    worlds: Mapping[str, World]
    regime: str  # to begin with
    seed: int = 0


def open_ride(scene: Scene, world: str, regime: str | None = None, steps: int | None = None, seed: int = 0) -> Ride:
    """The ride in a world by name or folder; ``steps`` are the denoising steps of a dream.

    Raises InputError for a world that cannot be opened, and for a regime or steps where there is no dream.
    """
    if world in ("dream", "free") or Path(world).is_dir():
        from drivewm.worldmodel.conditions import FREE_REGIME
        from drivewm.worldmodel.world import DreamWorld

        weights = world if Path(world).is_dir() else "embedded"
        drops = {LAYOUT: frozenset[str](), FREE: FREE_REGIME}
        worlds: dict[str, World] = {name: DreamWorld.load(weights, steps=steps, drop=drop) for name, drop in drops.items()}
        return Ride(scene, worlds, regime or (FREE if world == "free" else LAYOUT), seed)
    shown = load_world(world)
    if regime is not None or steps is not None:
        raise InputError(f"{shown.id} is no dream, so it has no regime and no denoising steps", hint="try --world dream")
    return Ride(scene, {EXACT: shown}, EXACT, seed)
