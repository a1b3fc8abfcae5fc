"""Commands that measure speed on this machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drivewm.cli.console import Json, Seed, finish, progress

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="Measure how fast this machine is at it.", no_args_is_help=True)


@app.command()
def worldmodel(
    world: Annotated[
        list[str] | None, typer.Option("--world", "-w", help="dream, free, or a folder; may be repeated. By default dream.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option("--size", help="tiny, base or large with random weights; may be repeated.")
    ] = None,
    steps: Annotated[list[int] | None, typer.Option("--steps", help="Denoising steps; by default 1, 2 and 4.", min=1)] = None,
    most: Annotated[int, typer.Option("--most", help="Cars at once at most; from 1 on doubled up to it.", min=1)] = 64,
    batch: Annotated[int, typer.Option("--batch", help="Clips in a training step.", min=1)] = 8,
    training: Annotated[bool, typer.Option(help="Measure the training step too.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="1 and 8 cars only, shorter timings.")] = False,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page of tables (.md).")] = None,
    as_json: Json = False,
) -> None:
    """Frames per second of dream and training, latency, memory, and the share of what matrix products reach here."""
    from drivewm.errors import InputError
    from drivewm.evaluation.bench import table as told
    from drivewm.evaluation.bench.worldmodel import BenchOptions, bench_worldmodel
    from drivewm.store import write_text

    if out is not None and out.suffix != ".md":
        raise InputError(f"is a page of tables (.md), not {out.suffix!r}", file=out)
    worlds = tuple(world or ([] if size else ["dream"]))
    options = BenchOptions(worlds, tuple(size or []), tuple(steps or (1, 2, 4)), most, training, batch, quick, seed)
    with progress("measuring", as_json) as report:
        found = bench_worldmodel(options, report)
    if out is not None:
        write_text(out, told.page(found, shlex.join(["drivewm", *sys.argv[1:]])))
    shown: list[str | Table] = [told.machine_line(found)]
    for model in found["worldmodels"]:
        shown.append(f"\n{told.heading(model)}")
        shown.append(_table(told.DREAM_HEAD, told.dream_table(model)))
        for at_once, rows in model["parts"].items():
            shown.append(f"parts at {at_once} at once, K = {model['steps']}")
            shown.append(_table(told.PART_HEAD, told.part_table(rows)))
        shown += told.in_words(model)
    finish(as_json, found | {"page": out}, *shown)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table

    table = Table(*head, box=None)
    for row in rows:
        table.add_row(*row)
    return table
