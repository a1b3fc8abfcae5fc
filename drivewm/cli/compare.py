"""The command that sets policies, or two worlds, beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivewm.cli.console import Json, Out, SceneBatch, Seed, Workers, World, finish, stages
from drivewm.errors import InputError

if TYPE_CHECKING:
    from drivewm.evaluation.compare import Against, Comparison


def add_to(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    policies: Annotated[
        list[str] | None,
        typer.Argument(help="Policies by name or file, or folders that `drivewm score` finished.", show_default=False),
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", "-s", help="A name (see `drivewm info`) or a .yaml file.")] = None,
    world: World = "raster",
    worlds: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="How far the first world agrees with the second: worlds, tables (.csv, .json), or two dream cards.",
            show_default=False,
        ),
    ] = None,
    films: Annotated[bool, typer.Option(help="Keep a film of each drive.")] = False,
    batch: SceneBatch = 8,
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Policies on the same scenes, each against the first; or with --worlds how two worlds rank them. Drives what is missing."""
    from drivewm.config import run_folder, score_folder
    from drivewm.evaluation.compare import compare as compared
    from drivewm.evaluation.compare import gather
    from drivewm.evaluation.compare_page import tables, write_comparison
    from drivewm.evaluation.score import ScoreOptions
    from drivewm.evaluation.suite import load_suite

    names, options, folder = policies or [], ScoreOptions(seed, workers, batch, films), run_folder("compare", out)
    chosen = load_suite(suite) if suite else None

    def kept(policy: str, where: str) -> Path:
        return score_folder(chosen.name if chosen else "", policy, where)

    if worlds and _are_cards(worlds, names):
        from drivewm.evaluation.dream_card.beside import differences, table, write_beside
        from drivewm.evaluation.dream_card.card import load_card

        first, second = (load_card(Path(place)) for place in worlds)
        page = write_beside(folder / "cards.html", first, second, _command(names, suite, "--worlds", *worlds))
        told = [{"difference": one, "verdict": one.verdict} for one in differences(first, second)]
        finish(as_json, {"cards": told, "page": page}, table(first, second), str(page))
        return
    if worlds:
        from drivewm.evaluation.agreement import agreement
        from drivewm.evaluation.agreement_page import tables as agreement_tables
        from drivewm.evaluation.agreement_page import write_agreement
        from drivewm.evaluation.world_tables import world_tables

        with stages(as_json) as stage:
            found = world_tables(worlds, names, chosen, options, kept, stage)
        agreed = agreement(*found, seed)
        page = write_agreement(folder / "agreement.html", agreed, _command(names, suite, "--worlds", *worlds))
        finish(as_json, {"agreement": agreed, "page": page}, *agreement_tables(agreed), str(page))
        return
    with stages(as_json) as stage:
        results = gather(names, chosen, world, options, lambda name: kept(name, world), stage)
    shown = compared(results)
    page = write_comparison(folder / "compare.html", shown, _command(names, suite, "--world", world))
    finish(as_json, {**_values(shown), "page": page}, *tables(shown), str(page))


def _are_cards(worlds: tuple[str, str], policies: list[str]) -> bool:
    """Whether both places hold dream cards; with policies named, they are driven in the worlds instead."""
    from drivewm.evaluation.dream_card.card import FILE as CARD_FILE
    from drivewm.evaluation.dream_card.card import holds_card, load_card

    cards = [holds_card(world) for world in worlds]
    for world, card in zip(worlds, cards, strict=True):
        if not card and not policies and (Path(world) / CARD_FILE).is_file():
            load_card(Path(world))  # says that it is of another form
    if any(cards) and not all(cards) and not policies:
        missing = worlds[cards.index(False)]
        raise InputError("holds no dream card, the other one does", file=missing, hint="make one with: drivewm card --out DIR")
    return all(cards) and not policies


def _command(names: list[str], suite: str | None, *rest: str) -> str:
    """What was asked for, to be typed again."""
    return " ".join(["drivewm compare", *names, *(["--suite", suite] if suite else []), *rest])


def _values(shown: Comparison) -> dict[str, Any]:
    rows = [{"policy": entry.result.policy, "summary": entry.result.summary, "folder": entry.folder} for entry in shown.entries]
    pairings = [
        {
            "first": one.first,
            "second": one.second,
            "scenes": one.scenes,
            "left_out": one.left_out,
            "all": _against(one.all),
            "families": [_against(row) for row in one.families],
        }
        for one in shown.pairings
    ]
    return {"suite": shown.suite, "world": shown.world, "policies": rows, "pairings": pairings}


def _against(one: Against) -> dict[str, Any]:
    p_values = {"p_holm": one.p_holm, "p_passed_holm": one.p_passed_holm}
    return {"paired": one.paired, **p_values, "score_verdict": one.score_verdict, "passed_verdict": one.passed_verdict}
