"""Stretches of fresh held-out drives with all that happens in them, so that what is changed there can be rendered exactly.

A recorded drive shows what was; to ask what the dream shows of an agent that was never there, its exact frames are needed too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch

from drivewm.data.driving import drive_town
from drivewm.datatypes import Array, CameraRig, Conditions, Scene, WorldState
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.dreaming import Drives
from drivewm.sim.raster import Frame, render
from drivewm.training.shards import Tensors
from drivewm.worldmodel.conditions import FrameConditions, frame_conditions

Made = TypeVar("Made")

STAGED_SEED = 91_000  # of the drives of these stretches, with the seed of the card added; no training is made with such seeds
DRIVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Staged:
    """T camera frames of a drive; ``states`` [T + 1] begin one frame earlier, to tell the first one's motion."""

    scene: Scene
    states: WorldState
    sky: tuple[Conditions, ...]  # [T]

    def under(self, sky: Conditions, first: int) -> Staged:
        """The same stretch with another sky from frame ``first`` on; the sun stays where it stands."""
        late = [replace(sky, sun_azimuth_rad=was.sun_azimuth_rad) for was in self.sky[first:]]
        return replace(self, sky=(*self.sky[:first], *late))


def stretches(sample: Sample, seed: int, frames: int) -> Iterator[Staged]:
    """Stretches of ``frames`` camera frames out of drives that are new to the world, one of each drive, without end."""
    index = 0
    while True:
        driven = drive_town(index, "val", STAGED_SEED + seed, seconds=DRIVE_S)
        scene = driven.drive.scene
        every = max(1, round(1.0 / (sample.rig.rate_hz * scene.dt_s)))
        states = driven.states[::every]
        spare = len(states.t_s) - frames - 1
        if spare >= 0 and sample.new(scene):
            first = int(np.random.default_rng(np.random.SeedSequence([STAGED_SEED, seed, index])).integers(spare + 1))
            states = states[first : first + frames + 1]
            yield Staged(scene, states, tuple(scene.conditions_at(float(t_s)) for t_s in states.t_s[1:]))
        index += 1


def staged(sample: Sample, frames: int, made: Callable[[Staged], Made | None]) -> tuple[Made, ...]:
    """What is ``made`` of as many stretches as the sample has drives, of the same seeds; those that give None are left out."""
    sources = [stretches(sample, seed, frames) for seed in sample.seeds]
    out = []
    for index in sample.of_seed:
        out.append(next(it for it in map(made, sources[index]) if it is not None))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Exact:
    """The exact frames of stretches, with what is told of them: told [B, T, ...], the rest [B, T, V, H, W]."""

    told: Tensors
    semantics: Array
    instance: Array  # track id or -1

    def over(self, sample: Sample) -> Sample:
        """The sample with these drives in place of its own."""
        return replace(sample, drives=Drives(self.told, sample.drives.context), longer=None)


def filmed(stages: Sequence[Staged], rig: CameraRig) -> Exact:
    """Renders stretches, and tells them as the dream is told a drive."""
    told, pictures = [], []
    for stage in stages:
        frames = range(len(stage.sky))
        told.append(FrameConditions.stack([_told(stage, frame, rig) for frame in frames]))
        pictures.append([_picture(stage, frame, rig) for frame in frames])
    stacked = FrameConditions.stack(told)
    tensors = {f.name: torch.from_numpy(np.ascontiguousarray(getattr(stacked, f.name))) for f in fields(stacked)}
    time_s = np.stack([stage.states.t_s[1:] - stage.states.t_s[1] for stage in stages]).astype(np.float32)
    images, semantics, instance = (
        np.stack([[getattr(picture, name) for picture in row] for row in pictures])
        for name in ("images", "semantics", "instance")
    )
    tensors |= {"images": torch.from_numpy(images), "time_s": torch.from_numpy(time_s)}
    return Exact(tensors, semantics, instance)


def _told(stage: Staged, frame: int, rig: CameraRig) -> FrameConditions:
    return frame_conditions(stage.scene.road, stage.states[frame + 1], stage.states[frame], stage.sky[frame], rig)


def _picture(stage: Staged, frame: int, rig: CameraRig) -> Frame:
    return render(stage.scene.road, stage.states[frame + 1], stage.sky[frame], rig, stage.scene.seed)
