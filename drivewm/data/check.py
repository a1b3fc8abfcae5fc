"""`check_folder`: is a nuScenes folder whole? Every problem with its file and place; what is merely absent is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivewm.data.devkit import find_version
from drivewm.data.faults import Tables, dangling, read_table, wrong_values
from drivewm.data.reader import read_image
from drivewm.data.tables import TABLES
from drivewm.errors import InputError

LISTED_PER_KIND = 50  # more problems of one kind are only counted


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    file: str  # relative to the folder
    place: str  # "token 3fa9..." or "scene-0061"; may be empty
    reason: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """``problems`` make a folder unusable as it is; ``absent`` parts may be left out, training goes on without them.

    Absent, with the names of the scenes (of the files for masks): "map" (the expansion), "map mask", "can_bus", "annotations",
    "images" (no image of the scene is there: its blob was not fetched), "sweeps" (only its key frames have images).
    """

    problems: tuple[Problem, ...]
    counts: dict[str, int]  # records by table, "images", and problems by kind as "bad:..."
    absent: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass
class _Findings:
    """Problems as they are found, the list cut per kind, and what is absent."""

    problems: list[Problem] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    absent: dict[str, list[str]] = field(default_factory=dict)

    def lacks(self, what: str, name: str) -> None:
        self.absent.setdefault(what, []).append(name)

    def add(self, kind: str, file: str, place: str, reason: str) -> None:
        self.kinds[kind] += 1
        if self.kinds[kind] <= LISTED_PER_KIND:
            self.problems.append(Problem(file, place, reason))


Progress = Callable[[int, int], None]
Rows = list[dict[str, Any]]


def check_folder(
    root: str | Path, version: str | None = None, *, decode: bool = True, progress: Progress | None = None
) -> CheckReport:
    """Reads all tables and images of a nuScenes folder (or of its parts) and tells what is wrong.

    ``decode=False`` only looks whether images exist. ``progress(done, total)`` counts images. Raises InputError when the folder
    is no nuScenes folder at all.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError("is not a folder", file=root)
    parts = sorted(path for path in root.glob("part-*") if path.is_dir()) or [root]
    found, counts = _Findings(), Counter[str]()
    for part in parts:
        name = find_version(part, version)
        prefix = "" if part == root else f"{part.name}/"
        tables = _tables(part / name, f"{prefix}{name}", found)
        counts.update({table: len(rows) for table, rows in tables.items()})
        for kind, faults in (("value", wrong_values(tables)), ("dangling token", dangling(tables))):
            for table, token, reason in faults:
                found.add(kind, f"{prefix}{name}/{table}.json", f"token {token}", reason)
        _extras(part, tables, found)
        rows = _images_by_scene(part, prefix, tables, found)
        counts["images"] += len(rows)
        if decode:
            _decode(part, prefix, rows, found, progress)
    counts.update({f"bad:{kind}": count for kind, count in found.kinds.items()})
    absent = {what: tuple(names) for what, names in found.absent.items()}
    return CheckReport(tuple(found.problems), dict(counts), absent)


def _tables(folder: Path, shown: str, found: _Findings) -> Tables:
    """Records by token by table; a table that is missing or broken is a problem and counts as empty."""
    out: Tables = {}
    for table in TABLES:
        file = f"{shown}/{table}.json"
        out[table] = {}
        try:
            rows = read_table(folder, table)
        except InputError as error:
            found.add("table", file, f"line {error.line}" if error.line else "", error.reason)
            continue
        for number, row in enumerate(rows):
            if not isinstance(row, dict) or not isinstance(row.get("token"), str):
                found.add("record", file, f"record {number}", "has no token")
            elif row["token"] in out[table]:
                found.add("record", file, f"token {row['token']}", "token appears twice")
            else:
                out[table][row["token"]] = row
    return out


def _extras(root: Path, tables: Tables, found: _Findings) -> None:
    for row in tables["map"].values():
        if not (root / str(row.get("filename"))).is_file():
            found.lacks("map mask", str(row.get("filename")))
    samples = {str(row.get("sample_token")) for row in tables["sample_annotation"].values()}
    annotated = {str(row.get("scene_token")) for token, row in tables["sample"].items() if token in samples}
    for token, row in tables["scene"].items():
        log, name = tables["log"].get(str(row.get("log_token")), {}), str(row.get("name"))
        if not (root / "maps" / "expansion" / f"{log.get('location')}.json").is_file():
            found.lacks("map", name)
        if not (root / "can_bus" / f"{name}_pose.json").is_file():
            found.lacks("can_bus", name)
        if token not in annotated:
            found.lacks("annotations", name)


def _images_by_scene(root: Path, prefix: str, tables: Tables, found: _Findings) -> Rows:
    """Records of the images that are there; the others are problems, or absent when all of a scene's are."""
    channels = {token: str(row.get("channel")) for token, row in tables["sensor"].items() if row.get("modality") == "camera"}
    cameras = {token: channels.get(str(row.get("sensor_token"))) for token, row in tables["calibrated_sensor"].items()}
    scene_of = {token: str(row.get("scene_token")) for token, row in tables["sample"].items()}
    by_scene: dict[str, Rows] = {token: [] for token in tables["scene"]}
    used: set[str] = set()
    for row in tables["sample_data"].values():
        camera = cameras.get(str(row.get("calibrated_sensor_token")))
        scene = scene_of.get(str(row.get("sample_token")))
        if camera is not None and scene in by_scene:  # links that lead nowhere have been told
            by_scene[scene].append({**row, "camera": camera})
            used.add(camera)
    out: Rows = []
    for token, rows in by_scene.items():
        name = str(tables["scene"][token].get("name"))
        if lost := sorted(used - {row["camera"] for row in rows}):
            found.add("camera", f"{prefix}samples", f"scene {name}", f"has no images of {', '.join(lost)}")
        there = [(root / str(row.get("filename"))).is_file() for row in rows]
        key = [bool(row.get("is_key_frame")) for row in rows]
        only_keys = there == key and not all(key)
        if rows and not any(there):
            found.lacks("images", name)
        elif only_keys:
            found.lacks("sweeps", name)
        else:
            for row, is_there in zip(rows, there, strict=True):
                if not is_there:
                    found.add("image", prefix + str(row.get("filename")), f"token {row['token']}", "image is missing")
        out += [row for row, is_there in zip(rows, there, strict=True) if is_there]
    return out


def _decode(root: Path, prefix: str, rows: Rows, found: _Findings, progress: Progress | None) -> None:
    for done, row in enumerate(rows, start=1):
        file, place = str(row["filename"]), f"token {row['token']}"
        try:
            height, width = read_image(root / file).shape[:2]
        except InputError as error:
            found.add("image", prefix + file, place, error.reason)
        else:
            if (height, width) != (row.get("height"), row.get("width")):
                reason = f"image is {height}x{width}, table says {row.get('height')}x{row.get('width')}"
                found.add("image", prefix + file, place, reason)
        if progress and (done % 500 == 0 or done == len(rows)):
            progress(done, len(rows))
