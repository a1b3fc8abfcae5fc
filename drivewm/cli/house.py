"""Commands about the installation and the workspace: info, doctor, init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, Out, Seed, World, finish, stages


def add_to(app: typer.Typer) -> None:
    app.command()(demo)
    app.command()(info)
    app.command()(doctor)
    app.command()(init)


def demo(
    teacher: Annotated[str, typer.Option(help="The large policy: a name or .safetensors.")] = "teacher",
    student: Annotated[str, typer.Option(help="The small policy to go on from.")] = "onboard",
    world: World = "dream",
    suite: Annotated[str, typer.Option(help="Scenes to drive: a suite's name or file.")] = "demo",
    steps: Annotated[int, typer.Option(help="Optimiser steps of the distillation.", min=1)] = 40,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The whole loop, small: drive, score, distil, export, verify, drive the file; one HTML report. Takes a few minutes."""
    from drivewm.cli.demo import DemoOptions, run_demo
    from drivewm.config import run_folder
    from drivewm.tracking import open_command

    folder = run_folder("demo", out)
    with stages(as_json) as stage:
        shown = run_demo(folder, DemoOptions(teacher, student, world, suite, seed, steps), stage)
    all_of = {"large": shown.large.summary.all, "onboard": shown.onboard.summary.all}
    values = {"report": shown.report, "bundle": folder / "bundle", "parity": shown.parity, "verified": shown.checks.ok}
    lines = [
        f"{name}: score {group.score or 'void'}, {group.void} of {group.drives} drives void" for name, group in all_of.items()
    ]
    lines += [
        f"parity {shown.parity:.1e}, took {shown.seconds:.0f} s",
        f"report       {shown.report}",
        f"experiments  {open_command()}",
    ]
    finish(as_json, values | all_of | {"latency": shown.latency, "seconds": shown.seconds}, *lines)


def info(as_json: Json = False) -> None:
    """What is installed here: versions, policies, worlds, scenarios, where runs go."""
    from rich.table import Table

    from drivewm.config import installation

    facts = installation()
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    finish(as_json, facts, table)


def doctor(as_json: Json = False) -> None:
    """Whether this machine can do the work: each part is tried, not just looked up. Exit code 1 when one does not work."""
    from rich.table import Table

    from drivewm.cli.checkup import checkup

    findings = checkup()
    table = Table("", "part", "finding", box=None)
    for finding in findings:
        table.add_row({True: "ok", False: "[red]FAILS[/]", None: "–"}[finding.works], finding.part, finding.text)
    finish(as_json, {"healthy": all(f.works is not False for f in findings), "findings": findings}, table)
    if any(finding.works is False for finding in findings):
        raise typer.Exit(1)


def init(folder: Annotated[Path, typer.Argument(help="The new folder.")], as_json: Json = False) -> None:
    """A new workspace: the scenarios and suites as files of your own to change, and what to do first."""
    from drivewm.cli.workspace import new_workspace

    files = new_workspace(folder)
    finish(as_json, {"folder": folder, "files": len(files)}, (folder / "README.md").read_text(encoding="utf-8"))
