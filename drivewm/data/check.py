"""`check_folder`: is a nuScenes folder whole? Every problem with its file and place; what is merely absent is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.index import CAMERAS, find_version
from drivewm.data.reader import read_image
from drivewm.data.tables import TABLES
from drivewm.errors import InputError
from drivewm.store import read_json

LISTED_PER_KIND = 50  # more problems of one kind are only counted

_LINKS: dict[str, dict[str, str]] = {
    "calibrated_sensor": {"sensor_token": "sensor"},
    "instance": {
        "category_token": "category",
        "first_annotation_token": "sample_annotation",
        "last_annotation_token": "sample_annotation",
    },
    "sample": {"scene_token": "scene", "prev": "sample", "next": "sample"},
    "sample_annotation": {
        "sample_token": "sample",
        "instance_token": "instance",
        "visibility_token": "visibility",
        "prev": "sample_annotation",
        "next": "sample_annotation",
    },
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
        "prev": "sample_data",
        "next": "sample_data",
    },
    "scene": {"log_token": "log", "first_sample_token": "sample", "last_sample_token": "sample"},
}
_MAY_BE_EMPTY = {"prev", "next", "visibility_token"}
_NUMBERS = {
    "ego_pose": {"translation": 3, "rotation": 4},
    "calibrated_sensor": {"translation": 3, "rotation": 4},
    "sample_annotation": {"translation": 3, "size": 3, "rotation": 4},
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    file: str  # relative to the folder
    place: str  # "token 3fa9..." or "scene-0061"; may be empty
    reason: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """``problems`` make a folder unusable as it is; ``absent`` parts are optional and only counted."""

    problems: tuple[Problem, ...]
    counts: dict[str, int]  # records by table, "images", and problems by kind as "bad:..."
    absent: dict[str, int] = field(default_factory=dict)  # "map", "map mask", "can_bus": for how many scenes or maps

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass
class _Findings:
    """Problems as they are found, the list cut per kind."""

    problems: list[Problem] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, file: str, place: str, reason: str) -> None:
        self.kinds[kind] += 1
        if self.kinds[kind] <= LISTED_PER_KIND:
            self.problems.append(Problem(file, place, reason))


Progress = Callable[[int, int], None]


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
    found, counts, absent = _Findings(), Counter[str](), Counter[str]()
    for part in parts:
        name = find_version(part, version)
        prefix = "" if part == root else f"{part.name}/"
        tables = _tables(part / name, f"{prefix}{name}", found)
        counts.update({table: len(rows) for table, rows in tables.items()})
        _links(tables, f"{prefix}{name}", found)
        _numbers(tables, f"{prefix}{name}", found)
        _extras(part, tables, absent)
        counts["images"] += _images(part, prefix, tables, decode, found, progress)
    counts.update({f"bad:{kind}": count for kind, count in found.kinds.items()})
    return CheckReport(tuple(found.problems), dict(counts), dict(absent))


def _tables(folder: Path, shown: str, found: _Findings) -> dict[str, dict[str, dict[str, Any]]]:
    """Records by token by table; a table that is missing or broken is a problem and counts as empty."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for table in TABLES:
        file = f"{shown}/{table}.json"
        out[table] = {}
        if not (folder / f"{table}.json").is_file():
            found.add("table", file, "", "table is missing")
            continue
        try:
            rows = read_json(folder / f"{table}.json")
        except InputError as error:
            found.add("table", file, f"line {error.line}" if error.line else "", error.reason)
            continue
        if not isinstance(rows, list):
            found.add("table", file, "", "is not a list of records")
            continue
        for number, row in enumerate(rows):
            if not isinstance(row, dict) or not isinstance(row.get("token"), str):
                found.add("record", file, f"record {number}", "has no token")
            elif row["token"] in out[table]:
                found.add("record", file, f"token {row['token']}", "token appears twice")
            else:
                out[table][row["token"]] = row
    return out


def _links(tables: dict[str, dict[str, dict[str, Any]]], shown: str, found: _Findings) -> None:
    for table, links in _LINKS.items():
        for token, row in tables[table].items():
            for name, target in links.items():
                value = row.get(name)
                if value == "" and name in _MAY_BE_EMPTY:
                    continue
                if not isinstance(value, str) or value not in tables[target]:
                    reason = f"{name} {value!r} is not in table {target}"
                    found.add("dangling token", f"{shown}/{table}.json", f"token {token}", reason)


def _numbers(tables: dict[str, dict[str, dict[str, Any]]], shown: str, found: _Findings) -> None:
    for table, names in _NUMBERS.items():
        for token, row in tables[table].items():
            for name, count in names.items():
                try:
                    values = np.asarray(row.get(name), np.float64)
                except (TypeError, ValueError):
                    values = np.zeros(0)
                reason = ""
                if values.shape != (count,):
                    reason = f"{name} needs {count} numbers"
                elif not np.isfinite(values).all():
                    reason = f"{name} is not finite: {values.tolist()}"
                elif name == "rotation" and abs(float(np.linalg.norm(values)) - 1.0) > 1e-2:
                    reason = f"rotation is no unit quaternion: {values.tolist()}"
                elif name == "size" and values.min() <= 0:
                    reason = f"size must be positive: {values.tolist()}"
                if reason:
                    found.add("number", f"{shown}/{table}.json", f"token {token}", reason)


def _extras(root: Path, tables: dict[str, dict[str, dict[str, Any]]], absent: Counter[str]) -> None:
    for row in tables["map"].values():
        absent["map mask"] += not (root / str(row.get("filename"))).is_file()
    for row in tables["scene"].values():
        log = tables["log"].get(str(row.get("log_token")), {})
        absent["map"] += not (root / "maps" / "expansion" / f"{log.get('location')}.json").is_file()
        absent["can_bus"] += not (root / "can_bus" / f"{row.get('name')}_pose.json").is_file()
    for name in [name for name, count in absent.items() if not count]:
        del absent[name]


def _images(
    root: Path,
    prefix: str,
    tables: dict[str, dict[str, dict[str, Any]]],
    decode: bool,
    found: _Findings,
    progress: Progress | None,
) -> int:
    sensors = {token for token, row in tables["sensor"].items() if row.get("channel") in CAMERAS}
    cameras = {token for token, row in tables["calibrated_sensor"].items() if row.get("sensor_token") in sensors}
    rows = [row for row in tables["sample_data"].values() if row.get("calibrated_sensor_token") in cameras]
    for done, row in enumerate(rows, start=1):
        file, place = str(row.get("filename")), f"token {row['token']}"
        if not (root / file).is_file():
            found.add("image", prefix + file, place, "image is missing")
        elif decode:
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
    return len(rows)
