"""What a nuScenes root holds, scene by scene, as compact arrays taken once from the devkit's tables."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.assemble import RECORD
from drivewm.data.canbus import yaw_from_quaternion
from drivewm.data.categories import ATTRIBUTES, CLASS_OF, VISIBILITY
from drivewm.data.devkit import linked, open_devkit
from drivewm.data.faults import first_fault, wrong_camera
from drivewm.datatypes import AgentClass, Array, CameraRig
from drivewm.errors import InputError
from drivewm.store import read_json

Rows = list[dict[str, Any]]

_LEVELS = {level for level, _, _ in VISIBILITY}

# The order of the house; cameras with other names follow in the order of the sensor table.
_ORDER = ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT")


@dataclass(frozen=True, slots=True)
class SceneIndex:
    """One scene of F frames seen by V cameras, with N annotated instances at K key frames.

    The exposures of the reference camera, the one that looks ahead, are the frames; the others give their nearest exposure.
    """

    token: str
    name: str
    description: str
    location: str
    rig: CameraRig
    reference: int  # index of a camera
    files: list[list[str]]  # [F][V], below the root
    image_tokens: list[list[str]]  # [F][V]
    exposure_us: Array  # int64 [F, V]
    ego_pose: Array  # float64 [F, V, 7], of the car at each exposure: x, y, z and quaternion w, x, y, z in the world
    key_time_us: Array  # int64 [K]
    instance_tokens: tuple[str, ...]  # [N]
    track_id: Array  # int32 [N]
    category: Array  # int8 [N]
    box_xy_yaw_world: Array  # [K, N, 3], NaN where the instance is not annotated
    box_size_lwh_m: Array  # [N, 3]
    visibility: Array  # int8 [K, N], 1 (0-40 % of the box seen by the cameras) to 4 (80-100 %); 0 where it is not told
    attribute: Array  # int8 [K, N], index into ATTRIBUTES; -1 where there is none
    exact: dict[str, Any] | None  # our own record of a synthetic scene

    @property
    def time_us(self) -> Array:
        """Times of the frames, int64 [F]."""
        return np.asarray(self.exposure_us[:, self.reference])

    @property
    def ego_xy_yaw_world(self) -> Array:
        """The car in the plane at every frame [F, 3]."""
        pose = self.ego_pose[:, self.reference]
        return np.column_stack([pose[:, :2], yaw_from_quaternion(pose[:, 3:])])

    def frame_from_exposure(self, rows: Array) -> Array:
        """The car at each camera's exposure, seen from the car at the frame, with all six degrees of freedom [T, V, 4, 4]."""
        world = _transforms(self.ego_pose[rows])
        return np.asarray(np.linalg.inv(world[:, self.reference])[:, None] @ world)


def _transforms(pose: Array) -> Array:
    """Transforms [..., 4, 4] of positions and unit quaternions [..., 7]."""
    w, x, y, z = np.moveaxis(pose[..., 3:] / np.linalg.norm(pose[..., 3:], axis=-1, keepdims=True), -1, 0)
    out = np.zeros((*pose.shape[:-1], 4, 4))
    out[..., 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1)
    out[..., 1, :3] = np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1)
    out[..., 2, :3] = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1)
    out[..., :3, 3], out[..., 3, 3] = pose[..., :3], 1.0
    return out


def index_root(root: Path, version: str, *, sweeps: bool = True) -> list[SceneIndex]:
    """All scenes of a root in the order of their table; raises InputError naming file and token where tables are wrong.

    Without ``sweeps`` only key frames are frames.
    """
    nusc = open_devkit(root, version)
    try:
        return _scenes(nusc, _own_record(root / version / RECORD), sweeps)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise first_fault(root / version) from error


def _own_record(file: Path) -> dict[str, Any]:
    """Our own record of a synthetic data set by scene name; empty for one that others made."""
    if not file.is_file():
        return {}
    known = read_json(file)
    if not isinstance(known, dict) or not isinstance(known.get("scenes"), dict):
        raise InputError("is no record of a data set made here", file=file)
    return dict(known["scenes"])


