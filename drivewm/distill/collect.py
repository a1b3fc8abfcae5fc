"""On-policy collection: the small policy drives, and at every frame it visits the large one says what it thinks of every plan.

Exact labels of the same moment come from the state: sub-scores of all candidate plans, and the privileged expert's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.datatypes import Array, Observation, Scene, Trajectory, WorldState
from drivewm.evaluation.cases import frames_of
from drivewm.policies.expert import best_candidate
from drivewm.policies.judge import Judge, moment_of
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.teacher import FRAMES, TeacherPolicy
from drivewm.policies.vocabulary import chosen
from drivewm.protocols import GroundTruth, PolicySpec, World
from drivewm.rollout import rollout
from drivewm.store import load_record, save_record
from drivewm.training.visits import LabelledDrive

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Visits(LabelledDrive):
    """A labelled drive of the small policy, and what the large one said of each of the M candidate plans."""

    teacher_log_score: Array  # float32 [T, M]


@dataclass(frozen=True, slots=True)
class CollectOptions:
    seed: int = 0
    batch: int = 8  # scenes driven at once
    teacher_share: float = 0.2  # of drives in which the large policy drives, so that good states are visited, too


class _Collector:
    """A policy that drives like the small one (or the large one) and writes down what both see."""

    def __init__(self, student: OnboardPolicy, teacher: TeacherPolicy, teacher_drives: Array) -> None:
        self.student, self.teacher, self.teacher_drives = student, teacher, teacher_drives
        self.spec = PolicySpec(f"collector of {teacher.spec.id}", FRAMES, student.spec.plan_t_s, privileged=True)
        self.rows: list[Visits] = []

    def start(self, batch: int, seed: int) -> Any:
        return self.student.start(batch, seed), None, None

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        assert truth is not None  # the loop gives it to privileged policies
        own_memory, judge, last = memory
        judge = judge or Judge.of(truth.scenes)
        moment = moment_of(observation, truth, self.spec.plan_t_s)
        best = best_candidate(judge, moment, last)
        said = self.teacher.judge(observation).combined().cpu().numpy()
        plan, own_memory = self.student.act(observation, own_memory)
        self.rows.append(
            Visits(
                images=observation.images[:, -1],
                ego_motion=observation.ego_motion[:, -1, :3],
                route_xy_ego=observation.route_xy_ego,
                speed_limit_mps=observation.speed_limit_mps,
                command=observation.command,
                teacher_log_score=said.astype(np.float32),
                sub_scores=judge.labels(moment).parts.astype(np.float16),
                expert_index=best.astype(np.int16),
            )
        )
        theirs, by_teacher = chosen(moment.plans, said.argmax(1), moment.plan_t_s), self.teacher_drives
        pose = np.where(by_teacher[:, None, None], theirs.xy_yaw_ego, plan.xy_yaw_ego)
        speed = np.where(by_teacher[:, None], theirs.speed_mps, plan.speed_mps)
        return Trajectory(plan.t_s, pose, speed), (own_memory, judge, best)


def collect(
    student: OnboardPolicy,
    teacher: TeacherPolicy,
    world: World,
    scenes: Sequence[Scene],
    options: CollectOptions | None = None,
    progress: Progress | None = None,
) -> list[Visits]:
    """Drive all scenes; one record per drive, in their order, cut where the drive ended.

    ``progress`` hears camera frames driven and in all; a scene of which nothing more is needed counts as driven to its end.
    """
    options, out = options or CollectOptions(), []
    frames = [frames_of(scene, world.rig.rate_hz) for scene in scenes]
    for start in range(0, len(scenes), options.batch):
        batch = scenes[start : start + options.batch]
        collector = _Collector(student, teacher, np.array([_teacher_drives(options, start + row) for row in range(len(batch))]))
        own, before = frames[start : start + options.batch], sum(frames[:start])

        def tell(frame: int, images: Array, state: WorldState, own: list[int] = own, before: int = before) -> None:
            if progress:
                progress(before + sum(min(frame + 1, count) for count in own), sum(frames))

        drives = rollout(batch, collector, world, seed=options.seed, on_frame=tell)
        seen = Visits.stack(collector.rows, axis=1)
        out += [seen[row, : len(drive.plans.t_s)] for row, drive in enumerate(drives)]
        if progress:
            progress(before + sum(own), sum(frames))
    return out


def _teacher_drives(options: CollectOptions, index: int) -> bool:
    rng = np.random.default_rng(np.random.SeedSequence([options.seed, index]))
    return bool(rng.random() < options.teacher_share)


def save_visits(folder: str | Path, visits: Sequence[Visits], first: int = 0) -> list[Path]:
    """One file per drive, numbered from ``first``."""
    files = [Path(folder) / f"drive-{first + i:05d}.safetensors" for i in range(len(visits))]
    for file, visit in zip(files, visits, strict=True):
        save_record(file, Visits(**{f.name: np.ascontiguousarray(getattr(visit, f.name)) for f in fields(visit)}))
    return files


def load_visits(folder: str | Path) -> list[Visits]:
    """All drives in a folder and the folders below it, in order."""
    return [load_record(Visits, file) for file in sorted(Path(folder).rglob("drive-*.safetensors"))]
