"""`convert`: recordings of any fleet that has an adapter become a nuScenes folder. All is looked at before it is written."""

from __future__ import annotations

import json
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.categories import ATTRIBUTES, CLASS_OF, token
from drivewm.data.drives import bounds_xy, moved_road
from drivewm.data.expansion import MapExpansion
from drivewm.data.formats.blobs import Lens, write_sweep
from drivewm.data.formats.boxes import at_keys
from drivewm.data.formats.checking import check_drive
from drivewm.data.formats.drive import Adapter, RecordedDrive, Sweep
from drivewm.data.formats.shots import KEY_HZ, Chosen, Shot, chosen
from drivewm.data.formats.writing import Vocabulary, blob_name, write_drive
from drivewm.data.masks import write_mask
from drivewm.data.places import REACH_M
from drivewm.data.plots import Plot, laid_out, write_map_files
from drivewm.data.recorded.assembly import cut_road
from drivewm.data.tables import Placement, table_writer, write_maps, write_words
from drivewm.datatypes import Array, RoadMap
from drivewm.errors import InputError, did_you_mean
from drivewm.registry import BUILT_IN, resolve
from drivewm.store import atomic_folder

VERSION = "v1.0-converted"
SOURCES = "sources.json"  # beside the tables: where each scene comes from and what was left out
TARGETS = ("nuscenes",)
MOST_DRIVES = 500  # a nuScenes root is read as a whole
_UNMAPPED = Placement("unmapped", (0.0, 0.0))

_README = """# Recorded drives in nuScenes v1.0 format

Made by `drivewm data convert` from {format}. `nuscenes-devkit` reads it: `NuScenes("{version}", root)`.

- Channels have the names of the cameras that recorded. Every image and sweep has the pose of the car at its own time.
- Key frames are 1 / {key_hz:g} s apart (a drive shorter than that has one at each instant); boxes are interpolated to them.
- `visibility_token` is empty because the source does not tell it; `num_lidar_pts` is counted in the sweep, where there is none it
  is what the source counted at that instant, else 0.
- The `location` of a log is a slot for a map, one of the four names that the devkit accepts, and every drive has its own plot on
  it; drives without a map stand at `unmapped`, whose mask is empty. There is no radar and no CAN bus.
- `{version}/{sources}` tells per scene where it comes from, its place on the map and what was left out.
"""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """What to keep."""

    camera_hz: float | None = None  # exposures a second of each camera besides key frames; None: all
    key_hz: float = KEY_HZ
    link: bool = False  # hard links to images that stay as they are, where the disk allows

    def check(self) -> None:
        """Raises InputError for options that cannot be met."""
        for name, value in (("camera_hz", self.camera_hz), ("key_hz", self.key_hz)):
            if value is not None and not 0 < value <= 1000:
                raise InputError(f"{name} must be above 0 and at most 1000, not {value:g}")


@dataclass(frozen=True, slots=True)
class ConvertReport:
    """What `convert` has made."""

    folder: Path
    version: str
    scenes: tuple[str, ...]
    counts: dict[str, int]  # key frames, images, sweeps, boxes
    absent: dict[str, int]  # images and sweeps without a file, exposures without a pose, tracks seen at no key frame
    left_out: dict[str, tuple[str, ...]]  # by scene


@dataclass
class _Work:
    """The data set as it grows."""

    root: Path
    options: ConvertOptions
    plots: dict[str, Plot]
    expansions: dict[str, MapExpansion]
    counts: Counter[str]
    absent: Counter[str]
    sources: dict[str, dict[str, Any]]


