"""A car's cameras from a file: another car is another file.

    rate_hz: 5                    # pictures per second; 5 if not said
    cameras:                      # in the order of the views
      - name: CAM_FRONT
        model: pinhole            # the only one; pinhole if not said
        size_px: [900, 1600]      # height, width
        focal_px: 1266            # or [across, down]; or fov_deg: 64.5, the angle from left to right
        centre_px: [816, 491]     # where the optical axis meets the picture: right, down; the middle if not said
        xyz_m: [1.70, 0.02, 1.51] # in the ego frame: ahead of the rear axle, left, above the ground
        yaw_deg: 0                # 0 looks ahead, 90 left
        pitch_deg: 0              # up positive
        roll_deg: 0               # clockwise positive

YAML or JSON. A world brings all cameras onto its own raster; pixels may become non-square, the geometry stays.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, CameraRig
from drivewm.errors import did_you_mean
from drivewm.scenarios.source import Path_, Source, read_source
from drivewm.sim.rigs import level_camera

_TOP = ("rate_hz", "cameras", "about")
_KEYS = ("name", "model", "size_px", "focal_px", "fov_deg", "centre_px", "xyz_m", "yaw_deg", "pitch_deg", "roll_deg")
MOST_CAMERAS, FARTHEST_M = 16, 30.0


def read_rig(path: str | Path) -> CameraRig:
    """The cameras in a file; raises InputError naming file, line and place of what is wrong."""
    source = read_source(path)
    _known(source, (), _TOP)
    cameras = source.at(("cameras",))
    if not isinstance(cameras, list) or not 1 <= len(cameras) <= MOST_CAMERAS:
        raise source.error(f"cameras must be a list of 1 to {MOST_CAMERAS}", ("cameras",))
    rows = [_camera(source, ("cameras", i)) for i in range(len(cameras))]
    names = [name for name, _, _, _ in rows]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise source.error(f"camera {name!r} is there twice", ("cameras", i, "name"))
    height, width = rows[0][3]
    onto_first = [np.diag([width / size[1], height / size[0], 1.0]) for _, _, _, size in rows]
    return CameraRig(
        tuple(names),
        np.stack([scale @ intrinsics for scale, (_, intrinsics, _, _) in zip(onto_first, rows, strict=True)]),
        np.stack([pose for _, _, pose, _ in rows]),
        (height, width),
        _number(source, ("rate_hz",), 0.1, 100.0, 5.0),
    )


def _camera(source: Source, place: Path_) -> tuple[str, Array, Array, tuple[int, int]]:
    """Name, intrinsics, pose, and size in pixels of one camera."""
    if not isinstance(source.at(place), dict):
        raise source.error("a camera is keys and values", place)
    _known(source, place, _KEYS)
    name, model = source.at((*place, "name")), source.at((*place, "model"))
    if not isinstance(name, str) or not name.strip():
        raise source.error("a camera needs a name", place)
    if model not in (None, "pinhole"):
        raise source.error(f"unknown camera model {model!r}", (*place, "model"), "pinhole; take distortion out of pictures first")
    height, width = (int(side) for side in _numbers(source, (*place, "size_px"), 2, 8.0, 20_000.0))
    pose = level_camera(*_placed(source, place))
    pitch, roll = (math.radians(_number(source, (*place, key), -180.0, 180.0, 0.0)) for key in ("pitch_deg", "roll_deg"))
    up = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    aslant = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    pose[:3, :3] = pose[:3, :3] @ up @ aslant
    across, down = _focal(source, place, width)
    given = source.at((*place, "centre_px")) is not None
    right, below = _numbers(source, (*place, "centre_px"), 2, -2e4, 4e4) if given else (width / 2, height / 2)
    return name, np.array([[across, 0.0, right], [0.0, down, below], [0.0, 0.0, 1.0]]), pose, (height, width)


def _placed(source: Source, place: Path_) -> tuple[tuple[float, float, float], float]:
    x, y, z = _numbers(source, (*place, "xyz_m"), 3, -FARTHEST_M, FARTHEST_M)
    return (x, y, z), _number(source, (*place, "yaw_deg"), -360.0, 360.0, None)


def _focal(source: Source, place: Path_, width: int) -> tuple[float, float]:
    focal, angle = (source.at((*place, key)) for key in ("focal_px", "fov_deg"))
    if (focal is None) == (angle is None):
        raise source.error("a camera needs focal_px or fov_deg, one of the two", place)
    if angle is not None:
        length = 0.5 * width / math.tan(math.radians(_number(source, (*place, "fov_deg"), 5.0, 170.0, None)) / 2)
        return length, length
    if isinstance(focal, list):
        across, down = _numbers(source, (*place, "focal_px"), 2, 1.0, 1e6)
        return across, down
    length = _number(source, (*place, "focal_px"), 1.0, 1e6, None)
    return length, length


def _known(source: Source, place: Path_, keys: tuple[str, ...]) -> None:
    for key in source.at(place):
        if "distortion" in str(key):
            raise source.error("rigs know pinhole cameras only", (*place, key), "take distortion out of pictures first")
        if key not in keys:
            raise source.error(f"unknown key {key!r}", (*place, key), did_you_mean(key, list(keys)) or ", ".join(keys))


def _number(source: Source, place: Path_, low: float, high: float, usual: float | None) -> float:
    value = source.at(place)
    if value is None and usual is not None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        name = next(part for part in reversed(place) if isinstance(part, str))
        raise source.error(f"{name} must be a number from {low:g} to {high:g}, not {value!r}", place)
    return float(value)


def _numbers(source: Source, place: Path_, count: int, low: float, high: float) -> list[float]:
    value = source.at(place)
    if not isinstance(value, list) or len(value) != count:
        raise source.error(f"{place[-1]} must be {count} numbers, not {value!r}", place)
    return [_number(source, (*place, i), low, high, None) for i in range(count)]
