"""From a recording to a scene: the ego is free, everybody else is where the recording says."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from drivewm.data.recorded.recording import Recording
from drivewm.data.recorded.tracks import Track, onward, track
from drivewm.datatypes import ActorScripts, Agents, Array, Scene, WorldState
from drivewm.errors import InputError
from drivewm.geometry import first_metres, point_at_s, resample_polyline, wrap_angle_rad

FAMILY = "recorded"
LOOK_AHEAD_M = 120.0  # route beyond what is driven
SHORTEST_S = 1.0
PATH_MOST_M = 2000.0
MISSED_M = 1.0  # a track that its path misses by more is left out


def recorded_scene(recording: Recording) -> tuple[Scene, tuple[str, ...]]:
    """The scene in which the recording plays to its end, and a sentence for each track that is left out.

    Agents that drive backwards, jump, or are hardly seen are left out. Track ids are 1, 2, 3 ... in
    the order of ``recording.agent_names``. Raises InputError when less than a second is recorded.
    """
    instants = len(recording.ego_speed_mps)
    horizon = round((instants - 1) * recording.dt_s, 6)
    if horizon < SHORTEST_S:
        raise InputError(f"{recording.source} holds {horizon:g} s, too little for a scene")
    agents, told = recording.agents, [*recording.left_out]
    tracks: dict[int, Track] = {}
    for row in range(agents.valid.shape[1]):
        seen = agents.valid[:, row]
        if seen.sum() < 3:
            continue
        speed = np.abs(agents.speed_mps[seen, row]).max()
        found = track(agents.xy_yaw_world[:, row], seen, recording.dt_s, recording.road, min(PATH_MOST_M, speed * horizon + 90.0))
        if found.reverses or found.missed_m > MISSED_M:
            why = "drives backwards" if found.reverses else f"cannot be followed to {MISSED_M:g} m"
            told.append(f"track {recording.agent_names[row]} {why}")
            continue
        tracks[row] = found
    scene = Scene(
        id=f"{FAMILY}.{recording.name}",
        family=FAMILY,
        road=recording.road,
        start=_start(recording, list(tracks), tracks),
        scripts=_scripts(tracks, recording.dt_s),
        conditions=recording.conditions,
        route_xy=_route(recording, horizon),
        speed_limit_mps=recording.speed_limit_mps,
        horizon_s=horizon,
        seed=0,
        dt_s=recording.dt_s,
        log_s_m=np.array([one.s_m for one in tracks.values()]).reshape(len(tracks), instants),
        log_until_s=np.full(len(tracks), horizon),
    )
    return scene, tuple(told)


def _route(recording: Recording, horizon_s: float) -> Array:
    """The way that the recorded ego drove, and on along its lane."""
    xy = recording.ego_xy_yaw_world[:, :2]
    moved = np.append(True, np.hypot(*np.diff(xy, axis=0).T) > 1e-3)
    line = track(recording.ego_xy_yaw_world, np.ones(len(xy), bool), recording.dt_s, recording.road, 5.0)
    if line.stands or moved.sum() < 3:
        x, y, yaw = recording.ego_xy_yaw_world[0]
        driven = np.array([[x, y], [x + np.cos(yaw), y + np.sin(yaw)]])
    else:
        first, last = line.s_m[0], line.s_m[-1]
        driven = point_at_s(line.path_xy, np.append(np.arange(first, last), last))[:, :2]
    reach = recording.speed_limit_mps * horizon_s + LOOK_AHEAD_M
    return resample_polyline(np.concatenate([driven, onward(recording.road, driven, reach)]), 1.0)


def _start(recording: Recording, rows: list[int], tracks: dict[int, Track]) -> WorldState:
    ego, speed = recording.ego_xy_yaw_world, recording.ego_speed_mps
    turned = float(wrap_angle_rad(ego[1, 2] - ego[0, 2]))
    moved = max(float(np.hypot(*(ego[1, :2] - ego[0, :2]))), 0.2)
    agents = recording.agents[:, rows]
    first = agents.valid.argmax(0), np.arange(len(rows))
    at = Agents(**{f.name: getattr(agents, f.name)[first] for f in fields(agents)})
    return WorldState(
        t_s=np.zeros(()),
        ego_xy_yaw_world=ego[0].copy(),
        ego_speed_mps=np.array(max(0.0, float(speed[0]))),
        ego_accel_mps2=np.array(float(speed[1] - speed[0]) / recording.dt_s),
        ego_curvature_1pm=np.array(turned / moved),
        agents=replace(at, track_id=np.array(rows, np.int32) + 1, valid=np.ones(len(rows), bool)),
        signal=np.zeros(0, np.int8),
    )


def _scripts(tracks: dict[int, Track], dt_s: float) -> ActorScripts:
    """Scripts for the time after the log: on along the path, at the speed it had, or keeping a distance."""
    if not tracks:
        return ActorScripts.empty()
    points = max(len(one.path_xy) for one in tracks.values())
    seen = [one.s_m[np.isfinite(one.s_m)] for one in tracks.values()]
    speed = [np.diff(s_m) / dt_s for s_m in seen]
    return replace(
        ActorScripts.empty(len(tracks)),
        path_xy=np.stack([first_metres(one.path_xy, points) for one in tracks.values()]),
        start_s_m=np.array([s_m[0] for s_m in seen]),
        start_speed_mps=np.array([v[0] for v in speed]),
        desired_speed_mps=np.array([v.max() for v in speed]),
    )
