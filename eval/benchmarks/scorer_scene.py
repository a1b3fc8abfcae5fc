"""The scene of `scorer.py`: a motorway full of agents and 256 candidate plans, by pencil: no file, no chance beyond a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import ActorScripts, AgentClass, Agents, Array, Conditions, Lane, RoadMap, Scene, WorldState
from drivewm.metrics.published.ways import Ways
from drivewm.sim.bicycle import EgoMotion, advance_ego

LANES, LANE_M, LENGTH_M, DT_S, STEPS, BEYOND = 3, 3.5, 1000, 0.1, 40, 10
EGO_X_M, SPEED_MPS = 200.0, 12.0


@dataclass(frozen=True)
class Task:
    """M ways of 41 instants, N agents over 51."""

    scene: Scene
    ways: Ways
    agents: Agents


def road() -> RoadMap:
    """Three lanes along +x, the middle one on y = 0, and one that comes towards the ego."""
    x = np.arange(LENGTH_M + 1.0)
    names = [f"lane.{k}" for k in range(LANES)]
    lanes = [
        Lane(
            name,
            np.stack([x, np.full(len(x), (k - 1) * LANE_M)], -1),
            LANE_M,
            30.0,
            left=names[k + 1] if k + 1 < LANES else None,
            right=names[k - 1] if k else None,
        )
        for k, name in enumerate(names)
    ]
    lanes.append(Lane("oncoming", np.stack([x[::-1], np.full(len(x), 2 * LANE_M)], -1), LANE_M, 30.0))
    low, high = -1.5 * LANE_M, 2.5 * LANE_M
    return RoadMap(lanes=tuple(lanes), drivable=(np.array([[0.0, low], [LENGTH_M, low], [LENGTH_M, high], [0.0, high]]),))


def candidates(count: int = 256) -> Ways:
    """Sixteen accelerations times as many swerves, driven by the kinematic bicycle."""
    side = round(count**0.5)
    accel, swerve = (v.ravel() for v in np.meshgrid(np.linspace(-4.0, 2.0, side), np.linspace(-0.03, 0.03, side)))
    start = np.tile([EGO_X_M, 0.0, 0.0], (len(accel), 1))
    ego = EgoMotion(start, np.full(len(accel), SPEED_MPS), np.zeros(len(accel)), np.zeros(len(accel)))
    moments = [ego]
    for step in range(STEPS):
        ego = advance_ego(ego, accel, swerve * np.sin(2 * np.pi * step / STEPS), DT_S)
        moments.append(ego)
    fields = ("xy_yaw", "speed_mps", "accel_mps2", "curvature_1pm")
    return Ways(*(np.stack([getattr(m, name) for m in moments], 1) for name in fields))


def traffic(count: int, seed: int = 0, spread_m: float = 120.0) -> Agents:
    """Cars, trucks, cyclists and cones within ``spread_m`` of the ego that keep their speed, [STEPS + BEYOND + 1, N]."""
    rng = np.random.default_rng(seed)
    lane = rng.integers(0, LANES + 1, count)
    x = EGO_X_M + rng.uniform(-spread_m, spread_m, count)
    clear = (np.abs(x - EGO_X_M) < 8.0) & (lane == 1)  # nobody on top of the ego
    x = np.where(clear, x + 20.0, x)
    y = (lane - 1) * LANE_M + rng.uniform(-0.4, 0.4, count)
    kinds = np.array([AgentClass.CAR, AgentClass.TRUCK, AgentClass.BICYCLE, AgentClass.TRAFFIC_CONE], np.int8)
    kind = rng.choice(kinds, count, p=[0.6, 0.2, 0.1, 0.1])
    size = np.array([[4.5, 1.9, 1.5], [9.0, 2.5, 3.0], [1.8, 0.6, 1.7], [0.4, 0.4, 0.8]])[np.searchsorted(kinds, kind)]
    speed = np.where(kind == AgentClass.TRAFFIC_CONE, 0.0, rng.choice([0.0, 6.0, 10.0, 14.0], count))
    back = lane == LANES
    yaw = np.where(back, np.pi, 0.0)
    t_s = DT_S * np.arange(STEPS + BEYOND + 1)[:, None]
    pose = np.stack([x + np.where(back, -speed, speed) * t_s, *np.broadcast_arrays(y, yaw, x + t_s)[:2]], -1)

    def always(value: Array) -> Array:
        return np.broadcast_to(value, (len(t_s), *np.shape(value))).copy()

    return Agents(
        track_id=always(np.arange(count, dtype=np.int32)),
        category=always(kind),
        xy_yaw_world=pose,
        speed_mps=always(speed),
        accel_mps2=np.zeros((len(t_s), count)),
        size_lwh_m=always(size),
        valid=np.ones((len(t_s), count), bool),
    )


def task(agents: int = 30, count: int = 256) -> Task:
    met, ways = traffic(agents), candidates(count)
    start = WorldState(
        np.array(0.0), ways.xy_yaw[0, 0], ways.speed_mps[0, 0], np.array(0.0), np.array(0.0), met[0], np.zeros(0, np.int8)
    )
    route = np.stack([np.arange(LENGTH_M + 1.0), np.zeros(LENGTH_M + 1)], -1)
    scene = Scene(
        "scorer@0:0#0", "benchmark", road(), start, ActorScripts.empty(agents), Conditions(), route, 30.0, STEPS * DT_S, 0
    )
    return Task(scene, ways, met)
