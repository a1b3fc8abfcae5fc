"""One recorded drive as records of the nuScenes tables, and the names of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from drivewm.data.categories import token
from drivewm.data.formats.blobs import image_suffix
from drivewm.data.formats.boxes import KeyBoxes, at_keys, points_inside
from drivewm.data.formats.drive import Exposure, RecordedDrive
from drivewm.data.formats.poses import quaternion
from drivewm.data.formats.shots import LIDAR, Chosen, Shot
from drivewm.data.tables import Placement, TableWriter, around, write_scene
from drivewm.datatypes import Array

_FIRST_DATE_US = 946_684_800_000_000  # clocks that stand before 2000 do not tell the date


@dataclass
class Vocabulary:
    """What was used in a data set so far: written once, with the first drive or at the end."""

    sensors: set[str]
    categories: dict[str, None]
    attributes: dict[str, None]


def write_drive(
    tables: TableWriter, words: Vocabulary, drive: RecordedDrive, chosen: Chosen, place: Placement, counted: dict[int, Array]
) -> str:
    """All records of a drive; ``counted`` are LiDAR points [P, 3] in the drive's world by key frame. Gives the log token."""
    name, shift = drive.name, np.array([*place.shift_xy, 0.0])
    date = f"{datetime.fromtimestamp(drive.time_us[0] * 1e-6, UTC):%Y-%m-%d}" if drive.time_us[0] >= _FIRST_DATE_US else ""
    log = tables.add("log", token(name, "log"), logfile=name, vehicle=drive.vehicle, date_captured=date, location=place.location)
    samples = [token(name, "sample", int(t)) for t in chosen.key_us]
    write_scene(tables, name, log, dict(zip(samples, chosen.key_us, strict=True)), drive.description)
    _write_sensors(tables, words, drive, chosen)
    for shots in chosen.shots.values():
        _write_shots(tables, drive, shots, chosen.key_us, samples, shift)
    for track in drive.boxes:
        words.categories.setdefault(track.category)
        words.attributes |= dict.fromkeys(track.attributes)
        boxes = at_keys(track, chosen.key_us)
        if len(boxes.keys):
            _write_track(tables, name, boxes, samples, shift, counted)
    return log


def _write_sensors(tables: TableWriter, words: Vocabulary, drive: RecordedDrive, chosen: Chosen) -> None:
    intrinsics: dict[str, Any] = {camera.name: np.asarray(camera.intrinsic).tolist() for camera in drive.cameras}
    mounted = {camera.name: camera.ego_from_camera for camera in drive.cameras} | {LIDAR: drive.ego_from_lidar}
    for channel in chosen.shots:
        sensor = token("sensor", channel)
        if channel not in words.sensors:
            words.sensors.add(channel)
            tables.add("sensor", sensor, channel=channel, modality="lidar" if channel == LIDAR else "camera")
        tables.add(
            "calibrated_sensor",
            token(drive.name, "calibrated_sensor", channel),
            sensor_token=sensor,
            **_placed(mounted[channel]),
            camera_intrinsic=intrinsics.get(channel, []),
        )


def _placed(transform: Array, shift: Array | float = 0.0) -> dict[str, list[float]]:
    return {
        "translation": [round(float(v), 6) for v in transform[:3, 3] + shift],
        "rotation": [round(v, 9) for v in quaternion(transform)],
    }


def _write_shots(
    tables: TableWriter, drive: RecordedDrive, shots: Sequence[Shot], key_us: Array, samples: list[str], shift: Array
) -> None:
    sizes = {camera.name: camera.size_px for camera in drive.cameras}
    tokens = [token(drive.name, "sample_data", shot.channel, shot.time_us) for shot in shots]
    for i, shot in enumerate(shots):
        pose = tables.add(
            "ego_pose", token(drive.name, "ego_pose", shot.channel, shot.time_us), timestamp=shot.time_us,
            **_placed(shot.world_from_ego, shift),
        )  # fmt: skip
        after = min(int(np.searchsorted(key_us, shot.time_us)), len(samples) - 1)  # a sweep belongs to the key frame after it
        height, width = sizes.get(shot.channel, (0, 0))
        filename = blob_name(drive, shot)
        tables.add(
            "sample_data",
            tokens[i],
            sample_token=samples[after if shot.key is None else shot.key],
            ego_pose_token=pose,
            calibrated_sensor_token=token(drive.name, "calibrated_sensor", shot.channel),
            timestamp=shot.time_us,
            fileformat="pcd" if shot.channel == LIDAR else filename.rpartition(".")[2],
            is_key_frame=shot.key is not None,
            height=height,
            width=width,
            filename=filename,
            **around(tokens, i),
        )


def blob_name(drive: RecordedDrive, shot: Shot) -> str:
    """Path of an image or sweep below the root of the data set."""
    suffix = ".pcd.bin"
    if isinstance(shot.of, Exposure):
        suffix = image_suffix(next(camera for camera in drive.cameras if camera.name == shot.channel), shot.of.file)
    folder = "sweeps" if shot.key is None else "samples"
    return f"{folder}/{shot.channel}/{drive.name}__{shot.channel}__{shot.time_us}{suffix}"


def _write_track(
    tables: TableWriter, name: str, boxes: KeyBoxes, samples: list[str], shift: Array, counted: dict[int, Array]
) -> None:
    track = boxes.track
    instance = token(name, "instance", track.name)
    tokens = [token(name, "annotation", track.name, int(key)) for key in boxes.keys]
    tables.add(
        "instance",
        instance,
        category_token=token("category", track.category),
        nbr_annotations=len(tokens),
        first_annotation_token=tokens[0],
        last_annotation_token=tokens[-1],
    )
    for j, key in enumerate(map(int, boxes.keys)):
        pose, (length, width, height) = boxes.world_from_box[j], (float(v) for v in boxes.size_lwh_m[j])
        inside = points_inside(counted[key], pose, boxes.size_lwh_m[j]) if key in counted else int(boxes.lidar_points[j])
        tables.add(
            "sample_annotation",
            tokens[j],
            sample_token=samples[key],
            instance_token=instance,
            visibility_token="",
            attribute_tokens=[token("attribute", word) for word in track.attributes],
            **_placed(pose, shift),
            size=[width, length, height],
            **around(tokens, j),
            num_lidar_pts=inside,
            num_radar_pts=0,
        )
