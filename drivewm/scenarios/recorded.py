"""Recorded drives as scenarios: a stored scene with its log, and a document that says what is different this time."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from drivewm.datatypes import EGO_SHAPE, WHEELED_BODIES, ActorScripts, AgentClass, Agents, Array, Scene
from drivewm.errors import InputError, did_you_mean
from drivewm.geometry import box_corners_xy, boxes_overlap, first_metres, point_at_s
from drivewm.scenarios.conditions import recorded_conditions
from drivewm.scenarios.quantities import TIME, Quantity
from drivewm.scenarios.recorded_faults import recorded_faults
from drivewm.scenarios.schema import RecordedDocument
from drivewm.scenarios.source import Source
from drivewm.scenarios.stage import Misplaced
from drivewm.store import file_hash, load_record

VEHICLES = (*WHEELED_BODIES, AgentClass.MOTORCYCLE, AgentClass.BICYCLE)
LOOK_AHEAD_M = 120.0  # route beyond what is driven
MOVES_MPS = 0.5  # who never is faster stands, and goes on standing


@dataclass(frozen=True, slots=True)
class Log:
    """The stored scene of a recorded drive and the hash of its file."""

    scene: Scene
    sha: str


def load_log(source: Source) -> Log | None:
    """The log that a document names, relative to the file that names it; None when it names none."""
    wanted = source.tree.get("log")
    if wanted is None:
        return None
    if not isinstance(wanted, str) or not wanted.strip():
        raise source.error(f"{wanted!r} does not name a recorded scene", ("log",), "for example drive.scene.safetensors")
    file = source.file_of(("log",)).parent / wanted
    if not file.is_file():
        raise source.error(f"log {wanted!r} does not exist", ("log",), "the path starts at this file's folder")
    scene = load_record(Scene, file)
    for place, reason in recorded_faults(scene):
        raise InputError(reason, file=file, place=place, hint="`drivewm scenario from-log` writes it anew")
    return Log(scene, file_hash(file))


def varied(log: Log, document: RecordedDocument, source: Source) -> Scene:
    """The recorded scene with everything that the document changes.

    Raises `InputError` for a track or a time that was not recorded, `Misplaced` when somebody late would start inside the ego.
    """
    scene = log.scene
    names = [f"track_{track}" for track in scene.start.agents.track_id]
    for name in document.actors:
        if name not in names:
            hint = did_you_mean(name, names) or f"there are {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}"
            raise source.error(f"the recording has no {name!r}", ("actors", name), hint)
    changed = [document.actors.get(name) for name in names]
    late_s = np.array([0.0 if one is None else one.late for one in changed])
    log_s_m = (
        np.stack([_later(row, s, scene.dt_s) for row, s in zip(scene.log_s_m, late_s, strict=True)]) if names else scene.log_s_m
    )
    after_s = [document.reactive_after if one is None or one.reactive_after is None else one.reactive_after for one in changed]
    until_s, reactive = _handover(scene, log_s_m, after_s)
    stays = np.array([one is None or not one.gone for one in changed], bool) & np.isfinite(log_s_m).any(1)
    ego_speed = scene.start.ego_speed_mps * document.ego.speed_factor if document.ego.speed is None else document.ego.speed
    horizon = scene.horizon_s if document.end is None else document.end.after
    if horizon > scene.horizon_s + 1e-6:
        raise source.error(
            f"the recording ends after {Quantity(scene.horizon_s, TIME)}", ("end", "after"), "let the scene end by then"
        )
    conditions, changes = scene.conditions, scene.condition_changes
    if document.world is not None:
        conditions, changes = recorded_conditions(document.world, conditions, float(scene.start.ego_xy_yaw_world[2]))
    kept = replace(
        scene,
        start=replace(scene.start, ego_speed_mps=np.array(float(ego_speed)), agents=scene.start.agents[stays]),
        scripts=_rows(replace(scene.scripts, reactive=reactive), stays),
        route_xy=first_metres(scene.route_xy, max(len(scene.route_xy), int(float(ego_speed) * horizon + LOOK_AHEAD_M))),
        horizon_s=float(horizon),
        conditions=conditions,
        condition_changes=changes,
        log_s_m=log_s_m[stays],
        log_until_s=until_s[stays],
    )
    varied_scene = replace(kept, start=replace(kept.start, agents=_at_start(kept)))
    _refuse_overlap(varied_scene, {f"track_{scene.start.agents.track_id[row]}" for row in np.flatnonzero(late_s)})
    return varied_scene


def _later(s_m: Array, late_s: float, dt_s: float) -> Array:
    """A row of a log moved in time; before its first and behind its last instant the agent keeps its speed, if it was there."""
    t_s = np.arange(len(s_m)) * dt_s
    seen = np.flatnonzero(np.isfinite(s_m))
    if len(seen) < 2:
        return s_m
    first, last = seen[0], seen[-1]
    at = t_s - late_s
    out = np.interp(at, t_s[seen], s_m[seen])
    gaps = np.isnan(s_m[np.clip(np.round(at / dt_s).astype(int), 0, len(s_m) - 1)])
    out[gaps & (at > t_s[first]) & (at < t_s[last])] = np.nan
    before, behind = at < t_s[first], at > t_s[last]
    speeds = (s_m[seen[1]] - s_m[first]) / (t_s[seen[1]] - t_s[first]), (s_m[last] - s_m[seen[-2]]) / (t_s[last] - t_s[seen[-2]])
    out[before] = s_m[first] + speeds[0] * (at[before] - t_s[first]) if first == 0 else np.nan
    out[behind] = s_m[last] + speeds[1] * (at[behind] - t_s[last]) if last == len(s_m) - 1 else np.nan
    return np.asarray(np.where(out >= 0.0, out, np.nan))


def _handover(scene: Scene, log_s_m: Array, after_s: list[float | None]) -> tuple[Array, Array]:
    """Until when each agent follows its log [N], and who then keeps its distance [N]: vehicles that move.

    Who appears later than that is recorded for its first instants, and reacts from then on.
    """
    until_s, reactive = np.full(len(log_s_m), np.inf), np.zeros(len(log_s_m), bool)
    movable = np.isin(scene.start.agents.category, [int(kind) for kind in VEHICLES])
    for row, after in enumerate(after_s):
        seen = np.flatnonzero(np.isfinite(log_s_m[row]))
        moves = scene.scripts.desired_speed_mps[row] > MOVES_MPS
        if after is None or not movable[row] or not moves or len(seen) < 2:
            continue
        until_s[row], reactive[row] = max(after, scene.dt_s * (seen[0] + 1)), True
    return np.minimum(until_s, scene.horizon_s), reactive


def _rows(scripts: ActorScripts, kept: Array) -> ActorScripts:
    return ActorScripts(**{f.name: getattr(scripts, f.name)[kept] for f in fields(scripts)})


def _at_start(scene: Scene) -> Agents:
    """Agents where their logs have them at first."""
    agents = scene.start.agents
    if not len(agents.valid):
        return agents
    seen = np.isfinite(scene.log_s_m)
    first = seen.argmax(1)
    pose = [point_at_s(path, s[i]) for path, s, i in zip(scene.scripts.path_xy, scene.log_s_m, first, strict=True)]
    return replace(agents, xy_yaw_world=np.stack(pose))


def _refuse_overlap(scene: Scene, moved: set[str]) -> None:
    """Raises `Misplaced` when somebody of those who were moved in time starts inside the ego or somebody else."""
    agents, there = scene.start.agents, np.isfinite(scene.log_s_m[:, :1]).any(1)
    ego = EGO_SHAPE.centre_xy_yaw(scene.start.ego_xy_yaw_world)
    own = box_corners_xy(ego, np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]))
    boxes = box_corners_xy(agents.xy_yaw_world, agents.size_lwh_m[:, :2])
    for row, track in enumerate(agents.track_id):
        name, others = f"track_{track}", there & (agents.track_id != track)
        if name in moved and there[row]:
            for who, bodies in (("the ego", own[None]), ("somebody else", boxes[others])):
                if boxes_overlap(boxes[row], bodies).any():
                    raise Misplaced(f"{name} would start inside {who}", ("actors", name))
