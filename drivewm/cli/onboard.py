"""Commands that make the small policy and its file for the vehicle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli import tracked
from drivewm.cli.console import Json, Out, Seed, World, finish, progress


def add_to(app: typer.Typer) -> None:
    app.command()(distill)
    app.command()(export)
    app.command()(verify)


def distill(
    scenarios: Annotated[list[str] | None, typer.Argument(help="What is driven: names, files, folders; by default all.")] = None,
    teacher: Annotated[str, typer.Option(help="The large policy: a name or .safetensors.")] = "teacher",
    student: Annotated[str, typer.Option(help="The small policy to go on from, or `new`.")] = "onboard",
    world: World = "dream",
    rounds: Annotated[int, typer.Option(help="Drive, learn, and again on new scenes.", min=1)] = 1,
    draws: Annotated[int, typer.Option(help="Scenes from each scenario and round.", min=1)] = 4,
    steps: Annotated[int, typer.Option(help="Optimiser steps per round.", min=1)] = 300,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Teach the small policy on the states that it visits itself, with the large one's comments and exact scores. Resumes."""
    from drivewm.cli.scenario import scenario_files
    from drivewm.config import content_folder, run_folder
    from drivewm.distill.distil import DistilOptions
    from drivewm.distill.rounds import WEIGHTS, Lesson, RoundsOptions, distil_rounds
    from drivewm.errors import InputError
    from drivewm.evaluation.worlds import load_world
    from drivewm.policies.load import load_policy
    from drivewm.policies.onboard import OnboardConfig, OnboardNetwork, OnboardPolicy
    from drivewm.policies.teacher import TeacherPolicy
    from drivewm.scenarios.opening import draw, open_scenario
    from drivewm.tracking import EXPERIMENT, Run

    large, folder = load_policy(teacher), run_folder("distill", out)
    small = OnboardPolicy(OnboardNetwork(OnboardConfig())) if student == "new" else load_policy(student)
    if not isinstance(large, TeacherPolicy) or not isinstance(small, OnboardPolicy):
        raise InputError(f"distilling needs a large and a small policy, not {large.spec.id} and {small.spec.id}")
    sources = [open_scenario(file) for file in scenario_files(scenarios or [str(content_folder("scenarios"))])]
    lesson = Lesson(
        large, load_world(world), lambda number: [draw(s, number * draws + i, seed) for s in sources for i in range(draws)]
    )
    options = RoundsOptions(rounds, seed, distil=DistilOptions(steps=steps))
    with Run.of_folder(EXPERIMENT, f"distil {large.spec.id}", folder) as run, progress("distilling", as_json) as report:
        run.params(
            {"teacher": large.spec.id, "student": small.spec.id, "world": lesson.world.id, "rounds": rounds, "steps": steps}
        )

        def on_log(step: int, values: dict[str, float]) -> None:
            run.metrics(values, step)
            report(step, rounds * steps, f"learning, loss {values['loss']:.3f}")

        learned = distil_rounds(small, lesson, folder, options, lambda done, total: report(done, total, "driving"), on_log)
        for kind, name in (("teacher", large.spec.id), ("world", lesson.world.id), ("policy", learned.spec.id)):
            run.link(kind, name)
    values = {"policy": folder / WEIGHTS, "id": learned.spec.id, "visits": folder}
    finish(as_json, values, f"{learned.spec.id} in {folder / WEIGHTS}", f"next: drivewm export {folder}")


def export(
    lesson: Annotated[Path, typer.Argument(help="Folder written by `drivewm distill`: the small policy and what it visited.")],
    name: Annotated[str, typer.Option(help="Name of the registered model in MLflow.")] = "onboard",
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The onboard bundle: ONNX with its contract inside, int8 variant, golden vectors, latency, model card, checksums."""
    from drivewm.config import run_folder
    from drivewm.distill.export import ExportOptions
    from drivewm.distill.export import export as write
    from drivewm.distill.rounds import WEIGHTS, all_visits
    from drivewm.distill.verify import verify as check
    from drivewm.policies.load import load_onboard
    from drivewm.policies.weights import read_card
    from drivewm.store import read_json

    origin, network = read_card(lesson / WEIGHTS).provenance, load_onboard(lesson / WEIGHTS).network
    with progress("exporting", as_json) as report:
        bundle = write(
            network,
            all_visits(lesson),
            run_folder("bundle", out),
            ExportOptions(seed, origin.ids),
            lambda what: report(0, 1, what),
        )
    checks, latency = check(bundle.folder), read_json(bundle.folder / "latency.json")
    version = tracked.bundle(bundle.folder, name, checks, latency)
    lines = [f"{row['file']}: p50 {row['p50_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms" for row in latency]
    values = {
        "bundle": bundle.folder,
        "policy": bundle.policy_id,
        "verified": checks.ok,
        "latency": latency,
        "model": name,
        "version": version,
    }
    finish(as_json, values, *lines, f"bundle in {bundle.folder}, registered as {name} version {version}")


def verify(bundle: Annotated[Path, typer.Argument(help="Folder written by `drivewm export`.")], as_json: Json = False) -> None:
    """Check a bundle: files, contract, graph, answers against the stored ones and torch. Exit code 1 if one fails."""
    from rich.table import Table

    from drivewm.distill.verify import verify as check

    report = check(bundle)
    table = Table("", "check", "found", "needed", box=None)
    for one in report.checks:
        table.add_row("ok" if one.ok else "[red]FAILS[/]", one.name, one.value, one.needed)
    values = {
        "ok": report.ok,
        "policy": report.policy_id,
        "checks": report.checks,
        "parity": report.torch,
        "golden": report.golden,
        "int8": report.int8,
    }
    finish(as_json, values, table)
    if not report.ok:
        raise typer.Exit(1)
