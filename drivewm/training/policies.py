"""Train the large policy: record labelled driving, learn, let the learner drive, record again (as DAgger does)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivewm.datatypes import Scene
from drivewm.errors import InputError
from drivewm.policies.load import load_teacher, save_policy
from drivewm.policies.teacher import TeacherConfig, TeacherNetwork, TeacherPolicy, teacher_loss
from drivewm.protocols import World
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.training.loop import FitOptions, OnLog, fit
from drivewm.training.visits import DrivingMix, load_drives, moments, record_drives, save_drive

SceneAt = Callable[[int], Scene]
Progress = Callable[[int, int], None]  # drives recorded so far, of how many


@dataclass(frozen=True, slots=True)
class TeacherOptions:
    rounds: int = 3  # the expert drives in the first, the learner in part of the drives of the others
    drives_per_round: int = 120
    batch_drives: int = 6  # driven at once
    steps_per_round: int = 1500
    batch: int = 24
    learning_rate: float = 4e-4
    teacher_share: float = 0.6  # of drives after the first round
    mix: DrivingMix = field(default_factory=DrivingMix)
    config: TeacherConfig | None = None  # None: the default network for the world's cameras
    seed: int = 0


class _Lesson(nn.Module):
    """Network and loss in one forward pass, so that data-parallel wrappers see a single call."""

    def __init__(self, network: TeacherNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return teacher_step(self.network, batch)


def teacher_step(network: TeacherNetwork, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Losses of the network on a batch of `drivewm.training.visits.moments`."""
    return teacher_loss(network(batch), batch["sub_scores"], batch["expert_index"])


def catalogue_scenes(files: Sequence[Path], seed: int) -> SceneAt:
    """Scenes in turn from each scenario: number i is draw i // n of file i % n."""
    if not files:
        raise InputError("no scenarios to train on")
    scenarios = [load_scenario(file) for file in files]
    return lambda index: draw_scene(scenarios[index % len(scenarios)], index // len(scenarios), seed)


def train_teacher(
    scene_at: SceneAt,
    world: World,
    out: str | Path,
    options: TeacherOptions,
    on_log: OnLog | None = None,
    progress: Progress | None = None,
) -> TeacherPolicy:
    """Train in ``out`` and write ``out/teacher.safetensors``; a killed run goes on with the drive or step it was at.

    ``on_log`` gets steps counted over all rounds. Raises InputError when the world's cameras are not those of the network.
    """
    wanted = (options.config or TeacherConfig(rig=world.rig)).rig
    if wanted.size_px != world.rig.size_px or wanted.names != world.rig.names:
        raise InputError("the large policy and the world must have the same cameras")
    course = _Course(scene_at, world, Path(out), options)
    teacher: TeacherPolicy | None = None
    for number in range(options.rounds):
        weights = course.folder(number) / "teacher.safetensors"
        if not weights.is_file():
            course.record(number, teacher, progress)
            save_policy(weights, course.learn(number, teacher, on_log), seed=options.seed, world=world.id)
        teacher = load_teacher(weights)
    if teacher is None:
        raise InputError("training needs at least one round")
    save_policy(course.out / "teacher.safetensors", teacher.network, seed=options.seed, world=world.id)
    return teacher


@dataclass(frozen=True, slots=True)
class _Course:
    """One training run in its folder; each round has its own below it."""

    scene_at: SceneAt
    world: World
    out: Path
    options: TeacherOptions

    def folder(self, number: int) -> Path:
        return self.out / f"round-{number}"

    def record(self, number: int, teacher: TeacherPolicy | None, progress: Progress | None) -> None:
        """Record the drives of a round that are not in its folder yet."""
        options, mix = self.options, self.options.mix
        if teacher is not None:
            mix = replace(mix, teacher_share=options.teacher_share, detour_chance=0.5 * mix.detour_chance)
        for start in range(0, options.drives_per_round, options.batch_drives):
            numbers = range(start, min(start + options.batch_drives, options.drives_per_round))
            files = [self.folder(number) / f"drive-{i:05d}.safetensors" for i in numbers]
            if not all(file.is_file() for file in files):
                scenes = [self.scene_at(number * options.drives_per_round + i) for i in numbers]
                key = int(np.random.SeedSequence([options.seed, number, start]).generate_state(1)[0])
                for file, drive in zip(files, record_drives(scenes, self.world, mix, seed=key, teacher=teacher), strict=True):
                    save_drive(file, drive)
            if progress:
                progress(number * options.drives_per_round + numbers.stop, options.rounds * options.drives_per_round)

    def learn(self, number: int, teacher: TeacherPolicy | None, on_log: OnLog | None) -> TeacherNetwork:
        """The network after a round, from all drives so far; it goes on from the one before."""
        options = self.options
        drives = [drive for earlier in range(number + 1) for drive in load_drives(self.folder(earlier))]

        def batch_at(step: int) -> dict[str, Tensor]:
            rng = np.random.default_rng(np.random.SeedSequence([options.seed, number, step]))
            batch = moments(drives, options.batch, rng)
            return batch | {"images": weathered(batch["images"], rng)}

        def loss_fn(model: nn.Module, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
            losses: dict[str, Tensor] = model(batch)
            return losses

        def counted(step: int, values: dict[str, float]) -> None:
            if on_log:
                on_log(number * options.steps_per_round + step, values)

        settings = FitOptions(
            steps=options.steps_per_round,
            batch=options.batch,
            learning_rate=options.learning_rate,
            warmup_steps=max(1, options.steps_per_round // 20),
            decay_share=0.4,
            seed=options.seed + number,
        )
        lesson: Any = fit(_Lesson(self._network(teacher)), loss_fn, batch_at, self.folder(number), settings, counted)
        trained: TeacherNetwork = lesson.network.cpu()
        return trained

    def _network(self, teacher: TeacherPolicy | None) -> TeacherNetwork:
        torch.manual_seed(self.options.seed)
        network = TeacherNetwork(self.options.config or TeacherConfig(rig=self.world.rig))
        if teacher is not None:
            network.load_state_dict(teacher.network.state_dict())
        return network


def weathered(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images uint8 [B, ..., H, W, 3] with the gain, tint, softness and grain of another camera, or of a dream.

    A policy that learned crisp pixels by heart would be lost in frames from a decoder.
    """
    batch = len(images)
    flat = images.to(torch.float32).movedim(-1, -3)
    shape = (batch, *([1] * (flat.dim() - 4)), 3, 1, 1)
    gain = torch.from_numpy(rng.uniform(0.85, 1.15, (batch, 3))).float().reshape(shape)
    shift = torch.from_numpy(rng.uniform(-12.0, 12.0, (batch, 1))).float().expand(-1, 3).reshape(shape)
    flat = flat * gain + shift
    for row in np.flatnonzero(rng.random(batch) < 0.4):
        one = flat[row].flatten(0, -4)
        small = nn.functional.avg_pool2d(one, 2)
        soft = nn.functional.interpolate(small, size=one.shape[-2:], mode="bilinear", align_corners=False)
        share = float(rng.uniform(0.3, 1.0))
        flat[row] = ((1 - share) * one + share * soft).reshape(flat[row].shape)
    grain = torch.from_numpy(rng.uniform(0.0, 6.0, batch)).float().reshape(batch, *([1] * (flat.dim() - 1)))
    noise = torch.empty(flat.shape).normal_(generator=torch.Generator().manual_seed(int(rng.integers(2**31))))
    return (flat + grain * noise).clamp(0, 255).to(torch.uint8).movedim(-3, -1)
