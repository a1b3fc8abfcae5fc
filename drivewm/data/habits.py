"""How road users of a random drive behave, by few numbers that were read from recorded traffic.

Time gaps of drivers behind another have medians of 1.3 and 1.6 s, with 10 and 90 % at 0.5 to 0.6 and 3.3 to 5.8 s, in the
recordings of Lankershim Boulevard and US 101 that CommonRoad keeps; people walk at 1.2 to 1.3 m/s, 0.8 to 1.7 at 10 and 90 %, and
two thirds of the vehicles stand all the time, in Argoverse 2 and nuScenes (eval/benchmarks/road_statistics.py).
"""

from __future__ import annotations

import numpy as np

from drivewm.data.cast import Step
from drivewm.datatypes import AgentClass, ManoeuvreKind, TriggerKind

TIME_GAP_S, TIME_GAP_SPREAD = 1.4, 0.6  # median, and deviation of the logarithm
PACE_MPS, PACE_SPREAD_MPS = 1.25, 0.25
WEAVE_M = 0.25
PARKED_SHARE = 0.6  # of the road users of a town are looked for at its kerbs; fewer find room
FOLLOWED = 0.35  # how often somebody follows a driver
# How often each class is met: on the road, at the kerb, on the sidewalk, across the road.
DRIVING = {
    AgentClass.CAR: 0.68, AgentClass.TRUCK: 0.1, AgentClass.BUS: 0.06, AgentClass.MOTORCYCLE: 0.08,
    AgentClass.POLICE_CAR: 0.03, AgentClass.AMBULANCE: 0.03, AgentClass.CONSTRUCTION_VEHICLE: 0.02,
}  # fmt: skip
PARKED = {
    AgentClass.CAR: 0.78, AgentClass.TRUCK: 0.09, AgentClass.TRAILER: 0.07, AgentClass.CONSTRUCTION_VEHICLE: 0.04,
    AgentClass.POLICE_CAR: 0.02,
}  # fmt: skip
WALKING = {
    AgentClass.PEDESTRIAN: 0.70, AgentClass.CHILD: 0.12, AgentClass.SCOOTER: 0.05, AgentClass.STROLLER: 0.07,
    AgentClass.ANIMAL: 0.06,
}  # fmt: skip
CROSSING = {
    AgentClass.PEDESTRIAN: 0.58, AgentClass.BICYCLE: 0.14, AgentClass.CHILD: 0.12, AgentClass.SCOOTER: 0.06,
    AgentClass.STROLLER: 0.05, AgentClass.ANIMAL: 0.05,
}  # fmt: skip


def one_of(shares: dict[AgentClass, float], rng: np.random.Generator) -> AgentClass:
    """A class, as often as its share says."""
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def gap_m(speed_mps: float, rng: np.random.Generator) -> float:
    """From the middle of one car to the middle of the next, at a time gap as drivers keep it."""
    return 7.0 + speed_mps * float(np.clip(rng.lognormal(np.log(TIME_GAP_S), TIME_GAP_SPREAD), 0.4, 6.0))


def weave(rng: np.random.Generator) -> tuple[Step, ...]:
    """The slow drifting within the lane that real drivers show and centre lines do not."""
    first, second = (float(np.clip(rng.normal(0.0, WEAVE_M), -0.6, 0.6)) for _ in range(2))
    start_s = float(rng.uniform(0.2, 3.0))
    return (
        (TriggerKind.TIME, start_s, ManoeuvreKind.OFFSET, first, float(rng.uniform(3.0, 5.0))),
        (TriggerKind.TIME, start_s + float(rng.uniform(4.0, 7.0)), ManoeuvreKind.OFFSET, second, float(rng.uniform(3.0, 5.0))),
    )


def pace_mps(category: AgentClass, rng: np.random.Generator) -> float:
    """How fast somebody beside the road moves: people walk, a few run, wheels and dogs are faster."""
    if category in (AgentClass.SCOOTER, AgentClass.BICYCLE):
        return float(rng.uniform(2.0, 6.0))
    if category == AgentClass.ANIMAL or (category == AgentClass.CHILD and rng.random() < 0.4):
        return float(rng.uniform(0.6, 3.0))
    return float(np.clip(rng.normal(PACE_MPS, PACE_SPREAD_MPS), 0.6, 3.0) if rng.random() < 0.95 else rng.uniform(2.0, 3.5))
