"""What a nuScenes root holds, scene by scene, as compact arrays taken once from the devkit's tables."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.assemble import RECORD
from drivewm.data.canbus import yaw_from_quaternion
from drivewm.data.categories import CLASS_OF
from drivewm.data.tables import TABLES
from drivewm.datatypes import AgentClass, Array, CameraRig
from drivewm.errors import InputError
from drivewm.store import read_json

CAMERAS = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")
REFERENCE = CAMERAS.index("CAM_FRONT")  # its exposures are the frames; the other cameras give their nearest exposure


@dataclass(frozen=True, slots=True)
class SceneIndex:
    """One scene of F frames seen by V cameras, with N annotated instances at K key frames."""

    token: str
    name: str
    description: str
    location: str
    files: list[list[str]]  # [F][V], below the root
    image_tokens: list[str]  # [F], of the reference camera
    time_us: Array  # int64 [F]
    ego_xy_yaw_world: Array  # [F, 3]
    rig: CameraRig
    key_time_us: Array  # int64 [K]
    instance_tokens: tuple[str, ...]  # [N]
    track_id: Array  # int32 [N]
    category: Array  # int8 [N]
    box_xy_yaw_world: Array  # [K, N, 3], NaN where the instance is not annotated
    box_size_lwh_m: Array  # [N, 3]
    exact: dict[str, Any] | None  # our own record of a synthetic scene


def find_version(root: Path, version: str | None) -> str:
    """The tables folder of a root; raises InputError when there is none or the choice is open."""
    if version is not None:
        if not (root / version).is_dir():
            raise InputError(f"has no tables folder {version!r}", file=root)
        return version
    found = sorted(path.name for path in root.glob("v1.0*") if path.is_dir())
    if not found:
        raise InputError("is no nuScenes folder: it has no v1.0-... folder with tables", file=root)
    if len(found) > 1:
        raise InputError("has several tables folders", file=root, hint="choose a version: " + ", ".join(found))
    return found[0]


def open_devkit(root: Path, version: str) -> Any:
    """The devkit's `NuScenes` over a root; what is broken in its tables is an InputError."""
    folder = root / version
    for table in TABLES:
        if not (folder / f"{table}.json").is_file():
            raise InputError("table is missing", file=folder / f"{table}.json")
    from nuscenes import NuScenes

    try:
        return NuScenes(version=version, dataroot=str(root), verbose=False)
    except json.JSONDecodeError as error:
        for table in TABLES:
            read_json(folder / f"{table}.json")  # names the file and the line
        raise InputError(f"a table is not JSON: {error}", file=folder) from error
    except (KeyError, TypeError, IndexError) as error:
        reason = f"tables do not fit together, the devkit fails at {error}"
        raise InputError(reason, file=folder, hint="run `drivewm data check`") from error
    except AssertionError as error:
        raise InputError(str(error), file=folder) from error


def index_root(root: Path, version: str) -> list[SceneIndex]:
    """All scenes of a root in the order of their table; raises InputError naming file and token where tables are wrong."""
    nusc = open_devkit(root, version)
    record = root / version / RECORD
    exact = read_json(record)["scenes"] if record.is_file() else {}
    by_scene: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in nusc.sample_data:
        if row["channel"] in CAMERAS:
            by_scene[_linked(nusc, root, version, "sample", row["sample_token"], row)["scene_token"]][row["channel"]].append(row)
    return [_scene(nusc, root, version, scene, by_scene[scene["token"]], exact.get(scene["name"])) for scene in nusc.scene]


def _linked(nusc: Any, root: Path, version: str, table: str, token: str, row: dict[str, Any]) -> dict[str, Any]:
    try:
        return nusc.get(table, token)
    except KeyError as error:
        reason = f"{token!r} is not in table {table}"
        raise InputError(reason, file=root / version, place=f"token {row['token']}") from error


