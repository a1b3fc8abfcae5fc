"""The files of an Argoverse 2 sensor log: poses, boxes, calibration and the vector map, as they stand there.

Sources: the user guide and the readers of av2-api (argoverse/av2-api on GitHub). The ego frame lies at the rear axle there too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from shapely import MultiPoint, Polygon
from shapely.geometry.polygon import orient

from drivewm.data.recorded.assembly import joined_areas, lane_between, painted_once
from drivewm.datatypes import Array, Lane, Marking, RoadMap
from drivewm.errors import InputError
from drivewm.store import read_json

ANNOTATIONS, POSES, MAP = "annotations.feather", "city_SE3_egovehicle.feather", "map"
INTRINSICS, EXTRINSICS = "calibration/intrinsics.feather", "calibration/egovehicle_SE3_sensor.feather"
_PARTS = f"a log has {ANNOTATIONS}, {POSES} and {MAP}/log_map_archive_*.json"
_DRIVEN = ("VEHICLE", "BUS")  # lane types; the third is BIKE


@dataclass(frozen=True, slots=True)
class Poses:
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
class Boxes:
    """B boxes in the ego frame of their sweep."""

    time_ns: Array  # int64 [B]
    xyz: Array  # [B, 3]
    turn: Any  # scipy Rotation of B
    size_lwh_m: Array  # [B, 3]
    track: list[str]
    category: list[str]
    lidar_points: Array  # int64 [B], LiDAR returns inside


def read_poses(file: Path) -> Poses:
    table = _table(file)
    time_ns, first = np.unique(_numbers(table, file, ("timestamp_ns",), np.int64)[:, 0], return_index=True)
    if len(time_ns) < 2:
        raise InputError("has fewer than two poses", file=file)
    xyz = _numbers(table, file, ("tx_m", "ty_m", "tz_m"), np.float64)
    return Poses(file, time_ns, xyz[first], _rotations(table, file)[first])


def read_boxes(file: Path) -> Boxes:
    table = _table(file)
    track, category = (_texts(table, file, name) for name in ("track_uuid", "category"))
    if not track:
        raise InputError("has no boxes", file=file)
    return Boxes(
        time_ns=_numbers(table, file, ("timestamp_ns",), np.int64)[:, 0],
        xyz=_numbers(table, file, ("tx_m", "ty_m", "tz_m"), np.float64),
        turn=_rotations(table, file),
        size_lwh_m=_numbers(table, file, ("length_m", "width_m", "height_m"), np.float64),
        track=track,
        category=category,
        lidar_points=_numbers(table, file, ("num_interior_pts",), np.int64)[:, 0],
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
    values = _column(table, file, name).to_pylist()
    if None in values:
        raise InputError("is empty", file=file, place=f"column {name}, row {values.index(None)}")
    return [str(value) for value in values]


def _rotations(table: Any, file: Path) -> Any:
    from scipy.spatial.transform import Rotation

    quaternion = _numbers(table, file, ("qx", "qy", "qz", "qw"), np.float64)
    length = np.linalg.norm(quaternion, axis=1)
    if len(length) and not (np.abs(length - 1.0) < 0.01).all():
        row = int(np.argmax(np.abs(length - 1.0)))
        raise InputError("is not a rotation", file=file, place=f"columns qw, qx, qy, qz, row {row}")
    return Rotation.from_quat(quaternion)


@dataclass(frozen=True, slots=True)
class Calibration:
    """One camera of a log. The released images are without distortion already, so the k1, k2, k3 of the file are not used.

    So say the user guide (argoverse.github.io/user-guide/datasets/sensor.html) and issues 219 and 226 of argoverse/av2-api.
    """

    name: str
    intrinsic: Array  # [3, 3], px
    size_px: tuple[int, int]  # height, width
    xyz: Array  # [3], of the sensor in the ego frame
    turn: Any  # scipy Rotation, ego from camera


def read_calibrations(folder: Path) -> list[Calibration]:
    """All cameras that have both intrinsics and a place on the car."""
    file, places = folder / INTRINSICS, folder / EXTRINSICS
    table, mounted = _table(file), _table(places)
    numbers = _numbers(table, file, ("fx_px", "fy_px", "cx_px", "cy_px", "height_px", "width_px"), np.float64)
    xyz, turn = _numbers(mounted, places, ("tx_m", "ty_m", "tz_m"), np.float64), _rotations(mounted, places)
    row_of = {name: row for row, name in enumerate(_texts(mounted, places, "sensor_name"))}
    out = []
    for name, (fx, fy, cx, cy, height, width) in zip(_texts(table, file, "sensor_name"), numbers, strict=True):
        if name not in row_of:
            raise InputError("has no place on the car", file=places, place=f"sensor {name}")
        intrinsic = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        out.append(Calibration(name, intrinsic, (int(height), int(width)), xyz[row_of[name]], turn[row_of[name]]))
    return out


def read_points(file: Path) -> Array:
    """Points [P, 4] of one sweep in the ego frame: x, y, z and intensity."""
    return _numbers(_table(file), file, ("x", "y", "z", "intensity"), np.float64)


def map_file(folder: Path) -> Path:
    files = sorted((folder / MAP).glob("log_map_archive_*.json"))
    if not files:
        raise InputError("has no vector map", file=folder / MAP, hint=_PARTS)
    return files[0]


def read_road(file: Path) -> tuple[RoadMap, int]:
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
