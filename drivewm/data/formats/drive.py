"""What an adapter gives: one drive as a fleet recorded it. Every sensor keeps its own clock, nothing is resampled.

Times are microseconds since 1970 (UTC). The ego frame lies at the rear axle on the ground: x forward, y left, z up. The world is
any fixed frame in metres with z up. Rotations and positions are 4x4 transforms; `poses.transforms` makes them of quaternions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, RoadMap


@dataclass(frozen=True, slots=True)
class Camera:
    """One calibrated camera. Its name becomes the channel in the tables."""

    name: str
    intrinsic: Array  # [3, 3], px
    ego_from_camera: Array  # [4, 4]; the camera looks along z, x is right, y is down
    size_px: tuple[int, int]  # height, width
    # As OpenCV orders them: k1 k2 p1 p2 [k3 [k4 k5 k6 ...]]; of a fisheye lens k1 k2 k3 k4. Empty: the images have none.
    distortion: Array = field(default_factory=lambda: np.zeros(0))
    fisheye: bool = False


@dataclass(frozen=True, slots=True)
class Exposure:
    """One image of one camera. A file that does not exist, or None, is an image that was not fetched: its time is kept."""

    camera: str
    time_us: int  # middle of the exposure
    file: Path | None
    world_from_ego: Array | None = None  # [4, 4] where the source tells it for this exposure; None: interpolated


@dataclass(frozen=True, slots=True)
class Sweep:
    """One turn of the LiDAR. ``points``, when called, gives [P, 4]: x, y, z in the LiDAR frame, intensity. None: not there."""

    time_us: int
    points: Callable[[], Array] | None
    world_from_ego: Array | None = None


@dataclass(frozen=True, slots=True)
class BoxTrack:
    """One labelled thing at K rising times."""

    name: str  # what the source calls it
    category: str  # of nuScenes: "vehicle.car", "human.pedestrian.adult" ...; another name is kept but read as debris
    time_us: Array  # int64 [K]
    world_from_box: Array  # [K, 4, 4], middle of the box; x along its length, y along its width
    size_lwh_m: Array  # [3], or [K, 3] where it changes
    attributes: tuple[str, ...] = ()  # of nuScenes: "cycle.with_rider" ...
    lidar_points: Array | None = None  # int [K], how many the source counted in the box; counted anew where there are sweeps


@dataclass(frozen=True, slots=True)
class RecordedDrive:
    """All that a source tells of one drive."""

    name: str  # unique within the source; letters, digits, "_", "-" and "."
    source: str  # format and origin, for people
    time_us: Array  # int64 [P], rising, of the poses
    world_from_ego: Array  # [P, 4, 4]
    cameras: tuple[Camera, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    boxes: tuple[BoxTrack, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    ego_from_lidar: Array = field(default_factory=lambda: np.eye(4))
    road: RoadMap | None = None
    location: str = ""
    description: str = ""  # words such as "rain" and "night" are read back as weather and light
    vehicle: str = ""
    left_out: tuple[str, ...] = ()  # what the source tells and this does not hold, a sentence each


Adapter = Callable[[Path], Iterator[RecordedDrive]]  # what stands in the registry under drivewm.formats
