"""The agents of a random drive: who they are, where they start, how they mean to move."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields

import numpy as np

from drivewm.datatypes import EGO_SHAPE, ON_FOOT, ActorScripts, AgentClass, Agents, Array, ManoeuvreKind, TriggerKind
from drivewm.geometry import box_corners_xy, boxes_overlap, point_at_s

Step = tuple[TriggerKind, float, ManoeuvreKind, float, float]  # trigger, its value, manoeuvre, its value, its rate

_SIZES_LWH_M: dict[AgentClass, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    AgentClass.CAR: ((3.7, 5.0), (1.7, 2.0), (1.4, 1.9)),
    AgentClass.TRUCK: ((5.5, 9.5), (2.2, 2.5), (2.6, 3.6)),
    AgentClass.BUS: ((10.0, 12.0), (2.5, 2.6), (3.0, 3.4)),
    AgentClass.MOTORCYCLE: ((1.9, 2.3), (0.7, 0.9), (1.4, 1.7)),
    AgentClass.BICYCLE: ((1.6, 1.9), (0.55, 0.7), (1.6, 1.85)),
    AgentClass.PEDESTRIAN: ((0.5, 0.8), (0.5, 0.75), (1.5, 1.9)),
    AgentClass.BARRIER: ((0.4, 0.6), (1.8, 2.4), (0.9, 1.1)),
    AgentClass.TRAFFIC_CONE: ((0.35, 0.45), (0.35, 0.45), (0.6, 0.95)),
    AgentClass.DEBRIS: ((0.4, 1.4), (0.4, 1.0), (0.25, 0.7)),
    AgentClass.TRAILER: ((6.0, 11.5), (2.3, 2.55), (2.8, 3.9)),
    AgentClass.CONSTRUCTION_VEHICLE: ((5.5, 7.0), (2.3, 2.6), (2.8, 3.3)),
    AgentClass.POLICE_CAR: ((4.4, 5.0), (1.8, 2.0), (1.55, 1.85)),
    AgentClass.AMBULANCE: ((5.4, 6.5), (2.0, 2.25), (2.5, 2.9)),
    AgentClass.CHILD: ((0.35, 0.5), (0.4, 0.5), (0.95, 1.4)),
    AgentClass.SCOOTER: ((1.05, 1.25), (0.5, 0.65), (1.6, 2.0)),
    AgentClass.STROLLER: ((1.3, 1.6), (0.5, 0.65), (1.55, 1.85)),
    AgentClass.ANIMAL: ((0.6, 1.1), (0.25, 0.4), (0.4, 0.8)),
}
_MAY_STAND_CLOSE = ON_FOOT | {AgentClass.TRAFFIC_CONE, AgentClass.BARRIER}
_PATH_POINTS = 401
_NEVER: Step = (TriggerKind.NEVER, 0.0, ManoeuvreKind.NONE, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Actor:
    """One agent and its script; the path has vertices 1 m apart."""

    category: AgentClass
    path_xy: Array  # [P, 2]
    start_s_m: float
    offset_m: float = 0.0
    speed_mps: float = 0.0
    desired_mps: float = 0.0
    reactive: bool = False
    steps: tuple[Step, ...] = ()

    def start_pose(self) -> Array:
        x, y, yaw = point_at_s(self.path_xy, self.start_s_m)
        return np.array([x - self.offset_m * np.sin(yaw), y + self.offset_m * np.cos(yaw), yaw])


class Cast:
    """Collects actors that stand clear of each other and of the ego at the start; the rest are refused."""

    def __init__(self, ego_xy_yaw: Array, most: int, rng: np.random.Generator) -> None:
        self.actors: list[Actor] = []
        self._sizes: list[Array] = []
        self._ids: list[int] = []
        self._most, self._rng = most, rng
        ego_box = (EGO_SHAPE.length_m + 3.0, EGO_SHAPE.width_m + 0.6)
        self._corners = box_corners_xy(EGO_SHAPE.centre_xy_yaw(ego_xy_yaw), ego_box)[None]

    def add(self, actor: Actor) -> bool:
        """Whether the actor found room."""
        size = np.array([self._rng.uniform(*span) for span in _SIZES_LWH_M[actor.category]])
        pose = actor.start_pose()
        margin = 0.1 if actor.category in _MAY_STAND_CLOSE else 0.6
        if len(self.actors) >= self._most or boxes_overlap(box_corners_xy(pose, size[:2] + margin), self._corners).any():
            return False
        self.actors.append(actor)
        self._sizes.append(size)
        self._ids.append(int(self._rng.choice(np.setdiff1d(np.arange(1, 1000), self._ids))))
        self._corners = np.concatenate([self._corners, box_corners_xy(pose, size[:2])[None]])
        return True

    def without(self, indices: set[int]) -> Cast:
        """A cast without the actors at ``indices``; the others keep their order, size and appearance."""
        other = copy(self)
        keep = [i for i in range(len(self.actors)) if i not in indices]
        other.actors = [self.actors[i] for i in keep]
        other._sizes = [self._sizes[i] for i in keep]
        other._ids = [self._ids[i] for i in keep]
        return other

    def agents(self) -> tuple[Agents, ActorScripts]:
        """Start records and scripts of the actors."""
        actors = self.actors
        if not actors:
            return Agents.empty(), ActorScripts.empty()
        agents = Agents(
            track_id=np.array(self._ids, np.int32),
            category=np.array([actor.category for actor in actors], np.int8),
            xy_yaw_world=np.stack([actor.start_pose() for actor in actors]),
            speed_mps=np.array([actor.speed_mps for actor in actors], np.float64),
            accel_mps2=np.zeros(len(actors)),
            size_lwh_m=np.stack(self._sizes),
            valid=np.ones(len(actors), bool),
        )
        return agents, _scripts(actors)


def _scripts(actors: list[Actor]) -> ActorScripts:
    steps = max(1, *(len(actor.steps) for actor in actors)) if actors else 1
    points = min(_PATH_POINTS, max(len(actor.path_xy) for actor in actors))
    rows = [_script(actor).padded(1, max(points, len(actor.path_xy)), steps) for actor in actors]
    points = max(row.path_xy.shape[1] for row in rows)
    rows = [row.padded(1, points, steps) for row in rows]
    return ActorScripts(**{f.name: np.concatenate([getattr(row, f.name) for row in rows]) for f in fields(ActorScripts)})


def _script(actor: Actor) -> ActorScripts:
    steps = actor.steps or (_NEVER,)
    columns = [np.array([[step[i] for step in steps]], np.float64) for i in range(5)]
    return ActorScripts(
        path_xy=np.asarray(actor.path_xy, np.float64)[None],
        start_s_m=np.array([actor.start_s_m], np.float64),
        start_offset_m=np.array([actor.offset_m], np.float64),
        start_speed_mps=np.array([actor.speed_mps], np.float64),
        desired_speed_mps=np.array([actor.desired_mps], np.float64),
        reactive=np.array([actor.reactive]),
        trigger_kind=columns[0].astype(np.int8),
        trigger_value=columns[1],
        manoeuvre_kind=columns[2].astype(np.int8),
        manoeuvre_value=columns[3],
        manoeuvre_rate=columns[4],
    )


def brake_step(rng: np.random.Generator, speed_mps: float) -> Step:
    """Braking at some moment, gently or hard, often to a stop."""
    goal = float(rng.choice([0.0, 0.0, 0.4 * speed_mps]))
    return (TriggerKind.TIME, float(rng.uniform(1.0, 6.0)), ManoeuvreKind.SPEED, goal, float(rng.choice([2.0, 4.0, 7.0])))


def go_step(rng: np.random.Generator, speed_mps: float, after_s: float) -> Step:
    """Setting off, some time after ``after_s``."""
    at_s = after_s + float(rng.uniform(0.0, 3.0))
    return (TriggerKind.TIME, at_s, ManoeuvreKind.SPEED, speed_mps, float(rng.uniform(1.0, 3.0)))


def side_step(rng: np.random.Generator, to_offset_m: float) -> Step:
    """A move to another offset, at some time or when the ego is near."""
    duration = float(rng.uniform(1.8, 4.0))
    if rng.random() < 0.5:
        return (TriggerKind.DISTANCE, float(rng.uniform(10.0, 25.0)), ManoeuvreKind.OFFSET, to_offset_m, duration)
    return (TriggerKind.TIME, float(rng.uniform(0.5, 5.0)), ManoeuvreKind.OFFSET, to_offset_m, duration)