def _scene(
    nusc: Any, root: Path, version: str, scene: dict[str, Any], cameras: dict[str, list[dict[str, Any]]], exact: Any
) -> SceneIndex:
    if missing := [name for name in CAMERAS if not cameras.get(name)]:
        raise InputError(f"has no images of {', '.join(missing)}", file=root / version, place=f"scene {scene['name']}")
    rows = {name: sorted(cameras[name], key=lambda row: row["timestamp"]) for name in CAMERAS}
    times = {name: np.array([row["timestamp"] for row in rows[name]], np.int64) for name in CAMERAS}
    reference = rows[CAMERAS[REFERENCE]]
    time_us = times[CAMERAS[REFERENCE]]
    nearest = [_nearest(times[name], time_us) for name in CAMERAS]
    files = [[rows[name][nearest[v][f]]["filename"] for v, name in enumerate(CAMERAS)] for f in range(len(time_us))]
    poses = [_linked(nusc, root, version, "ego_pose", row["ego_pose_token"], row) for row in reference]
    ego = np.array([[*pose["translation"][:2], 0.0] for pose in poses], np.float64)
    ego[:, 2] = yaw_from_quaternion(np.array([pose["rotation"] for pose in poses], np.float64))
    if not np.isfinite(ego).all():
        bad = poses[int(np.argmin(np.isfinite(ego).all(1)))]
        raise InputError("pose is not finite", file=root / version / "ego_pose.json", place=f"token {bad['token']}")
    log = _linked(nusc, root, version, "log", scene["log_token"], scene)
    return SceneIndex(
        token=scene["token"],
        name=scene["name"],
        description=scene["description"],
        location=log["location"],
        files=files,
        image_tokens=[row["token"] for row in reference],
        time_us=time_us,
        ego_xy_yaw_world=ego,
        rig=_rig(nusc, root, version, [rows[name][0] for name in CAMERAS], time_us),
        exact=exact,
        **_boxes(nusc, root, version, scene),
    )


def _nearest(times_us: Array, wanted_us: Array) -> Array:
    right = np.clip(np.searchsorted(times_us, wanted_us), 1, max(len(times_us) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times_us) - 1)
    return np.where(np.abs(times_us[left] - wanted_us) <= np.abs(times_us[right] - wanted_us), left, right)


def _rig(nusc: Any, root: Path, version: str, rows: list[dict[str, Any]], time_us: Array) -> CameraRig:
    from pyquaternion import Quaternion

    intrinsics, poses = [], []
    for row in rows:
        sensor = _linked(nusc, root, version, "calibrated_sensor", row["calibrated_sensor_token"], row)
        pose = np.eye(4)
        pose[:3, :3] = Quaternion(sensor["rotation"]).rotation_matrix
        pose[:3, 3] = sensor["translation"]
        intrinsics.append(sensor["camera_intrinsic"])
        poses.append(pose)
    if len({(row["height"], row["width"]) for row in rows}) != 1:
        raise InputError("cameras of one scene differ in image size", file=root / version, place=f"token {rows[0]['token']}")
    step_s = float(np.median(np.diff(time_us))) * 1e-6 if len(time_us) > 1 else 1.0
    size = (int(rows[0]["height"]), int(rows[0]["width"]))
    return CameraRig(CAMERAS, np.array(intrinsics, np.float64), np.stack(poses), size, round(1.0 / step_s, 1))


def _boxes(nusc: Any, root: Path, version: str, scene: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a scene as arrays over key frames and instances."""
    samples, name = [], scene["first_sample_token"]
    while name:
        samples.append(_linked(nusc, root, version, "sample", name, scene))
        name = samples[-1]["next"]
    instances: dict[str, int] = {}
    notes = [[nusc.get("sample_annotation", token) for token in sample["anns"]] for sample in samples]
    for rows in notes:
        for row in rows:
            instances.setdefault(row["instance_token"], len(instances))
    xy_yaw = np.full((len(samples), len(instances), 3), np.nan)
    size = np.ones((len(instances), 3))
    track, category = np.arange(len(instances), dtype=np.int32), np.zeros(len(instances), np.int8)
    for k, rows in enumerate(notes):
        for row in rows:
            i = instances[row["instance_token"]]
            pose = [*row["translation"][:2], float(yaw_from_quaternion(np.array(row["rotation"], np.float64)))]
            width, length, height = row["size"]
            if not np.isfinite([*pose, width, length, height]).all():
                file = root / version / "sample_annotation.json"
                raise InputError("box is not finite", file=file, place=f"token {row['token']}")
            xy_yaw[k, i], size[i] = pose, (length, width, height)
            category[i] = CLASS_OF.get(row["category_name"], AgentClass.DEBRIS)
    for token, i in instances.items():
        track[i] = nusc.get("instance", token).get("drivewm_track_id", i)
    return {
        "key_time_us": np.array([sample["timestamp"] for sample in samples], np.int64),
        "instance_tokens": tuple(instances),
        "track_id": track,
        "category": category,
        "box_xy_yaw_world": xy_yaw,
        "box_size_lwh_m": size,
    }
