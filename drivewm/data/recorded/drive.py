"""A drive as its source gives it, every track with its own clock, and the recording made from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from shapely import LineString, Polygon, intersects

from drivewm.data.recorded.recording import Recording
from drivewm.datatypes import AgentClass, Agents, Array, Conditions, Lane, RoadMap
from drivewm.errors import InputError
from drivewm.geometry import wrap_angle_rad

DT_S = 0.1
LONGEST_GAP_S = 0.6  # a track that is unseen for longer is absent in between
NEAR_M = 150.0  # from the ego's way; what lies farther is left out
MOVING_MPS = 2.0
SLOWEST_LIMIT_MPS, LIMIT_STEP_MPS = 30 / 3.6, 10 / 3.6


@dataclass(frozen=True, slots=True)
class SourceTrack:
    """One road user, or the ego (its rear axle), in the coordinates and at the times of the source."""

    name: str
    category: AgentClass
    size_lwh_m: Array  # [3]
    t_s: Array  # [K], ascending
    xy_yaw: Array  # [K, 3]


@dataclass(frozen=True, slots=True)
class SourceDrive:
    name: str
    source: str
    ego: SourceTrack
    tracks: tuple[SourceTrack, ...]
    road: RoadMap
    conditions: Conditions = field(default_factory=Conditions)
    speed_limit_mps: float | None = None
    left_out: tuple[str, ...] = ()


def recording_of(drive: SourceDrive, start_s: float = 0.0, duration_s: float | None = None) -> Recording:
    """A drive every 0.1 s, from ``start_s`` into it for ``duration_s`` or to its end, with the origin where the ego starts.

    Without a known speed limit it is the 95th percentile of the speeds of all that move, rounded up to the next 10 km/h and at
    least 30 km/h. Raises InputError when the window lies outside the drive or holds less than a second.
    """
    begin, end = drive.ego.t_s[0] + start_s, drive.ego.t_s[-1]
    end = end if duration_s is None else min(end, begin + duration_s)
    if end - begin < 1.0 - 1e-6:
        length = drive.ego.t_s[-1] - drive.ego.t_s[0]
        raise InputError(f"{drive.source} lasts {length:.1f} s; less than a second of it is left", hint="choose an earlier start")
    t_s = begin + DT_S * np.arange(int(np.floor((end - begin) / DT_S + 1e-6)) + 1)
    ego, _ = _at(drive.ego, t_s)
    origin = ego[0, :2].copy()
    sampled = [_at(track, t_s) for track in drive.tracks]
    kept = [i for i, (pose, seen) in enumerate(sampled) if seen.sum() > 2 and _near(pose[seen], ego)]
    poses = np.stack([sampled[i][0] for i in kept], 1) if kept else np.zeros((len(t_s), 0, 3))
    seen = np.stack([sampled[i][1] for i in kept], 1) if kept else np.zeros((len(t_s), 0), bool)
    speed = np.stack([_speed(poses[:, n], seen[:, n]) for n in range(len(kept))], 1) if kept else np.zeros((len(t_s), 0))
    shift = np.array([*origin, 0.0])
    agents = Agents(
        track_id=np.tile(np.arange(len(kept), dtype=np.int32), (len(t_s), 1)),
        category=np.tile(np.array([drive.tracks[i].category for i in kept], np.int8), (len(t_s), 1)),
        xy_yaw_world=poses - shift,
        speed_mps=speed,
        accel_mps2=np.zeros_like(speed),
        size_lwh_m=np.tile(np.array([drive.tracks[i].size_lwh_m for i in kept]).reshape(len(kept), 3), (len(t_s), 1, 1)),
        valid=seen,
    )
    ego_speed = _speed(ego, np.ones(len(t_s), bool))
    limit = _usual_limit(np.append(speed[seen], ego_speed)) if drive.speed_limit_mps is None else drive.speed_limit_mps
    return Recording(
        name=drive.name,
        source=drive.source,
        dt_s=DT_S,
        ego_xy_yaw_world=ego - shift,
        ego_speed_mps=ego_speed,
        agents=agents,
        agent_names=tuple(drive.tracks[i].name for i in kept),
        road=_road_near(drive.road, ego[:, :2], origin, limit),
        speed_limit_mps=limit,
        conditions=drive.conditions,
        left_out=drive.left_out,
    )


def _at(track: SourceTrack, t_s: Array) -> tuple[Array, Array]:
    """Poses [T, 3] at times, and whether the track is seen then."""
    after = np.clip(np.searchsorted(track.t_s, t_s), 1, max(1, len(track.t_s) - 1))
    yaw = np.unwrap(track.xy_yaw[:, 2])
    out = np.stack([np.interp(t_s, track.t_s, column) for column in (*track.xy_yaw[:, :2].T, yaw)], -1)
    out[:, 2] = wrap_angle_rad(out[:, 2])
    seen = (t_s >= track.t_s[0] - 1e-6) & (t_s <= track.t_s[-1] + 1e-6)
    if len(track.t_s) > 1:
        on_one = np.minimum(np.abs(track.t_s[after] - t_s), np.abs(t_s - track.t_s[after - 1])) < 1e-6
        seen &= (track.t_s[after] - track.t_s[after - 1] <= LONGEST_GAP_S) | on_one
    return out, seen


def _speed(xy_yaw: Array, seen: Array) -> Array:
    """Speed along the heading [T]; 0 where the track is not seen."""
    out = np.zeros(len(seen))
    at = np.flatnonzero(seen)
    for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        if len(run) > 1:
            velocity = np.gradient(xy_yaw[run, :2], DT_S, axis=0)
            yaw = xy_yaw[run, 2]
            out[run] = np.maximum(0.0, velocity[:, 0] * np.cos(yaw) + velocity[:, 1] * np.sin(yaw))
    return out


def _near(pose: Array, ego: Array) -> bool:
    low, high = ego[:, :2].min(0) - NEAR_M, ego[:, :2].max(0) + NEAR_M
    return bool(((pose[:, :2] > low) & (pose[:, :2] < high)).all(1).any())


def _usual_limit(speed_mps: Array) -> float:
    moving = speed_mps[speed_mps > MOVING_MPS]
    usual = float(np.quantile(moving, 0.95)) if len(moving) else 0.0
    return max(SLOWEST_LIMIT_MPS, float(np.ceil(usual / LIMIT_STEP_MPS - 1e-6)) * LIMIT_STEP_MPS)


def _road_near(road: RoadMap, ego_xy: Array, origin: Array, limit_mps: float) -> RoadMap:
    """What of the road lies near the ego's way, moved to the origin; links to lanes that are left out go with them."""
    around = LineString(ego_xy).buffer(NEAR_M) if np.ptp(ego_xy, axis=0).max() > 0.1 else Polygon(_square(ego_xy[0]))
    lanes = [lane for lane in road.lanes if intersects(around, LineString(lane.centre_xy))]
    ids = {lane.id for lane in lanes}

    def moved(lane: Lane) -> Lane:
        sides = [side if side in ids else None for side in (lane.left, lane.right)]
        ahead = tuple(one for one in lane.successors if one in ids)
        speed = lane.speed_limit_mps if np.isfinite(lane.speed_limit_mps) else limit_mps
        return Lane(lane.id, lane.centre_xy - origin, lane.width_m, speed, ahead, sides[0], sides[1])

    def cut(polygons: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(one - origin for one in polygons if intersects(around, Polygon(one)))

    signals = tuple(
        replace(one, xy_yaw_world=one.xy_yaw_world - np.append(origin, 0.0), stop_line_xy=one.stop_line_xy - origin)
        for one in road.signals
    )
    return replace(
        road,
        lanes=tuple(map(moved, lanes)),
        drivable=cut(road.drivable),
        crosswalks=cut(road.crosswalks),
        sidewalks=cut(road.sidewalks),
        markings=tuple(replace(m, xy=m.xy - origin) for m in road.markings if intersects(around, LineString(m.xy))),
        signals=signals,
        building_xy_yaw=road.building_xy_yaw - np.append(origin, 0.0),
        tree_xy_height=road.tree_xy_height - np.append(origin, 0.0),
        tunnel_xy_yaw=road.tunnel_xy_yaw - np.append(origin, 0.0),
    )


def _square(xy: Array) -> Array:
    return np.asarray(xy + NEAR_M * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]))
