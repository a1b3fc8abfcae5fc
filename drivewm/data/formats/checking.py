"""Is a recorded drive whole? What an adapter gives is looked at before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from drivewm.data.formats.drive import BoxTrack, Camera, Exposure, RecordedDrive, Sweep
from drivewm.data.formats.shots import LIDAR
from drivewm.datatypes import Array
from drivewm.errors import InputError, did_you_mean

LONGEST_GAP_US = 1_000_000  # poses farther apart say too little about what lies between
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_LENGTHS = {False: (0, 4, 5, 8, 12, 14), True: (0, 4)}  # of OpenCV's distortion coefficients, by fisheye


def check_drive(drive: RecordedDrive, source: Path) -> None:
    """Raises `InputError` that names the source, the drive, and what in it is wrong."""
    try:
        _check(drive)
    except InputError as error:
        place = ": ".join(part for part in (f"drive {drive.name}", error.place) if part)
        raise InputError(error.reason, file=source, place=place, hint=error.hint) from error


def _check(drive: RecordedDrive) -> None:
    if not _NAME.fullmatch(drive.name):
        raise InputError(f"name {drive.name!r} has other signs than letters, digits, '_', '-' and '.'")
    if not drive.cameras and not drive.sweeps:
        raise InputError("has neither cameras nor LiDAR sweeps")
    _times(drive.time_us, "poses")
    _transforms(drive.world_from_ego, len(drive.time_us), "poses")
    gaps_us = np.diff(drive.time_us)
    if len(gaps_us) and gaps_us.max() > LONGEST_GAP_US:
        raise InputError(f"poses are {gaps_us.max() * 1e-6:.1f} s apart after pose {int(gaps_us.argmax())}")
    _unique((camera.name for camera in drive.cameras), "camera")
    _unique((track.name for track in drive.boxes), "track")
    for camera in drive.cameras:
        _camera(camera)
    for track in drive.boxes:
        _track(track)
    known = {camera.name for camera in drive.cameras}
    if unknown := sorted({exposure.camera for exposure in drive.exposures} - known):
        hint = did_you_mean(unknown[0], sorted(known))
        raise InputError("has images but no calibration", place=f"camera {unknown[0]}", hint=hint)
    if idle := sorted(known - {exposure.camera for exposure in drive.exposures}):
        raise InputError("has a calibration but no exposures", place=f"camera {idle[0]}")
    _transforms(drive.ego_from_lidar[None], 1, "ego_from_lidar")
    known_poses: list[Exposure | Sweep] = [*drive.exposures, *drive.sweeps]
    for what in known_poses:
        if what.world_from_ego is not None:
            _transforms(what.world_from_ego[None], 1, f"pose at {what.time_us} us")


def _unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if not name:
            raise InputError(f"a {what} has no name")
        if name in seen:
            raise InputError("stands twice", place=f"{what} {name}")
        seen.add(name)


def _times(time_us: Array, place: str) -> None:
    if len(time_us) < 1:
        raise InputError("there are none", place=place)
    if not np.issubdtype(np.asarray(time_us).dtype, np.integer):
        raise InputError("times are no whole microseconds", place=place)
    if (np.diff(time_us) <= 0).any():
        raise InputError(f"times do not rise after number {int(np.argmax(np.diff(time_us) <= 0))}", place=place)


def _numbers(values: Array, place: str) -> Array:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("are not all numbers", place=place) from error


def _transforms(values: Array, count: int, place: str) -> None:
    pose = _numbers(values, place)
    if pose.shape != (count, 4, 4):
        raise InputError(f"have the shape {pose.shape}, not {(count, 4, 4)}", place=place)
    finite = np.isfinite(pose).all((1, 2))
    if not finite.all():
        raise InputError(f"number {int(np.argmin(finite))} is not finite", place=place)
    turn = pose[:, :3, :3]
    right = (np.abs(turn @ turn.swapaxes(1, 2) - np.eye(3)).max((1, 2)) < 1e-3) & (np.linalg.det(turn) > 0)
    right &= (pose[:, 3] == [0, 0, 0, 1]).all(1)
    if not right.all():
        raise InputError(f"number {int(np.argmin(right))} is no rotation and translation", place=place)


def _camera(camera: Camera) -> None:
    place = f"camera {camera.name}"
    if not _NAME.fullmatch(camera.name) or camera.name == LIDAR:
        raise InputError("name is that of the LiDAR or has other signs than letters, digits, '_', '-' and '.'", place=place)
    intrinsic, distortion = _numbers(camera.intrinsic, f"{place}: intrinsic"), _numbers(camera.distortion, f"{place}: distortion")
    if intrinsic.shape != (3, 3) or not np.isfinite(intrinsic).all() or min(intrinsic[0, 0], intrinsic[1, 1]) <= 0:
        raise InputError("intrinsic is no 3x3 matrix with positive focal lengths in pixels", place=place)
    _transforms(camera.ego_from_camera[None], 1, f"{place}: ego_from_camera")
    if min(camera.size_px) < 1:
        raise InputError(f"size {camera.size_px} is no height and width", place=place)
    if len(distortion) not in _LENGTHS[camera.fisheye] or not np.isfinite(distortion).all():
        allowed = " or ".join(map(str, _LENGTHS[camera.fisheye]))
        raise InputError(f"distortion has {len(distortion)} numbers, OpenCV takes {allowed}", place=place)


def _track(track: BoxTrack) -> None:
    place = f"track {track.name}"
    _times(track.time_us, place)
    _transforms(track.world_from_box, len(track.time_us), place)
    size = _numbers(track.size_lwh_m, f"{place}: size_lwh_m")
    if size.shape not in ((3,), (len(track.time_us), 3)) or not np.isfinite(size).all() or size.min() <= 0:
        raise InputError("size is not length, width and height above 0 m", place=place)
    if not track.category:
        raise InputError("has no category", place=place)