def _scenes(nusc: Any, exact: dict[str, Any], sweeps: bool) -> list[SceneIndex]:
    by_scene: dict[str, dict[str, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in nusc.sample_data:
        if row["sensor_modality"] == "camera" and (sweeps or row["is_key_frame"]):
            by_scene[linked(nusc, "sample", row["sample_token"], row)["scene_token"]][row["channel"]].append(row)
    names = _camera_names(nusc)
    return [
        _scene(nusc, scene, {name: by_scene[scene["token"]][name] for name in names}, exact.get(scene["name"]))
        for scene in nusc.scene
    ]


def _scene(nusc: Any, scene: dict[str, Any], cameras: dict[str, Rows], exact: Any) -> SceneIndex:
    location = linked(nusc, "log", scene["log_token"], scene)["location"]
    files = (row["filename"] for rows in cameras.values() for row in rows)
    if not all(isinstance(text, str) for text in (scene["name"], scene["description"], location, *files)):
        raise TypeError("a text is none")
    names = tuple(cameras)
    if missing := [name for name in names if not cameras.get(name)]:
        raise InputError(f"has no images of {', '.join(missing)}", file=nusc.table_root, place=f"scene {scene['name']}")
    rows = [sorted(cameras[name], key=lambda row: row["timestamp"]) for name in names]
    rig, reference = _rig(nusc, names, [of_camera[0] for of_camera in rows])
    times = [np.array([row["timestamp"] for row in of_camera], np.int64) for of_camera in rows]
    time_us = times[reference]
    nearest = np.stack([_nearest(of_camera, time_us) for of_camera in times], -1)
    frames = [[rows[view][i] for view, i in enumerate(at)] for at in nearest]
    step_s = float(np.median(np.diff(time_us))) * 1e-6 if len(time_us) > 1 else 1.0
    return SceneIndex(
        token=scene["token"],
        name=scene["name"],
        description=scene["description"],
        location=location,
        rig=replace(rig, rate_hz=round(1.0 / step_s, 1)),
        reference=reference,
        files=[[row["filename"] for row in frame] for frame in frames],
        image_tokens=[[row["token"] for row in frame] for frame in frames],
        exposure_us=np.array([[row["timestamp"] for row in frame] for frame in frames], np.int64),
        ego_pose=np.array([[_pose(nusc, row) for row in frame] for frame in frames], np.float64),
        exact=exact,
        **_boxes(nusc, scene),
    )


def _camera_names(nusc: Any) -> tuple[str, ...]:
    """Cameras that took part, in the order of the house."""
    used = {
        nusc.get("calibrated_sensor", token)["sensor_token"]
        for token in {row["calibrated_sensor_token"] for row in nusc.sample_data}
    }
    names = [sensor["channel"] for sensor in nusc.sensor if sensor["modality"] == "camera" and sensor["token"] in used]
    if not names:
        raise InputError("has no cameras", file=nusc.table_root)
    return (*(name for name in _ORDER if name in names), *(name for name in names if name not in _ORDER))


def _pose(nusc: Any, row: dict[str, Any]) -> list[float]:
    pose = linked(nusc, "ego_pose", row["ego_pose_token"], row)
    values = [*pose["translation"], *pose["rotation"]]
    if len(values) != 7 or not np.isfinite(values).all():
        raise InputError("pose is not finite", file=Path(nusc.table_root) / "ego_pose.json", place=f"token {pose['token']}")
    return values


def _nearest(times_us: Array, wanted_us: Array) -> Array:
    right = np.clip(np.searchsorted(times_us, wanted_us), 1, max(len(times_us) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times_us) - 1)
    return np.where(np.abs(times_us[left] - wanted_us) <= np.abs(times_us[right] - wanted_us), left, right)


def _rig(nusc: Any, names: tuple[str, ...], rows: Rows) -> tuple[CameraRig, int]:
    """The calibrated cameras on one raster, that of the camera which looks ahead, and the index of that camera."""
    from pyquaternion import Quaternion

    sensors = [linked(nusc, "calibrated_sensor", row["calibrated_sensor_token"], row) for row in rows]
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    for pose, sensor in zip(poses, sensors, strict=True):
        if reason := wrong_camera(sensor):
            raise InputError(reason, file=Path(nusc.table_root) / "calibrated_sensor.json", place=f"token {sensor['token']}")
        pose[:3, :3], pose[:3, 3] = Quaternion(sensor["rotation"]).rotation_matrix, sensor["translation"]
    # Of several that look ahead (a stereo pair beside the middle one) the first stands for all.
    reference = int(np.argmax(np.round(poses[:, 0, 2], 2)))
    size = (int(rows[reference]["height"]), int(rows[reference]["width"]))
    intrinsics = [
        np.diag([size[1] / row["width"], size[0] / row["height"], 1.0]) @ np.array(sensor["camera_intrinsic"], np.float64)
        for row, sensor in zip(rows, sensors, strict=True)
    ]
    return CameraRig(names, np.stack(intrinsics), poses, size, 1.0), reference


def _boxes(nusc: Any, scene: dict[str, Any]) -> dict[str, Any]:
    """The annotations of a scene as arrays over key frames and instances."""
    samples, name = [], scene["first_sample_token"]
    while name:
        samples.append(linked(nusc, "sample", name, scene))
        name = samples[-1]["next"]
    instances: dict[str, int] = {}
    notes = [[nusc.get("sample_annotation", token) for token in sample["anns"]] for sample in samples]
    for rows in notes:
        for row in rows:
            instances.setdefault(row["instance_token"], len(instances))
    xy_yaw = np.full((len(samples), len(instances), 3), np.nan)
    size = np.ones((len(instances), 3))
    track, category = np.arange(len(instances), dtype=np.int32), np.zeros(len(instances), np.int8)
    visibility, attribute = (
        np.zeros((len(samples), len(instances)), np.int8),
        np.full((len(samples), len(instances)), -1, np.int8),
    )
    for k, rows in enumerate(notes):
        for row in rows:
            i = instances[row["instance_token"]]
            pose = [*row["translation"][:2], float(yaw_from_quaternion(np.array(row["rotation"], np.float64)))]
            width, length, height = row["size"]
            if not np.isfinite([*pose, width, length, height]).all():
                file = Path(nusc.table_root) / "sample_annotation.json"
                raise InputError("box is not finite", file=file, place=f"token {row['token']}")
            xy_yaw[k, i], size[i] = pose, (length, width, height)
            category[i] = CLASS_OF.get(row["category_name"], AgentClass.DEBRIS)
            visibility[k, i] = int(row["visibility_token"]) if row["visibility_token"] in _LEVELS else 0
            attribute[k, i] = _attribute(nusc, row)
    for token, i in instances.items():
        track[i] = nusc.get("instance", token).get("drivewm_track_id", i)
    return {
        "key_time_us": np.array([sample["timestamp"] for sample in samples], np.int64),
        "instance_tokens": tuple(instances),
        "track_id": track,
        "category": category,
        "box_xy_yaw_world": xy_yaw,
        "box_size_lwh_m": size,
        "visibility": visibility,
        "attribute": attribute,
    }


def _attribute(nusc: Any, row: dict[str, Any]) -> int:
    names = [linked(nusc, "attribute", token, row)["name"] for token in row["attribute_tokens"]]
    return next((ATTRIBUTES.index(name) for name in names if name in ATTRIBUTES), -1)
