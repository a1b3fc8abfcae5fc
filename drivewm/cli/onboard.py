"""Commands that make the small policy and its file for the vehicle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, Out, Seed, finish


def add_to(app: typer.Typer) -> None:
    app.command()(export)
    app.command()(verify)


def export(
    policy: Annotated[Path, typer.Argument(help="The small policy's .safetensors, with its card beside it.")],
    visits: Annotated[Path, typer.Option(help="Folder of the drives it was distilled on; they give golden vectors.")],
    name: Annotated[str, typer.Option(help="Name of the registered model in MLflow.")] = "onboard",
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The onboard bundle: ONNX with its contract inside, int8 variant, golden vectors, latency, model card, checksums."""
    from rich.console import Console

    from drivewm.config import run_folder
    from drivewm.distill.collect import load_visits
    from drivewm.distill.export import ExportOptions
    from drivewm.distill.export import export as write
    from drivewm.policies.load import load_onboard
    from drivewm.policies.weights import read_card
    from drivewm.tracking import EXPERIMENT, Run

    origin, network, drives = read_card(policy).provenance, load_onboard(policy).network, load_visits(visits)
    ids = {kind: value for kind, value in origin.ids.items() if kind != "policy"}
    with Console(stderr=True, quiet=as_json).status("exporting") as status:
        bundle = write(network, drives, run_folder("bundle", out), ExportOptions(seed, ids), status.update)
    with Run(EXPERIMENT, f"export {bundle.policy_id}") as run:
        run.provenance(origin)
        run.link("policy", bundle.policy_id)
        run.metrics({f"{row.file}.p99_ms": row.p99_ms for row in bundle.latency})
        version = run.register_onnx(name, bundle.onnx)
    lines = [f"{row.file}: p50 {row.p50_ms:.1f} ms, p99 {row.p99_ms:.1f} ms" for row in bundle.latency]
    values = {"bundle": bundle.folder, "policy": bundle.policy_id, "latency": bundle.latency, "model": name, "version": version}
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
