"""Argoverse 2 sensor logs: boxes by sweep in the ego frame, ego poses in the city, the vector map. Images are not needed.

Sources: the user guide and the readers of av2-api (argoverse/av2-api on GitHub). The ego frame lies at the rear axle there too.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.recorded.argoverse2_files import ANNOTATIONS, POSES, Boxes, map_file, read_boxes, read_poses, read_road
from drivewm.data.recorded.assembly import Found, Track
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array

# The taxonomy of the sensor data set, 30 categories. SIGN, STOP_SIGN and EGO_VEHICLE are left out.
CLASS_OF: dict[str, AgentClass] = {
    "REGULAR_VEHICLE": AgentClass.CAR,
    "LARGE_VEHICLE": AgentClass.TRUCK,
    "BOX_TRUCK": AgentClass.TRUCK,
    "TRUCK": AgentClass.TRUCK,
    "TRUCK_CAB": AgentClass.TRUCK,
    "VEHICULAR_TRAILER": AgentClass.TRAILER,
    "BUS": AgentClass.BUS,
    "SCHOOL_BUS": AgentClass.BUS,
    "ARTICULATED_BUS": AgentClass.BUS,
    "RAILED_VEHICLE": AgentClass.BUS,
    "MOTORCYCLE": AgentClass.MOTORCYCLE,
    "MOTORCYCLIST": AgentClass.MOTORCYCLE,
    "BICYCLE": AgentClass.BICYCLE,
    "BICYCLIST": AgentClass.BICYCLE,
    "WHEELED_DEVICE": AgentClass.SCOOTER,
    "WHEELED_RIDER": AgentClass.SCOOTER,
    "PEDESTRIAN": AgentClass.PEDESTRIAN,
    "OFFICIAL_SIGNALER": AgentClass.PEDESTRIAN,
    "STROLLER": AgentClass.STROLLER,
    "WHEELCHAIR": AgentClass.PEDESTRIAN,
    "ANIMAL": AgentClass.ANIMAL,
    "DOG": AgentClass.ANIMAL,
    "BOLLARD": AgentClass.BARRIER,
    "MESSAGE_BOARD_TRAILER": AgentClass.BARRIER,
    "TRAFFIC_LIGHT_TRAILER": AgentClass.BARRIER,
    "CONSTRUCTION_CONE": AgentClass.TRAFFIC_CONE,
    "CONSTRUCTION_BARREL": AgentClass.TRAFFIC_CONE,
    "MOBILE_PEDESTRIAN_CROSSING_SIGN": AgentClass.TRAFFIC_CONE,
}
RIDERS = {"MOTORCYCLIST": "MOTORCYCLE", "BICYCLIST": "BICYCLE", "WHEELED_RIDER": "WHEELED_DEVICE"}
_RIDES_WITHIN_M = 1.0


def read_argoverse2(folder: Path) -> Found:
    """A log folder. Raises `InputError` naming the file that is missing, cannot be read, or holds what is no number."""
    poses, boxes = read_poses(folder / POSES), read_boxes(folder / ANNOTATIONS)
    sweeps_ns = np.unique(boxes.time_ns)
    ego_xyz, ego_turn = poses.at(sweeps_ns)
    sweep = np.searchsorted(sweeps_ns, boxes.time_ns)
    centre = ego_turn[sweep].apply(boxes.xyz) + ego_xyz[sweep]
    t_s = (sweeps_ns - sweeps_ns[0]) * 1e-9
    xy_yaw = np.column_stack([centre[:, :2], _yaw_rad(ego_turn[sweep] * boxes.turn)])
    ego = Track("ego", AgentClass.CAR, t_s, np.column_stack([ego_xyz[:, :2], _yaw_rad(ego_turn)]), _EGO_LWH_M)
    tracks, left_out = _tracks(boxes, t_s[sweep], xy_yaw)
    road, bike_lanes = read_road(map_file(folder))
    if bike_lanes:
        left_out.append(f"{bike_lanes} bicycle lanes are drivable ground, not lanes")
    return Found(
        file=folder,
        name=f"av2_{folder.name[:8]}",
        source=f"Argoverse 2 log {folder.name}",
        ego=ego,
        tracks=tuple(tracks),
        road=road,
        left_out=tuple(left_out),
    )


_EGO_LWH_M = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m, EGO_SHAPE.height_m])


def _yaw_rad(turn: Any) -> Array:
    matrix = turn.as_matrix()
    return np.asarray(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))


def _tracks(boxes: Boxes, t_s: Array, xy_yaw: Array) -> tuple[list[Track], list[str]]:
    """The tracks that have a class, and a sentence for each category that has none."""
    rows: dict[str, list[int]] = {}
    for i in np.argsort(boxes.time_ns, kind="stable"):
        rows.setdefault(boxes.track[i], []).append(int(i))
    found: dict[str, list[Track]] = {}
    unknown: Counter[str] = Counter()
    for name, of_track in rows.items():
        category = boxes.category[of_track[0]]
        if category == "EGO_VEHICLE":
            continue
        if category not in CLASS_OF:
            unknown[category] += 1
            continue
        at_s, first = np.unique(t_s[of_track], return_index=True)
        kept = np.array(of_track)[first]
        track = Track(name, CLASS_OF[category], at_s, xy_yaw[kept], np.median(boxes.size_lwh_m[kept], axis=0))
        found.setdefault(category, []).append(track)
    sentences = [f"{count} tracks of {category} have no class here" for category, count in sorted(unknown.items())]
    for rider, ridden in RIDERS.items():
        alone = [track for track in found.get(rider, ()) if not any(rides(track, on) for on in found.get(ridden, ()))]
        if merged := len(found.get(rider, ())) - len(alone):
            sentences.append(f"{merged} tracks of {rider} are one with what they ride")
        found[rider] = alone
    order = {name: i for i, name in enumerate(rows)}
    return sorted((track for of in found.values() for track in of), key=lambda track: order[track.name]), sentences


def rides(rider: Track, on: Track) -> bool:
    """Whether two tracks are in one place whenever both are seen."""
    _, i, j = np.intersect1d(rider.t_s, on.t_s, return_indices=True)
    gap = np.hypot(*(rider.xy_yaw[i, :2] - on.xy_yaw[j, :2]).T)
    return bool(len(gap) and np.median(gap) < _RIDES_WITHIN_M)
