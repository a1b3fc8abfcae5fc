"""The thirteen tables of nuScenes v1.0, streamed to disk record by record so that memory holds one drive at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from drivewm.data.categories import ATTRIBUTES, CATEGORY_OF, CLASS_OF, VISIBILITY, attribute_of, token, visibility_level
from drivewm.data.drives import Drive
from drivewm.datatypes import AgentClass, Array, CameraRig, WorldState

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
VEHICLE = "drivewm-raster"
ANNOTATION_RANGE_M = 120.0
_EPOCH_US = 1_767_225_600_000_000  # 2026-01-01 UTC, the start of the simulated clock
_SCENE_EVERY_US = 600_000_000


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a drive stands in a data set: which location, and how far its own coordinates are moved on that map."""

    location: str
    shift_xy: tuple[float, float]


class TableWriter:
    """Open JSON files of all tables in ``folder``; `add` appends one record, which has its token first."""

    def __init__(self, files: Mapping[str, TextIO]) -> None:
        self._files, self.counts = files, dict.fromkeys(files, 0)

    def add(self, table: str, token: str, /, **values: Any) -> str:
        self._files[table].write(",\n" if self.counts[table] else "[\n")
        self._files[table].write(json.dumps({"token": token, **values}, allow_nan=False))
        self.counts[table] += 1
        return token


@contextmanager
def table_writer(folder: Path) -> Iterator[TableWriter]:
    """A writer whose files are complete JSON when the block ends."""
    with ExitStack() as stack:
        files = {table: stack.enter_context((folder / f"{table}.json").open("w", encoding="utf-8")) for table in TABLES}
        writer = TableWriter(files)
        yield writer
        for table, file in files.items():
            file.write("\n]\n" if writer.counts[table] else "[]\n")


def start_time_us(name: str) -> int:
    """Time stamp of the first frame of a scene; scenes follow each other every ten minutes of a simulated clock."""
    return _EPOCH_US + int(name.split("-")[1]) * _SCENE_EVERY_US


def image_path(name: str, camera: str, frame: int, rate_hz: float, *, key: bool) -> str:
    """Path of an image below the root of the data set."""
    utime = start_time_us(name) + round(frame * 1e6 / rate_hz)
    return f"{'samples' if key else 'sweeps'}/{camera}/{name}__{camera}__{utime}.jpg"


def quaternion_of_yaw(yaw_rad: float) -> list[float]:
    """Unit quaternion w, x, y, z of a turn about the vertical."""
    return [float(np.cos(yaw_rad / 2)), 0.0, 0.0, float(np.sin(yaw_rad / 2))]


def write_words(tables: TableWriter, categories: Iterable[str] = CLASS_OF, attributes: Iterable[str] = ATTRIBUTES) -> None:
    """The words that annotations are made of: tables attribute, category, visibility."""
    for name in attributes:
        tables.add("attribute", token("attribute", name), name=name, description="")
    for name in categories:
        tables.add("category", token("category", name), name=name, description="")
    for level, words, _ in VISIBILITY:
        tables.add("visibility", level, level=words, description=f"visibility of whole object is {words[1:]}%")


def write_vocabulary(tables: TableWriter, rig: CameraRig) -> None:
    """The tables that do not depend on any drive: attribute, category, visibility, sensor, calibrated_sensor."""
    from pyquaternion import Quaternion

    write_words(tables)
    for i, channel in enumerate(rig.names):
        sensor = tables.add("sensor", token("sensor", channel), channel=channel, modality="camera")
        tables.add(
            "calibrated_sensor",
            token("calibrated_sensor", channel),
            sensor_token=sensor,
            translation=rig.ego_from_camera[i, :3, 3].tolist(),
            rotation=Quaternion(matrix=rig.ego_from_camera[i, :3, :3], atol=1e-6).elements.tolist(),
            camera_intrinsic=rig.intrinsics[i].tolist(),
        )


def write_maps(tables: TableWriter, log_tokens: dict[str, list[str]]) -> None:
    """One mask per location; ``log_tokens`` by location."""
    for location, logs in log_tokens.items():
        name = token("map", location)
        tables.add("map", name, category="semantic_prior", filename=f"maps/{name}.png", log_tokens=logs)