def convert(
    source: Path, format_name: str, out: Path, options: ConvertOptions, progress: Progress | None = None
) -> ConvertReport:
    """Writes the drives of ``source`` as a nuScenes root ``out``, whole or not at all.

    ``format_name`` is a name of `drivewm.formats`. ``progress(done, total)`` counts images and sweeps. Raises InputError when the
    source cannot be read, and when ``out`` holds something.
    """
    options.check()
    adapter = _adapter(format_name)
    if not source.exists():
        raise InputError("does not exist", file=source)
    with atomic_folder(out) as root:
        corners, total = _survey(adapter, source, options)
        plots, canvas = laid_out(corners)
        expansions = {location: MapExpansion(location, edge) for location, edge in canvas.items()}
        work = _Work(root, options, plots, expansions, Counter(), Counter(), {})
        _write(work, adapter(source), lambda done: progress(done, total) if progress else None)
        readme = _README.format(format=format_name, version=VERSION, key_hz=options.key_hz, sources=SOURCES)
        (root / "README.md").write_text(readme, encoding="utf-8")
    left_out = {name: tuple(known["left_out"]) for name, known in work.sources.items()}
    return ConvertReport(Path(out), VERSION, tuple(work.sources), dict(work.counts), dict(+work.absent), left_out)


def check_target(name: str) -> None:
    """Raises InputError for a format that is not written."""
    if name not in TARGETS:
        raise InputError(f"cannot be written: {name!r}", hint=did_you_mean(name, list(TARGETS)) or f"known: {', '.join(TARGETS)}")


def _adapter(name: str) -> Adapter:
    """The adapter of a name; what one from outside stumbles over becomes a sentence."""
    found: Adapter = resolve("drivewm.formats", name)
    if name in BUILT_IN["drivewm.formats"]:
        return found

    def careful(source: Path) -> Iterator[RecordedDrive]:
        try:
            for drive in found(source):
                if not isinstance(drive, RecordedDrive):
                    raise TypeError(f"it gives a {type(drive).__name__}, not a RecordedDrive")
                yield drive
        except (InputError, OSError):
            raise
        except Exception as error:  # whatever a stranger's adapter raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"adapter {name!r} fails at {Path(last.filename).name}:{last.lineno}: {type(error).__name__}: {error}"
            raise InputError(reason, file=source) from error

    return careful


def _survey(adapter: Adapter, source: Path, options: ConvertOptions) -> tuple[dict[str, tuple[Array, Array]], int]:
    """Looks at every drive: the corners of those with a map, and how many files there are in all."""
    corners: dict[str, tuple[Array, Array]] = {}
    names: set[str] = set()
    rigs: set[tuple[str, ...]] = set()
    total = 0
    for drive in adapter(source):
        check_drive(drive, source)
        if drive.name in names:
            raise InputError(f"has two drives of the name {drive.name}", file=source)
        names.add(drive.name)
        rigs.add(tuple(sorted(camera.name for camera in drive.cameras)))
        if len(rigs) > 1:
            reason = "has other cameras than the drives before it"
            raise InputError(reason, file=source, place=f"drive {drive.name}", hint="a data set has one rig; convert it alone")
        if len(names) > MOST_DRIVES:
            raise InputError(f"holds more than {MOST_DRIVES} drives", file=source, hint="convert parts into several folders")
        total += sum(len(shots) for shots in chosen(drive, options.camera_hz, options.key_hz).shots.values())
        if (road := _road(drive)) is not None:
            corners[drive.name] = bounds_xy(road, drive.world_from_ego[:, :2, 3])
    if not names:
        raise InputError("holds no drive", file=source)
    return corners, total


def _road(drive: RecordedDrive) -> RoadMap | None:
    """The road around a drive, in its own coordinates; None where the source has no map."""
    if drive.road is None:
        return None
    xy = drive.world_from_ego[:, :2, 3]
    return cut_road(drive.road, xy.min(0) - REACH_M, xy.max(0) + REACH_M)


