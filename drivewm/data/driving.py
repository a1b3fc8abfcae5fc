"""Drives a random scene to its end in the state engine, and redraws what would make a bad recording."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.data.ego_driver import EgoDriver
from drivewm.data.mirror import mirrored_actions, mirrored_scene, mirrored_states
from drivewm.data.towns import TownDrive, draw_drive
from drivewm.datatypes import EGO_SHAPE, STATIC_CLASSES, VULNERABLE, Action, AgentClass, Array, WorldState
from drivewm.geometry import box_corners_xy, boxes_overlap
from drivewm.sim.engine import Engine

SHORTEST_S = 4.0  # a drive that ends earlier in a collision is drawn again
_ATTEMPTS = 40
_REMOVALS = 4


@dataclass(frozen=True, slots=True)
class Driven:
    """A finished drive: ``states`` [T + 1], ``actions`` [T]."""

    drive: TownDrive
    states: WorldState
    actions: Action
    ended: str  # "horizon" | "collision"


def drive_town(index: int, split: str, seed: int, *, seconds: float) -> Driven:
    """Drive number ``index`` of a split, on its side of the road. Experts never collide; others end with the first contact."""
    for attempt in range(_ATTEMPTS):
        driven = _without_clashes(draw_drive(index, split, seed, seconds=seconds, attempt=attempt))
        long_enough = float(driven.states.t_s[-1]) >= min(SHORTEST_S, seconds / 2)
        if driven.ended == "horizon" or (long_enough and not driven.drive.expert):
            return driven if driven.drive.choices.traffic == "right" else _mirrored(driven)
    raise RuntimeError(f"no drive for index {index} of {split} with seed {seed} in {_ATTEMPTS} attempts")


def _mirrored(driven: Driven) -> Driven:
    drive = replace(driven.drive, scene=mirrored_scene(driven.drive.scene))
    return Driven(drive, mirrored_states(driven.states), mirrored_actions(driven.actions), driven.ended)


def _without_clashes(drive: TownDrive) -> Driven:
    """The drive without agents that run through one another; the scripts do not watch for crossing traffic."""
    driven = _run(drive)
    for _ in range(_REMOVALS):
        guilty = _clashing(driven.states)
        if not guilty:
            break
        driven = _run(driven.drive.without(guilty))
    return driven


def _run(drive: TownDrive) -> Driven:
    scene = drive.scene
    engine = Engine([scene])
    driver = EgoDriver(scene, drive.manner, np.random.default_rng(np.random.SeedSequence([*drive.seed_key, 1])))
    state = engine.start()
    states, actions, ended = [state.world[0]], [], "horizon"
    for _ in range(scene.steps):
        accel, curvature = driver.act(states[-1])
        action = Action(np.array([accel]), np.array([curvature]))
        state = engine.step(state, action)
        actions.append(action[0])
        states.append(state.world[0])
        if _touches(states[-1]):
            ended = "collision"
            break
    return Driven(drive, WorldState.stack(states), Action.stack(actions), ended)


def _touches(state: WorldState) -> bool:
    """Whether the ego overlaps an agent; cones and debris may be run over."""
    agents = state.agents
    solid = agents.valid & ~np.isin(agents.category, [AgentClass.TRAFFIC_CONE, AgentClass.DEBRIS])
    if not solid.any():
        return False
    ego = box_corners_xy(EGO_SHAPE.centre_xy_yaw(state.ego_xy_yaw_world), (EGO_SHAPE.length_m, EGO_SHAPE.width_m))
    return bool((boxes_overlap(ego[None], _corners(agents.xy_yaw_world, agents.size_lwh_m)) & solid).any())


def _corners(xy_yaw: Array, size_lwh_m: Array) -> Array:
    return box_corners_xy(xy_yaw, size_lwh_m[..., :2])


def _clashing(states: WorldState) -> set[int]:
    """One agent of every pair that overlaps at some time: the one that is not static, else the later one."""
    agents = states.agents[::2]
    count = agents.valid.shape[1]
    if count < 2:
        return set()
    corners = _corners(agents.xy_yaw_world, agents.size_lwh_m)
    first, second = np.triu_indices(count, 1)
    overlap = boxes_overlap(corners[:, first], corners[:, second]).any(0)
    category = agents.category[0]
    soft = np.isin(category, [int(c) for c in VULNERABLE | STATIC_CLASSES])
    guilty: set[int] = set()
    for i, j in zip(first[overlap], second[overlap], strict=True):
        if i not in guilty and j not in guilty:
            guilty.add(int(i if soft[j] and not soft[i] else j))
    return guilty