def write_drive(tables: TableWriter, drive: Drive, states: WorldState, place: Placement, description: str) -> str:
    """All records of one drive whose ``states`` [T + 1] are already in map coordinates; gives its log token."""
    name = drive.name
    log = tables.add(
        "log", token(name, "log"), logfile=name, vehicle=VEHICLE, date_captured="2026-01-01", location=place.location
    )
    frames, start_us = len(drive.seen_share), start_time_us(name)
    times_us = start_us + np.round(np.arange(frames) * 1e6 / drive.rig.rate_hz).astype(np.int64)
    keys = list(range(0, frames, 2))
    samples = [token(name, "sample", frame) for frame in keys]
    write_scene(tables, name, log, dict(zip(samples, times_us[keys], strict=True)), description)
    poses = states.ego_xy_yaw_world[drive.frame_steps]
    for frame in range(frames):
        x, y, yaw = poses[frame]
        pose = {"translation": [round(float(x), 6), round(float(y), 6), 0.0], "rotation": quaternion_of_yaw(yaw)}
        tables.add("ego_pose", token(name, "ego_pose", frame), timestamp=int(times_us[frame]), **pose)
    _write_images(tables, drive, times_us, samples)
    _write_boxes(tables, drive, states, keys, samples)
    return log


def write_scene(tables: TableWriter, name: str, log: str, key_us: Mapping[str, int], description: str) -> None:
    """The scene and its key frames, whose times stand in ``key_us`` by their tokens."""
    samples = list(key_us)
    scene = tables.add(
        "scene",
        token(name, "scene"),
        log_token=log,
        nbr_samples=len(samples),
        first_sample_token=samples[0],
        last_sample_token=samples[-1],
        name=name,
        description=description,
    )
    for i, t in enumerate(key_us.values()):
        tables.add("sample", samples[i], timestamp=int(t), **around(samples, i), scene_token=scene)


def around(tokens: list[str], i: int) -> dict[str, str]:
    """Links of a record to the one before and the one after it; empty at the ends."""
    return {"prev": tokens[i - 1] if i else "", "next": tokens[i + 1] if i + 1 < len(tokens) else ""}


def _write_images(tables: TableWriter, drive: Drive, times_us: Array, samples: list[str]) -> None:
    name, (height, width) = drive.name, drive.rig.size_px
    for channel in drive.rig.names:
        tokens = [token(name, "sample_data", channel, frame) for frame in range(len(times_us))]
        for frame, utime in enumerate(times_us):
            key = frame % 2 == 0
            tables.add(
                "sample_data",
                tokens[frame],
                sample_token=samples[min((frame + 1) // 2, len(samples) - 1)],  # a sweep belongs to the key frame after it
                ego_pose_token=token(name, "ego_pose", frame),
                calibrated_sensor_token=token("calibrated_sensor", channel),
                timestamp=int(utime),
                fileformat="jpg",
                is_key_frame=key,
                height=height,
                width=width,
                filename=image_path(name, channel, frame, drive.rig.rate_hz, key=key),
                **around(tokens, frame),
            )


def _write_boxes(tables: TableWriter, drive: Drive, states: WorldState, keys: list[int], samples: list[str]) -> None:
    agents, ego = states.agents, states.ego_xy_yaw_world
    steps = drive.frame_steps[keys]
    distance = np.hypot(*np.moveaxis(agents.xy_yaw_world[steps, :, :2] - ego[steps, None, :2], -1, 0))
    for i in range(agents.valid.shape[1]):
        shown = np.flatnonzero(agents.valid[steps, i] & (distance[:, i] < ANNOTATION_RANGE_M))
        if len(shown) == 0:
            continue
        category = AgentClass(int(agents.category[0, i]))
        instance = token(drive.name, "instance", i)
        tokens = [token(drive.name, "annotation", i, k) for k in shown]
        tables.add(
            "instance",
            instance,
            category_token=token("category", CATEGORY_OF[category]),
            nbr_annotations=len(shown),
            first_annotation_token=tokens[0],
            last_annotation_token=tokens[-1],
            drivewm_track_id=int(agents.track_id[0, i]),
        )
        parked = bool(np.all(agents.speed_mps[:, i] == 0))
        for j, k in enumerate(shown):
            x, y, yaw = (float(v) for v in agents.xy_yaw_world[steps[k], i])
            length, width, height = (float(v) for v in agents.size_lwh_m[steps[k], i])
            attribute = attribute_of(category, float(agents.speed_mps[steps[k], i]), parked=parked)
            tables.add(
                "sample_annotation",
                tokens[j],
                sample_token=samples[k],
                instance_token=instance,
                visibility_token=visibility_level(float(drive.seen_share[keys[k], i])),
                attribute_tokens=[token("attribute", attribute)] if attribute else [],
                translation=[round(x, 4), round(y, 4), round(height / 2, 4)],
                size=[round(width, 4), round(length, 4), round(height, 4)],
                rotation=[round(v, 8) for v in quaternion_of_yaw(yaw)],
                **around(tokens, j),
                num_lidar_pts=0,
                num_radar_pts=0,
            )
