"""Driving collected as labelled moments: what the car saw, and exactly how good every plan would have been.

Whoever drives, the labels are the judge's, so driving off the expert's line shows how to get back to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from drivewm.datatypes import Array, Observation, Records, Scene, Trajectory
from drivewm.policies.expert import ExpertPolicy, best_candidate
from drivewm.policies.judge import Judge, moment_of
from drivewm.policies.teacher import FRAMES, TeacherPolicy
from drivewm.policies.vocabulary import ACCELERATIONS_MPS2, CANDIDATES, LATERALS, chosen
from drivewm.protocols import GroundTruth, PolicySpec, World
from drivewm.rollout import rollout
from drivewm.store import load_record, save_record


@dataclass(frozen=True, slots=True)
class LabelledDrive(Records):
    """The frames of one drive, leading [T], with exact labels of the M candidate plans."""

    images: Array  # uint8 [T, V, H, W, 3]
    ego_motion: Array  # float32 [T, 3]
    route_xy_ego: Array  # float32 [T, ROUTE_POINTS, 2]
    speed_limit_mps: Array  # float32 [T]
    command: Array  # int8 [T]
    sub_scores: Array  # float16 [T, M, len(PARTS)]
    expert_index: Array  # int16 [T]

    def __len__(self) -> int:
        return len(self.expert_index)


@dataclass(frozen=True, slots=True)
class DrivingMix:
    """Who drives while labels are written."""

    teacher_share: float = 0.0  # of drives; the expert drives the others
    detour_chance: float = 0.08  # per frame: a random plan is driven for a while
    detour_frames: tuple[int, int] = (2, 8)
    wild_share: float = 0.15  # of detours take any plan; the others a lateral target with a speed profile near the expert's


class _Recorder:
    """Drives as the mix says and writes down every moment with its labels."""

    def __init__(self, teacher: TeacherPolicy | None, mix: DrivingMix, rng: np.random.Generator) -> None:
        self.teacher, self.mix, self._rng = teacher, mix, rng
        self.spec = PolicySpec("recorder", FRAMES, ExpertPolicy.spec.plan_t_s, privileged=True)
        self.rows: list[LabelledDrive] = []
        self._by_teacher = np.zeros(0, bool)

    def start(self, batch: int, seed: int) -> Any:
        share = self.mix.teacher_share if self.teacher else 0.0
        self._by_teacher = self._rng.random(batch) < share
        return None, None, np.zeros(batch, int), np.zeros(batch, int)

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        assert truth is not None  # the loop gives it to privileged policies
        judge, last, frames_left, detour = memory
        judge = judge or Judge.of(truth.scenes)
        moment = moment_of(observation, truth, self.spec.plan_t_s)
        best = best_candidate(judge, moment, last)
        self.rows.append(
            LabelledDrive(
                images=observation.images[:, -1],
                ego_motion=observation.ego_motion[:, -1, :3],
                route_xy_ego=observation.route_xy_ego,
                speed_limit_mps=observation.speed_limit_mps,
                command=observation.command,
                sub_scores=judge.labels(moment).parts.astype(np.float16),
                expert_index=best.astype(np.int16),
            )
        )
        driven = best
        if self.teacher is not None and self._by_teacher.any():
            said = self.teacher.judge(observation).combined().argmax(-1).cpu().numpy()
            driven = np.where(self._by_teacher, said, best)
        frames_left, detour = self._detours(frames_left, detour, best)
        driven = np.where(frames_left > 0, detour, driven)
        return chosen(moment.plans, driven, moment.plan_t_s), (judge, best, frames_left, detour)

    def _detours(self, frames_left: Array, detour: Array, best: Array) -> tuple[Array, Array]:
        count, rng = len(best), self._rng
        frames_left = np.maximum(frames_left - 1, 0)
        begins = (frames_left == 0) & (rng.random(count) < self.mix.detour_chance)
        profile = np.clip(best // LATERALS + rng.integers(-3, 4, count), 0, len(ACCELERATIONS_MPS2) - 1)
        near = profile * LATERALS + rng.integers(0, LATERALS, count)
        plan = np.where(rng.random(count) < self.mix.wild_share, rng.integers(0, CANDIDATES, count), near)
        length = rng.integers(*self.mix.detour_frames, count, endpoint=True)
        return np.where(begins, length, frames_left), np.where(begins, plan, detour)


def record_drives(
    scenes: Sequence[Scene], world: World, mix: DrivingMix, *, seed: int, teacher: TeacherPolicy | None = None
) -> list[LabelledDrive]:
    """Drive the scenes as one batch; one record per scene, cut where its drive ended."""
    recorder = _Recorder(teacher, mix, np.random.default_rng(seed))
    drives = rollout(scenes, recorder, world, seed=seed)
    seen = LabelledDrive.stack(recorder.rows, axis=1)
    return [seen[row, : len(drive.plans.t_s)] for row, drive in enumerate(drives)]


def save_drive(path: str | Path, drive: LabelledDrive) -> None:
    save_record(path, LabelledDrive(**{f.name: np.ascontiguousarray(getattr(drive, f.name)) for f in fields(drive)}))


def load_drives(folder: str | Path) -> list[LabelledDrive]:
    """All drives below a folder, in order."""
    return [load_record(LabelledDrive, file) for file in sorted(Path(folder).rglob("drive-*.safetensors"))]


def moments(drives: Sequence[LabelledDrive], count: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """A batch of ``count`` random moments as the teacher takes them: each with the frame before it where there is one."""
    frames = np.array([len(drive) for drive in drives])
    which = rng.choice(len(drives), count, p=frames / frames.sum())
    at = [int(rng.integers(frames[d])) for d in which]
    now = LabelledDrive.stack([drives[d][t] for d, t in zip(which, at, strict=True)])
    before = LabelledDrive.stack([drives[d][max(t - 1, 0)] for d, t in zip(which, at, strict=True)])
    exists = np.stack([np.array(at) > 0, np.ones(count, bool)], 1)[..., None]
    motion = np.concatenate([np.stack([before.ego_motion, now.ego_motion], 1), exists], -1)
    return {
        "images": torch.from_numpy(np.stack([before.images, now.images], 1)),
        "ego_motion": torch.from_numpy(motion.astype(np.float32)),
        "route_xy_ego": torch.from_numpy(now.route_xy_ego),
        "speed_limit_mps": torch.from_numpy(now.speed_limit_mps),
        "command": torch.from_numpy(now.command.astype(np.int64)),
        "sub_scores": torch.from_numpy(now.sub_scores.astype(np.float32)),
        "expert_index": torch.from_numpy(now.expert_index.astype(np.int64)),
    }
