"""Commands that train networks. Each goes on where it stopped when it is given the same --out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivewm.cli import tracked
from drivewm.cli.console import Json, Out, Report, Seed, World, finish, progress, stages
from drivewm.errors import InputError

if TYPE_CHECKING:
    from drivewm.tracking import Run

app = typer.Typer(
    help="Train the networks; curves go to MLflow, checkpoints to --out, and a killed run resumes.", no_args_is_help=True
)

Cache = Annotated[Path, typer.Option("--cache", help="Folder made by `drivewm data encode`.")]
Size = Annotated[str, typer.Option(help="tiny, base or large.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps.", min=1)]
Rate = Annotated[float, typer.Option("--learning-rate", help="Peak of the schedule.")]
Batch = Annotated[int, typer.Option(help="Samples per step, or per piece of one.", min=1)]
Pieces = Annotated[
    int, typer.Option(help="Pieces of a step, shared by all processes; 0: as the checkpoint has, else one per process.", min=0)
]


class Recorder:
    """What training is told to call: losses go to MLflow and the bar, drives to the bar."""

    def __init__(self, run: Run | None, report: Report, steps: int) -> None:
        self._run, self._report, self._steps = run, report, steps

    def __call__(self, step: int, values: dict[str, float]) -> None:
        if self._run:
            self._run.metrics(values, step)
        self._report(step, self._steps, f"loss {values['loss']:.4f}")

    def drives(self, done: int, total: int) -> None:
        self._report(done, total, "driving")

    def made(self, **ids: str) -> None:
        """Ids of what came out and of what it was made from, for the lineage."""
        if self._run:
            for kind, name in ids.items():
                self._run.link(kind, name)


@contextmanager
def recorded(what: str, out: Path, settings: dict[str, Any], as_json: bool) -> Iterator[Recorder]:
    """A bar on the screen and a run in MLflow around training."""
    from drivewm.tracking import EXPERIMENT, Run

    if os.environ.get("RANK", "0") != "0":  # as torchrun numbers processes: the first one alone tells
        yield Recorder(None, lambda *_: None, settings["steps"])
        return
    with Run.of_folder(EXPERIMENT, f"train {what}", out) as run, progress(f"training {what}", as_json) as report:
        run.params(settings)
        yield Recorder(run, report, settings["steps"])


def folder_of(kind: str, out: Path | None) -> Path:
    """Where a training writes; processes that train together must be told, for each would choose another folder."""
    from drivewm.config import run_folder

    if out is None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("processes that train together need one --out")
    return run_folder(kind, out)


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
    from drivewm.training.autoencoder import train_autoencoder
    from drivewm.training.loop import FitOptions
    from drivewm.worldmodel.sizes import size_named

    folder, shape = folder_of("autoencoder", out), size_named(size)
    settings = {"size": size, "steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache)}
    with recorded("autoencoder", folder, settings, as_json) as on_log:
        options = FitOptions(steps, batch, learning_rate, seed=seed)
        codec = train_autoencoder(cache, folder, shape, options, on_log)
        on_log.made(autoencoder=codec.fingerprint(), **tracked.data_of(cache))
    finish(as_json, {"autoencoder": folder / "autoencoder"}, f"autoencoder in {folder / 'autoencoder'}")


@app.command()
def decoder(
    cache: Cache,
    autoencoder: Annotated[Path, typer.Option(help="Folder of the autoencoder whose latents the cache holds.")],
    steps: Steps = 3000,
    learning_rate: Rate = 5e-4,
    batch: Batch = 8,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The autoencoder's decoder alone, on latents as inexact as dreams are; latents made before stay valid."""
    from drivewm.training.autoencoder import train_decoder
    from drivewm.training.loop import FitOptions
    from drivewm.worldmodel.autoencoder import FrameCodec

    folder, codec = folder_of("decoder", out), FrameCodec.load(autoencoder)
    settings = {"steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache)}
    with recorded("decoder", folder, settings, as_json) as on_log:
        codec = train_decoder(cache, codec, folder, FitOptions(steps, batch, learning_rate, seed=seed), on_log)
        on_log.made(autoencoder=codec.fingerprint(), **tracked.data_of(cache))
    finish(as_json, {"autoencoder": folder / "autoencoder"}, f"autoencoder in {folder / 'autoencoder'}")


@app.command()
def worldmodel(
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder made by `drivewm data encode`.")] = None,
    autoencoder: Annotated[Path | None, typer.Option(help="Folder of the autoencoder whose latents the cache holds.")] = None,
    size: Size = "tiny",
    steps: Steps = 20000,
    learning_rate: Rate = 5e-4,
    batch: Batch = 8,
    pieces: Pieces = 0,
    context: Annotated[int, typer.Option(help="Processes that share the cameras of a clip.", min=1)] = 1,
    shard: Annotated[bool | None, typer.Option(help="Spread weights over all processes (FSDP2); by default large does.")] = None,
    checkpointing: Annotated[
        bool | None, typer.Option(help="Compute blocks again on the way back, to save memory; by default large does.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it will take and how to launch it.")] = False,
    gpus: Annotated[int, typer.Option(help="For --dry-run: how many.", min=1)] = 1,
    hardware: Annotated[str, typer.Option(help="For --dry-run: a100, h100, h200, or cpu (this machine).")] = "h100",
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The world model itself, on a cache that holds latents (`drivewm data encode --autoencoder DIR`)."""
    from drivewm.training.loop import FitOptions
    from drivewm.worldmodel.sizes import size_named

    shape = size_named(size)
    options = FitOptions(
        steps,
        batch,
        learning_rate,
        seed=seed,
        pieces=pieces,
        context=context,
        shard=size == "large" if shard is None else shard,
        checkpointing=size == "large" if checkpointing is None else checkpointing,
    )
    if dry_run:
        from drivewm.cli.train_plan import show_plan
        from drivewm.training.scale import Plan, hardware_named

        show_plan(Plan(shape, options, gpus, hardware_named(hardware)), as_json)
        return
    if cache is None or autoencoder is None:
        raise InputError("training needs --cache and --autoencoder", hint="without them there is --dry-run")
    from drivewm.training.worldmodel import train_worldmodel
    from drivewm.worldmodel.autoencoder import FrameCodec
    from drivewm.worldmodel.world import DreamWorld

    folder, codec = folder_of("worldmodel", out), FrameCodec.load(autoencoder)
    settings = {"size": size, "steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache)}
    settings |= {"pieces": pieces, "context": context, "shard": options.shard, "checkpointing": options.checkpointing}
    with recorded("worldmodel", folder, settings, as_json) as on_log:
        train_worldmodel(cache, codec, folder, shape, options, on_log)
        world = DreamWorld.load(str(folder / "world")).id
        on_log.made(world=world, autoencoder=codec.fingerprint(), **tracked.data_of(cache))
    finish(as_json, {"world": folder / "world", "id": world}, f"{world} in {folder / 'world'}")


@app.command()
def recipe(
    size: Size = "tiny",
    drives: Annotated[int, typer.Option(help="Procedural drives to learn from.", min=2)] = 640,
    share: Annotated[
        float, typer.Option(help="Of the steps of every stage; 1 are those of the embedded weights.", min=0.0)
    ] = 1.0,
    card_drives: Annotated[int, typer.Option(help="Held-out drives of the quick dream card, of each of three seeds.", min=1)] = 2,
    seed: Seed = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """From nothing to a world model with its dream card, by way of every network. A killed run goes on with the same --out."""
    from drivewm.config import run_folder
    from drivewm.evaluation.dream_card.make import QUICK
    from drivewm.evaluation.recipe import RecipeOptions, cook
    from drivewm.worldmodel.sizes import size_named

    shape, folder = size_named(size), run_folder("recipe", out)
    with stages(as_json) as stage:
        options = RecipeOptions(drives, share, card=replace(QUICK, each=card_drives), seed=seed)
        made = cook(shape, folder, options, stage)
    tracked.card(folder / "card", made)
    shown = (folder / "card" / "card.md").read_text()
    values = {"world": folder / "world", "id": made.world, "readers": folder / "readers" / "readers", "card": folder / "card"}
    finish(as_json, values | {"lights": made.lights}, shown)


@app.command("self-rollout")
def self_rollout(
    world: Annotated[str, typer.Argument(help="The world model to go on from: dream (the embedded one) or a folder.")],
    cache: Cache,
    steps: Steps = 1000,
    learning_rate: Rate = 1e-4,
    batch: Batch = 4,
    dreamed: Annotated[
        list[int] | None,
        typer.Option(
            help="Frames that the model dreams before it learns the next three, of one step after the other; 0: none.", min=0
        ),
    ] = None,
    dream_steps: Annotated[int, typer.Option(help="Denoising steps of a frame that it dreams meanwhile.", min=1, max=16)] = 2,
    guided: Annotated[
        float, typer.Option(help="Guidance of agents that the weights learn to do without; 1: none.", min=1.0, max=4.0)
    ] = 1.5,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A world model on its own past: it learns to go on from frames that it has dreamed itself, so that dreams drift less."""
    from drivewm.config import run_folder
    from drivewm.data.marks import learned_before
    from drivewm.training.loop import FitOptions
    from drivewm.training.self_rollout import RolloutOptions, train_self_rollout
    from drivewm.worldmodel.world import EMBEDDED, DreamWorld, open_pipeline

    folder, origin = run_folder("self-rollout", out), EMBEDDED if world == "dream" else Path(world)
    before = open_pipeline(origin)
    rollout = RolloutOptions(dreamed=tuple(dreamed) if dreamed else RolloutOptions().dreamed, steps=dream_steps, guidance=guided)
    settings = {"steps": steps, "learning_rate": learning_rate, "batch": batch, "dreamed": rollout.dreamed, "seed": seed}
    settings |= {"dream_steps": dream_steps, "guided": guided}
    with recorded("self-rollout", folder, settings | {"cache": str(cache), "from": before.identity()}, as_json) as on_log:
        train_self_rollout(before, cache, folder, FitOptions(steps, batch, learning_rate, seed=seed), rollout, on_log)
        learned_before(folder / "world", origin)
        name = DreamWorld.load(str(folder / "world")).id
        on_log.made(world=name, autoencoder=before.codec.fingerprint(), **tracked.data_of(cache))
    finish(as_json, {"world": folder / "world", "id": name}, f"{name} in {folder / 'world'}")


@app.command()
def readers(
    cache: Cache,
    steps: Steps = 2000,
    learning_rate: Rate = 1e-3,
    batch: Batch = 8,
    start: Annotated[Path | None, typer.Option("--from", help="Folder of readers to go on from; by default new ones.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="With --from: segmentation, motion or sky alone; the others stay. Repeatable.")
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The readers that judge dreamed frames; they learn from reference frames only."""
    from drivewm.evaluation.readers import Readers
    from drivewm.evaluation.readers_training import PARTS, train_readers
    from drivewm.training.loop import FitOptions

    before, parts = Readers.load(start) if start else None, tuple(only or PARTS)
    folder = folder_of("readers", out)
    settings = {"steps": steps, "learning_rate": learning_rate, "batch": batch, "seed": seed, "cache": str(cache), "parts": parts}
    with recorded("readers", folder, settings, as_json) as on_log:
        train_readers(cache, folder, FitOptions(steps, batch, learning_rate, seed=seed), on_log, before, parts)
    finish(as_json, {"readers": folder / "readers"}, f"readers in {folder / 'readers'}")


@app.command()
def teacher(
    scenarios: Annotated[list[str] | None, typer.Argument(help="What is driven: names, files, folders; by default all.")] = None,
    world: World = "raster",
    rounds: Annotated[int, typer.Option(help="Record, learn, and again with the learner driving.", min=1)] = 3,
    drives: Annotated[int, typer.Option(help="Drives recorded in each round.", min=1)] = 120,
    steps: Annotated[int, typer.Option(help="Optimiser steps of each round.", min=1)] = 1500,
    learning_rate: Rate = 4e-4,
    batch: Batch = 24,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The large policy: it learns from the expert and from exact scores of every plan at every moment, also on its own drives."""
    from drivewm.cli.scenario import scenario_files
    from drivewm.config import content_folder, run_folder
    from drivewm.evaluation.worlds import load_world
    from drivewm.training.policies import TeacherOptions, catalogue_scenes, train_teacher

    folder, shown = run_folder("teacher", out), load_world(world)
    scene_at = catalogue_scenes(scenario_files(scenarios or [str(content_folder("scenarios"))]), seed)
    options = TeacherOptions(rounds, drives, steps_per_round=steps, batch=batch, learning_rate=learning_rate, seed=seed)
    settings = {"world": shown.id, "rounds": rounds, "drives": drives, "steps": rounds * steps, "batch": batch, "seed": seed}
    with recorded("teacher", folder, settings, as_json) as hear:
        trained = train_teacher(scene_at, shown, folder, options, hear, hear.drives)
        hear.made(teacher=trained.spec.id, world=shown.id)
    path = folder / "teacher.safetensors"
    finish(as_json, {"teacher": path, "id": trained.spec.id}, f"{trained.spec.id} in {path}")


@app.command()
def ladder(out: Out = None, as_json: Json = False) -> None:
    """What the ladder of policies needs besides its recipes: the large policy at several ages, the small one as ONNX file."""
    from drivewm.distill.ladder import make_ladder
    from drivewm.evaluation.ladder import load_ladder, made_folder

    recipe, folder = load_ladder().trained, out or made_folder()
    settings = {"ages": recipe.ages, "drives": recipe.drives, "steps": recipe.ages * recipe.steps, "seed": recipe.seed}
    with recorded("ladder", folder, settings, as_json) as hear:
        files = make_ladder(recipe, folder, hear, hear.drives)
    finish(as_json, {"files": files}, *map(str, files))
