"""Which exposures and sweeps of a recorded drive are kept, which of them make key frames, and where the car was at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.data.formats.drive import Exposure, RecordedDrive, Sweep
from drivewm.data.formats.poses import at_times
from drivewm.datatypes import Array
from drivewm.errors import InputError

LIDAR = "LIDAR_TOP"
KEY_HZ = 2.0  # of nuScenes
KEY_WITHIN_US = 100_000  # an exposure farther from a key frame is not of it


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure or sweep that goes into the tables."""

    channel: str
    time_us: int
    world_from_ego: Array  # [4, 4]
    key: int | None  # number of the key frame it belongs to; None: a sweep between key frames
    of: Exposure | Sweep


@dataclass(frozen=True, slots=True)
class Chosen:
    """K key frames and the shots by channel, each rising in time."""

    key_us: Array  # int64 [K]
    shots: dict[str, list[Shot]]
    without_pose: int  # left out because the poses do not reach so far


def chosen(drive: RecordedDrive, camera_hz: float | None = None, key_hz: float = KEY_HZ) -> Chosen:
    """Key frames are instants of the LiDAR, without one of the camera that looks ahead, nearest to every 1 / ``key_hz`` seconds.

    A drive too short for two of those has a key frame at each of its instants. Every camera gives to a key frame its nearest
    exposure within 0.1 s. With ``camera_hz`` a camera keeps besides these about so many exposures a second.
    """
    channels = _with_poses(drive)
    kept = sum(len(shots) for shots in channels.values())
    if not kept:
        raise InputError("no exposure lies within the time of the poses", place=f"drive {drive.name}")
    leading = LIDAR if LIDAR in channels else max(drive.cameras, key=lambda camera: round(camera.ego_from_camera[0, 2], 2)).name
    if not channels[leading]:
        raise InputError("no exposure lies within the time of the poses", place=f"drive {drive.name}: camera {leading}")
    instants = _times(channels[leading])
    keys = _every(instants, key_hz)
    key_us = instants[keys] if len(keys) > 1 else instants
    shots = {name: _keyed(of, key_us, camera_hz if name != LIDAR else None) for name, of in channels.items()}
    return Chosen(key_us, shots, len(drive.exposures) + len(drive.sweeps) - kept)


def _with_poses(drive: RecordedDrive) -> dict[str, list[Shot]]:
    sources = {camera.name: [one for one in drive.exposures if one.camera == camera.name] for camera in drive.cameras}
    out = {name: _placed(drive, name, of) for name, of in sources.items()}
    return out | ({LIDAR: _placed(drive, LIDAR, drive.sweeps)} if drive.sweeps else {})


def _placed(drive: RecordedDrive, channel: str, found: Sequence[Exposure | Sweep]) -> list[Shot]:
    """Shots in the order of time, one per instant, without those whose pose nobody knows."""
    ordered: dict[int, Exposure | Sweep] = {int(one.time_us): one for one in found}
    ordered = dict(sorted(ordered.items()))
    poses = at_times(drive.time_us, drive.world_from_ego, np.array(list(ordered), np.int64))
    first, last = drive.time_us[0], drive.time_us[-1]
    return [
        Shot(channel, time_us, pose if one.world_from_ego is None else one.world_from_ego, None, one)
        for (time_us, one), pose in zip(ordered.items(), poses, strict=True)
        if one.world_from_ego is not None or first <= time_us <= last
    ]


def _times(shots: list[Shot]) -> Array:
    return np.array([shot.time_us for shot in shots], np.int64)


def _every(time_us: Array, rate_hz: float, through: int = 0) -> Array:
    """Indices of the instants nearest to every 1 / ``rate_hz`` seconds, counted from instant number ``through`` both ways.

    All where they come no more often than that; clocks drift, so a tenth is forgiven.
    """
    step_us = 1e6 / rate_hz
    if len(time_us) < 2 or np.median(np.diff(time_us)) > 0.9 * step_us:
        return np.arange(len(time_us))
    anchor = time_us[through]
    wanted = np.arange(anchor - (anchor - time_us[0]) // step_us * step_us, time_us[-1] + 1, step_us)
    return np.unique(_nearest(time_us, wanted))


def _nearest(time_us: Array, wanted_us: Array) -> Array:
    after = np.clip(np.searchsorted(time_us, wanted_us), 0, len(time_us) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted_us - time_us[before] <= time_us[after] - wanted_us, before, after)


def _keyed(shots: list[Shot], key_us: Array, rate_hz: float | None) -> list[Shot]:
    if not shots:
        return []
    time_us = _times(shots)
    nearest = _nearest(time_us, key_us)
    close = np.abs(time_us[nearest] - key_us) <= KEY_WITHIN_US
    key_of: dict[int, int] = {}
    for key in np.flatnonzero(close)[::-1]:  # one exposure serves one key frame, the earlier one
        key_of[int(nearest[key])] = int(key)
    kept = {*range(len(shots))} if rate_hz is None else {*map(int, _every(time_us, rate_hz, min(key_of, default=0))), *key_of}
    return [replace(shots[i], key=key_of.get(i)) for i in sorted(kept)]
