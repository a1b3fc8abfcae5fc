"""What a source says, at its own rate and place, becomes a `Recording`: one clock, one origin, the road around the drive."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from shapely import LineString, Polygon, make_valid, unary_union
from shapely.geometry import box

from drivewm.data.drives import moved_road
from drivewm.data.motion import interpolated
from drivewm.data.places import REACH_M
from drivewm.data.recorded.recording import Recording
from drivewm.datatypes import ON_FOOT, WHEELED_BODIES, AgentClass, Agents, Array, Conditions, Lane, Marking, RoadMap
from drivewm.errors import InputError
from drivewm.geometry import point_at_s, polyline_s_m, resample_polyline
from drivewm.scenarios.roads_lines import lines_xy, polygons_xy

DT_S = 0.1
SHORTEST_S = 1.0
_LONGEST_GAP_S = 1.0  # a track that was not seen for longer is gone in between
_STANDING_M = 1.0  # a box that never gets farther from its middle than this stands; its creeping is the labelling's
_MOVING_MPS = 1.0
_SAME_INSTANT_S = 1e-6
_MOTORISED = (*WHEELED_BODIES, AgentClass.MOTORCYCLE)


@dataclass(frozen=True, slots=True)
class Track:
    """One thing as it was seen at K rising times."""

    name: str
    category: AgentClass
    t_s: Array  # [K]
    xy_yaw: Array  # [K, 3], centre of the box; of the ego its rear axle
    size_lwh_m: Array  # [3]


@dataclass(frozen=True, slots=True)
class Found:
    """All that a reader took from its files. Signals count from t_s = 0. A lane whose limit is not stated has the limit 0."""

    file: Path
    name: str
    source: str
    ego: Track
    tracks: tuple[Track, ...]
    road: RoadMap
    conditions: Conditions = field(default_factory=Conditions)
    speed_limit_mps: float | None = None  # None: the source states none
    left_out: tuple[str, ...] = ()


def recording(found: Found, start_s: float, duration_s: float | None) -> Recording:
    """``duration_s`` of what was found (all when None), from ``start_s`` after the ego is first seen.

    Poses follow a cubic through what was seen, and nothing is shown outside the time in which it was seen. Vehicles and objects
    that stand do so exactly. Where the source states no speed limit it is the 95th percentile of the speeds of moving motor
    vehicles, the ego among them, rounded up to the next 10 km/h, and no less than 30 km/h.
    Raises `InputError` where the drive is shorter than asked for, or shorter than SHORTEST_S.
    """
    t_s = _instants(found, start_s, duration_s)
    pose, speed, _, seen = _at(found.ego, t_s)
    if not seen.all():
        reason = f"the ego is not seen at {t_s[np.argmin(seen)] - found.ego.t_s[0]:.1f} s"
        raise InputError(reason, file=found.file, hint="choose another start_s or duration_s")
    origin = np.round(pose[0, :2])
    shift = np.array([*origin, 0.0])
    low, high = pose[:, :2].min(0) - REACH_M, pose[:, :2].max(0) + REACH_M
    agents, names, far = _agents(found.tracks, t_s, low, high)
    limit = found.speed_limit_mps or _usual_speed_mps(agents, speed)
    road = cut_road(found.road, low, high)
    lanes = tuple(lane if lane.speed_limit_mps > 0 else replace(lane, speed_limit_mps=limit) for lane in road.lanes)
    signals = tuple(replace(signal, offset_s=signal.offset_s + float(t_s[0])) for signal in road.signals)
    away = (f"{far} tracks stay more than {REACH_M:.0f} m away from the drive",) if far else ()
    return Recording(
        name=re.sub(r"[^a-z0-9]+", "_", found.name.lower()).strip("_"),
        source=found.source,
        dt_s=DT_S,
        ego_xy_yaw_world=pose - shift,
        ego_speed_mps=speed,
        agents=replace(agents, xy_yaw_world=agents.xy_yaw_world - shift * agents.valid[..., None]),
        agent_names=names,
        road=moved_road(replace(road, lanes=lanes, signals=signals), -origin),
        speed_limit_mps=limit,
        conditions=found.conditions,
        left_out=(*found.left_out, *away),
    )


def _instants(found: Found, start_s: float, duration_s: float | None) -> Array:
    whole_s = float(found.ego.t_s[-1] - found.ego.t_s[0])
    left_s = whole_s - start_s
    if not 0.0 <= start_s < whole_s:
        raise InputError(f"has no second {start_s:g}", file=found.file, hint=f"the drive lasts {whole_s:.1f} s")
    wanted_s = left_s if duration_s is None else duration_s
    if not wanted_s >= SHORTEST_S:
        raise InputError(f"{wanted_s:.1f} s are too short for a drive", file=found.file, hint=f"at least {SHORTEST_S:.1f} s")
    if wanted_s > left_s + _SAME_INSTANT_S:
        reason = f"has no {wanted_s:g} s from second {start_s:g} on"
        raise InputError(reason, file=found.file, hint=f"the drive lasts {whole_s:.1f} s")
    steps = int(np.floor(wanted_s / DT_S + 1e-4))
    return np.asarray(found.ego.t_s[0] + start_s + DT_S * np.arange(steps + 1))


def _at(track: Track, t_s: Array) -> tuple[Array, Array, Array, Array]:
    """Pose [T, 3], speed, acceleration and whether it was seen, each [T]; zeros where it was not."""
    pose, speed = np.zeros((len(t_s), 3)), np.zeros(len(t_s))
    at = np.clip(t_s, track.t_s[0], track.t_s[-1])
    after = np.clip(np.searchsorted(track.t_s, at - _SAME_INSTANT_S), 0, len(track.t_s) - 1)
    before = np.clip(np.searchsorted(track.t_s, at + _SAME_INSTANT_S, side="right") - 1, 0, len(track.t_s) - 1)
    seen = (np.abs(at - t_s) <= _SAME_INSTANT_S) & (track.t_s[after] - track.t_s[before] <= _LONGEST_GAP_S)
    if (stand := _standing(track)) is not None:
        pose[seen] = stand
    elif seen.any():
        pose[seen], speed[seen], _ = interpolated(track.xy_yaw, track.t_s, at[seen])
    return pose, speed, _trend(speed, seen), seen


def _trend(speed_mps: Array, seen: Array) -> Array:
    """Acceleration [T]: the slope of a line through the speeds up to half a second away.

    From one label to the next, a decimetre of labelling makes 10 m/s^2.
    """
    offset = np.arange(-5, 6)
    row = np.arange(len(seen))[:, None] + offset
    used = seen[np.clip(row, 0, len(seen) - 1)] & (row >= 0) & (row < len(seen)) & seen[:, None]
    count = np.maximum(used.sum(1), 1)[:, None]
    time = np.where(used, DT_S * offset, 0.0)
    time = np.where(used, time - time.sum(1, keepdims=True) / count, 0.0)
    return np.asarray((time * speed_mps[np.clip(row, 0, len(seen) - 1)]).sum(1) / np.maximum((time**2).sum(1), 1e-9))


def _standing(track: Track) -> Array | None:
    """The one pose [3] of a thing that stands. People sway and turn where they stand, so they are left as seen."""
    middle = np.median(track.xy_yaw[:, :2], axis=0)
    if track.category in ON_FOOT or np.hypot(*(track.xy_yaw[:, :2] - middle).T).max() > _STANDING_M:
        return None
    return np.append(middle, np.angle(np.exp(1j * track.xy_yaw[:, 2]).sum()))


def _agents(tracks: tuple[Track, ...], t_s: Array, low: Array, high: Array) -> tuple[Agents, tuple[str, ...], int]:
    """Agents [T, N] that are seen between ``low`` and ``high`` [2] at some time, their names, and how many never are."""
    rows, far = [], 0
    for i, track in enumerate(tracks):
        pose, speed, accel, seen = _at(track, t_s)
        near = seen & ((pose[:, :2] >= low) & (pose[:, :2] <= high)).all(1)
        if near.any():
            rows.append((i, pose, speed, accel, seen))
        far += bool(seen.any() and not near.any())
    if not rows:
        return Agents.stack([Agents.empty()] * len(t_s)), (), far
    ids, poses, speeds, accels, valid = zip(*rows, strict=True)
    shape = (len(t_s), len(rows))
    agents = Agents(
        track_id=np.broadcast_to(np.array(ids, np.int32), shape).copy(),
        category=np.broadcast_to(np.array([tracks[i].category for i in ids], np.int8), shape).copy(),
        xy_yaw_world=np.stack(poses, 1),
        speed_mps=np.stack(speeds, 1),
        accel_mps2=np.stack(accels, 1),
        size_lwh_m=np.broadcast_to(np.array([tracks[i].size_lwh_m for i in ids], np.float64), (*shape, 3)).copy(),
        valid=np.stack(valid, 1),
    )
    return agents, tuple(tracks[i].name for i in ids), far


def _usual_speed_mps(agents: Agents, ego_speed_mps: Array) -> float:
    others = agents.speed_mps[agents.valid & np.isin(agents.category, _MOTORISED)]
    speeds = np.concatenate([ego_speed_mps, others])
    moving = speeds[speeds > _MOVING_MPS]
    usual_kmh = 3.6 * float(np.percentile(moving, 95)) if len(moving) else 0.0
    return max(30.0, 10.0 * float(np.ceil(usual_kmh / 10.0))) / 3.6


def cut_road(road: RoadMap, low: Array, high: Array) -> RoadMap:
    """Areas and paint within a rectangle; lanes and crossings that touch it are kept whole, links to other lanes are not."""
    patch = box(low[0], low[1], high[0], high[1])
    near = [lane for lane in road.lanes if LineString(lane.centre_xy).intersects(patch)]
    ids = {lane.id for lane in near}
    lanes = [
        replace(
            lane,
            successors=tuple(name for name in lane.successors if name in ids),
            left=lane.left if lane.left in ids else None,
            right=lane.right if lane.right in ids else None,
        )
        for lane in near
    ]
    return replace(
        road,
        lanes=tuple(lanes),
        drivable=tuple(part for xy in road.drivable for part in polygons_xy(Polygon(xy) & patch)),
        crosswalks=tuple(xy for xy in road.crosswalks if Polygon(xy).intersects(patch)),
        sidewalks=tuple(part for xy in road.sidewalks for part in polygons_xy(Polygon(xy) & patch)),
        markings=tuple(replace(m, xy=part) for m in road.markings for part in lines_xy(LineString(m.xy) & patch)),
    )


def lane_between(name: str, left_xy: Array, right_xy: Array, speed_limit_mps: float = 0.0) -> Lane | None:
    """The lane between two boundaries [P, 2], [Q, 2] in the direction of travel; None where they enclose no length."""
    length = max(float(polyline_s_m(xy)[-1]) for xy in (left_xy, right_xy))
    share = np.linspace(0.0, 1.0, int(np.ceil(length)) + 1)
    left, right = (point_at_s(xy, share * polyline_s_m(xy)[-1])[:, :2] for xy in (left_xy, right_xy))
    middle = (left + right) / 2
    if len(share) < 2 or polyline_s_m(middle)[-1] < 0.1:
        return None
    width_m = float(np.median(np.hypot(*(left - right).T)))
    return Lane(name, resample_polyline(middle, 1.0), width_m, speed_limit_mps)


def joined_areas(outlines_xy: list[Array], by_m: float = 0.05) -> tuple[Array, ...]:
    """Areas [P, 2] that touch or overlap as one, ``by_m`` larger, so that no seam is left between neighbours."""
    shapes = [make_valid(Polygon(xy)) for xy in outlines_xy if len(xy) > 2]
    return polygons_xy(unary_union(shapes).buffer(by_m)) if shapes else ()


def painted_once(lines: list[tuple[Array, str]]) -> tuple[Marking, ...]:
    """Lines [P, 2] and their kinds as paint; a line that two lanes share is painted once, as the first says."""
    seen: dict[frozenset[tuple[float, float]], Marking] = {}
    for xy, kind in lines:
        ends = frozenset((round(float(x), 1), round(float(y), 1)) for x, y in (xy[0], xy[-1]))
        seen.setdefault(ends, Marking(xy, kind))
    return tuple(seen.values())
