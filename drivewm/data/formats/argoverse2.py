"""Adapter for Argoverse 2 sensor logs: seven ring cameras and the stereo pair, boxes, LiDAR, the vector map.

Cameras expose at the stamps of their files; where no images were fetched, at the sweeps. Sweeps stand in the ego frame in which
they are stored. The images are without distortion (see `Calibration`). The ego frame of Argoverse lies in the rear axle itself,
not on the ground below it ("~30 cm below the axle should be the ground surface", says a test of av2-api).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from drivewm.data.formats.drive import BoxTrack, Camera, Exposure, RecordedDrive, Sweep
from drivewm.data.recorded.argoverse2 import CLASS_OF, RIDERS, rides
from drivewm.data.recorded.argoverse2_files import (
    ANNOTATIONS,
    INTRINSICS,
    MAP,
    POSES,
    Boxes,
    Poses,
    map_file,
    read_boxes,
    read_calibrations,
    read_points,
    read_poses,
    read_road,
)
from drivewm.data.recorded.assembly import Track
from drivewm.datatypes import Array
from drivewm.errors import InputError

CATEGORY_OF: dict[str, str] = {
    "REGULAR_VEHICLE": "vehicle.car",
    "LARGE_VEHICLE": "vehicle.truck",
    "BOX_TRUCK": "vehicle.truck",
    "TRUCK": "vehicle.truck",
    "TRUCK_CAB": "vehicle.truck",
    "VEHICULAR_TRAILER": "vehicle.trailer",
    "BUS": "vehicle.bus.rigid",
    "SCHOOL_BUS": "vehicle.bus.rigid",
    "ARTICULATED_BUS": "vehicle.bus.bendy",
    "RAILED_VEHICLE": "vehicle.bus.bendy",
    "MOTORCYCLE": "vehicle.motorcycle",
    "MOTORCYCLIST": "vehicle.motorcycle",
    "BICYCLE": "vehicle.bicycle",
    "BICYCLIST": "vehicle.bicycle",
    "WHEELED_DEVICE": "human.pedestrian.personal_mobility",
    "WHEELED_RIDER": "human.pedestrian.personal_mobility",
    "PEDESTRIAN": "human.pedestrian.adult",
    "OFFICIAL_SIGNALER": "human.pedestrian.police_officer",
    "STROLLER": "human.pedestrian.stroller",
    "WHEELCHAIR": "human.pedestrian.wheelchair",
    "ANIMAL": "animal",
    "DOG": "animal",
    "BOLLARD": "movable_object.barrier",
    "MESSAGE_BOARD_TRAILER": "movable_object.barrier",
    "TRAFFIC_LIGHT_TRAILER": "movable_object.barrier",
    "CONSTRUCTION_CONE": "movable_object.trafficcone",
    "CONSTRUCTION_BARREL": "movable_object.trafficcone",
    "MOBILE_PEDESTRIAN_CROSSING_SIGN": "movable_object.pushable_pullable",
}
AXLE_HEIGHT_M = 0.33  # cars within 15 m stand 0.31 to 0.37 m below the frame (medians of two logs)
_GROUND_FROM_AXLE = np.eye(4)
_GROUND_FROM_AXLE[2, 3] = AXLE_HEIGHT_M
_CITIES = {
    "ATX": "Austin",
    "DTW": "Detroit",
    "MIA": "Miami",
    "PAO": "Palo Alto",
    "PIT": "Pittsburgh",
    "WDC": "Washington",
}


def read(root: Path) -> Iterator[RecordedDrive]:
    """A log folder, or all logs of a folder. Raises `InputError` naming the file that is missing or cannot be read."""
    logs = [root] if (root / POSES).is_file() else sorted(file.parent for file in root.glob(f"*/{POSES}"))
    if not logs:
        hint = f"a log has {ANNOTATIONS}, {POSES}, {INTRINSICS} and {MAP}/log_map_archive_*.json"
        raise InputError("holds no Argoverse 2 log", file=root, hint=hint)
    for log in logs:
        yield _drive(log)


def _drive(log: Path) -> RecordedDrive:
    poses, boxes = read_poses(log / POSES), read_boxes(log / ANNOTATIONS)
    time_us, first = np.unique(poses.time_ns // 1000, return_index=True)
    tracks, left_out = _tracks(boxes, poses)
    points = {int(file.stem) // 1000: file for file in _stamped(log / "sensors" / "lidar", "*.feather")}
    sweeps = sorted({*points, *(int(t) for t in np.unique(boxes.time_ns // 1000))})
    cameras, exposures = _cameras(log, sweeps)
    if not cameras:
        left_out.append(f"there is no {INTRINSICS}, so no cameras and nothing to cut clips from")
    drawn = map_file(log)
    road, bike_lanes = read_road(drawn)
    if bike_lanes:
        left_out.append(f"{bike_lanes} bicycle lanes are drivable ground, not lanes")
    city = next((name for code, name in _CITIES.items() if f"_{code}_" in drawn.name), "a city")
    return RecordedDrive(
        name=f"av2_{log.name}",
        source=f"Argoverse 2 log {log.name}",
        time_us=time_us,
        world_from_ego=(_matrices(poses.xyz, poses.turn) @ np.linalg.inv(_GROUND_FROM_AXLE))[first],
        cameras=cameras,
        exposures=exposures,
        boxes=tracks,
        ego_from_lidar=_GROUND_FROM_AXLE,
        sweeps=tuple(Sweep(t, partial(read_points, points[t]) if t in points else None) for t in sweeps),
        road=road,
        location=city,
        description=f"a drive in {city}",
        left_out=tuple(left_out),
    )


def _matrices(xyz: Array, turn: Array) -> Array:
    """Transforms [N, 4, 4] of positions [N, 3] and scipy rotations of N."""
    out = np.tile(np.eye(4), (len(xyz), 1, 1))
    out[:, :3, :3], out[:, :3, 3] = turn.as_matrix(), xyz  # type: ignore[attr-defined]
    return out


def _stamped(folder: Path, pattern: str) -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.stem.isdigit())


def _cameras(log: Path, sweeps_us: list[int]) -> tuple[tuple[Camera, ...], tuple[Exposure, ...]]:
    if not (log / INTRINSICS).is_file():
        return (), ()
    cameras, exposures = [], []
    for known in read_calibrations(log):
        ego_from_camera = np.eye(4)
        ego_from_camera[:3, :3], ego_from_camera[:3, 3] = known.turn.as_matrix(), known.xyz
        cameras.append(Camera(known.name, known.intrinsic, _GROUND_FROM_AXLE @ ego_from_camera, known.size_px))
        files = _stamped(log / "sensors" / "cameras" / known.name, "*.jpg")
        exposures += [Exposure(known.name, int(file.stem) // 1000, file) for file in files]
        exposures += [Exposure(known.name, t, None) for t in sweeps_us if not files]
    return tuple(cameras), tuple(exposures)


def _tracks(boxes: Boxes, poses: Poses) -> tuple[tuple[BoxTrack, ...], list[str]]:
    """The tracks that have a category, riders being one with what they ride, and a sentence for what is left out."""
    stamps = np.unique(boxes.time_ns)
    ego_xyz, ego_turn = poses.at(stamps)
    world_from_box = _matrices(ego_xyz, ego_turn)[np.searchsorted(stamps, boxes.time_ns)] @ _matrices(boxes.xyz, boxes.turn)
    rows: dict[str, list[int]] = {}
    for i in np.argsort(boxes.time_ns, kind="stable"):
        rows.setdefault(boxes.track[i], []).append(int(i))
    kind = {name: boxes.category[of[0]] for name, of in rows.items()}
    seen = {
        name: Track(name, CLASS_OF[kind[name]], boxes.time_ns[of] * 1e-9, world_from_box[of, :3, 3], boxes.size_lwh_m[of[0]])
        for name, of in rows.items()
        if kind[name] in CLASS_OF
    }
    carries, merged = set[str](), Counter[str]()
    for rider in (name for name in seen if kind[name] in RIDERS):
        if on := [name for name in seen if kind[name] == RIDERS[kind[rider]] and rides(seen[rider], seen[name])]:
            carries |= set(on)
            merged[kind[rider]] += 1
            del rows[rider]
    out = []
    for name, of in rows.items():
        if kind[name] not in CATEGORY_OF:
            continue
        time_us, first = np.unique(boxes.time_ns[of] // 1000, return_index=True)
        kept, category = np.array(of)[first], CATEGORY_OF[kind[name]]
        ridden = name in carries or kind[name] in RIDERS
        attributes = ("cycle.with_rider" if ridden else "cycle.without_rider",) if category.endswith("cycle") else ()
        size, counted = boxes.size_lwh_m[kept], boxes.lidar_points[kept]
        out.append(BoxTrack(name, category, time_us, world_from_box[kept], size, attributes, counted))
    unknown = Counter(kind[name] for name in rows if kind[name] not in CATEGORY_OF and kind[name] != "EGO_VEHICLE")
    left_out = [f"{count} tracks of {name} have no category here" for name, count in sorted(unknown.items())]
    left_out += [f"{count} tracks of {name} are one with what they ride" for name, count in sorted(merged.items())]
    return tuple(out), left_out
