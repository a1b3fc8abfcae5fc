"""Commands that train networks. Each goes on where it stopped when it is given the same --out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from drivewm.cli.console import Json, Out, Seed, finish, progress

app = typer.Typer(
    help="Train the networks; curves go to MLflow, checkpoints to --out, and a killed run resumes.", no_args_is_help=True
)

Cache = Annotated[Path, typer.Option("--cache", help="Folder made by `drivewm data encode`.")]
Size = Annotated[str, typer.Option(help="tiny, base or large.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps.", min=1)]
Rate = Annotated[float, typer.Option("--learning-rate", help="Peak of the schedule.")]
Batch = Annotated[int, typer.Option(help="Samples per step.", min=1)]


@contextmanager
def recorded(what: str, out: Path, settings: dict[str, Any], as_json: bool) -> Iterator[Any]:
    """A bar on the screen and a run in MLflow around training; gives the function that training reports its losses to."""
    from drivewm.tracking import EXPERIMENT, Run

    with Run.of_folder(EXPERIMENT, f"train {what}", out) as run, progress(f"training {what}", as_json) as report:
        run.params(settings)

        def on_log(step: int, values: dict[str, float]) -> None:
            run.metrics(values, step)
            report(step, settings["steps"], f"loss {values['loss']:.4f}")

        yield on_log


@app.command()
def autoencoder(
    cache: Cache,
    size: Size = "tiny",
    steps: Steps = 7000,
    learning_rate: Rate = 1e-3,
    batch: Batch = 8,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The frame autoencoder: what the world model dreams in."""
    from drivewm.config import run_folder
    from drivewm.training.autoencoder import train_autoencoder
    from drivewm.training.loop import FitOptions
    from drivewm.worldmodel.sizes import size_named

    folder, shape = run_folder("autoencoder", out), size_named(size)
    settings = {"size": size, "steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache)}
    with recorded("autoencoder", folder, settings, as_json) as on_log:
        options = FitOptions(steps, batch, learning_rate, seed=seed)
        train_autoencoder(cache, folder, shape, options, on_log)
    finish(as_json, {"autoencoder": folder / "autoencoder"}, f"autoencoder in {folder / 'autoencoder'}")


@app.command()
def worldmodel(
    cache: Cache,
    autoencoder: Annotated[Path, typer.Option(help="Folder of the autoencoder whose latents the cache holds.")],
    size: Size = "tiny",
    steps: Steps = 20000,
    learning_rate: Rate = 5e-4,
    batch: Batch = 8,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The world model itself, on a cache that holds latents (`drivewm data encode --autoencoder DIR`)."""
    from drivewm.config import run_folder
    from drivewm.training.loop import FitOptions
    from drivewm.training.worldmodel import train_worldmodel
    from drivewm.worldmodel.autoencoder import FrameCodec
    from drivewm.worldmodel.sizes import size_named

    folder, shape, codec = run_folder("worldmodel", out), size_named(size), FrameCodec.load(autoencoder)
    settings = {"size": size, "steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache)}
    with recorded("worldmodel", folder, settings, as_json) as on_log:
        train_worldmodel(cache, codec, folder, shape, FitOptions(steps, batch, learning_rate, seed=seed), on_log)
    finish(as_json, {"world": folder / "world"}, f"world model in {folder / 'world'}")


@app.command()
def readers(
    cache: Cache,
    steps: Steps = 2000,
    learning_rate: Rate = 1e-3,
    batch: Batch = 8,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The readers that judge dreamed frames; they learn from reference frames only."""
    from drivewm.config import run_folder
    from drivewm.evaluation.readers_training import train_readers
    from drivewm.training.loop import FitOptions

    folder = run_folder("readers", out)
    settings = {"steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache)}
    with recorded("readers", folder, settings, as_json) as on_log:
        train_readers(cache, folder, FitOptions(steps, batch, learning_rate, seed=seed), on_log)
    finish(as_json, {"readers": folder / "readers"}, f"readers in {folder / 'readers'}")
