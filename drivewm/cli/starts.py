"""How a dream starts and what it is told: the options that commands share, and `drivewm continue`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivewm.cli.console import Json, Out, Seed, World, finish, progress

if TYPE_CHECKING:
    from drivewm.datatypes import Scene
    from drivewm.evaluation.worlds import WorldOptions

Context = Annotated[
    int | None,
    typer.Option("--context", help="Reference frames that a dream is shown; 1 if not said, 0 starts from scratch.", min=0),
]
Picture = Annotated[
    list[str] | None,
    typer.Option(
        "--picture", help="A picture to start from: of the front, of all cameras in one, or CAMERA=FILE; may be given again."
    ),
]
Rig = Annotated[Path | None, typer.Option("--rig", help="The car's cameras, a YAML or JSON file.")]
Regime = Annotated[str, typer.Option("--regime", help="What a dream is told: layout, or free (past, motion, weather, light).")]
Without = Annotated[
    list[str] | None, typer.Option("--without", help="A condition that a dream is not told, such as boxes; may be given again.")
]
Lose = Annotated[
    list[str] | None, typer.Option("--lose", help="CAMERA@SECONDS, or CAMERA@FROM-UNTIL: it delivers black; may be given again.")
]
Text = Annotated[str | None, typer.Option("--text", help="A sentence that a dream is told; needs --text-encoder.")]
TextEncoder = Annotated[
    Path | None,
    typer.Option("--text-encoder", help="Folder of a text encoder of transformers (T5, CLIP); nothing is downloaded."),
]


def add_to(app: typer.Typer) -> None:
    app.command("continue")(continue_)


def world_options(
    context: int | None = None,
    picture: list[str] | None = None,
    rig: Path | None = None,
    regime: str = "layout",
    without: list[str] | None = None,
    text: tuple[str | None, Path | None] = (None, None),
) -> WorldOptions:
    """What the options of a command ask of a world. Raises InputError for what contradicts itself or cannot be read."""
    from drivewm.errors import InputError
    from drivewm.evaluation.worlds import WorldOptions
    from drivewm.sim.rig_file import read_rig
    from drivewm.sim.rigs import nuscenes_rig

    if regime not in ("layout", "free"):
        raise InputError(f"unknown regime {regime!r}", hint="layout or free")
    if picture and context is not None:
        raise InputError("--context and --picture are given", hint="a dream starts from one of them")
    cameras = None if rig is None else read_rig(rig)
    opening = prompt = None
    if picture:
        from drivewm.data.views import read_views
        from drivewm.worldmodel.openings import Pictures

        opening = Pictures(read_views(picture, cameras or nuscenes_rig()))
    sentence, encoder = text
    if (sentence is None) != (encoder is None):
        raise InputError("--text and --text-encoder belong together", hint="give both or none")
    if sentence is not None and encoder is not None:
        from drivewm.worldmodel.text import encode_text

        prompt = encode_text(sentence, encoder)
    return WorldOptions(cameras, regime == "free", frozenset(without or ()), None, context, opening, prompt)


def with_losses(scene: Scene, lose: list[str] | None, cameras: tuple[str, ...]) -> Scene:
    """The scene with cameras lost as ``--lose`` says; InputError for an unknown camera or time."""
    from drivewm.errors import InputError, did_you_mean
    from drivewm.sim.faults import losing

    for text in lose or ():
        found = re.fullmatch(r"([^@]+)@(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?", text)
        if not found or (found[3] and float(found[3]) <= float(found[2])):
            raise InputError(
                f"--lose {text!r} is not understood", hint=f"for example {cameras[0]}@2 or {cameras[0]}@2-4, in seconds"
            )
        if found[1] not in cameras:
            hint = did_you_mean(found[1], [*cameras]) or ", ".join(cameras)
            raise InputError(f"there is no camera {found[1]!r} to lose", hint=hint)
        scene = losing(scene, found[1], float(found[2]), float(found[3]) if found[3] else float("inf"))
    return scene


def continue_(
    folder: Annotated[Path, typer.Argument(help="A nuScenes-format folder.", show_default=False)],
    scene: Annotated[str | None, typer.Option("--scene", help="By name or token; the first if not said.")] = None,
    frame: Annotated[int, typer.Option("--frame", help="The first recorded frame that is shown.", min=0)] = 0,
    context: Annotated[int, typer.Option("--context", help="Recorded frames that the dream is shown.", min=1)] = 4,
    seconds: Annotated[float, typer.Option("--seconds", help="How long the dream goes on after them.", min=0.2)] = 8.0,
    camera: Annotated[
        list[str] | None, typer.Option("--camera", help="Show only this camera's pictures; may be given again.")
    ] = None,
    key_frames: Annotated[bool, typer.Option("--key-frames", help="Only key frames, for a folder without sweeps.")] = False,
    policy: Annotated[
        str | None, typer.Option("--policy", "-p", help="Who drives on; without one everybody goes as recorded.")
    ] = None,
    world: World = "dream",
    regime: Regime = "layout",
    without: Without = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Dream a recorded drive on from its own frames: as it was driven, or with a policy at the wheel."""
    from drivewm.config import run_folder
    from drivewm.evaluation.resume import Stretch, as_recorded, driven_on, write_continued
    from drivewm.policies.load import load_policy

    stretch = Stretch(scene, frame, context, seconds, tuple(camera or ()), key_frames)
    options, target = world_options(regime=regime, without=without), run_folder("continue", out) / "continued.mp4"
    with progress("dreaming", as_json):
        if policy is None:
            made = as_recorded(folder, stretch, world, options, seed)
            write_continued(target, made)
            values: dict[str, Any] = {"world": made.world, "scene": made.clip.token, "film": target, "figures": made.figures}
            told = [f"{name} {value:.3g}" for name, value in made.figures.items() if value is not None]
        else:
            film = driven_on(folder, stretch, (world, options), load_policy(policy), target, seed=seed)
            score = film.case.score
            values = {"world": film.case.rollout.provenance.ids["world"], "scene": film.case.rollout.scene.id, "film": film.film}
            values |= {"case": film.case_file, "valid": score.valid, "total": score.total, "void_reasons": score.void_reasons}
            told = [f"score {score.total:.2f}" if score.valid else f"void: {score.void_reasons}"]
    finish(as_json, values, str(target), *told)
