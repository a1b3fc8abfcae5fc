"""Driving one scene in a world and keeping the film: what `drivewm dream` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Action, Rollout, Scene
from drivewm.evaluation.cases import Case, drive
from drivewm.evaluation.film import Take, write_film
from drivewm.evaluation.gate import gate_for
from drivewm.evaluation.overheard import Overheard, write_unsure
from drivewm.protocols import Policy, World
from drivewm.sim.raster import RasterWorld
from drivewm.store import save_record


@dataclass(frozen=True, slots=True)
class DreamFilm:
    """A film and the drive it shows; poster and strip lie beside the film."""

    film: Path
    case_file: Path
    case: Case
    unsure_file: Path | None  # expected error of every frame and camera, of a world that knows it


def dream(scene: Scene, policy: Policy, world: World, out: str | Path, *, seed: int = 0, reference: bool = False) -> DreamFilm:
    """Drive ``policy`` through ``scene`` in ``world``; write ``out`` (.mp4) and the case beside it.

    With ``reference`` the same states as the reference world shows them stand below the dreamed frames.
    """
    out, heard = Path(out), Overheard(world)
    driven = drive([scene], policy, heard, seed=seed, gate=gate_for(world))[0]
    takes = [Take(world.id, driven.images, heard.of_scene(0, len(driven.images)))]
    if reference:
        exact = RasterWorld(world.rig)
        takes.append(Take(exact.id, shown_in(exact, driven.case.rollout, seed)))
    write_film(out, driven.case.rollout, takes, world.rig)
    save_record(out.with_suffix(".safetensors"), driven.case)
    unsure_file = write_unsure(out.with_suffix(".unsure.json"), takes[0].unsure, driven.case.rollout, world)
    return DreamFilm(out, out.with_suffix(".safetensors"), driven.case, unsure_file)


def shown_in(world: World, rollout: Rollout, seed: int) -> NDArray[np.uint8]:
    """Frames [F, V, H, W, 3] of a finished drive in another world, one per plan."""
    every = rollout.plan_every
    states = rollout.states[None][:, ::every]
    images, memory = world.start([rollout.scene], states[:, 0], seed)
    frames = [images[0]]
    for frame in range(1, len(rollout.plans.t_s)):
        held = rollout.actions[(frame - 1) * every : frame * every]
        mean = Action(held.accel_mps2.mean(keepdims=True), held.curvature_1pm.mean(keepdims=True))
        images, memory = world.step(memory, states[:, frame], mean)
        frames.append(images[0])
    return np.stack(frames)
