"""One page about data sets: numbers, maps of drives, contact sheets, histograms, balance, gaps, where it comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as installed
from pathlib import Path

from drivewm.data.devkit import find_version
from drivewm.data.reader import NuScenesFolder
from drivewm.data.stats import DataStats, stats_of
from drivewm.data.survey import SceneSurvey, survey_folder
from drivewm.datatypes import Clip
from drivewm.evaluation.contact_sheets import Sheets, contact_sheets
from drivewm.evaluation.data_charts import balance_groups, chart_groups, quantile_table
from drivewm.evaluation.drive_maps import SPLITS, Atlas, path_length_m
from drivewm.evaluation.figures import DriveMap
from drivewm.evaluation.report import Group, Page, Section, Table, Tile, write_page
from drivewm.store import provenance

MOSAICS, SMALL_MAPS = 18, 12  # on a page, shared among its data sets
_WITHOUT = {"images": "some or all images", "map": "map", "can_bus": "CAN bus", "annotations": "annotations"}
NAMED = 20  # scenes without something that are listed by name


@dataclass(frozen=True, slots=True)
class DataSet:
    """A folder as it was read for a page."""

    name: str
    folder: NuScenesFolder
    version: str
    scenes: list[SceneSurvey]
    stats: DataStats
    overviews: list[DriveMap]
    small_maps: list[DriveMap]
    sheets: Sheets


def read_set(root: str | Path, version: str | None, split: str | None, progress: Callable[..., None], share: int = 1) -> DataSet:
    """Reads a folder once and draws its maps and sheets; a page of several sets gives each 1/``share`` of its pictures."""
    folder = NuScenesFolder(root, version)
    places = {}
    for info in folder.scenes(split):
        index = folder.index(info.token)
        places[info.token] = (index.location, index.ego_xy_yaw_world[:, :2])
    atlas = Atlas.of(places, max(3, SMALL_MAPS // share))

    def draw(clip: Clip, scene: SceneSurvey) -> None:
        atlas.draw_road(clip.road, scene)

    scenes = survey_folder(folder, split, progress, draw)
    overviews, small = atlas.finished(scenes, _in_words)
    roots = sorted(path for path in folder.root.glob("part-*") if path.is_dir()) or [folder.root]
    return DataSet(
        name=folder.root.resolve().name,
        folder=folder,
        version=", ".join(sorted({find_version(part, version) for part in roots})),
        scenes=scenes,
        stats=stats_of(scenes, folder.missing),
        overviews=overviews,
        small_maps=small,
        sheets=contact_sheets(folder, scenes, max(4, MOSAICS // share)),
    )


def write_data_page(out: str | Path, sets: Sequence[DataSet], command: str) -> Path:
    """The page as one HTML file that needs nothing beside it."""
    often = Counter(data.name for data in sets)
    sets = [replace(data, name=str(data.folder.root)) if often[data.name] > 1 else data for data in sets]
    names = tuple(data.name for data in sets)
    surveys = [data.scenes for data in sets]
    page = Page(
        title="Data: " + ", ".join(names),
        about="Counted from the tables. A frame is an exposure of the camera that looks ahead, with what the others saw at that "
        "time; an agent is an annotated road user or object, also between the key frames that annotate it.",
        tiles=tuple(_tiles(sets)),
        sections=(
            *(_maps(data) for data in sets),
            *(_sheets(data) for data in sets),
            Section(
                "How it drives and whom it meets",
                "Shares of frames, of agents at a frame, or of tracks. What lies outside the axis counts in the outermost bar.",
                legend=tuple(enumerate(names)) if len(sets) > 1 else (),
                groups=tuple(chart_groups(surveys)),
                tables=(quantile_table(names, surveys),),
            ),
            Section(
                "Balance",
                "Frames of every weather, light and manner of driving; a dot is a gap.",
                groups=tuple(balance_groups(names, surveys)),
                tables=(_shares(sets),),
            ),
            Section("What is missing", tables=(_missing(sets),)),
            Section("Where it comes from", tables=(_origin(sets),), commands=(command,)),
        ),
    )
    return write_page(out, page)


def _tiles(sets: Sequence[DataSet]) -> list[Tile]:
    def tile(label: str, values: Sequence[float], form: str = "{:,.0f}") -> Tile:
        each = ", ".join(f"{data.name} {form.format(v)}" for data, v in zip(sets, values, strict=True))
        return Tile(label, form.format(sum(values)), each if len(sets) > 1 else "")

    hours = [data.stats.hours for data in sets]
    return [
        tile("scenes", [data.stats.scenes for data in sets]),
        tile("hours", hours, "{:.3g}") if sum(hours) >= 1 else tile("minutes", [60 * h for h in hours], "{:.3g}"),
        tile("km driven", [sum(map(path_length_m, data.scenes)) / 1000 for data in sets], "{:,.3f}"),
        tile("frames", [data.stats.frames for data in sets]),
        tile("images at frames", [sum(_images(data)) - sum(s.info.images_absent for s in data.scenes) for data in sets]),
        tile("road users and objects", [sum(data.stats.tracks_by_class.values()) for data in sets]),
        tile("agents, frame by frame", [sum(data.stats.agents_by_class.values()) for data in sets]),
        tile("annotations", [int(sum(scene.visibility.sum() for scene in data.scenes)) for data in sets]),
    ]


def _images(data: DataSet) -> list[int]:
    return [scene.info.frames * len(data.folder.rig(scene.info.token).names) for scene in data.scenes]


def _maps(data: DataSet) -> Section:
    legend = tuple(
        (series, split.replace("none", "in no split"))
        for series, split in enumerate(SPLITS)
        if split in data.stats.scenes_by_split
    )
    absent = data.stats.without.get("map", 0)
    about = "Every drive by its split, a ring where it starts; grey is the drivable area, north is up. " + (
        f"{absent} of {data.stats.scenes} scenes have no map." if absent else ""
    )
    groups = [Group("map", tuple(data.overviews), layout="wide" if len(data.overviews) > 1 else "one")]
    if data.stats.scenes > 1:
        title = "Each by itself" if len(data.small_maps) == data.stats.scenes else f"{len(data.small_maps)} of them by themselves"
        groups.append(Group("map", tuple(data.small_maps), title, "dense"))
    return Section(f"Drives of {data.name}", about, legend, groups=tuple(groups))


def _sheets(data: DataSet) -> Section:
    title, sheets = f"What the cameras of {data.name} saw", data.sheets
    if not sheets.mosaics:
        return Section(title, f"None of the {sum(_images(data)):,} images that the tables name for frames can be shown.")
    groups = [Group("photo", tuple(sheets.mosaics), layout="wide")]
    if sheets.crops:
        groups.append(Group("photo", tuple(sheets.crops), "Road users, each in the camera that shows it largest", "dense"))
    return Section(title, "Some scenes for every weather and light, all cameras at one key frame.", groups=tuple(groups))


def _in_words(scene: SceneSurvey) -> str:
    weather, light = scene.sky[0]
    manner = [scene.info.manner.replace("_", " ")] if scene.info.manner else []
    return ", ".join([weather, light.replace("_", " "), *manner, f"{path_length_m(scene):.0f} m in {scene.seconds:.3g} s"])


def _shares(sets: Sequence[DataSet]) -> Table:
    def told(counts: Counter[str] | dict[str, int]) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())

    rows = [
        ("scenes by split", *(told(data.stats.scenes_by_split) for data in sets)),
        ("scenes by manner", *(told(data.stats.scenes_by_manner) for data in sets)),
        ("frames of expert driving", *(f"{100 * (1 - data.stats.non_expert_share):.1f} %" for data in sets)),
        ("scenes whose weather or light changes", *(f"{100 * data.stats.changing_share:.1f} %" for data in sets)),
        ("scenes by side of traffic", *(told(Counter(s.traffic or "not told" for s in data.scenes)) for data in sets)),
        ("scenes by location", *(told(Counter(s.location for s in data.scenes)) for data in sets)),
    ]
    return Table(("", *(data.name for data in sets)), tuple(rows), "What was recorded counts as expert driving.")


def _missing(sets: Sequence[DataSet]) -> Table:
    rows = []
    for data in sets:
        bare = {scene.info.name for scene in data.scenes if not scene.annotated}
        without = {what: sorted({**data.folder.missing, "annotations": bare}[what]) for what in _WITHOUT}
        for what, names in without.items():
            listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
            rows.append((data.name, _WITHOUT[what], f"{len(names)} of {data.stats.scenes}", listed or "none"))
        rows += [(data.name, "image that cannot be read", "", sentence) for sentence in data.sheets.unreadable[:NAMED]]
    note = "Without CAN bus the ego's speed, acceleration and curvature come from its poses."
    return Table(("set", "without", "scenes", "which"), tuple(rows), note)


def _origin(sets: Sequence[DataSet]) -> Table:
    made = provenance(0)
    rows = [
        *((f"folder of {data.name}", f"{data.folder.root.resolve()}, tables {data.version}") for data in sets),
        ("drivewm", f"{made.version}, commit {made.commit}"),
        ("nuscenes-devkit", installed("nuscenes-devkit")),
        ("made", f"{made.created} on {made.device}"),
    ]
    return Table(("what", ""), tuple(rows))