def _write(work: _Work, drives: Iterator[RecordedDrive], tell: Callable[[int], None]) -> None:
    words = Vocabulary(set(), dict.fromkeys(CLASS_OF), dict.fromkeys(ATTRIBUTES))
    logs: dict[str, list[str]] = {location: [] for location in work.expansions}
    drivable: dict[str, list[Array]] = {location: [] for location in work.expansions}
    done = 0
    (work.root / VERSION).mkdir()
    with table_writer(work.root / VERSION) as tables:
        for drive in drives:
            kept = chosen(drive, work.options.camera_hz, work.options.key_hz)
            place = work.plots[drive.name].place if drive.name in work.plots else _UNMAPPED
            counted: dict[int, Array] = {}
            for shots in kept.shots.values():
                for shot, lens in _with_lenses(drive, shots, link=work.options.link):
                    counted |= _take(work, drive, shot, lens)
                    done += 1
                    tell(done)
            log = write_drive(tables, words, drive, kept, place, counted)
            logs.setdefault(place.location, []).append(log)
            _add_road(work, drive, drivable)
            _note(work, drive, kept, place)
        write_words(tables, words.categories, words.attributes)
        write_maps(tables, logs)
        work.counts["boxes"] = tables.counts["sample_annotation"]
    text = json.dumps(work.sources, allow_nan=False, indent=1)
    (work.root / VERSION / SOURCES).write_text(text, encoding="utf-8")
    write_map_files(work.root, work.expansions, drivable)
    if _UNMAPPED.location in logs:
        write_mask(work.root / "maps" / f"{token('map', _UNMAPPED.location)}.png", [], (1.0, 1.0))


def _with_lenses(drive: RecordedDrive, shots: list[Shot], *, link: bool) -> Iterator[tuple[Shot, Lens | None]]:
    """The shots of one channel, each with what takes its image over; the LiDAR has none."""
    channels = {shot.channel for shot in shots}
    lens = next((Lens(camera, link=link) for camera in drive.cameras if camera.name in channels), None)
    return ((shot, lens) for shot in shots)


def _take(work: _Work, drive: RecordedDrive, shot: Shot, lens: Lens | None) -> dict[int, Array]:
    """Writes the file of a shot if it is there; gives the points [P, 3] of a key frame in the drive's world."""
    to = work.root / blob_name(drive, shot)
    to.parent.mkdir(parents=True, exist_ok=True)
    points: dict[int, Array] = {}
    if isinstance(shot.of, Sweep):
        there, kind = shot.of.points is not None, "sweeps"
        points = _take_sweep(drive, shot, shot.of, to)
    else:
        file = shot.of.file
        there, kind = file is not None and file.is_file(), "images"
        if lens is not None and file is not None and there:
            lens.take(file, to)
    (work.counts if there else work.absent)[kind] += 1
    return points


def _take_sweep(drive: RecordedDrive, shot: Shot, sweep: Sweep, to: Path) -> dict[int, Array]:
    if sweep.points is None:
        return {}
    points = sweep.points()
    write_sweep(points, to)
    if shot.key is None:
        return {}
    pose = shot.world_from_ego @ drive.ego_from_lidar
    return {shot.key: points[:, :3] @ pose[:3, :3].T + pose[:3, 3]}


def _add_road(work: _Work, drive: RecordedDrive, drivable: dict[str, list[Array]]) -> None:
    road = _road(drive)
    if road is not None:
        plot = work.plots[drive.name]
        moved = moved_road(road, np.array(plot.place.shift_xy))
        work.expansions[plot.place.location].add(drive.name, moved, plot.region_xy)
        drivable[plot.place.location] += list(moved.drivable)


def _note(work: _Work, drive: RecordedDrive, kept: Chosen, place: Placement) -> None:
    work.counts["key frames"] += len(kept.key_us)
    work.absent["poses"] += kept.without_pose
    work.absent["tracks between key frames"] += sum(not len(at_keys(track, kept.key_us).keys) for track in drive.boxes)
    work.sources[drive.name] = {
        "source": drive.source,
        "location": drive.location,
        "shift_xy": list(place.shift_xy),
        "left_out": list(drive.left_out),
    }
