"""Adapter for scenes of TRI's Dataset Governance Policy (DGP), the form of DDAD: any cameras, LiDAR, boxes, a pose per datum.

Sources: the messages in dgp/proto of TRI-ML/dgp on GitHub, and what the files show. Two things to know:

- Time stamps in the JSON may be ten times too large (scenes of 2019 stand in 2464). The file names hold the same instants as
  whole numbers; 16 digits of them are microseconds since 1970.
- The vehicle frame looks along x and has y to the left. In the test scene the road lies 0.09 m above its origin, level within
  0.7 degrees over 12 m. It is taken for ours as it is.

Every image has a pose of its own; the cameras of one instant differ by the millimetres that the car drives between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.formats.drive import BoxTrack, Camera, Exposure, RecordedDrive, Sweep
from drivewm.data.formats.poses import transforms
from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.store import read_json

CATEGORY_OF: dict[str, str] = {
    "Person": "human.pedestrian.adult",
    "Pedestrian": "human.pedestrian.adult",
    "Car": "vehicle.car",
    "Truck": "vehicle.truck",
    "Bus/RV/Caravan": "vehicle.bus.rigid",
    "Bus": "vehicle.bus.rigid",
    "Train": "vehicle.bus.bendy",
    "Trailer": "vehicle.trailer",
    "Towed Object": "vehicle.trailer",
    "Motorcycle": "vehicle.motorcycle",
    "Bicycle": "vehicle.bicycle",
    "Wheeled Slow": "human.pedestrian.personal_mobility",
}
_BOXES_3D = "1"  # annotation type BOUNDING_BOX_3D
_OTHER_MODELS = ("alpha", "beta", "w", "xi", "equirectangular", "s1", "s2", "s3", "s4", "taux", "tauy")
_LONGEST_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Datum:
    """One image or sweep."""

    sensor: str
    kind: str  # "image" | "point_cloud"
    time_us: int
    file: Path
    world_from_sensor: Array
    boxes: Path | None
    size_px: tuple[int, int]  # of an image


@dataclass(frozen=True, slots=True)
class _Label:
    """One labelled box."""

    world_from_box: Array  # [4, 4]
    size_lwh_m: list[float]
    lidar_points: int


def read(root: Path) -> Iterator[RecordedDrive]:
    """A scene folder, or all scenes of a data set. Raises `InputError` naming the file that is missing or has another form."""
    files = [file for file in sorted(root.glob("scene_*.json")) if not file.name.startswith("scene_dataset")]
    files = files[:1] or [file for file in sorted(root.glob("*/scene_*.json")) if "scene_dataset" not in file.name]
    if not files:
        raise InputError("holds no DGP scene", file=root, hint="a scene is a folder with scene_*.json, calibration and ontology")
    yield from map(_drive, files)


@contextmanager
def _form_of(file: Path) -> Iterator[None]:
    """What does not stand in ``file`` as DGP has it becomes one sentence."""
    try:
        yield
    except InputError:
        raise
    except KeyError as error:
        raise InputError(f"has no {error}", file=file) from error
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError, StopIteration) as error:
        raise InputError(f"has another form than DGP: {error}", file=file) from error


def _drive(file: Path) -> RecordedDrive:
    folder = file.parent
    with _form_of(file):
        content = read_json(file)
        data = {record["key"]: _datum(record, folder) for record in content["data"]}
        samples = [[data[key] for key in sample["datum_keys"] if key in data] for sample in content["samples"]]
        calibration = folder / "calibration" / f"{content['samples'][0]['calibration_key']}.json"
        ontology = content.get("ontologies", {}).get(_BOXES_3D)
        log, description = str(content.get("log", "")), str(content.get("description", ""))
    images = [datum for sample in samples for datum in sample if datum.kind == "image"]
    sweeps = sorted((d for sample in samples for d in sample if d.kind == "point_cloud"), key=lambda datum: datum.time_us)
    lidar = sweeps[0].sensor if sweeps else ""
    sweeps = [datum for datum in sweeps if datum.sensor == lidar]
    if not images and not sweeps:
        raise InputError("has neither images nor point clouds", file=file)
    with _form_of(calibration):
        known = read_json(calibration)
        mounted = dict(zip(known["names"], (_transform(pose) for pose in known["extrinsics"]), strict=True))
        lenses = dict(zip(known["names"], known["intrinsics"], strict=True))
        sizes = {datum.sensor: datum.size_px for datum in images}
        cameras = tuple(_camera(name, lenses[name], mounted[name], sizes[name], calibration) for name in sizes)
        vehicle = {datum.sensor: np.linalg.inv(mounted[datum.sensor]) for datum in (*images, *sweeps)}
    steady = sweeps or [datum for datum in images if datum.sensor == images[0].sensor]
    tracks, left_out = _tracks(samples, lidar, _classes(folder / "ontology" / f"{ontology}.json") if ontology else {})
    return RecordedDrive(
        name=f"dgp_{folder.name}",
        source=f"DGP scene {file.name.removesuffix('.json')} of log {log}",
        time_us=np.array([datum.time_us for datum in steady], np.int64),
        world_from_ego=np.stack([datum.world_from_sensor @ vehicle[datum.sensor] for datum in steady]),
        cameras=cameras,
        exposures=tuple(
            Exposure(datum.sensor, datum.time_us, datum.file, datum.world_from_sensor @ vehicle[datum.sensor]) for datum in images
        ),
        boxes=tracks,
        sweeps=tuple(_sweep(datum, datum.world_from_sensor @ vehicle[lidar]) for datum in sweeps),
        ego_from_lidar=mounted[lidar] if lidar else np.eye(4),
        description=description,
        left_out=left_out,
    )


def _sweep(datum: _Datum, world_from_ego: Array) -> Sweep:
    return Sweep(datum.time_us, partial(_points, datum.file) if datum.file.is_file() else None, world_from_ego)


def _datum(record: dict[str, Any], folder: Path) -> _Datum:
    kind, content = next(iter(record["datum"].items()))
    boxes = content.get("annotations", {}).get(_BOXES_3D)
    return _Datum(
        sensor=str(record["id"]["name"]),
        kind=kind,
        time_us=_time_us(content["filename"], record["id"]["timestamp"]),
        file=folder / content["filename"],
        world_from_sensor=_transform(content["pose"]),
        boxes=folder / boxes if boxes else None,
        size_px=(int(content.get("height", 0)), int(content.get("width", 0))),
    )


def _time_us(filename: str, stamp: str) -> int:
    """Microseconds since 1970: of the JSON's stamp where it is possible, else of the file name's digits."""
    when = datetime.fromisoformat(stamp)
    if when < _LONGEST_AHEAD:
        return round(when.timestamp() * 1e6)
    digits = Path(filename).stem
    if not re.fullmatch(r"\d{13,19}", digits):
        raise InputError(f"{stamp} is no time", place=filename)
    return round(int(digits) * 10.0 ** (16 - len(digits))) if len(digits) < 16 else int(digits[:16])


def _transform(pose: dict[str, dict[str, float]]) -> Array:
    xyz = [pose["translation"][axis] for axis in "xyz"]
    return transforms(np.array(xyz), np.array([pose["rotation"][f"q{axis}"] for axis in "wxyz"]))


def _camera(name: str, lens: dict[str, float], mounted: Array, size_px: tuple[int, int], file: Path) -> Camera:
    fisheye = int(lens.get("fisheye", 0))
    if fisheye not in (0, 1) or any(lens.get(model) for model in _OTHER_MODELS):
        raise InputError("has a lens that is neither a pinhole nor OpenCV's fisheye", file=file, place=f"camera {name}")
    order = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    bent = np.array([float(lens.get(key, 0.0)) for key in order])
    intrinsic = np.array([[lens["fx"], lens["skew"], lens["cx"]], [0.0, lens["fy"], lens["cy"]], [0.0, 0.0, 1.0]], np.float64)
    return Camera(name, intrinsic, mounted, size_px, bent if bent.any() or fisheye else np.zeros(0), bool(fisheye))


def _points(file: Path) -> Array:
    try:
        with np.load(file) as arrays:
            points: Array = np.asarray(arrays["data"], np.float64)
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise InputError("is no point cloud", file=file) from error
    if points.ndim != 2 or points.shape[1] < 4:
        raise InputError(f"has the shape {points.shape}, not points x 4", file=file)
    return points[:, :4]


def _classes(file: Path) -> dict[int, str]:
    with _form_of(file):
        return {int(item["id"]): str(item["name"]) for item in read_json(file)["items"]}


def _tracks(samples: list[list[_Datum]], lidar: str, classes: dict[int, str]) -> tuple[tuple[BoxTrack, ...], tuple[str, ...]]:
    """Boxes by instance, and a sentence for each class that has no category here."""
    rows: dict[str, dict[int, _Label]] = {}
    kinds: dict[str, str] = {}
    for datum, file in (one for sample in samples for one in _labelled(sample, lidar)):
        with _form_of(file):
            for number, note in enumerate(read_json(file)["annotations"]):
                if not note.get("instance_id"):
                    raise InputError("belongs to no track: it has no instance_id", file=file, place=f"box {number}")
                name, size = str(note["instance_id"]), [float(note["box"][edge]) for edge in ("length", "width", "height")]
                kinds[name] = classes.get(int(note["class_id"]), f"class {note['class_id']}")
                pose = datum.world_from_sensor @ _transform(note["box"]["pose"])
                rows.setdefault(name, {}).setdefault(datum.time_us, _Label(pose, size, int(note.get("num_points", 0))))
    tracks = tuple(_track(name, CATEGORY_OF[kinds[name]], of) for name, of in rows.items() if kinds[name] in CATEGORY_OF)
    unknown = Counter(kind for kind in kinds.values() if kind not in CATEGORY_OF)
    return tracks, tuple(f"{count} tracks of {kind} have no category here" for kind, count in sorted(unknown.items()))


def _labelled(sample: list[_Datum], lidar: str) -> list[tuple[_Datum, Path]]:
    """The files of boxes that count: the sweep's, whose boxes all cameras share; without one those of the cameras."""
    boxed = [(datum, datum.boxes) for datum in sample if datum.boxes is not None]
    return [one for one in boxed if one[0].sensor == lidar] or boxed


def _track(name: str, category: str, seen: dict[int, _Label]) -> BoxTrack:
    labels = [seen[time_us] for time_us in sorted(seen)]
    return BoxTrack(
        name=name,
        category=category,
        time_us=np.array(sorted(seen), np.int64),
        world_from_box=np.stack([label.world_from_box for label in labels]),
        size_lwh_m=np.array([label.size_lwh_m for label in labels]),
        lidar_points=np.array([label.lidar_points for label in labels]),
    )
