"""The whole loop, small: what `drivewm demo` does. Each stage is the function behind a command of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from drivewm.cli import tracked
from drivewm.cli.demo_report import Demonstration, write_report
from drivewm.distill.distil import DistilOptions
from drivewm.distill.export import ExportOptions, export
from drivewm.distill.rounds import WEIGHTS, Lesson, RoundsOptions, all_visits, distil_rounds
from drivewm.distill.verify import verify
from drivewm.errors import InputError
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite, load_suite
from drivewm.evaluation.worlds import load_world
from drivewm.policies.load import load_onboard, load_policy
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.teacher import TeacherPolicy
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
    steps: int = 120  # of distillation


def run_demo(out: Path, options: DemoOptions, stage: Stage) -> Demonstration:
    """Run every stage below ``out`` and write ``out/report.html``; a folder that was interrupted is completed."""
    began = time.monotonic()
    suite = load_suite(options.suite)
    teacher, student = load_policy(options.teacher), load_policy(options.student)
    if not isinstance(teacher, TeacherPolicy) or not isinstance(student, OnboardPolicy):
        raise InputError(f"the demonstration needs a large and a small policy, not {teacher.spec.id} and {student.spec.id}")
    bundle = out / "bundle"
    with Run.of_folder(EXPERIMENT, "demo", out) as parent:
        parent.params(asdict(options))
        tracked.world(options.world, load_world(options.world).id, parent.id)
        tracked.policy("teacher", options.teacher, teacher.spec.id, parent.id)
        large = _scored(options.teacher, suite, options, out / "large", stage("large policy drives"))
        tracked.scores(large, out / "large", parent.id)
        losses = _distilled(student, teacher, suite, options, out / "small", stage)
        hear = stage("vehicle file")
        if not bundle.exists():
            ids = {"teacher": large.policy, "world": large.world, "suite": large.suite}
            said = {"large policy": f"{large.summary.all.score or 'void'}"}
            network = load_onboard(out / "small" / WEIGHTS).network
            exporting = ExportOptions(options.seed, ids, said, latency_calls=60)
            export(network, all_visits(out / "small"), bundle, exporting, lambda what: hear(0, 1, what))
        checks, latency = verify(bundle), read_json(bundle / "latency.json")
        version = tracked.bundle(bundle, "onboard", checks, latency, parent.id)
        onboard = _scored(str(bundle / "policy.onnx"), suite, options, out / "onboard", stage("vehicle file drives"))
        tracked.scores(onboard, out / "onboard", parent.id)
        seconds = time.monotonic() - began
        shown = Demonstration(out, large, onboard, checks, tuple(latency), tuple(losses), version, seconds)
        parent.artifact(write_report(shown))
    return shown


def _scored(policy: str, suite: Suite, options: DemoOptions, out: Path, hear: Hear) -> SuiteResult:
    return score_suite(policy, suite, options.world, out, ScoreOptions(options.seed, films=True), hear)


def _distilled(
    student: OnboardPolicy, teacher: TeacherPolicy, suite: Suite, options: DemoOptions, out: Path, stage: Stage
) -> list[float]:
    """One round of distillation on other draws of the same scenarios; returns the losses on the way."""
    losses: list[float] = read_json(out / "losses.json") if (out / "losses.json").is_file() else []
    drives = stage("small policy drives, large one comments")
    learns: Hear | None = None

    def on_log(step: int, values: dict[str, float]) -> None:
        nonlocal learns
        learns = learns or stage("small policy learns")
        learns(step, options.steps, f"loss {values['loss']:.3f}")
        losses.append(values["loss"])

    lesson = Lesson(teacher, load_world(options.world), lambda number: suite.scenes(options.seed + 1 + number))
    settings = RoundsOptions(seed=options.seed, distil=DistilOptions(steps=options.steps))
    distil_rounds(student, lesson, out, settings, drives, on_log)
    write_json(out / "losses.json", losses)
    return losses
