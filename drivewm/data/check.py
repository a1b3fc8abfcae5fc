"""`check_folder`: is a nuScenes folder whole? Every problem with its file and place; what is merely absent is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from drivewm.data.devkit import find_version
from drivewm.data.faults import Tables, dangling, read_table, wrong_values
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
    root: str | Path, version: str | None = None, *, decode: bool = True, workers: int = 1, progress: Progress | None = None
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
            _decode(part, prefix, rows, found, workers, progress)
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


def _decode(root: Path, prefix: str, rows: Rows, found: _Findings, workers: int, progress: Progress | None) -> None:
    def look(row: dict[str, Any]) -> tuple[int, int] | str:
        try:
            return stored_size_px(root / str(row["filename"]))
        except InputError as error:
            return error.reason

    with ThreadPoolExecutor(workers) as pool:  # the decoder leaves the interpreter to others
        for done, (row, seen) in enumerate(zip(rows, pool.map(look, rows), strict=True), start=1):
            told = (row.get("height"), row.get("width"))
            if seen != told:
                reason = seen if isinstance(seen, str) else f"image is {seen[0]}x{seen[1]}, table says {told[0]}x{told[1]}"
                found.add("image", prefix + str(row["filename"]), f"token {row['token']}", reason)
            if progress and (done % 500 == 0 or done == len(rows)):
                progress(done, len(rows))


def stored_size_px(path: Path) -> tuple[int, int]:
    """Height and width of an image that can be decoded to its end; raises InputError for others.

    A JPEG is decoded at an eighth of its size: all of its data is read, at a quarter of the cost.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            image.draft("L", (max(width // 8, 1), max(height // 8, 1)))
            image.load()
    except FileNotFoundError as error:
        raise InputError("image is missing", file=path) from error
    except UnidentifiedImageError as error:
        raise InputError("is not an image we can decode", file=path) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        cut = "truncated" in str(error) or "EOF" in str(error)
        raise InputError("image is cut short" if cut else f"cannot be decoded: {error}"[:120], file=path) from error
    return height, width
