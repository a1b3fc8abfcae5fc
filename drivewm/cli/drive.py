"""Commands that let a policy drive and judge what it did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from drivewm.cli import tracked
from drivewm.cli.console import (
    Json,
    NeverSeen,
    Out,
    PlanLimit,
    Policy,
    SceneBatch,
    Seed,
    Workers,
    World,
    WorldModel,
    finish,
    progress,
    stages,
)
from drivewm.cli.scenario import ScenariosArgument, scenario_files
from drivewm.cli.starts import Context, Lose, Picture, Regime, Rig, Text, TextEncoder, Without, with_losses, world_options

Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", help="A score to set beside drive, such as pdms_v1. Repeatable.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    app.command()(dream)
    app.command()(score)
    app.command()(replay)
    app.command()(card)


def dream(
    scenarios: Annotated[list[str] | None, ScenariosArgument] = None,
    policy: Policy = "teacher",
    world: World = "dream",
    index: Annotated[int, typer.Option("--draw", help="Which draw of each scenario.", min=0)] = 0,
    edits: Annotated[
        list[str] | None,
        typer.Option("--edit", help="Change the scene on the way: '3s weather=snow', '2s remove lead'. Repeatable."),
    ] = None,
    actions: Annotated[
        str | None, typer.Option(help="What the car is made to do, text or file: '2s left; 3s right; 4s brake'.")
    ] = None,
    branch_at: Annotated[str | None, typer.Option(help="When the futures part, for example 3s.")] = None,
    branches: Annotated[
        list[str] | None,
        typer.Option("--branch", help="One of several futures: 'brake', 'remove lead', 'policy=idm; weather=fog'. Repeatable."),
    ] = None,
    rails: Annotated[
        Path | None, typer.Option(help="A stored drive instead of scenarios: others do what they did there, only we differ.")
    ] = None,
    reference: Annotated[bool, typer.Option(help="Show the same states in the exact world below.")] = False,
    context: Context = None,
    picture: Picture = None,
    rig: Rig = None,
    regime: Regime = "layout",
    without: Without = None,
    lose: Lose = None,
    text: Text = None,
    text_encoder: TextEncoder = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A policy drives in a world; gives a film of all cameras with the view from above, and the drive itself."""
    from drivewm.config import run_folder
    from drivewm.evaluation.dream import dream as film
    from drivewm.evaluation.dream import dream_futures
    from drivewm.evaluation.whatif import course_of, scenes_to_dream, split_of
    from drivewm.evaluation.worlds import load_world
    from drivewm.policies.load import load_policy

    scenes = scenes_to_dream(scenario_files(scenarios or []), rails, index, seed)
    driver = load_policy(policy)
    course = course_of(driver, edits or [], actions)
    split = split_of(course, branch_at, branches or [])
    rows: list[dict[str, Any]] = []
    options = world_options(context, picture, rig, regime, without, (text, text_encoder))
    shown, folder = load_world(world, options), run_folder("dream", out)
    with progress("driving", as_json) as report:
        for done, (name, drawn) in enumerate(scenes.items(), start=1):
            scene, file = with_losses(drawn, lose, shown.rig.names), folder / f"{name}.mp4"
            made = (
                [film(scene, course, shown, file, seed=seed, reference=reference)]
                if split is None
                else dream_futures(scene, split, shown, file, seed=seed, reference=reference)
            )
            rows += [_row(scene.id, one) for one in made]
            report(done, len(scenes), scene.id)
    lines = [
        f"{row['film']}  {row['branch']}  ".rstrip()
        + (f"  score {row['total']:.2f}" if row["valid"] else f"  void: {row['void_reasons']}")
        for row in rows
    ]
    finish(as_json, {"policy": driver.spec.id, "world": shown.id, "drives": rows}, *lines)


