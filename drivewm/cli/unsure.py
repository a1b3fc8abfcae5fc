"""The command about how far a world model knows what it does not know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, NeverSeen, Seed, WorldModel, finish, stages


def add_to(app: typer.Typer) -> None:
    app.command()(calibrate)


def calibrate(
    world: WorldModel = "dream",
    cache: NeverSeen = None,
    drives: Annotated[int, typer.Option(help="Drives to make, where there is no cache.", min=4)] = 32,
    seconds: Annotated[float, typer.Option(help="How long each is dreamed.", min=1.0)] = 4.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn what a world model's doubt means: the error to expect, kept beside the weights (uncertainty.json)."""
    from tempfile import TemporaryDirectory

    from drivewm.evaluation.dream_card.held_out import held_out_cache
    from drivewm.evaluation.uncertainty import CalibrationOptions, calibrate_folder
    from drivewm.training.cache import FrameCache
    from drivewm.worldmodel.uncertainty import FILE
    from drivewm.worldmodel.world import EMBEDDED, open_pipeline

    folder = EMBEDDED if world == "dream" else Path(world)
    pipeline = open_pipeline(folder)
    with TemporaryDirectory(prefix="drivewm-") as scratch, stages(as_json) as stage:
        packed = FrameCache(cache or held_out_cache(Path(scratch), drives, stage), seed)
        made = calibrate_folder(folder, pipeline, packed, CalibrationOptions(seconds, seed=seed), stage("dreaming"))
    lines = [
        f"{'free' if curve.drop else 'layout-driven'}, K={curve.steps}: rank correlation with the true error "
        f"{curve.spearman:.2f}, expected error off by {curve.off_by:.0%} in the median"
        for curve in made.curves
    ]
    finish(as_json, {"world": made.world, "file": folder / FILE, "curves": made.curves}, *lines, str(folder / FILE))
