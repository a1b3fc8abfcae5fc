"""Worlds by name: the exact one, the learned one in both regimes, a folder of trained weights, or a plug-in.

What a learned world does otherwise than usual may follow its name, in the words of its own id: ``dream:free``,
``dream:without-boxes:K4``, ``runs/train/world:scratch``, ``dream:context-4``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivewm.datatypes import CameraRig
from drivewm.errors import InputError, did_you_mean
from drivewm.protocols import World
from drivewm.registry import resolve
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig

if TYPE_CHECKING:
    from drivewm.worldmodel.openings import Opening
    from drivewm.worldmodel.text import Prompt

WORDS = ("free", "without-GROUP", "K4", "guided1.5", "scratch", "context-4")


@dataclass(frozen=True, slots=True)
class WorldOptions:
    """What a world is to do otherwise than usual. A ``rig`` is for every world, the rest for learned ones."""

    rig: CameraRig | None = None
    free: bool = False  # told only past frames, motion, weather and light
    without: frozenset[str] = frozenset()  # conditions that are left out
    steps: int | None = None  # denoising steps of a frame
    context_frames: int | None = None  # reference frames shown at the start; 0 starts from scratch
    opening: Opening | None = None  # shown instead of reference frames
    prompt: Prompt | None = None
    guidance: float | None = None  # above 1: insist on what is told of agents

    @property
    def learned_only(self) -> bool:
        return replace(self, rig=None) != WorldOptions()


def load_world(name_or_path: str, options: WorldOptions | None = None) -> World:
    """``raster``, ``dream``, ``free``, the name of a plug-in, or a folder written by training; words may follow after a colon.

    Raises InputError for an unknown name or word, for damaged weights, and for options that a world does not have.
    """
    options = options or WorldOptions()
    if Path(name_or_path).is_dir():
        return learned(name_or_path, options)
    base, *words = name_or_path.split(":")
    options = _with_words(options, words)
    if Path(base).is_dir():
        return learned(base, options)
    made = resolve("drivewm.worlds", base)
    if made in (dream, free):
        world: World = made(options)
        return world
    if options.learned_only or (options.rig is not None and made is not raster):
        raise InputError(f"the world {base!r} cannot be told otherwise", hint="regime, start and text are for learned worlds")
    world = made(options.rig) if made is raster else made()
    return world


def raster(rig: CameraRig | None = None) -> World:
    """The reference: exact, procedural. A ``rig`` is brought onto its usual raster."""
    usual = nuscenes_rig()
    return RasterWorld(usual if rig is None else rig.resized(*usual.size_px))


def dream(options: WorldOptions | None = None) -> World:
    """The embedded world model, driven by the layout of the state."""
    return learned("embedded", options or WorldOptions())


def free(options: WorldOptions | None = None) -> World:
    """The embedded world model in the free regime: it knows only past frames, ego motion, weather and light."""
    return learned("embedded", replace(options or WorldOptions(), free=True))


def learned(name_or_path: str, options: WorldOptions) -> World:
    """A world model, embedded or in a folder, with what is special about it."""
    from drivewm.worldmodel.conditions import FREE_REGIME
    from drivewm.worldmodel.openings import Reference
    from drivewm.worldmodel.world import DreamWorld

    drop = options.without | (FREE_REGIME if options.free else frozenset())
    settings: dict[str, Any] = {"drop": drop, "steps": options.steps, "guidance": options.guidance}
    if options.opening is not None:
        settings["context"] = options.opening
    elif options.context_frames is not None:
        settings["context"] = Reference(options.context_frames) if options.context_frames else "scratch"
    world = DreamWorld.load(name_or_path, options.rig, **settings)
    return world.told(options.prompt) if options.prompt else world


def _with_words(options: WorldOptions, words: list[str]) -> WorldOptions:
    """Options with what the words after a name add."""
    for word in words:
        if word == "free":
            options = replace(options, free=True)
        elif word == "scratch":
            options = replace(options, context_frames=0)
        elif word.startswith("without-"):
            options = replace(options, without=options.without | {word.removeprefix("without-")})
        elif found := re.fullmatch(r"K([1-9]\d?)", word):
            options = replace(options, steps=int(found[1]))
        elif found := re.fullmatch(r"guided(\d+(?:\.\d+)?)", word):
            options = replace(options, guidance=float(found[1]))
        elif found := re.fullmatch(r"context-(\d{1,2})", word):
            options = replace(options, context_frames=int(found[1]))
        else:
            raise InputError(
                f"unknown word {word!r} after the name of a world", hint=did_you_mean(word, [*WORDS]) or ", ".join(WORDS)
            )
    return options
