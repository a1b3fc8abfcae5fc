"""Argoverse 2 sensor logs: boxes by sweep in the ego frame, ego poses in the city, the vector map. Images are not needed.

Sources: the user guide and the readers of av2-api (argoverse/av2-api on GitHub). The ego frame lies at the rear axle there too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from shapely import MultiPoint, Polygon
from shapely.geometry.polygon import orient

from drivewm.data.recorded.assembly import Found, Track, joined_areas, lane_between, painted_once
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array, Lane, Marking, RoadMap
from drivewm.errors import InputError
from drivewm.store import read_json

ANNOTATIONS, POSES, MAP = "annotations.feather", "city_SE3_egovehicle.feather", "map"
_PARTS = f"a log has {ANNOTATIONS}, {POSES} and {MAP}/log_map_archive_*.json"

# The taxonomy of the sensor data set, 30 categories. SIGN, STOP_SIGN and EGO_VEHICLE are left out.
CLASS_OF: dict[str, AgentClass] = {
    "REGULAR_VEHICLE": AgentClass.CAR,
    "LARGE_VEHICLE": AgentClass.TRUCK,
    "BOX_TRUCK": AgentClass.TRUCK,
    "TRUCK": AgentClass.TRUCK,
    "TRUCK_CAB": AgentClass.TRUCK,
    "VEHICULAR_TRAILER": AgentClass.TRUCK,
    "BUS": AgentClass.BUS,
    "SCHOOL_BUS": AgentClass.BUS,
    "ARTICULATED_BUS": AgentClass.BUS,
    "RAILED_VEHICLE": AgentClass.BUS,
    "MOTORCYCLE": AgentClass.MOTORCYCLE,
    "MOTORCYCLIST": AgentClass.MOTORCYCLE,
    "BICYCLE": AgentClass.BICYCLE,
    "BICYCLIST": AgentClass.BICYCLE,
    "WHEELED_DEVICE": AgentClass.BICYCLE,
    "WHEELED_RIDER": AgentClass.BICYCLE,
    "PEDESTRIAN": AgentClass.PEDESTRIAN,
    "OFFICIAL_SIGNALER": AgentClass.PEDESTRIAN,
    "STROLLER": AgentClass.PEDESTRIAN,
    "WHEELCHAIR": AgentClass.PEDESTRIAN,
    "ANIMAL": AgentClass.PEDESTRIAN,
    "DOG": AgentClass.PEDESTRIAN,
    "BOLLARD": AgentClass.BARRIER,
    "MESSAGE_BOARD_TRAILER": AgentClass.BARRIER,
    "TRAFFIC_LIGHT_TRAILER": AgentClass.BARRIER,
    "CONSTRUCTION_CONE": AgentClass.TRAFFIC_CONE,
    "CONSTRUCTION_BARREL": AgentClass.TRAFFIC_CONE,
    "MOBILE_PEDESTRIAN_CROSSING_SIGN": AgentClass.TRAFFIC_CONE,
}
_RIDERS = {"MOTORCYCLIST": "MOTORCYCLE", "BICYCLIST": "BICYCLE", "WHEELED_RIDER": "WHEELED_DEVICE"}
_RIDES_WITHIN_M = 1.0
_DRIVEN = ("VEHICLE", "BUS")  # lane types; the third is BIKE


def read_argoverse2(folder: Path) -> Found:
    """A log folder. Raises `InputError` naming the file that is missing, cannot be read, or holds what is no number."""
    poses, boxes = _poses(folder / POSES), _boxes(folder / ANNOTATIONS)
    sweeps_ns = np.unique(boxes.time_ns)
    ego_xyz, ego_turn = poses.at(sweeps_ns)
    sweep = np.searchsorted(sweeps_ns, boxes.time_ns)
    centre = ego_turn[sweep].apply(boxes.xyz) + ego_xyz[sweep]
    t_s = (sweeps_ns - sweeps_ns[0]) * 1e-9
    xy_yaw = np.column_stack([centre[:, :2], _yaw_rad(ego_turn[sweep] * boxes.turn)])
    ego = Track("ego", AgentClass.CAR, t_s, np.column_stack([ego_xyz[:, :2], _yaw_rad(ego_turn)]), _EGO_LWH_M)
    tracks, left_out = _tracks(boxes, t_s[sweep], xy_yaw)
    road, bike_lanes = _road(_map_file(folder))
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


@dataclass(frozen=True, slots=True)
class _Poses:
    """City from ego, at P rising times."""

    file: Path
    time_ns: Array  # int64 [P]
    xyz: Array  # [P, 3]
    turn: Any  # scipy Rotation of P

    def at(self, time_ns: Array) -> tuple[Array, Any]:
        """Positions [T, 3] and rotations at times within the poses."""
        from scipy.spatial.transform import Slerp

        if time_ns[0] < self.time_ns[0] or time_ns[-1] > self.time_ns[-1]:
            raise InputError("does not cover the time of the annotations", file=self.file)
        known_s, at_s = (self.time_ns - self.time_ns[0]) * 1e-9, (time_ns - self.time_ns[0]) * 1e-9
        xyz = np.stack([np.interp(at_s, known_s, self.xyz[:, i]) for i in range(3)], -1)
        return xyz, Slerp(known_s, self.turn)(at_s)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """B boxes in the ego frame of their sweep."""

    time_ns: Array  # int64 [B]
    xyz: Array  # [B, 3]
    turn: Any  # scipy Rotation of B
    size_lwh_m: Array  # [B, 3]
    track: list[str]
    category: list[str]


def _poses(file: Path) -> _Poses:
    table = _table(file)
    time_ns, first = np.unique(_numbers(table, file, ("timestamp_ns",), np.int64)[:, 0], return_index=True)
    if len(time_ns) < 2:
        raise InputError("has fewer than two poses", file=file)
    xyz = _numbers(table, file, ("tx_m", "ty_m", "tz_m"), np.float64)
    return _Poses(file, time_ns, xyz[first], _rotations(table, file)[first])


def _boxes(file: Path) -> _Boxes:
    table = _table(file)
    track, category = (_texts(table, file, name) for name in ("track_uuid", "category"))
    if not track:
        raise InputError("has no boxes", file=file)
    return _Boxes(
        time_ns=_numbers(table, file, ("timestamp_ns",), np.int64)[:, 0],
        xyz=_numbers(table, file, ("tx_m", "ty_m", "tz_m"), np.float64),
        turn=_rotations(table, file),
        size_lwh_m=_numbers(table, file, ("length_m", "width_m", "height_m"), np.float64),
        track=track,
        category=category,
    )


def _table(file: Path) -> Any:
    if not file.is_file():
        raise InputError("is missing", file=file, hint=_PARTS)
    from pyarrow import ArrowException, feather

    try:
        return feather.read_table(str(file), memory_map=False)
    except (ArrowException, OSError) as error:
        raise InputError(f"is no feather file: {' '.join(str(error).split())[:120]}", file=file) from error


def _column(table: Any, file: Path, name: str) -> Any:
    if name not in table.column_names:
        raise InputError(f"has no column {name!r}", file=file, hint="it has " + ", ".join(table.column_names))
    return table.column(name)


def _numbers(table: Any, file: Path, names: tuple[str, ...], kind: type) -> Array:
    """Columns as [rows, len(names)]; raises `InputError` for what is no finite number."""
    columns = []
    for name in names:
        try:
            values: Array = np.asarray(_column(table, file, name).to_numpy()).astype(kind)
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError("is not all numbers", file=file, place=f"column {name}") from error
        if not np.isfinite(values).all():
            place = f"column {name}, row {int(np.argmin(np.isfinite(values)))}"
            raise InputError("is not a finite number", file=file, place=place)
        columns.append(values)
    return np.stack(columns, -1)


def _texts(table: Any, file: Path, name: str) -> list[str]:
    return [str(value) for value in _column(table, file, name).to_pylist()]


def _rotations(table: Any, file: Path) -> Any:
    from scipy.spatial.transform import Rotation

    quaternion = _numbers(table, file, ("qx", "qy", "qz", "qw"), np.float64)
    length = np.linalg.norm(quaternion, axis=1)
    if len(length) and not (np.abs(length - 1.0) < 0.01).all():
        row = int(np.argmax(np.abs(length - 1.0)))
        raise InputError("is not a rotation", file=file, place=f"columns qw, qx, qy, qz, row {row}")
    return Rotation.from_quat(quaternion)


def _yaw_rad(turn: Any) -> Array:
    matrix = turn.as_matrix()
    return np.asarray(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))


def _tracks(boxes: _Boxes, t_s: Array, xy_yaw: Array) -> tuple[list[Track], list[str]]:
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
    for rider, ridden in _RIDERS.items():
        alone = [track for track in found.get(rider, ()) if not any(_rides(track, on) for on in found.get(ridden, ()))]
        if merged := len(found.get(rider, ())) - len(alone):
            sentences.append(f"{merged} tracks of {rider} are one with what they ride")
        found[rider] = alone
    order = {name: i for i, name in enumerate(rows)}
    return sorted((track for of in found.values() for track in of), key=lambda track: order[track.name]), sentences


def _rides(rider: Track, on: Track) -> bool:
    """Whether two tracks are in one place whenever both are seen."""
    _, i, j = np.intersect1d(rider.t_s, on.t_s, return_indices=True)
    gap = np.hypot(*(rider.xy_yaw[i, :2] - on.xy_yaw[j, :2]).T)
    return bool(len(gap) and np.median(gap) < _RIDES_WITHIN_M)


def _map_file(folder: Path) -> Path:
    files = sorted((folder / MAP).glob("log_map_archive_*.json"))
    if not files:
        raise InputError("has no vector map", file=folder / MAP, hint=_PARTS)
    return files[0]


def _road(file: Path) -> tuple[RoadMap, int]:
    """The map in city coordinates, and how many bicycle lanes it has."""
    content = read_json(file)
    try:
        segments = {str(record["id"]): record for record in content["lane_segments"].values()}
        drivable = [_xy(record["area_boundary"], file) for record in content["drivable_areas"].values()]
        crossings = [[*record["edge1"], *record["edge2"]] for record in content["pedestrian_crossings"].values()]
        edges = {
            (name, side): _xy(segments[name][f"{side}_lane_boundary"], file) for name in segments for side in ("left", "right")
        }
        lanes = _lanes(segments, edges)
        paint = _paint(segments, edges)
        crosswalks = [_outline(_xy(points, file)) for points in crossings]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is no Argoverse 2 map: {error} is missing or has another form", file=file) from error
    road = RoadMap(
        lanes=tuple(lanes),
        drivable=joined_areas(drivable),
        crosswalks=tuple(xy for xy in crosswalks if len(xy) > 2),
        markings=paint,
    )
    return road, sum(record["lane_type"] not in _DRIVEN for record in segments.values())


def _xy(points: list[dict[str, float]], file: Path) -> Array:
    xy = np.array([[point["x"], point["y"]] for point in points], np.float64)
    if len(xy) < 2 or not np.isfinite(xy).all():
        raise InputError("a line has fewer than two points or one that is no number", file=file)
    return xy


def _lanes(segments: dict[str, Any], edges: dict[tuple[str, str], Array]) -> list[Lane]:
    lanes: dict[str, Lane] = {}
    for name, record in segments.items():
        if record["lane_type"] in _DRIVEN:
            lane = lane_between(name, edges[name, "left"], edges[name, "right"])
            lanes |= {name: lane} if lane else {}
    return [
        replace(
            lane,
            successors=tuple(str(follower) for follower in segments[name]["successors"] if str(follower) in lanes),
            left=_beside(lane, lanes.get(str(segments[name]["left_neighbor_id"]))),
            right=_beside(lane, lanes.get(str(segments[name]["right_neighbor_id"]))),
        )
        for name, lane in lanes.items()
    ]


def _beside(lane: Lane, other: Lane | None) -> str | None:
    """The id of a neighbour that runs the same way; the map names oncoming lanes too."""
    if other is None:
        return None
    ahead, along = lane.centre_xy[-1] - lane.centre_xy[0], other.centre_xy[-1] - other.centre_xy[0]
    return other.id if float(ahead @ along) > 0 else None


def _paint(segments: dict[str, Any], edges: dict[tuple[str, str], Array]) -> tuple[Marking, ...]:
    """The painted boundaries. Colour and doubling are not kept."""
    marks = {edge: segments[edge[0]][f"{edge[1]}_lane_mark_type"] for edge in edges}
    kinds = {edge: "solid" if "SOLID" in mark else "dashed" if "DASH" in mark else None for edge, mark in marks.items()}
    return painted_once([(edges[edge], kind) for edge, kind in kinds.items() if kind])


def _outline(xy: Array) -> Array:
    """The hull of a crossing's two edges, whichever way they run, counter-clockwise."""
    hull = MultiPoint(xy).convex_hull
    return np.asarray(orient(hull).exterior.coords)[:-1] if isinstance(hull, Polygon) else np.zeros((0, 2))
