"""How badly people may be hurt by an impact: change of velocity, and the published risk of an injury that follows from it.

Masses, the change of velocity of a plastic impact and the risk of a serious injury (MAIS 3+) are those of Geisslinger, Poszler
and Lienkamp 2023 ("An ethical trajectory planning algorithm for autonomous vehicles", Nature Machine Intelligence 5, 137-144;
github.com/TUMFTM/EthicalTrajectoryPlanning, harm_parameters.json, log_reg reduced_sym_angle_areas and pedestrian). The risk of
death of an adult pedestrian hit by a car's front is that of Rosen and Sander 2009 (Accident Analysis & Prevention 41, 536-542).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, ON_FOOT, VULNERABLE, WHEELED_BODIES, AgentClass, Array
from drivewm.geometry import wrap_angle_rad
from drivewm.metrics.impacts import Impact
from drivewm.metrics.series import Series

OCCUPANT, OCCUPANT_PER_MPS = -4.457, 0.177  # hit in front; log odds
SIDE, REAR = 0.244, -0.431  # hit elsewhere
EXPOSED, EXPOSED_PER_MPS = -3.164, 0.288  # nothing around them
DEATH, DEATH_PER_KMH = -6.9, 0.090
FRONT_RAD, REAR_RAD = np.deg2rad(45.0), np.deg2rad(135.0)  # where the other is, off the heading
LEAST_CAR_KG = 500.0  # the published fit to the area of a car is negative for the smallest
MASS_KG = {
    AgentClass.TRUCK: 25000.0,
    AgentClass.TRAILER: 25000.0,
    AgentClass.CONSTRUCTION_VEHICLE: 25000.0,
    AgentClass.BUS: 13000.0,
    AgentClass.MOTORCYCLE: 250.0,
    AgentClass.BICYCLE: 90.0,
    **dict.fromkeys(ON_FOOT - {AgentClass.ANIMAL}, 75.0),
    AgentClass.BARRIER: np.inf,
}


@dataclass(frozen=True, slots=True)
class Harm:
    """What an impact does. A risk that no published curve tells is None."""

    ego_delta_v_mps: float
    other_delta_v_mps: float
    ego_risk: float  # of a serious injury of an occupant
    other_risk: float | None  # the same for whoever was hit
    death_risk: float | None  # of a pedestrian met by the ego's front


def car_kg(length_m: float, width_m: float) -> float:
    """Mass of a car from its area."""
    return max(LEAST_CAR_KG, -1333.5 + 526.9 * (length_m * width_m) ** 0.8)


def harm(series: Series, impact: Impact) -> Harm | None:
    """What an impact does; None where the mass of what was hit is not known (cone, debris, animal)."""
    agents = series.states.agents
    kind = AgentClass(int(agents.category[impact.step, impact.agent]))
    length_m, width_m = agents.size_lwh_m[impact.step, impact.agent, :2]
    by_area = WHEELED_BODIES - MASS_KG.keys()
    mass_kg = car_kg(length_m, width_m) if kind in by_area else MASS_KG.get(kind)
    if mass_kg is None:
        return None
    ego_kg, speed = car_kg(EGO_SHAPE.length_m, EGO_SHAPE.width_m), impact.speed_mps
    ego_share = 1.0 if np.isinf(mass_kg) else mass_kg / (ego_kg + mass_kg)
    ego_dv, other_dv = ego_share * speed, (1 - ego_share) * speed
    ego, other = series.centre[impact.step], agents.xy_yaw_world[impact.step, impact.agent]
    front = abs(_bearing(ego, other)) < FRONT_RAD
    death = risk(DEATH + DEATH_PER_KMH * 3.6 * speed) if kind == AgentClass.PEDESTRIAN and front else None
    other_risk = None
    if kind in VULNERABLE:
        other_risk = risk(EXPOSED + EXPOSED_PER_MPS * other_dv)
    elif kind in WHEELED_BODIES:
        other_risk = occupant_risk(other_dv, _bearing(other, ego))
    return Harm(ego_dv, other_dv, occupant_risk(ego_dv, _bearing(ego, other)), other_risk, death)


def occupant_risk(delta_v_mps: float, bearing_rad: float) -> float:
    """Risk of a serious injury in a car that changes its velocity, hit from ``bearing_rad`` off its heading."""
    off = abs(bearing_rad)
    place = 0.0 if off < FRONT_RAD else REAR if off > REAR_RAD else SIDE
    return risk(OCCUPANT + OCCUPANT_PER_MPS * delta_v_mps + place)


def risk(log_odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _bearing(of: Array, towards: Array) -> float:
    delta = towards[:2] - of[:2]
    return float(wrap_angle_rad(np.arctan2(delta[1], delta[0]) - of[2]))
