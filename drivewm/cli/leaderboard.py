"""`drivewm leaderboard`: several policies in several worlds from one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, Out, PlanLimit, SceneBatch, Seed, Workers, finish, stages

ONNX_FILE = "onboard.onnx"


def add_to(app: typer.Typer) -> None:
    app.command()(leaderboard)


def leaderboard(
    policies: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help="Who drives, repeatable; by default baselines, controls, large, small and its file."),
    ] = None,
    worlds: Annotated[list[str] | None, typer.Option("--world", "-w", help="Where, repeatable; else raster and dream.")] = None,
    suite: Annotated[str, typer.Option("--suite", "-s", help="A name (see `drivewm info`) or a .yaml file.")] = "core",
    batch: SceneBatch = 8,
    plan_limit: PlanLimit = None,
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Policies by worlds through one suite: tables with intervals and void rates, and where the controls land. Resumes."""
    from drivewm.config import runs_root
    from drivewm.evaluation.leaderboard import ROLES, Contest, placings, run_contest
    from drivewm.evaluation.leaderboard_page import write_leaderboard
    from drivewm.evaluation.score import ScoreOptions
    from drivewm.evaluation.suite import load_suite

    chosen = load_suite(suite)
    folder = out or runs_root() / f"leaderboard-{chosen.name}"
    drivers = policies or [str(_onnx_file(folder)) if name == ONNX_FILE else name for name in ROLES]
    contest = Contest(tuple(drivers), tuple(worlds or ("raster", "dream")), chosen)
    with stages(as_json) as stage:
        entries = run_contest(contest, folder, ScoreOptions(seed, workers, batch, plan_limit_s=plan_limit), stage)
    said = [f"--policy {name}" for name in policies or []] + [f"--world {name}" for name in worlds or []]
    command = " ".join(["drivewm leaderboard", f"--suite {suite}", *said, *([f"--seed {seed}"] if seed else [])])
    page = folder / "leaderboard.md"
    write_leaderboard(page, entries, command)
    rows = [{"policy": e.result.policy, "world": e.result.world, "all": e.result.summary.all} for e in entries]
    finish(as_json, {"page": page, "rows": rows, "controls": placings(entries)}, page.read_text(encoding="utf-8"), str(page))


def _onnx_file(folder: Path) -> Path:
    """The small policy that comes with drivewm as an ONNX file, written once."""
    from drivewm.distill.export import write_onnx_alone
    from drivewm.policies.load import embedded_onboard

    file = folder / ONNX_FILE
    if not file.is_file():
        write_onnx_alone(embedded_onboard().network, file)
    return file
