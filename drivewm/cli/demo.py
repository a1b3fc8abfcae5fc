"""The whole loop, small: what `drivewm demo` does. Each stage is the function behind a command of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drivewm.cli import tracked
from drivewm.cli.demo_report import Demonstration, write_report
from drivewm.distill.distil import DistilOptions
from drivewm.distill.export import ExportOptions, export
from drivewm.distill.rounds import WEIGHTS, Lesson, RoundsOptions, all_visits, distil_rounds
from drivewm.distill.verify import Report, verify
from drivewm.errors import InputError
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite, load_suite
from drivewm.evaluation.worlds import load_world
from drivewm.policies.load import load_onboard, load_policy
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.teacher import TeacherPolicy
from drivewm.protocols import World
from drivewm.store import read_json, write_json
from drivewm.tracking import EXPERIMENT, Run

Hear = Callable[..., None]  # (done, total) or (done, total, what)
Stage = Callable[[str], Hear]  # begins a stage and gives the function that hears how far it is


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Who plays which part."""

    teacher: str = "teacher"  # the large policy
    student: str = "onboard"  # the small policy before the demonstration
    world: str = "dream"
    suite: str = "demo"
    seed: int = 0
    steps: int = 40  # of distillation


def run_demo(out: Path, options: DemoOptions, stage: Stage) -> Demonstration:
    """Run every stage below ``out`` and write ``out/report.html``; a folder that was interrupted is completed."""
    began = time.monotonic()
    teacher, student = load_policy(options.teacher), load_policy(options.student)
    if not isinstance(teacher, TeacherPolicy) or not isinstance(student, OnboardPolicy):
        raise InputError(f"the demonstration needs a large and a small policy, not {teacher.spec.id} and {student.spec.id}")
    with Run.of_folder(EXPERIMENT, "demo", out) as parent:
        parent.params(asdict(options))
        loop = _Loop(out, options, stage, load_suite(options.suite), load_world(options.world), parent.id)
        tracked.world(options.world, loop.world.id, parent.id)
        tracked.policy("teacher", options.teacher, teacher.spec.id, parent.id)
        large = loop.scored(options.teacher, "large", "large policy drives")
        losses = loop.distilled(student, teacher)
        checks, latency, version = loop.exported(large)
        onboard = loop.scored(str(out / "bundle" / "policy.onnx"), "onboard", "vehicle file drives")
        seconds = time.monotonic() - began
        shown = Demonstration(out, large, onboard, checks, latency, tuple(losses), version, seconds)
        parent.artifact(write_report(shown))
    return shown


@dataclass(frozen=True, slots=True)
class _Loop:
    """The stages; each finds what it needs below ``out`` and does nothing twice."""

    out: Path
    options: DemoOptions
    stage: Stage
    suite: Suite
    world: World
    parent: str  # run in MLflow

    def scored(self, policy: str, folder: str, title: str) -> SuiteResult:
        """The suite driven by a policy, with films."""
        scoring = ScoreOptions(self.options.seed, films=True)
        result = score_suite(policy, self.suite, self.options.world, self.out / folder, scoring, self.stage(title))
        tracked.scores(result, self.out / folder, self.parent)
        return result

    def distilled(self, student: OnboardPolicy, teacher: TeacherPolicy) -> list[float]:
        """One round of distillation on other draws of the same scenarios; returns the losses on the way."""
        out, options = self.out / "small", self.options
        noted = out / "losses.json"
        losses: list[float] = read_json(noted) if noted.is_file() else []
        drives = self.stage("small policy drives, large one comments")
        learns: Hear | None = None
        with Run.of_folder(EXPERIMENT, f"distil {teacher.spec.id}", out, parent=self.parent) as run:

            def on_log(step: int, values: dict[str, float]) -> None:
                nonlocal learns
                learns = learns or self.stage("small policy learns")
                learns(step, options.steps, f"loss {values['loss']:.3f}")
                losses.append(values["loss"])
                run.metrics(values, step)

            lesson = Lesson(teacher, self.world, lambda number: self.suite.scenes(options.seed + 1 + number))
            settings = RoundsOptions(seed=options.seed, distil=DistilOptions(steps=options.steps))
            learned = distil_rounds(student, lesson, out, settings, drives, on_log)
            for kind, name in (("teacher", teacher.spec.id), ("world", self.world.id), ("policy", learned.spec.id)):
                run.link(kind, name)
        write_json(noted, losses)
        return losses

    def exported(self, large: SuiteResult) -> tuple[Report, tuple[dict[str, Any], ...], int]:
        """The bundle, checked and registered: the report, the rows of latency, the version of the model."""
        bundle, hear = self.out / "bundle", self.stage("vehicle file")
        if not bundle.exists():
            ids = {"teacher": large.policy, "world": large.world, "suite": large.suite}
            said = {"large policy": f"{large.summary.all.score or 'void'}"}
            exporting = ExportOptions(self.options.seed, ids, said, latency_calls=60)
            network = load_onboard(self.out / "small" / WEIGHTS).network
            export(network, all_visits(self.out / "small"), bundle, exporting, lambda what: hear(0, 1, what))
        checks, latency = verify(bundle), read_json(bundle / "latency.json")
        return checks, tuple(latency), tracked.bundle(bundle, "onboard", checks, latency, self.parent)
