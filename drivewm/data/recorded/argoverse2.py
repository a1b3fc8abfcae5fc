"""Argoverse 2 sensor logs: boxes in the ego's frame, ego poses in the city, and the vector map.

Formats as in the data set's own documentation: the ego frame lies at the rear axle, quaternions are w first, lanes are drawn by
their two edges in the direction of travel, a crossing by the two edges that people walk along.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from shapely import MultiPoint

from drivewm.data.recorded.drive import SourceDrive, SourceTrack
from drivewm.data.recorded.lanes import lane_between
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array, Lane, Marking, RoadMap
from drivewm.errors import InputError
from drivewm.scenarios.roads_lines import offset_line

CLASS_OF: dict[str, AgentClass] = {  # BICYCLIST and MOTORCYCLIST ride something that has a box of its own
    "REGULAR_VEHICLE": AgentClass.CAR,
    **dict.fromkeys(("LARGE_VEHICLE", "BOX_TRUCK", "TRUCK", "TRUCK_CAB", "VEHICULAR_TRAILER"), AgentClass.TRUCK),
    **dict.fromkeys(("BUS", "SCHOOL_BUS", "ARTICULATED_BUS", "RAILED_VEHICLE"), AgentClass.BUS),
    "MOTORCYCLE": AgentClass.MOTORCYCLE,
    "BICYCLE": AgentClass.BICYCLE,
    **dict.fromkeys(
        ("PEDESTRIAN", "OFFICIAL_SIGNALER", "STROLLER", "WHEELCHAIR", "WHEELED_RIDER", "WHEELED_DEVICE", "DOG", "ANIMAL"),
        AgentClass.PEDESTRIAN,
    ),
    **dict.fromkeys(("CONSTRUCTION_CONE", "CONSTRUCTION_BARREL", "BOLLARD"), AgentClass.TRAFFIC_CONE),
    "MESSAGE_BOARD_TRAILER": AgentClass.BARRIER,
}
DRIVEN = ("VEHICLE", "BUS")  # lane types; bicycle lanes are no lanes to drive on
DOUBLE_M = 0.12  # from the edge to each line of a double one
BOX_COLUMNS = (
    "timestamp_ns",
    "track_uuid",
    "category",
    "length_m",
    "width_m",
    "height_m",
    "qw",
    "qx",
    "qy",
    "qz",
    "tx_m",
    "ty_m",
)
POSE_COLUMNS = ("timestamp_ns", "qw", "qx", "qy", "qz", "tx_m", "ty_m")


def is_log(path: Path) -> bool:
    return (path / "annotations.feather").is_file() or (path / "city_SE3_egovehicle.feather").is_file()


def read_log(folder: Path) -> SourceDrive:
    """The drive in the folder of one log; raises InputError naming the file that is missing or wrong."""
    boxes = _columns(folder / "annotations.feather", BOX_COLUMNS)
    poses = _columns(folder / "city_SE3_egovehicle.feather", POSE_COLUMNS)
    order = np.argsort(poses["timestamp_ns"], kind="stable")
    poses = {name: values[order] for name, values in poses.items()}
    stamps = np.unique(boxes["timestamp_ns"])
    ego_at = np.searchsorted(poses["timestamp_ns"], stamps)
    known = (ego_at < len(order)) & (poses["timestamp_ns"][np.minimum(ego_at, len(order) - 1)] == stamps)
    if known.sum() < 3:
        raise InputError("has no pose at the instants of the boxes", file=folder / "city_SE3_egovehicle.feather")
    stamps, ego_at = stamps[known], ego_at[known]
    ego_xy_yaw = np.stack([poses["tx_m"], poses["ty_m"], _yaw(poses)], -1)[ego_at]
    t_s = (stamps - stamps[0]) * 1e-9
    size = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m, EGO_SHAPE.height_m])
    ego = SourceTrack("ego", AgentClass.CAR, size, t_s, ego_xy_yaw)
    tracks, left_out = _tracks(boxes, stamps, poses, ego_at)
    return SourceDrive(
        f"av2_{folder.name[:8].lower()}", f"Argoverse 2 log {folder.name}", ego, tracks, _road(folder), left_out=left_out
    )


def _columns(file: Path, names: tuple[str, ...]) -> dict[str, Array]:
    from pyarrow import ArrowException
    from pyarrow.feather import read_table

    if not file.is_file():
        raise InputError("does not exist", file=file)
    try:
        table = read_table(str(file), columns=list(names))
        columns = {name: table.column(name).to_numpy() for name in names}
    except (ArrowException, OSError, KeyError, ValueError) as error:
        raise InputError(f"cannot be read as a feather file: {' '.join(str(error).split())[:160]}", file=file) from None
    if not len(columns[names[0]]):
        raise InputError("is empty", file=file)
    for name, values in columns.items():
        if name not in ("track_uuid", "category") and not np.isfinite(values.astype(np.float64)).all():
            raise InputError("holds numbers that are not finite", file=file, place=name)
    return columns


def _yaw(columns: dict[str, Array]) -> Array:
    w, x, y, z = (columns[f"q{axis}"].astype(np.float64) for axis in "wxyz")
    return np.asarray(np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)))


def _tracks(
    boxes: dict[str, Array], stamps: Array, poses: dict[str, Array], ego_at: Array
) -> tuple[tuple[SourceTrack, ...], tuple[str, ...]]:
    """All tracks in city coordinates, and how many of which category are left out."""
    at = np.clip(np.searchsorted(stamps, boxes["timestamp_ns"]), 0, len(stamps) - 1)
    usable = stamps[at] == boxes["timestamp_ns"]
    rotation, origin = _rotations(poses)[ego_at][at], np.stack([poses["tx_m"], poses["ty_m"]], -1)[ego_at][at]
    local = np.stack([boxes["tx_m"], boxes["ty_m"]], -1)
    # Roads are nearly level: the ego's tilt turns its plane by less than a box is off.
    xy = np.einsum("nij,nj->ni", rotation, local) + origin
    yaw = _yaw(boxes) + np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    xy_yaw = np.column_stack([xy, yaw])
    size = np.column_stack([boxes["length_m"], boxes["width_m"], boxes["height_m"]]).astype(np.float64)
    out, omitted = [], Counter[str]()
    for uuid in dict.fromkeys(boxes["track_uuid"].tolist()):
        rows = np.flatnonzero((boxes["track_uuid"] == uuid) & usable)
        if not len(rows):
            continue
        rows = rows[np.argsort(boxes["timestamp_ns"][rows])]
        word = str(boxes["category"][rows[0]])
        if word not in CLASS_OF:
            omitted[word] += 1
            continue
        t_s = (boxes["timestamp_ns"][rows] - stamps[0]) * 1e-9
        out.append(SourceTrack(str(uuid), CLASS_OF[word], np.median(size[rows], axis=0), t_s, xy_yaw[rows]))
    return tuple(out), tuple(f"{count} of category {word}" for word, count in sorted(omitted.items()))


def _rotations(poses: dict[str, Array]) -> Array:
    """Rotations about the vertical [N, 2, 2]."""
    yaw = _yaw(poses)
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _road(folder: Path) -> RoadMap:
    files = sorted((folder / "map").glob("log_map_archive_*.json"))
    if not files:
        raise InputError("has no map/log_map_archive_*.json", file=folder)
    try:
        document = json.loads(files[0].read_text("utf-8"))
        lanes = _lanes(document["lane_segments"])
        return RoadMap(
            lanes=tuple(lanes),
            drivable=tuple(_xy(area["area_boundary"]) for area in document["drivable_areas"].values()),
            crosswalks=tuple(_crossing(one) for one in document["pedestrian_crossings"].values()),
            markings=tuple(_markings(document["lane_segments"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        reason = f"is no map of Argoverse 2: {type(error).__name__} {' '.join(str(error).split())[:120]}"
        raise InputError(reason, file=files[0]) from None


def _xy(points: list[dict[str, Any]]) -> Array:
    xy = np.array([[point["x"], point["y"]] for point in points], np.float64)
    if not np.isfinite(xy).all() or len(xy) < 2:
        raise ValueError("a line of less than two finite points")
    return xy


def _lanes(segments: dict[str, Any]) -> list[Lane]:
    found: dict[str, Lane] = {}
    for segment in segments.values():
        if segment["lane_type"] in DRIVEN:
            lane = lane_between(str(segment["id"]), _xy(segment["left_lane_boundary"]), _xy(segment["right_lane_boundary"]))
            if lane is not None:
                found[lane.id] = lane
    return [_linked(lane, segments[lane.id], found) for lane in found.values()]


def _linked(lane: Lane, segment: dict[str, Any], found: dict[str, Lane]) -> Lane:
    def beside(key: str) -> str | None:
        """A neighbour that goes the same way."""
        other = found.get(str(segment[key]))
        if other is None:
            return None
        ways = [one.centre_xy[-1] - one.centre_xy[0] for one in (lane, other)]
        return other.id if float(ways[0] @ ways[1]) > 0 else None

    ahead = tuple(str(one) for one in segment["successors"] if str(one) in found)
    sides = beside("left_neighbor_id"), beside("right_neighbor_id")
    return Lane(lane.id, lane.centre_xy, lane.width_m, lane.speed_limit_mps, ahead, *sides)


def _markings(segments: dict[str, Any]) -> list[Marking]:
    """Painted edges; one that two lanes share is painted once."""
    out: dict[tuple[float, ...], list[Marking]] = {}
    for segment in segments.values():
        for side in ("left", "right"):
            word, xy = str(segment[f"{side}_lane_mark_type"]), _xy(segment[f"{side}_lane_boundary"])
            if word in ("NONE", "UNKNOWN"):
                continue
            kind = "dashed" if word.startswith(("DASHED", "DASH_")) else "solid"
            double = word.startswith("DOUBLE")
            lines = [offset_line(xy, aside) for aside in (-DOUBLE_M, DOUBLE_M)] if double else [xy]
            ends = sorted([tuple(xy[0].round(1)), tuple(xy[-1].round(1))])
            out.setdefault((*ends[0], *ends[1]), [Marking(line, kind) for line in lines])
    return [marking for markings in out.values() for marking in markings]


def _crossing(crossing: dict[str, Any]) -> Array:
    """The four corners [4, 2] between both edges, counter-clockwise."""
    ends = np.concatenate([_xy(crossing["edge1"])[[0, -1]], _xy(crossing["edge2"])[[0, -1]]])
    hull = MultiPoint(ends).convex_hull
    return (
        np.asarray(hull.exterior.coords, np.float64)[:-1][::-1]
        if not hull.exterior.is_ccw
        else np.asarray(hull.exterior.coords)[:-1]
    )
