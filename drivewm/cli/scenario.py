"""Commands for scenario authors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drivewm.cli.console import Json, Out, Seed, finish, progress

if TYPE_CHECKING:
    from drivewm.evaluation.selftest import SelfTest
    from drivewm.scenarios.language import Scenario
    from drivewm.scenarios.sampling import Rejections

app = typer.Typer(help="Check, draw, preview, import and list scenarios.", no_args_is_help=True)

ScenariosArgument = typer.Argument(help="Names (cut_in.motorway), files, or folders.", show_default=False)
Scenarios = Annotated[list[str], ScenariosArgument]


def scenario_files(arguments: list[str]) -> list[Path]:
    """Files behind names, files and folders; what knows them is loaded only when a command runs."""
    from drivewm.scenarios.catalogue import scenario_files as found

    return found(arguments)


@app.command("list")
def list_(
    folder: Annotated[Path | None, typer.Argument(help="Folder to look in; by default the workspace's scenarios.")] = None,
    family: Annotated[str, typer.Option(help="Only this family.")] = "",
    mapping: Annotated[str, typer.Option("--maps-to", help="Only what maps to a public name with this in it.")] = "",
    tag: Annotated[str, typer.Option(help="Only what carries this tag.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Bring the folder's README index and JSON Schema up to date.")] = False,
    as_json: Json = False,
) -> None:
    """All scenarios with what they are about and what they map to."""
    from rich.table import Table

    from drivewm.scenarios.catalogue import Wanted, find, narrowed, write_index
    from drivewm.scenarios.language import load_scenario

    written = write_index(folder) if write else []
    scenarios = narrowed([load_scenario(file) for file in find(folder)], Wanted(family, mapping, tag))
    table = Table("name", "about", "maps to")
    for one in scenarios:
        table.add_row(one.name, one.about, "\n".join(one.maps_to))
    rows = [
        {"name": s.name, "family": s.family, "about": s.about, "maps_to": s.maps_to, "tags": s.tags, "file": s.source.file}
        for s in scenarios
    ]
    total = f"{len(scenarios)} scenarios in {len({s.family for s in scenarios})} families"
    finish(as_json, {"scenarios": rows, "written": written}, table, total, *(f"wrote {path}" for path in written))


@app.command()
def check(
    scenarios: Scenarios,
    draws: Annotated[int | None, typer.Option(help="Scenes to draw from each; 20, with --thorough 200.", min=0)] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show refused draws per rule, and what each 'vary' line covers.")
    ] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Drive them too: doing nothing must fail, the expert pass.")
    ] = False,
    driven: Annotated[int, typer.Option(help="With --thorough: draws of each that are driven.", min=1)] = 20,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Read every file and draw scenes from it. Exit code 2 and one sentence for each file that is wrong."""
    from drivewm.cli.console import complain
    from drivewm.scenarios.catalogue import check as check_files

    draws = (200 if thorough else 20) if draws is None else draws
    files, found = scenario_files(scenarios), []
    with progress("checking", as_json) as report:
        for done, file in enumerate(files, start=1):
            found += list(check_files(file, draws, seed))
            report(done, len(files), file.stem)
    wrong = [str(one.error) for one in found if one.error]
    good = [one.scenario for one in found if one.scenario and not one.error]
    tests = _driven(good, draws, driven, seed, as_json) if thorough else []
    wrong += [f"{test.name}: {problem}" for test in tests for problem in test.problems]
    for told in wrong:
        complain(told)
    refused = {one.scenario.name: one.rejections for one in found if one.scenario and one.rejections}
    lines: list[Any] = [f"{n}: 'where' or placing turns {r.share:.0%} of draws away" for n, r in refused.items() if r.share > 0.5]
    if explain:
        lines = [table for name, r in refused.items() for table in _explained(name, r)]
    failed = {one.file for one in found if one.error} | {test.name for test in tests if test.problems}
    verdict = f"{len(files) - len(failed)} of {len(files)} scenarios are right"
    shown = {"checked": len(files), "draws": draws, "wrong": wrong, "rejections": refused, "tests": tests}
    finish(as_json, shown, *lines, verdict)
    if wrong:
        raise typer.Exit(2)


def _driven(scenarios: list[Scenario], draws: int, driven: int, seed: int, as_json: bool) -> list[SelfTest]:
    """The four tests of each scenario, with a bar over all drives."""
    from drivewm.evaluation.selftest import self_test

    out: list[SelfTest] = []
    with progress("driving", as_json) as report:
        for number, scenario in enumerate(scenarios):

            def told(done: int, total: int, number: int = number, name: str = scenario.name) -> None:
                report(number * total + done, len(scenarios) * total, name)

            out.append(self_test(scenario, max(draws, 1), driven, seed, told))
    return out


