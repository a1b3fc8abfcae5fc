"""Driving one scene in a world and keeping the film: what `drivewm dream` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Action, Rollout, Scene
from drivewm.evaluation.cases import Case, judged, reference_progress_m
from drivewm.evaluation.film import Take, write_film
from drivewm.evaluation.futures_film import Future, write_futures
from drivewm.evaluation.gate import gate_for
from drivewm.evaluation.overheard import Overheard, write_unsure
from drivewm.evaluation.whatif import Course, Shown, Split, drive_course, futures
from drivewm.protocols import World
from drivewm.sim.raster import RasterWorld
from drivewm.store import save_record


@dataclass(frozen=True, slots=True)
class DreamFilm:
    """A film and the drive it shows; poster and strip lie beside the film."""

    film: Path
    case_file: Path
    case: Case
    branch: str = ""
    unsure_file: Path | None = None  # expected error of every frame and camera, of a world that knows it


def dream(scene: Scene, course: Course, world: World, out: str | Path, *, seed: int = 0, reference: bool = False) -> DreamFilm:
    """Drive ``course`` through ``scene`` in ``world``; write ``out`` (.mp4) and the case beside it.

    With ``reference`` the same states as the reference world shows them stand below the dreamed frames.
    """
    out, heard = Path(out), Overheard(world)
    driven = drive_course(scene, course, heard, seed=seed)
    unsure = heard.of_scene(0, len(driven.images))
    write_film(out, driven.rollout, _takes(driven, world, seed, reference, unsure), world.rig)
    kept = _kept(out, out.with_suffix(".safetensors"), driven, world)
    return replace(kept, unsure_file=write_unsure(out.with_suffix(".unsure.json"), unsure, driven.rollout, world))


def dream_futures(
    scene: Scene, split: Split, world: World, out: str | Path, *, seed: int = 0, reference: bool = False
) -> list[DreamFilm]:
    """Drive several futures of one moment; write one film (.mp4) with a row for each, and a case for each beside it."""
    out = Path(out)
    driven = futures(scene, split, world, seed=seed)
    shown = [
        Future(branch.name or branch.policy.spec.id, one.rollout, _takes(one, world, seed, reference))
        for branch, one in zip(split.branches, driven, strict=True)
    ]
    write_futures(out, shown, world.rig, split.at_s)
    return [
        _kept(out, out.with_name(f"{out.stem}.{number}.safetensors"), one, world, future.name)
        for number, (one, future) in enumerate(zip(driven, shown, strict=True), start=1)
    ]


def _takes(driven: Shown, world: World, seed: int, reference: bool, unsure: NDArray[Any] | None = None) -> Sequence[Take]:
    takes = [Take(world.id, driven.images, unsure)]
    if reference:
        exact = RasterWorld(world.rig)
        takes.append(Take(exact.id, shown_in(exact, driven.rollout, seed)))
    return takes


def _kept(film: Path, case_file: Path, driven: Shown, world: World, branch: str = "") -> DreamFilm:
    rollout = driven.rollout
    case = judged(rollout, reference_progress_m([rollout.scene], world.rig.rate_hz)[0], driven.images, gate_for(world))
    save_record(case_file, case)
    return DreamFilm(film, case_file, case, branch)


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
