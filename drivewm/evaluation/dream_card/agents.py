"""One agent of a stretch taken away, put elsewhere, or added: the same drive changed from its first dreamed frame on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from drivewm.datatypes import EGO_SHAPE, VULNERABLE, WHEELED_BODIES, Agents, Array, WorldState
from drivewm.evaluation.dream_card.staged import Staged
from drivewm.geometry import box_corners_xy, boxes_overlap, compose_xy_yaw, rotate_xy
from drivewm.scenarios.bodies import BODIES

VARIANTS = ("plain", "removed", "moved", "added")
NEAREST_M, FARTHEST_M = 4.0, 14.0  # from the ego to an agent that is to be changed
SHIFTS_M = ((0.0, 3.2), (0.0, -3.2), (4.5, 0.0), (-4.5, 0.0), (0.0, 5.0), (0.0, -5.0))  # along and left of the ego, tried in turn
#: a body that is added, whether it keeps its place beside the ego or stands, and where, tried in turn
ADDED = (
    ("car", True, ((9.0, 3.5), (9.0, -3.5), (11.0, 0.0))),
    ("pedestrian", False, ((6.5, 2.6), (6.5, -2.6), (8.0, 3.5), (8.0, -3.5))),
    ("bicycle", True, ((7.0, 2.2), (7.0, -2.2), (8.0, 3.5), (8.0, -3.5))),
)


@dataclass(frozen=True, slots=True)
class Changed:
    """A stretch, and the same without an agent, with it elsewhere, and with another one; equal up to ``first``."""

    plain: Staged
    removed: Staged
    moved: Staged
    added: Staged
    track_id: int  # of the agent that is removed or moved
    added_id: int


def changed(stage: Staged, first: int) -> Changed | None:
    """The changes of a stretch from frame ``first`` on; None where no agent is near or no place is free."""
    row = _nearest(stage.states, first)
    moved = None if row is None else _moved(stage, row, first)
    added = _added(stage, first)
    if row is None or moved is None or added is None:
        return None
    agents = stage.states.agents
    valid = agents.valid.copy()
    valid[first + 1 :, row] = False
    removed = _with(stage, replace(agents, valid=valid))
    return Changed(stage, removed, moved, added, int(agents.track_id[0, row]), int(added.states.agents.track_id[0, -1]))


def _nearest(states: WorldState, first: int) -> int | None:
    """The agent nearest to the ego in the middle of what is changed, there all the time and neither too near nor too far."""
    agents, middle = states.agents, (first + len(states.t_s)) // 2
    distance = np.hypot(*(agents.xy_yaw_world[middle, :, :2] - states.ego_xy_yaw_world[middle, :2]).T)
    named = np.isin(agents.category[0], [int(kind) for kind in WHEELED_BODIES | VULNERABLE])
    fits = agents.valid.all(0) & named & (distance > NEAREST_M) & (distance < FARTHEST_M)
    return int(np.where(fits, distance, np.inf).argmin()) if fits.any() else None


def _moved(stage: Staged, row: int, first: int) -> Staged | None:
    agents, yaw = stage.states.agents, stage.states.ego_xy_yaw_world[first, 2]
    for shift in SHIFTS_M:
        there = agents.xy_yaw_world[:, row].copy()
        there[first + 1 :, :2] += rotate_xy(shift, yaw)
        if _free(stage.states, there, agents.size_lwh_m[0, row], first, (row,)) and not _on_itself(agents, there, row):
            poses = agents.xy_yaw_world.copy()
            poses[:, row] = there
            return _with(stage, replace(agents, xy_yaw_world=poses))
    return None


def _on_itself(agents: Agents, there: Array, row: int) -> bool:
    """Whether the new place covers a part of the old one."""
    old, new = (box_corners_xy(pose[-1], agents.size_lwh_m[0, row, :2]) for pose in (agents.xy_yaw_world[:, row], there))
    return bool(boxes_overlap(old, new))


def _added(stage: Staged, first: int) -> Staged | None:
    """One more agent; which body it is follows from the scene's seed."""
    name, rides, places = ADDED[stage.scene.seed % len(ADDED)]
    states, body = stage.states, BODIES[name]
    ego = states.ego_xy_yaw_world
    size = np.array(body.size_lwh_m)
    for place in places:
        local = np.array([*place, 0.0])
        poses = compose_xy_yaw(ego if rides else np.broadcast_to(ego[(first + len(ego)) // 2], ego.shape), local)
        if _free(states, poses, size, first, ()):
            speed = states.ego_speed_mps if rides else np.zeros(len(ego))
            valid = np.arange(len(ego)) > first
            new = Agents(
                track_id=np.full(len(ego), int(states.agents.track_id.max(initial=0)) + 1, np.int32),
                category=np.full(len(ego), body.category, np.int8),
                xy_yaw_world=poses,
                speed_mps=speed,
                accel_mps2=np.zeros(len(ego)),
                size_lwh_m=np.broadcast_to(size, (len(ego), 3)),
                valid=valid,
            )
            old = states.agents
            both = {
                f.name: np.concatenate([getattr(old, f.name), getattr(new, f.name)[:, None]], 1, dtype=getattr(old, f.name).dtype)
                for f in fields(Agents)
            }
            return _with(stage, Agents(**both))
    return None


def _free(states: WorldState, poses: Array, size_lwh_m: Array, first: int, but: tuple[int, ...]) -> bool:
    """Whether a body at ``poses`` [T + 1, 3] touches nobody, the ego included, after frame ``first``."""
    late = slice(first + 1, None)
    mine = box_corners_xy(poses[late], size_lwh_m[:2] + 0.4)
    ego = box_corners_xy(EGO_SHAPE.centre_xy_yaw(states.ego_xy_yaw_world[late]), (EGO_SHAPE.length_m, EGO_SHAPE.width_m))
    agents = states.agents
    others = box_corners_xy(agents.xy_yaw_world[late], agents.size_lwh_m[late, :, :2])
    there = agents.valid[late].copy()
    there[:, list(but)] = False
    return not (boxes_overlap(mine, ego).any() or (boxes_overlap(mine[:, None], others) & there).any())


def _with(stage: Staged, agents: Agents) -> Staged:
    return replace(stage, states=replace(stage.states, agents=agents))
