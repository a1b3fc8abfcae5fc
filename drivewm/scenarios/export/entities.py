"""Who takes part, as OpenSCENARIO entities (ASAM OpenSCENARIO 1.2, section 7.2).

The ego's reference point is the middle of its rear axle, as the standard wants it. That of everybody else is the middle of the
box, because that is the point which the state engine leads along a path.
"""

from __future__ import annotations

from collections.abc import Mapping

from scenariogeneration import xosc

from drivewm.datatypes import EGO_SHAPE, ON_FOOT, AgentClass, Array
from drivewm.scenarios.bodies import BODIES
from drivewm.scenarios.openscenario.entities import BODY, IDM, METRES

VAN_M = 2.0  # cars that are higher
VEHICLES = {
    AgentClass.TRUCK: (xosc.VehicleCategory.truck, 12_000.0, 30.0),
    AgentClass.BUS: (xosc.VehicleCategory.bus, 14_000.0, 30.0),
    AgentClass.MOTORCYCLE: (xosc.VehicleCategory.motorbike, 250.0, 60.0),
    AgentClass.BICYCLE: (xosc.VehicleCategory.bicycle, 90.0, 15.0),
    AgentClass.TRAILER: (xosc.VehicleCategory.trailer, 12_000.0, 30.0),
    AgentClass.CONSTRUCTION_VEHICLE: (xosc.VehicleCategory.truck, 12_000.0, 12.0),
    AgentClass.POLICE_CAR: (xosc.VehicleCategory.car, 1_800.0, 60.0),
    AgentClass.AMBULANCE: (xosc.VehicleCategory.van, 3_500.0, 45.0),
}
OBJECTS = {
    AgentClass.BARRIER: (xosc.MiscObjectCategory.barrier, 50.0),
    AgentClass.TRAFFIC_CONE: (xosc.MiscObjectCategory.pole, 3.0),
    AgentClass.DEBRIS: (xosc.MiscObjectCategory.obstacle, 20.0),
}
ON_FOOT_AS = {
    AgentClass.CHILD: (xosc.PedestrianCategory.pedestrian, 25.0),
    AgentClass.ANIMAL: (xosc.PedestrianCategory.animal, 20.0),
}
# Classes that the categories of the standard do not tell from others say their word as a property.
NAMED = {
    kind.category: word
    for word, kind in BODIES.items()
    if kind.category >= AgentClass.TRAILER and kind.category != AgentClass.ANIMAL
}
FULL_BRAKE_MPS2, PULL_MPS2 = 9.0, 4.0
WHEEL_M = {AgentClass.TRUCK: 1.0, AgentClass.BUS: 1.0}


def agent_names(category: Array) -> list[str]:
    """A name for each agent [N]: its class and a number."""
    return [f"{AgentClass(int(kind)).name.lower()}_{i}" for i, kind in enumerate(category, start=1)]


def ego() -> xosc.Vehicle:
    shape = EGO_SHAPE
    size = (shape.width_m, shape.length_m, shape.height_m)
    out = xosc.Vehicle(
        "ego",
        xosc.VehicleCategory.car,
        xosc.BoundingBox(*size, shape.rear_axle_to_centre_m, 0.0, shape.height_m / 2),
        *_axles(shape.wheelbase_m, 0.0, shape.width_m, 0.65),
        *(60.0, PULL_MPS2, FULL_BRAKE_MPS2),
        mass=1500.0,
        role=xosc.Role.none,
    )
    out.add_property("type", "ego_vehicle")
    return out


def body(category: int, size_lwh_m: Array, *, moves: bool) -> xosc.Vehicle | xosc.Pedestrian | xosc.MiscObject:
    """The entity of an agent; one that ``moves`` says that the vertices of its trajectories are metres."""
    kind, (length, width, height) = AgentClass(category), map(float, size_lwh_m)
    box = xosc.BoundingBox(width, length, height, 0.0, 0.0, height / 2)
    name = kind.name.lower()
    out: xosc.Vehicle | xosc.Pedestrian | xosc.MiscObject
    if kind in ON_FOOT:
        what, mass = ON_FOOT_AS.get(kind, (xosc.PedestrianCategory.pedestrian, 75.0))
        out = xosc.Pedestrian(name, mass, what, box, model=name)
    elif kind in OBJECTS:
        out = xosc.MiscObject(name, OBJECTS[kind][1], OBJECTS[kind][0], box)
    else:
        car = xosc.VehicleCategory.van if height > VAN_M else xosc.VehicleCategory.car
        category_of, mass, fastest = VEHICLES.get(kind, (car, 1500.0, 60.0))
        axles = _axles(0.6 * length, -0.3 * length, width, WHEEL_M.get(kind, 0.65))
        out = xosc.Vehicle(name, category_of, box, *axles, fastest, PULL_MPS2, FULL_BRAKE_MPS2, mass=mass)
    if kind in NAMED:
        out.add_property(BODY, NAMED[kind])
    if moves:
        out.add_property(METRES, "1")
    return out


def _axles(wheelbase_m: float, rear_x_m: float, width_m: float, wheel_m: float) -> tuple[xosc.Axle, xosc.Axle]:
    front = xosc.Axle(0.5, wheel_m, 0.85 * width_m, rear_x_m + wheelbase_m, wheel_m / 2)
    return front, xosc.Axle(0.0, wheel_m, 0.85 * width_m, rear_x_m, wheel_m / 2)


def controller(name: str, properties: Mapping[str, float]) -> xosc.Controller:
    """A controller with numbers; ``IDM`` is the one that keeps a distance to whatever is ahead."""
    told = xosc.Properties()
    for key, value in properties.items():
        told.add_property(key, repr(float(value)))
    return xosc.Controller(name, told)


def keeps_distance(desired_mps: float) -> xosc.Controller:
    return controller(IDM, {"desired_speed_mps": desired_mps})
