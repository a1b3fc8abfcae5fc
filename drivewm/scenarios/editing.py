"""Carrying out edits: a scene and the state that it has reached become the scene that goes on otherwise from there."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from drivewm.datatypes import EGO_SHAPE, ActorScripts, AgentClass, Agents, Array, Scene, WorldState
from drivewm.errors import InputError, did_you_mean
from drivewm.geometry import box_corners_xy, boxes_overlap, frenet_sd, point_at_s
from drivewm.scenarios.bodies import BODIES
from drivewm.scenarios.edits import Edit, Insert, Move, Remove, Sky
from drivewm.scenarios.stage import FRONT_M, REAR_M

AHEAD_WIDTH_M = 1.8  # to each side of the route: who is `lead`
PATH_POINTS = 200  # of the path of who comes into an empty scene
INSERTED = "inserted"


def edited(scene: Scene, state: WorldState, edit: Edit) -> Scene:
    """The scene in which ``edit`` takes place now, at the time of ``state`` (without leading axes).

    Agents keep their rows; who is inserted comes behind them. Raises `InputError` when nobody is there whom the edit means, or
    when somebody would stand inside another body.
    """
    now_s, change = float(state.t_s), edit.change
    if isinstance(change, Sky):
        return _under(scene, now_s, change)
    if isinstance(change, Insert):
        return _with_inserted(scene, state, change, edit)
    rows = meant(scene, state, change.who, edit)
    if isinstance(change, Remove):
        return _marked(scene, [(now_s, row, 0.0, 0.0, 0.0) for row in rows])
    return _moved(scene, state, rows, edit)


def _under(scene: Scene, now_s: float, sky: Sky) -> Scene:
    """What the scene itself changes later still changes then."""
    before = scene.conditions_at(now_s)
    changes = [change for change in scene.condition_changes if change[0] < now_s - 1e-9]
    current = replace(before, **sky.given)
    changes.append((now_s, current))
    for at_s, planned in scene.condition_changes:
        if at_s <= now_s + 1e-9:
            continue
        own = {f.name: getattr(planned, f.name) for f in fields(planned) if getattr(planned, f.name) != getattr(before, f.name)}
        before, current = planned, replace(current, **own)
        changes.append((at_s, current))
    return replace(scene, condition_changes=tuple(changes))


def meant(scene: Scene, state: WorldState, who: str, edit: Edit) -> list[int]:
    """The rows of those who are there and meant: by name or ``track_12``, as ``lead``, ``nearest [kind]`` or ``all [kinds]``."""
    agents, there = state.agents, state.agents.valid
    names = [f"track_{track}" for track in agents.track_id]
    own = {name for name in (*scene.names, *names) if name}
    word, _, kind = who.partition(" ")
    if who in own:
        wanted = np.array([who in (names[row], *scene.names[row : row + 1]) for row in range(len(names))], bool)
    elif who == "lead":
        wanted = _ahead(scene, state)
    elif word in ("nearest", "all"):
        wanted = there & np.isin(agents.category, _categories(kind, edit))
        if word == "nearest" and wanted.any():
            distance = np.hypot(*(agents.xy_yaw_world[:, :2] - state.ego_xy_yaw_world[:2]).T)
            wanted = np.arange(len(there)) == np.argmin(np.where(wanted, distance, np.inf))
    else:
        known = list(dict.fromkeys([*filter(None, scene.names), "lead", "nearest", "all"]))
        hint = did_you_mean(who, [*known, *names]) or f"there are {', '.join(known)} and {', '.join(names[:6]) or 'no agents'}"
        raise InputError(f"nobody is called {who!r}", place=f"edit {edit.text!r}", hint=hint)
    rows = np.flatnonzero(wanted & there)
    if not len(rows):
        raise InputError(f"{who} is not there at {float(state.t_s):.3g} s", place=f"edit {edit.text!r}")
    return [int(row) for row in rows]


def _categories(kind: str, edit: Edit) -> list[int]:
    """The classes that a word in singular or plural stands for; all without a word."""
    if not kind:
        return [int(one) for one in AgentClass]
    for word in (kind, kind.removesuffix("s"), kind.removesuffix("es")):
        if word in BODIES:
            return [int(BODIES[word].category)]
    hint = did_you_mean(kind.removesuffix("s"), list(BODIES)) or f"there are {', '.join(BODIES)}"
    raise InputError(f"nothing is called {kind!r}", place=f"edit {edit.text!r}", hint=hint)


def _ahead(scene: Scene, state: WorldState) -> Array:
    """Who [N] is the next one ahead on the route."""
    agents = state.agents
    if not len(agents.valid):
        return np.zeros(0, bool)
    here = float(frenet_sd(scene.route_xy, state.ego_xy_yaw_world[:2])[0])
    s, d = np.moveaxis(frenet_sd(scene.route_xy, agents.xy_yaw_world[:, :2]), -1, 0)
    ahead = agents.valid & (np.abs(d) < AHEAD_WIDTH_M) & (s > here + EGO_SHAPE.rear_axle_to_centre_m)
    return np.asarray(ahead & (np.arange(len(s)) == np.argmin(np.where(ahead, s, np.inf))))


def _marked(scene: Scene, rows: list[tuple[float, float, float, float, float]]) -> Scene:
    return replace(scene, edits=np.concatenate([scene.edits, np.array(rows).reshape(-1, 5)]))


def _moved(scene: Scene, state: WorldState, rows: list[int], edit: Edit) -> Scene:
    move, now_s = edit.change, float(state.t_s)
    assert isinstance(move, Move)
    log = scene.log_s_m.copy()
    marks = []
    for row in rows:
        pose = state.agents.xy_yaw_world[row].copy()
        ahead = np.array([np.cos(pose[2]), np.sin(pose[2])])
        pose[:2] += move.along_m * ahead + move.left_m * np.array([-ahead[1], ahead[0]])
        _refuse_overlap(state, pose, state.agents.size_lwh_m[row], row, edit)
        along_m = move.along_m
        if log.size and now_s <= scene.log_until_s[row] + 1e-6:  # a log says where on its path an agent is
            log[row, round(now_s / scene.dt_s) :] += along_m
            along_m = 0.0
        marks.append((now_s, float(row), 1.0, along_m, move.left_m))
    return replace(_marked(scene, marks), log_s_m=log)


def _with_inserted(scene: Scene, state: WorldState, insert: Insert, edit: Edit) -> Scene:
    body = BODIES[insert.kind]
    size = np.array(body.size_lwh_m)
    path = _path(scene, state, insert, size)
    pose = point_at_s(path, 0.0)
    agents, scripts = scene.start.agents, scene.scripts
    count, steps = len(agents.valid), scripts.trigger_kind.shape[1]
    _refuse_overlap(state, pose, size, count, edit)
    row: dict[str, Any] = {
        "track_id": agents.track_id.max(initial=0) + 1,
        "category": int(body.category),
        "xy_yaw_world": pose,
        "speed_mps": insert.speed_mps,
        "size_lwh_m": size,
    }
    moves = {"path_xy": path, "start_speed_mps": insert.speed_mps, "desired_speed_mps": insert.speed_mps}
    wider = scripts.padded(count + 1, len(path), max(steps, 1))
    start = replace(scene.start, agents=Agents(**_filled(agents.padded(count + 1), count, row)))
    log, until_s = scene.log_s_m, scene.log_until_s
    if log.size:
        log, until_s = np.concatenate([log, np.full((1, log.shape[1]), np.nan)]), np.append(until_s, -1.0)
    joined = replace(
        scene,
        start=start,
        scripts=ActorScripts(**_filled(wider, count, moves)),
        log_s_m=log,
        log_until_s=until_s,
        names=(*(scene.names or ("",) * count), INSERTED),
    )
    return _marked(joined, [(float(state.t_s), float(count), 1.0, 0.0, 0.0)])


def _filled(record: Any, row: int, values: dict[str, Any]) -> dict[str, Array]:
    """The arrays of a record with ``values`` in one row."""
    out = {f.name: getattr(record, f.name).copy() for f in fields(record)}
    for name, value in values.items():
        out[name][row] = value
    return out


def _path(scene: Scene, state: WorldState, insert: Insert, size_lwh_m: Array) -> Array:
    """The way [P, 2] of who is inserted, from where it stands; as long as the paths of the scene, which need not change so."""
    points = scene.scripts.path_xy.shape[1] if len(scene.scripts.start_s_m) else PATH_POINTS
    s = float(frenet_sd(scene.route_xy, state.ego_xy_yaw_world[:2])[0])
    half_m = size_lwh_m[1 if insert.facing in ("left", "right") else 0] / 2
    if insert.ahead_m is None:
        s += EGO_SHAPE.rear_axle_to_centre_m
    else:
        s += insert.ahead_m + (FRONT_M + half_m if insert.ahead_m >= 0 else -REAR_M - half_m)
    steps = np.arange(points, dtype=np.float64)
    x, y, yaw = point_at_s(scene.route_xy, s)
    left = np.array([-np.sin(yaw), np.cos(yaw)])
    if insert.facing in ("left", "right"):
        way = left if insert.facing == "left" else -left
        return np.asarray(np.array([x, y]) + insert.left_m * left + steps[:, None] * way)
    pose = point_at_s(scene.route_xy, s + (steps if insert.facing == "along" else -steps))
    line = pose[:, :2] + insert.left_m * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], -1)
    return np.asarray(point_at_s(line, steps)[:, :2])


def _refuse_overlap(state: WorldState, pose: Array, size_lwh_m: Array, row: int, edit: Edit) -> None:
    agents = state.agents
    ego = box_corners_xy(EGO_SHAPE.centre_xy_yaw(state.ego_xy_yaw_world), np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]))
    others = agents.valid & (np.arange(len(agents.valid)) != row)
    bodies = box_corners_xy(agents.xy_yaw_world[others], agents.size_lwh_m[others, :2])
    own = box_corners_xy(pose, size_lwh_m[:2])
    for who, boxes in (("the ego", ego[None]), ("somebody else", bodies)):
        if len(boxes) and boxes_overlap(own, boxes).any():
            raise InputError(f"it would stand inside {who} at {float(state.t_s):.3g} s", place=f"edit {edit.text!r}")
