"""Small scenes on a straight two-lane road along +x, built by hand for facts that can be checked with pencil and paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from drivewm.datatypes import (
    Action,
    ActorScripts,
    AgentClass,
    Agents,
    Array,
    Conditions,
    Lane,
    ManoeuvreKind,
    Provenance,
    RoadMap,
    Rollout,
    Scene,
    Signal,
    Trajectory,
    TriggerKind,
    WorldState,
)
from drivewm.sim.engine import Engine

LANE_M = 3.5
LENGTH_M = 400


@dataclass(frozen=True)
class Actor:
    """One agent: ``y_m`` is the height of its straight path along +x (or -x when ``oncoming``)."""

    x_m: float
    speed_mps: float = 0.0
    y_m: float = 0.0
    reactive: bool = False
    desired_mps: float = 13.0
    oncoming: bool = False
    category: AgentClass = AgentClass.CAR
    size_lw_m: tuple[float, float] = (4.0, 1.8)
    # (trigger kind, trigger value, manoeuvre kind, manoeuvre value, manoeuvre rate)
    steps: tuple[tuple[TriggerKind, float, ManoeuvreKind, float, float], ...] = field(default=())


def straight_line(y_m: float = 0.0, backwards: bool = False) -> Array:
    x = np.arange(LENGTH_M + 1.0)
    return np.stack([x[::-1] if backwards else x, np.full(LENGTH_M + 1, y_m)], -1)


def straight_road(signals: tuple[Signal, ...] = ()) -> RoadMap:
    """Ego lane along y = 0, oncoming lane along y = 3.5; drivable from y = -1.75 to 5.25."""
    lanes = (
        Lane("main.0", straight_line(), LANE_M, 13.9),
        Lane("oncoming.0", straight_line(LANE_M, backwards=True), LANE_M, 13.9),
    )
    drivable = np.array([[0.0, -1.75], [LENGTH_M, -1.75], [LENGTH_M, 5.25], [0.0, 5.25]])
    return RoadMap(lanes=lanes, drivable=(drivable,), signals=signals)


def light(x_m: float, phase_s: tuple[float, float, float], offset_s: float = 0.0) -> Signal:
    return Signal(np.array([x_m, -3.0, 0.0]), np.array([[x_m, -1.75], [x_m, 1.75]]), ("main.0",), phase_s, offset_s)


def scene(
    actors: Sequence[Actor] = (),
    *,
    speed_mps: float = 0.0,
    ego_x_m: float = 20.0,
    road: RoadMap | None = None,
    horizon_s: float = 10.0,
) -> Scene:
    road = straight_road() if road is None else road
    steps = max([1, *(len(actor.steps) for actor in actors)])
    never = (TriggerKind.NEVER, 0.0, ManoeuvreKind.NONE, 0.0, 1.0)
    table = np.array([[*actor.steps, *[never] * (steps - len(actor.steps))] for actor in actors], float).reshape(
        len(actors), steps, 5
    )
    number = np.array([[a.x_m, a.speed_mps, a.desired_mps] for a in actors], float).reshape(-1, 3)
    scripts = ActorScripts(
        path_xy=np.array([straight_line(a.y_m, a.oncoming) for a in actors]).reshape(len(actors), -1, 2)
        if actors
        else np.zeros((0, 2, 2)),
        start_s_m=np.array([LENGTH_M - a.x_m if a.oncoming else a.x_m for a in actors], float),
        start_offset_m=np.zeros(len(actors)),
        start_speed_mps=number[:, 1],
        desired_speed_mps=number[:, 2],
        reactive=np.array([a.reactive for a in actors], bool),
        trigger_kind=table[..., 0].astype(np.int8),
        trigger_value=table[..., 1],
        manoeuvre_kind=table[..., 2].astype(np.int8),
        manoeuvre_value=table[..., 3],
        manoeuvre_rate=table[..., 4],
    )
    agents = Agents(
        track_id=np.arange(len(actors), dtype=np.int32) + 1,
        category=np.array([a.category for a in actors], np.int8),
        xy_yaw_world=np.array([[a.x_m, a.y_m, -np.pi if a.oncoming else 0.0] for a in actors], float).reshape(-1, 3),
        speed_mps=number[:, 1],
        accel_mps2=np.zeros(len(actors)),
        size_lwh_m=np.array([[*a.size_lw_m, 1.5] for a in actors], float).reshape(-1, 3),
        valid=np.ones(len(actors), bool),
    )
    start = WorldState(
        t_s=np.array(0.0),
        ego_xy_yaw_world=np.array([ego_x_m, 0.0, 0.0]),
        ego_speed_mps=np.array(speed_mps),
        ego_accel_mps2=np.array(0.0),
        ego_curvature_1pm=np.array(0.0),
        agents=agents,
        signal=np.array([s.state_at(0.0) for s in road.signals], np.int8),
    )
    return Scene("test@0:0#0", "test", road, start, scripts, Conditions(), straight_line(), 13.9, horizon_s, 0)


def drive(
    where: Scene, accel_mps2: Sequence[float] | float, curvature_1pm: Sequence[float] | float = 0.0, ended: str = "horizon"
) -> Rollout:
    """Drive a scene to its horizon with given actions (a number is held), without policy and cameras."""
    accel, curvature = np.broadcast_to(accel_mps2, where.steps), np.broadcast_to(curvature_1pm, where.steps)
    engine = Engine([where])
    state = engine.start()
    states = [state.world[0]]
    for a, k in zip(accel, curvature, strict=True):
        state = engine.step(state, Action(np.array([a]), np.array([k])))
        states.append(state.world[0])
    plans = Trajectory(np.zeros((0, 8)), np.zeros((0, 8, 3)), np.zeros((0, 8)))
    provenance = Provenance("0", "0", "2000-01-01T00:00:00Z", 0, "cpu")
    return Rollout(where, WorldState.stack(states), Action(accel, curvature), plans, 2, ended, np.zeros(0), provenance)