def _row(scene_id: str, made: Any) -> dict[str, Any]:
    judged = made.case.score
    where = {"scene": scene_id, "film": made.film, "case": made.case_file, "branch": made.branch}
    return where | {
        "valid": judged.valid,
        "total": judged.total,
        "ended": made.case.rollout.ended,
        "events": judged.events,
        "void_reasons": judged.void_reasons,
        "unsure": made.unsure_file,
    }


def score(
    policy: Policy,
    scenarios: Annotated[
        list[str] | None, typer.Argument(help="Scenarios by name, file or folder, instead of a suite.", show_default=False)
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", "-s", help="A name (see `drivewm info`) or a .yaml file; smoke if not said.")
    ] = None,
    draws: Annotated[int, typer.Option("--draws", "-n", help="With scenarios: scenes to draw from each.", min=1)] = 10,
    world: World = "raster",
    metric: Metrics = None,
    films: Annotated[bool, typer.Option(help="Keep a film of each drive.")] = False,
    batch: SceneBatch = 8,
    plan_limit: PlanLimit = None,
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Drive a suite or scenarios: score and pass rate with intervals, void drives beside them. Resumes; repeats nothing."""
    from drivewm.config import score_folder
    from drivewm.errors import InputError
    from drivewm.evaluation.failures_page import why_command
    from drivewm.evaluation.published import judged_suite
    from drivewm.evaluation.published import table as beside
    from drivewm.evaluation.score import ScoreOptions, score_suite
    from drivewm.evaluation.suite import load_suite, suite_of
    from drivewm.evaluation.summary import table

    if scenarios and suite:
        raise InputError("scenarios and --suite are given", hint="leave one of them out")
    others = _besides(metric)
    chosen = suite_of(scenario_files(scenarios), draws) if scenarios else load_suite(suite or "smoke")
    folder = out or score_folder(chosen.name, policy, world)
    options = ScoreOptions(seed, workers, batch, films, plan_limit)
    with progress("driving", as_json) as report:
        result = score_suite(policy, chosen, world, folder, options, report)
    tracked.scores(result, folder)
    everything, title = result.summary.all, f"{result.policy} on {result.suite} in {result.world}"
    with progress("judging", as_json or not others) as report:
        judged = judged_suite(folder, result, others, report)
    summaries = {"drive": result.summary} | {name: one.summary for name, one in judged.items()}
    values = {"policy": result.policy, "suite": result.suite, "world": result.world, "summary": result.summary, "folder": folder}
    asked = why_command(result, folder)
    short = {
        "why": asked,
        "score": everything.score,
        "passed": everything.passed,
        "drives": everything.drives,
        "void_rate": everything.void_rate,
    }
    finish(
        as_json,
        values | short | ({"metrics": summaries} if others else {}),
        table(result.summary, title),
        *([beside(summaries, f"{title}: other scores")] if others else []),
        *([f"why drives failed: {asked}"] if asked else []),
        str(folder / "result.json"),
    )


def _besides(metric: list[str] | None) -> tuple[str, ...]:
    """What judges beside `drive`, each once; a wrong name is told before anything is driven."""
    from drivewm.evaluation.published import judge

    others = tuple(name for name in dict.fromkeys(metric or ()) if name != "drive")
    for name in others:
        judge(name)
    return others


def replay(
    cases: Annotated[list[Path], typer.Argument(help="Stored drives (.safetensors), or folders of them.")],
    metric: Metrics = None,
    why: Annotated[
        bool, typer.Option(help="Say of each failed drive who was at fault, and until when it was avoidable.")
    ] = False,
    driver: Annotated[str, typer.Option(help="With --why: the reference driver who is put at the wheel.")] = "attentive",
    films: Annotated[bool, typer.Option(help="With --out: a film (.mp4) of each drive as well.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write each drive as JSON and Parquet here; with --why a picture of what went wrong."),
    ] = None,
    workers: Workers = 1,
    as_json: Json = False,
) -> None:
    """Judge stored drives again, without a policy, a world or a camera frame. Exit code 1 when a score is no longer the same."""
    from drivewm.errors import InputError
    from drivewm.evaluation.failures_page import write_failures_page
    from drivewm.evaluation.published import table as beside
    from drivewm.evaluation.replay import ReplayOptions, replay_all
    from drivewm.evaluation.summary import summarise

    files = [file for path in cases for file in (sorted(path.rglob("*.safetensors")) if path.is_dir() else [path])]
    if not files:
        raise InputError("holds no stored drive", file=cases[0])
    if films and out is None:
        raise InputError("--films needs a place for them", hint="say where with --out")
    others = _besides(metric)
    with progress("judging", as_json) as report:
        verdicts = replay_all(files, ReplayOptions(driver if why else None, out, films, workers, others), report)
    summaries = {"drive": summarise([one.now for one in verdicts])}
    summaries |= {name: summarise([one.others[name] for one in verdicts]) for name in others}
    page = write_failures_page(out, [Path(one.record) for one in verdicts]) if out and why else None
    changed = [verdict for verdict in verdicts if not verdict.equal]
    lines = [f"{one.case}  {'; '.join(one.differs[:3])}" + " ..." * (len(one.differs) > 3) for one in changed]
    lines += [f"{one.now.scene_id}  {one.why}" for one in verdicts if one.why]
    same = "all equal bit for bit" if not changed else f"{len(changed)} changed, the others equal bit for bit"
    finish(
        as_json,
        {
            "replayed": len(verdicts),
            "changed": len(changed),
            "out": out,
            "page": page,
            "cases": [_judged(one) for one in verdicts],
        }
        | ({"metrics": summaries} if others else {}),
        *lines,
        f"{len(verdicts)} drives judged again: {same}",
        *([beside(summaries, "stored drives")] if others else []),
        *([f"{page or out}: a record of each is there"] if out else []),
    )
    if changed:
        raise typer.Exit(1)


def _judged(one: Any) -> dict[str, Any]:
    row = {"case": one.case, "stored": one.stored, "now": one.now, "equal": one.equal, "differs": one.differs}
    return row | {"why": one.why, "record": one.record} | ({"metrics": one.others} if one.others else {})


def card(
    world: WorldModel = "dream",
    cache: NeverSeen = None,
    readers: Annotated[Path | None, typer.Option(help="Folder of readers; by default those that came with drivewm.")] = None,
    drives: Annotated[int, typer.Option(help="Drives to dream again, of each of three seeds.", min=1)] = 8,
    seconds: Annotated[float, typer.Option(help="How long each is dreamed.", min=1.0)] = 20.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="One drive of 8 s for each seed, fewer policies and ways to steer.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="Ask only this question. Repeatable.", show_default=False)] = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The dream card: how far a world model may be trusted, beside floors and naive baselines. Goes on with the same --out."""
    from drivewm.config import run_folder
    from drivewm.evaluation.dream_card.make import QUICK, CardOptions, CardSources, make_card
    from drivewm.evaluation.dream_card.page import table
    from drivewm.evaluation.readers import EMBEDDED as SHIPPED_READERS

    folder, chosen = run_folder("card", out), tuple(only or ())
    options = replace(QUICK, seed=seed, only=chosen) if quick else CardOptions(drives, seconds, seed, only=chosen)
    size = ["--quick"] if quick else [f"--drives {drives} --seconds {seconds:g}"]
    given = [f"--{name} {path}" for name, path in (("cache", cache), ("readers", readers)) if path]
    command = " ".join(["drivewm card --world", world, *size, *given, *(f"--only {key}" for key in chosen), f"--seed {seed}"])
    with stages(as_json) as stage:
        made = make_card(CardSources(world, readers or SHIPPED_READERS, cache), folder, options, stage, command)
    tracked.card(folder, made)
    page = folder / "card.html"
    values = {"world": made.world, "folder": folder, "page": page, "lights": made.lights}
    finish(as_json, values | {"answers": made.answers, "controls": made.controls}, table(made), str(page))
