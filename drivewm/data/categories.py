"""nuScenes words for what we simulate, and back: categories, attributes, visibility, weather, light."""

from __future__ import annotations

import hashlib
import re

from drivewm.datatypes import ON_FOOT, WHEELED_BODIES, AgentClass, Conditions, Light, Weather

CATEGORY_OF: dict[AgentClass, str] = {
    AgentClass.CAR: "vehicle.car",
    AgentClass.TRUCK: "vehicle.truck",
    AgentClass.BUS: "vehicle.bus.rigid",
    AgentClass.MOTORCYCLE: "vehicle.motorcycle",
    AgentClass.BICYCLE: "vehicle.bicycle",
    AgentClass.PEDESTRIAN: "human.pedestrian.adult",
    AgentClass.BARRIER: "movable_object.barrier",
    AgentClass.TRAFFIC_CONE: "movable_object.trafficcone",
    AgentClass.DEBRIS: "movable_object.debris",
    AgentClass.TRAILER: "vehicle.trailer",
    AgentClass.CONSTRUCTION_VEHICLE: "vehicle.construction",
    AgentClass.POLICE_CAR: "vehicle.emergency.police",
    AgentClass.AMBULANCE: "vehicle.emergency.ambulance",
    AgentClass.CHILD: "human.pedestrian.child",
    AgentClass.SCOOTER: "human.pedestrian.personal_mobility",
    AgentClass.STROLLER: "human.pedestrian.stroller",
    AgentClass.ANIMAL: "animal",
}

# All 23 categories of nuScenes v1.0; those that we never write are read as the class that looks and behaves most like them.
CLASS_OF: dict[str, AgentClass] = {
    "human.pedestrian.adult": AgentClass.PEDESTRIAN,
    "human.pedestrian.child": AgentClass.CHILD,
    "human.pedestrian.wheelchair": AgentClass.PEDESTRIAN,
    "human.pedestrian.stroller": AgentClass.STROLLER,
    "human.pedestrian.personal_mobility": AgentClass.SCOOTER,
    "human.pedestrian.police_officer": AgentClass.PEDESTRIAN,
    "human.pedestrian.construction_worker": AgentClass.PEDESTRIAN,
    "animal": AgentClass.ANIMAL,
    "vehicle.car": AgentClass.CAR,
    "vehicle.motorcycle": AgentClass.MOTORCYCLE,
    "vehicle.bicycle": AgentClass.BICYCLE,
    "vehicle.bus.bendy": AgentClass.BUS,
    "vehicle.bus.rigid": AgentClass.BUS,
    "vehicle.truck": AgentClass.TRUCK,
    "vehicle.construction": AgentClass.CONSTRUCTION_VEHICLE,
    "vehicle.emergency.ambulance": AgentClass.AMBULANCE,
    "vehicle.emergency.police": AgentClass.POLICE_CAR,
    "vehicle.trailer": AgentClass.TRAILER,
    "movable_object.barrier": AgentClass.BARRIER,
    "movable_object.trafficcone": AgentClass.TRAFFIC_CONE,
    "movable_object.pushable_pullable": AgentClass.DEBRIS,
    "movable_object.debris": AgentClass.DEBRIS,
    "static_object.bicycle_rack": AgentClass.BARRIER,
}

ATTRIBUTES = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "pedestrian.moving",
)

# Level, and the share of a box's pixels that some camera sees.
VISIBILITY = (("1", "v0-40", 0.4), ("2", "v40-60", 0.6), ("3", "v60-80", 0.8), ("4", "v80-100", 1.0))

_LIGHT_WORDS = {Light.DAY: "day", Light.DUSK: "dusk", Light.NIGHT: "night", Light.LOW_SUN: "low sun"}


def token(*parts: object) -> str:
    """A nuScenes token, 32 hexadecimal digits, that depends on ``parts`` alone."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def attribute_of(category: AgentClass, speed_mps: float, *, parked: bool) -> str | None:
    """The attribute nuScenes would give, or None for objects that have none."""
    if category in (AgentClass.BICYCLE, AgentClass.MOTORCYCLE):
        return "cycle.with_rider"
    if category in ON_FOOT - {AgentClass.ANIMAL}:
        return "pedestrian.moving" if abs(speed_mps) > 0.2 else "pedestrian.standing"
    if category in WHEELED_BODIES:
        return "vehicle.parked" if parked else "vehicle.moving" if abs(speed_mps) > 0.2 else "vehicle.stopped"
    return None


def visibility_level(share: float) -> str:
    """The nuScenes visibility token of the seen share of a box, in [0, 1]."""
    for level, _, limit in VISIBILITY:
        if share < limit:
            return level
    return VISIBILITY[-1][0]


def conditions_in_words(conditions: Conditions) -> str:
    """Weather and light as nuScenes descriptions say them: "rain, night"; clear weather has no word."""
    weather = () if conditions.weather == Weather.CLEAR else (str(conditions.weather),)
    return ", ".join((*weather, _LIGHT_WORDS[conditions.light]))


def conditions_from_words(description: str) -> Conditions:
    """What a scene description tells about weather and light; clear day where it is silent."""
    words = description.lower().split("later")[0]  # "rain, day, later fog": how the scene begins
    words = re.sub(r"\bafter rain\b|\b(rain|snow)\w* stop\w*", "", words)
    weather = next((w for w in (Weather.SNOW, Weather.FOG, Weather.RAIN) if re.search(rf"\b{w}", words)), Weather.CLEAR)
    light = next((e for e in (Light.NIGHT, Light.DUSK, Light.LOW_SUN) if re.search(rf"\b{_LIGHT_WORDS[e]}", words)), Light.DAY)
    return Conditions(weather=weather, light=light)