def _explained(name: str, found: Rejections) -> Iterator[Any]:
    """Tables of what was refused and of what the accepted draws cover."""
    from rich.table import Table

    title = f"{name}: {found.accepted} of {found.draws} draws accepted"
    rules = Table("rule", "refused", "share", title=title, title_justify="left")
    for reason, count in sorted(found.reasons.items(), key=lambda item: -item[1]):
        rules.add_row(reason, str(count), f"{count / found.draws:.0%}")
    yield rules
    covered = Table("vary", "covered", "accepted in each part", "never")
    for parameter, coverage in found.coverage.items():
        missing = [part for part, count in zip(coverage.parts, coverage.accepted, strict=True) if not count]
        covered.add_row(parameter, f"{coverage.share:.0%}", " ".join(map(str, coverage.accepted)), ", ".join(missing))
    if found.coverage:
        yield covered


@app.command()
def draw(
    scenario: Annotated[str, typer.Argument(help="Name or file.")],
    count: Annotated[int, typer.Option("--count", "-n", help="Scenes to draw.", min=1)] = 1,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Concrete scenes from a scenario; with --out each is written as a self-contained JSON file."""
    from rich.table import Table

    from drivewm.scenarios.opening import draw as draw_one
    from drivewm.scenarios.opening import open_scenario
    from drivewm.store import content_hash, save_record

    source = open_scenario(scenario_files([scenario])[0])
    scenes = [draw_one(source, index, seed) for index in range(count)]
    files = [out / f"{source.name}-{seed}-{index}.json" for index in range(count)] if out else []
    for file, scene in zip(files, scenes, strict=False):
        save_record(file, scene)
    table = Table("scene", *source.parameters, "road users", title=source.about, title_justify="left")
    for scene in scenes:
        values = [
            f"{v:.3g}" if isinstance(v, float) else str(v) for v in (scene.parameters.get(name, "") for name in source.parameters)
        ]
        table.add_row(scene.id, *values, str(int(scene.start.agents.valid.sum())))
    rows = [{"id": s.id, "hash": content_hash(s), "parameters": s.parameters} for s in scenes]
    finish(as_json, {"scenes": rows, "files": files}, table, *map(str, files))


@app.command()
def preview(
    scenarios: Scenarios,
    index: Annotated[int, typer.Option("--draw", help="Which draw.", min=0)] = 0,
    driver: Annotated[str, typer.Option(help="expert, or constant_velocity to see the conflict unsolved.")] = "expert",
    gif: Annotated[bool, typer.Option("--gif", help="An animated GIF instead of a video.")] = False,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A film within seconds: from above and through the front camera, rendered by the exact world."""
    from drivewm.config import run_folder
    from drivewm.evaluation.preview import preview as film
    from drivewm.scenarios.opening import draw as draw_one
    from drivewm.scenarios.opening import open_scenario

    files, folder, made = scenario_files(scenarios), run_folder("preview", out), []
    with progress("filming", as_json) as report:
        for done, file in enumerate(files, start=1):
            scenario = open_scenario(file)
            shown = film(
                draw_one(scenario, index, seed),
                folder / f"{scenario.name}-{index}{'.gif' if gif else '.mp4'}",
                driver=driver,
                seed=seed,
            )
            made.append({"film": shown.film, "strip": shown.strip, "score": shown.case.score.total})
            report(done, len(files), scenario.name)
    finish(as_json, {"films": made}, *(str(entry["film"]) for entry in made))


@app.command()
def gallery(
    folder: Annotated[Path | None, typer.Argument(help="Folder of scenarios; by default the workspace's.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """A picture of each family, gallery.jpg beside its files: the moment that each scenario is about."""
    from drivewm.config import content_folder
    from drivewm.evaluation.gallery import write_galleries

    root = content_folder("scenarios") if folder is None else folder
    with progress("filming", as_json) as report:
        written = list(write_galleries(root, seed, report))
    finish(as_json, {"written": written}, *(str(path) for path in written))


@app.command("from-log")
def from_log(
    source: Annotated[
        Path, typer.Argument(help="A nuScenes-format folder, an Argoverse 2 log, or a CommonRoad file.", show_default=False)
    ],
    scene: Annotated[str | None, typer.Option(help="nuScenes: scene by name or token; the first if not said.")] = None,
    start_s: Annotated[float, typer.Option("--start", help="Seconds into the recording.", min=0)] = 0.0,
    duration_s: Annotated[float | None, typer.Option("--duration", help="Seconds; to its end if not said.", min=1)] = None,
    ego: Annotated[str | None, typer.Option(help="CommonRoad: the vehicle that becomes the ego.")] = None,
    reactive_after_s: Annotated[
        float | None, typer.Option("--reactive-after", help="Seconds; then vehicles react instead of the recording.", min=0)
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """A recorded drive as a scenario: the scene with road, route and everybody's motion, and a YAML file to go on from."""
    from drivewm.config import run_folder
    from drivewm.data.recorded.reading import read_recording
    from drivewm.data.recorded.writing import write_recorded

    recording = read_recording(source, scene=scene, start_s=start_s, duration_s=duration_s, ego=ego)
    written = write_recorded(recording, run_folder("recorded", out), reactive_after_s)
    values = {"scenario": written.scenario, "scene": written.scene, "agents": written.agents, "left_out": written.left_out}
    told = [f"left out: {reason}" for reason in written.left_out]
    finish(as_json, values, str(written.scenario), str(written.scene), f"{written.agents} road users", *told)


@app.command()
def export(
    scenarios: Scenarios,
    index: Annotated[int, typer.Option("--draw", help="Which draw of each.", min=0)] = 0,
    table: Annotated[Path | None, typer.Option(help="Read everything again, and write how far it moved to this page.")] = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Scenes as OpenSCENARIO 1.2 files with OpenDRIVE roads beside them, and a list of what these cannot say."""
    from rich.table import Table

    from drivewm.config import run_folder
    from drivewm.evaluation.roundtrip import round_trip, write_table
    from drivewm.scenarios.export.scene import export_scene
    from drivewm.scenarios.opening import draw as draw_one
    from drivewm.scenarios.opening import open_scenario
    from drivewm.store import source_commit

    files, folder, made, trips = scenario_files(scenarios), run_folder("export", out), [], []
    with progress("writing", as_json) as report:
        for done, file in enumerate(files, start=1):
            scenario = open_scenario(file)
            scene = draw_one(scenario, index, seed)
            made.append(export_scene(scene, folder, f"{scenario.name}-{seed}-{index}"))
            if table is not None:
                trips.append(round_trip(scene, made[-1].scenario, made[-1].notes))
            report(done, len(files), scenario.name)
    if table is not None:
        write_table(table, trips, f"drivewm scenario export scenarios --table {table.name}", source_commit())
    listing = Table("file", "what it does not say")
    for one in made:
        listing.add_row(str(one.scenario), "\n".join(one.notes))
    finish(as_json, {"files": made, "round_trips": trips}, listing)


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="OpenSCENARIO files (.xosc, 1.0 to 1.3) or folders of them.", show_default=False)
    ],
    count: Annotated[int, typer.Option("--count", "-n", help="Scenes to draw from each with --out.", min=1)] = 1,
    table: Annotated[Path | None, typer.Option(help="Write what became of every file to this Markdown page.")] = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Read OpenSCENARIO files and list every element that has no effect; with --out their scenes are written as JSON files."""
    import os
    from dataclasses import replace

    from rich.table import Table

    from drivewm.cli.console import complain
    from drivewm.scenarios.opening import draw as draw_one
    from drivewm.scenarios.openscenario.table import import_all, write_table
    from drivewm.scenarios.openscenario.table import scenario_files as found_files
    from drivewm.store import save_record

    found = found_files(files)
    with progress("importing", as_json) as report:
        rows = list(import_all(found, lambda done, what: report(done, len(found), what)))
    written = []
    for row in rows if out is not None else []:
        for index in range(count) if row.scenario is not None and out is not None else ():
            assert row.scenario is not None and out is not None
            written.append(out / f"{row.scenario.name}-{seed}-{index}.json")
            save_record(written[-1], draw_one(row.scenario, index, seed))
    if table is not None:
        root = Path(os.path.commonpath([file.resolve().parent for file in found]))
        absolute = [replace(row, file=row.file.resolve()) for row in rows]
        write_table(table, absolute, root, f"drivewm scenario import FOLDER --table {table.name}")
    listing = Table("file", "loaded", "element", "line", "what becomes of it")
    for row in rows:
        listing.add_row(row.file.name, row.loaded, "", "", "" if row.error is None else "see below")
        for note in row.notes:
            listing.add_row("" if note.file == row.file.name else f"  in {note.file}", "", note.element, str(note.line), note.why)
    for row in rows:
        if row.error is not None:
            complain(row.error)
    values = [
        {"file": row.file, "id": row.scenario.id if row.scenario else None, "error": row.error, "ignored": list(row.notes)}
        for row in rows
    ]
    good = sum(row.error is None for row in rows)
    finish(as_json, {"files": values, "loaded": good, "written": written}, listing, f"{good} of {len(rows)} files loaded")
    if good < len(rows):
        raise typer.Exit(2)
