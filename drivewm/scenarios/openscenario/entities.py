"""The entities of a scenario: bodies, and which one is the ego."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drivewm.datatypes import WHEELED_BODIES, AgentClass
from drivewm.scenarios.bodies import BODIES, BodyKind
from drivewm.scenarios.openscenario.reading import Reading
from drivewm.scenarios.xml import Element, child, children, tag

VEHICLES = {
    "car": "car",
    "van": "van",
    "truck": "truck",
    "semitrailer": "truck",
    "trailer": "trailer",
    "bus": "bus",
    "tram": "bus",
    "train": "bus",
    "motorbike": "motorcycle",
    "motorcycle": "motorcycle",
    "bicycle": "bicycle",
}
PEDESTRIANS = {"wheelchair": "pedestrian", "animal": "animal"}
ROLES = {"police": "police_car", "ambulance": "ambulance"}
OBJECTS = {"barrier": "barrier", "guardRail": "barrier", "pole": "traffic_cone", "roadMark": "debris"}
RIDDEN = WHEELED_BODIES | {AgentClass.MOTORCYCLE, AgentClass.BICYCLE}
EGO_NAMES = ("ego", "hero", "egovehicle", "ego_vehicle", "vut", "subject", "subjectvehicle")
MOST_ENTITIES = 200
SIZE_LIMITS_M = (0.1, 40.0)
METRES = "vertices_are_metres"  # property: the vertices of the entity's trajectories lie whole metres of its path apart
SPEED_LIMIT = "speed_limit_mps"  # property of the ego: what it may drive, where that is not the speed of its script
BODY = "body"  # property: the word of the scenario language for what it is, where the categories of the standard are too wide
KNOWN = frozenset({METRES, SPEED_LIMIT, BODY, "type"})
IDM = "IDM"  # the controller that keeps a distance to whatever is ahead


@dataclass(frozen=True)
class Body:
    """What an entity is; its reference point is the middle of the rear axle (OpenSCENARIO 1.2, section 6.3)."""

    name: str
    category: AgentClass
    size_lwh_m: tuple[float, float, float]
    centre_x_m: float  # of the box, ahead of the reference point
    centre_y_m: float
    element: Element
    properties: Mapping[str, str] = field(default_factory=dict)


def entities(reading: Reading, root: Element) -> dict[str, Body]:
    """All bodies by name, in the order of the file."""
    group = reading.need(root, "Entities")
    out: dict[str, Body] = {}
    for one in reading.children(group, "ScenarioObject"):
        name = reading.text(one, "name")
        if name in out:
            reading.fail(one, f"the entity {name!r} is given twice")
        if len(out) >= MOST_ENTITIES:
            reading.fail(one, f"has more than {MOST_ENTITIES} entities")
        out[name] = _body(reading, one, name)
    if not out:
        reading.fail(group, "has no ScenarioObject")
    return out


def selections(reading: Reading, root: Element) -> dict[str, tuple[str, ...]]:
    """Groups of entities by name."""
    group = reading.need(root, "Entities")
    out: dict[str, tuple[str, ...]] = {}
    for one in children(group, "EntitySelection"):
        reading.use_all(one)
        out[str(one.get("name"))] = tuple(reading.text(m, "entityRef") for m in one.iter() if tag(m) == "EntityRef")
    return out


def _body(reading: Reading, element: Element, name: str) -> Body:
    inner, found = reading, None
    if children(element, "Vehicle", "Pedestrian", "MiscObject", "CatalogReference"):
        entry = reading.referenced(element, "Vehicle", "Pedestrian", "MiscObject")
        if entry is not None:
            inner, found = entry
    elif children(element):
        reading.note(children(element)[0], "what it refers to is unknown; a car stands for it")
    if found is None or tag(found) not in ("Vehicle", "Pedestrian", "MiscObject"):
        kind = BODIES["car"]
        return Body(name, kind.category, kind.size_lwh_m, 1.4, 0.0, element)
    kind = _kind(inner, found)
    size, centre = kind.size_lwh_m, (1.4 if tag(found) == "Vehicle" and kind.size_lwh_m[0] > 3 else 0.0, 0.0)
    box = inner.child(found, "BoundingBox")
    if box is not None:
        dimensions, middle = inner.child(box, "Dimensions"), inner.child(box, "Center")
        if dimensions is not None:
            length, width, height = (inner.number(dimensions, n) for n in ("length", "width", "height"))
            if not all(x <= SIZE_LIMITS_M[1] for x in (length, width, height)) or min(length, width) < 0:
                inner.fail(dimensions, f"a body of {length:g} x {width:g} m")
            if min(length, width) < SIZE_LIMITS_M[0] / 10:
                inner.note(dimensions, "gives no size; the usual one of its kind stands for it")
            else:
                size = (max(length, SIZE_LIMITS_M[0]), max(width, SIZE_LIMITS_M[0]), min(max(height, 0.1), 10.0))
        if middle is not None:
            centre = (inner.number(middle, "x", 0.0), inner.number(middle, "y", 0.0))
    return Body(name, kind.category, size, centre[0], centre[1], found, properties(inner, found))


def properties(reading: Reading, element: Element) -> dict[str, str]:
    """What the <Properties> of an element say; those whose names mean something here count as read."""
    group = child(element, "Properties")
    if group is None:
        return {}
    told = {str(one.get("name", "")): one for one in children(group, "Property")}
    if not told or KNOWN & set(told):
        reading.use(group)
    return {name: reading.text(one, "value", "") if name in KNOWN else str(one.get("value", "")) for name, one in told.items()}


def _kind(reading: Reading, element: Element) -> BodyKind:
    said = properties(reading, element).get(BODY)
    if said in BODIES:
        return BODIES[said]
    if tag(element) == "Vehicle":
        usual = VEHICLES.get(reading.text(element, "vehicleCategory", "car"), "car")
        return BODIES[ROLES.get(str(element.get("role", "")).lower(), usual)]
    if tag(element) == "Pedestrian":
        return BODIES[PEDESTRIANS.get(reading.text(element, "pedestrianCategory", "pedestrian"), "pedestrian")]
    return BODIES[OBJECTS.get(reading.text(element, "miscObjectCategory", "none"), "debris")]


def ego_of(bodies: dict[str, Body]) -> str:
    """The entity that the policy drives: by its usual names, by role, by property, else the first vehicle."""
    for name in bodies:
        if name.lower() in EGO_NAMES:
            return name
    for name, body in bodies.items():
        if str(body.element.get("role", "")).lower() == "ego":
            return name
        if body.properties.get("type") in ("ego", "ego_vehicle"):
            return name
    for name in bodies:
        if name.lower().startswith(("ego", "hero")):
            return name
    return next((n for n, b in bodies.items() if b.category in RIDDEN), next(iter(bodies)))
