"""The command that lets a person drive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, Seed, World, complain, finish


def add_to(app: typer.Typer) -> None:
    app.command()(drive)


def drive(
    scenario: Annotated[str, typer.Argument(help="A scenario by name or file.")] = "calm.green_light",
    world: World = "dream",
    regime: Annotated[
        str | None,
        typer.Option(help="layout: the dream is told where everything is; free: only past, motion, weather and light."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", "-k", help="Denoising steps of a dreamed frame.", min=1, max=64)] = None,
    index: Annotated[int, typer.Option("--draw", help="Which draw of the scenario.", min=0)] = 0,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine the address gets a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8321,
    record: Annotated[
        Path | None,
        typer.Option(help="A film (.mp4) to store when the driver leaves, with the case for `drivewm replay` beside it."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """You drive: a page in the browser shows the world's cameras and takes your keys. Stop it with Ctrl-C."""
    from drivewm.cli.scenario import scenario_files
    from drivewm.errors import InputError, did_you_mean
    from drivewm.scenarios.opening import draw, open_scenario
    from drivewm.service.drive import Drive
    from drivewm.service.recording import Stored
    from drivewm.service.ride import FREE, LAYOUT, open_ride
    from drivewm.service.serving import serve, take_place

    if regime not in (None, LAYOUT, FREE):
        raise InputError(f"unknown regime {regime!r}", hint=did_you_mean(regime, [LAYOUT, FREE]) or f"{LAYOUT} or {FREE}")
    if record is not None and record.suffix != ".mp4":
        raise InputError("a film ends in .mp4", file=record)
    files = scenario_files([scenario])
    if len(files) != 1:
        raise InputError(f"holds {len(files)} scenarios, and one can be driven", file=scenario)
    place = take_place(host, port)
    ride = open_ride(draw(open_scenario(files[0]), index, seed), world, regime, steps, seed)
    Drive(ride).advance(frozenset())  # what does not fit is told now, and networks are warm when the first person comes

    def told(stored: Stored | str) -> None:
        if isinstance(stored, str):
            complain(stored)
        elif not as_json:
            worth = "void" if stored.total is None else f"score {stored.total:.2f}"
            finish(False, {}, f"{stored.film}  {stored.seconds:.1f} s, {worth}")

    shown = {"url": place.url, "world": ride.worlds[ride.regime].id, "scene": ride.scene.id, "regime": ride.regime}
    finish(as_json, shown, "{world}: open {url}".format_map(shown))
    try:
        serve(ride, place, record, told)
    except KeyboardInterrupt:
        return  # that is how it is meant to end
