"""How large everything on the road is. A scene varies these sizes by a few per cent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import AgentClass, Array


@dataclass(frozen=True, slots=True)
class BodyKind:
    category: AgentClass
    size_lwh_m: tuple[float, float, float]


BODIES: dict[str, BodyKind] = {
    "car": BodyKind(AgentClass.CAR, (4.5, 1.85, 1.5)),
    "van": BodyKind(AgentClass.CAR, (5.3, 2.0, 2.4)),
    "truck": BodyKind(AgentClass.TRUCK, (8.5, 2.5, 3.3)),
    "bus": BodyKind(AgentClass.BUS, (11.5, 2.55, 3.2)),
    "motorcycle": BodyKind(AgentClass.MOTORCYCLE, (2.2, 0.8, 1.5)),
    "bicycle": BodyKind(AgentClass.BICYCLE, (1.8, 0.65, 1.75)),
    "pedestrian": BodyKind(AgentClass.PEDESTRIAN, (0.6, 0.65, 1.75)),
    "child": BodyKind(AgentClass.CHILD, (0.45, 0.5, 1.2)),
    "barrier": BodyKind(AgentClass.BARRIER, (0.5, 2.0, 1.0)),
    "traffic_cone": BodyKind(AgentClass.TRAFFIC_CONE, (0.4, 0.4, 0.8)),
    "debris": BodyKind(AgentClass.DEBRIS, (0.9, 0.9, 0.4)),
    "trailer": BodyKind(AgentClass.TRAILER, (10.0, 2.5, 3.6)),
    "construction_vehicle": BodyKind(AgentClass.CONSTRUCTION_VEHICLE, (6.2, 2.5, 3.0)),
    "police_car": BodyKind(AgentClass.POLICE_CAR, (4.7, 1.9, 1.65)),
    "ambulance": BodyKind(AgentClass.AMBULANCE, (5.9, 2.1, 2.7)),
    "scooter": BodyKind(AgentClass.SCOOTER, (1.15, 0.6, 1.85)),
    "stroller": BodyKind(AgentClass.STROLLER, (1.45, 0.6, 1.7)),
    "animal": BodyKind(AgentClass.ANIMAL, (0.9, 0.35, 0.65)),
}


def varied_size_lwh_m(kind: BodyKind, rng: np.random.Generator) -> Array:
    """A body [3] of this kind, up to 5 % larger or smaller."""
    return np.array(kind.size_lwh_m) * (1.0 + 0.05 * rng.uniform(-1.0, 1.0, 3))
