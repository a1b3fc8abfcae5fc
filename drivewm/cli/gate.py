"""The command that sets the validity gate's limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, Out, Seed, Workers, finish, progress


def add_to(app: typer.Typer) -> None:
    app.command()(gate)


def gate(
    world: Annotated[
        str, typer.Option("--world", "-w", help="Whose autoencoder the pictures pass: dream, or a folder of a world model.")
    ] = "dream",
    readers: Annotated[
        Path | None, typer.Option(help="Folder of readers, which receives the limits; by default those that came with drivewm.")
    ] = None,
    set_on: Annotated[int, typer.Option(help="Drives on which the limits are set.", min=12)] = 172,
    tried_on: Annotated[int, typer.Option(help="Other drives on which they are tried.", min=4)] = 400,
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Set the limits of the validity gate, and say which share of whole and of broken drives it calls void."""
    from drivewm.config import run_folder
    from drivewm.evaluation.calibration import GateOptions, calibrate
    from drivewm.evaluation.gate import FILE
    from drivewm.evaluation.gate_page import write_page
    from drivewm.evaluation.readers import EMBEDDED as SHIPPED_READERS
    from drivewm.worldmodel.world import EMBEDDED

    folder, beside = run_folder("gate", out), readers or SHIPPED_READERS
    with progress("breaking drives", as_json) as report:
        options = GateOptions(set_on, tried_on, seed, workers)
        made = calibrate(EMBEDDED if world == "dream" else Path(world), beside, folder, options, report)
    page = write_page(folder, made)
    finish(as_json, {"limits": beside / FILE, "page": page, "made": made}, page.read_text(), str(beside / FILE))
