"""Labelled tracks at the key frames: poses between two labels, and how many LiDAR points lie in a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.data.formats.drive import BoxTrack
from drivewm.data.formats.poses import at_times
from drivewm.datatypes import Array

_LONGEST_GAP_US = 1_000_000  # a track that was not seen for longer is gone in between
_SAME_INSTANT_US = 1_000


@dataclass(frozen=True, slots=True)
class KeyBoxes:
    """One track at the J key frames where it is seen."""

    track: BoxTrack
    keys: Array  # int64 [J], numbers of key frames
    world_from_box: Array  # [J, 4, 4]
    size_lwh_m: Array  # [J, 3]
    lidar_points: Array  # int64 [J], as the source counted them, 0 between its labels


def at_keys(track: BoxTrack, key_us: Array) -> KeyBoxes:
    """A track at key frames int64 [K], nothing outside the time in which it was labelled."""
    known = np.asarray(track.time_us)
    after = np.clip(np.searchsorted(known, key_us - _SAME_INSTANT_US), 0, len(known) - 1)
    before = np.clip(np.searchsorted(known, key_us + _SAME_INSTANT_US, side="right") - 1, 0, len(known) - 1)
    inside = (key_us >= known[0] - _SAME_INSTANT_US) & (key_us <= known[-1] + _SAME_INSTANT_US)
    keys = np.flatnonzero(inside & (known[after] - known[before] <= _LONGEST_GAP_US))
    nearest = np.where(np.abs(known[after] - key_us) < np.abs(known[before] - key_us), after, before)[keys]
    labelled = np.abs(known[nearest] - key_us[keys]) <= _SAME_INSTANT_US
    size = np.broadcast_to(np.asarray(track.size_lwh_m, np.float64), (len(known), 3))
    points = np.zeros(len(known), np.int64) if track.lidar_points is None else np.asarray(track.lidar_points)
    return KeyBoxes(
        track=track,
        keys=keys,
        world_from_box=at_times(known, track.world_from_box, key_us[keys]),
        size_lwh_m=size[nearest],
        lidar_points=np.where(labelled, points[nearest], 0),
    )


def points_inside(xyz_world: Array, world_from_box: Array, size_lwh_m: Array) -> int:
    """How many of the points [P, 3] lie in a box [4, 4], [3]."""
    half = 0.5 * np.asarray(size_lwh_m)
    delta = xyz_world - world_from_box[:3, 3]
    near = delta[np.abs(delta).max(1) <= np.linalg.norm(half)]
    return int((np.abs(near @ world_from_box[:3, :3]) <= half).all(1).sum())
