"""The body of every agent class: what is common from `shapes`, and here what is seen less often."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache

import numpy as np

from drivewm.datatypes import AgentClass
from drivewm.sim.raster import shapes
from drivewm.sim.raster.faces import padded
from drivewm.sim.raster.shapes import AMBER_LAMP, BLUE_LAMP, GLASS, TAIL_LAMP, TYRE, Body, box_faces, inset

_WHITE, _BLUE, _RED, _YELLOW = (236.0, 238.0, 238.0), (24.0, 62.0, 150.0), (214.0, 52.0, 34.0), (236.0, 176.0, 26.0)
_STEEL = (92.0, 94.0, 98.0)


def _trailer() -> Body:
    """A box on two axles at its end and two legs, with a striped edge; part 0 is the rear half."""
    length, width, height = 10.0, 2.5, 3.6
    half = width / 2
    body = Body((length, width, height))
    for part, x, sides in (
        (0, (-5.0, 0.0), ("left", "back", "right", "top")),
        (1, (0.0, 5.0), ("front", "left", "right", "top")),
    ):
        beam = (x[0] + 0.1, x[1] - 0.1)
        body = body.with_box(beam, (-0.5, 0.5), (0.8, 1.15), rgb=(58.0, 60.0, 62.0), part=part)
        walls = box_faces(x, (-half, half), (1.15, height), sides=sides)
        body = body.with_faces(walls, rgb=(96.0, 96.0, 96.0), paint_share=0.6, part=part)
        for i, begin in enumerate(np.arange(x[0], x[1], 0.625)):
            edge = box_faces((begin, begin + 0.625), (-half - 0.02, half + 0.02), (1.15, 1.38), sides=("left", "right"))
            body = body.with_faces(edge, rgb=_RED if i % 2 else _WHITE, part=part)
    body = body.with_box((-4.7, -2.3), (-half + 0.12, half - 0.12), (0.0, 0.5), rgb=TYRE)
    body = shapes.with_wheels(body, (-2.9, -4.1), half - 0.12, 0.5)
    for y in ((-0.95, -0.75), (0.75, 0.95)):
        body = body.with_box((2.6, 2.8), y, (0.0, 0.95), rgb=_STEEL, part=1)
    doors = box_faces((-5.02, 0.0), (-0.03, 0.03), (1.15, height), sides=("back",))
    body = body.with_faces(doors, rgb=(70.0, 70.0, 72.0))
    for y in ((-half + 0.06, -half + 0.5), (half - 0.5, half - 0.06)):
        lamp = box_faces((-5.03, 0.0), y, (0.75, 1.0), sides=("back",))
        body = body.with_faces(lamp, rgb=(150.0, 22.0, 22.0), lamp=TAIL_LAMP)
    return body


def _construction_vehicle() -> Body:
    """A yellow wheel loader: part 0 engine, wheels and cab, part 1 boom and bucket."""
    length, width, height = 6.2, 2.5, 3.0
    half = width / 2
    body = Body((length, width, height)).with_box((-2.9, 1.5), (-0.6, 0.6), (0.5, 1.0), rgb=_STEEL)
    for x in (-1.7, 0.9):  # tyres as seen from ahead and behind
        body = body.with_box((x - 0.6, x + 0.6), (-half + 0.03, half - 0.03), (0.0, 0.9), rgb=TYRE)
        body = shapes.with_wheels(body, (x,), half - 0.02, 0.78)
    body = body.with_faces(box_faces((-3.1, -0.7), (-0.95, 0.95), (0.95, 1.95), top_x=(-2.8, -0.7)), rgb=_YELLOW)
    cab = box_faces((-0.8, 0.75), (-0.75, 0.75), (1.0, 2.85), top_x=(-0.65, 0.5), top_inset_m=0.06)
    body = body.with_faces(cab, rgb=(52.0, 54.0, 56.0)).with_faces(inset(cab[:4], 0.18), rgb=GLASS)
    body = body.with_box((-0.75, 0.6), (-0.8, 0.8), (2.8, 2.9), rgb=_YELLOW)
    body = body.with_box((-0.2, 0.05), (-0.12, 0.12), (2.9, 3.0), rgb=(255.0, 150.0, 20.0), lamp=AMBER_LAMP)
    for y in ((-0.55, -0.25), (0.25, 0.55)):
        boom = box_faces((0.75, 2.5), y, (0.7, 1.5), top_x=(0.75, 2.1))
        body = body.with_faces(boom, rgb=_YELLOW, part=1)
    bucket = box_faces((2.1, 3.1), (-half, half), (0.1, 1.2), top_x=(2.1, 2.5))
    return body.with_faces(bucket, rgb=(84.0, 80.0, 72.0), part=1)


def _police_car() -> Body:
    """A white car with blue stripes and a bar of blue lights."""
    car = shapes.car()
    livery = (car.rgb + car.paint_share[:, None] * np.array(_WHITE)).astype(np.float32)
    body = replace(car, size_lwh_m=(4.5, 1.85, 1.72), rgb=livery, paint_share=np.zeros_like(car.paint_share))
    stripe = box_faces((-2.1, 1.7), (-0.9, 0.9), (0.56, 0.84), sides=("left", "right"))
    bonnet = box_faces((1.2, 1.9), (-0.4, 0.4), (0.9, 0.935), sides=("top",))
    boot = box_faces((-2.27, -1.8), (-0.6, 0.6), (0.62, 0.84), sides=("back",))
    for faces in (stripe, bonnet, boot):
        body = body.with_faces(faces, rgb=_BLUE)
    return body.with_box((-0.8, -0.4), (-0.62, 0.62), (1.55, 1.72), rgb=(60.0, 120.0, 255.0), lamp=BLUE_LAMP)


def _ambulance() -> Body:
    """A white van with a red belt, a blue bar in front and blue corners behind."""
    length, width, height = 5.9, 2.1, 2.75
    half = width / 2
    body = Body((length, width, height)).with_box((-2.9, 2.8), (-half + 0.1, half - 0.1), (0.0, 0.4), rgb=TYRE)
    box = box_faces((-2.95, 1.55), (-half, half), (0.35, 2.6))
    nose = box_faces((1.55, 2.95), (-half + 0.03, half - 0.03), (0.35, 1.3), top_x=(1.55, 2.75))
    screen = box_faces((1.55, 2.6), (-half + 0.06, half - 0.06), (1.3, 2.2), top_x=(1.55, 1.75), top_inset_m=0.05)
    body = body.with_faces(box, rgb=_WHITE).with_faces(nose, rgb=_WHITE).with_faces(screen, rgb=_WHITE)
    body = body.with_faces(inset(screen[[0, 1, 3]], 0.1), rgb=GLASS)
    belt = box_faces((-2.97, 2.5), (-half - 0.02, half + 0.02), (0.95, 1.4), sides=("left", "right", "back"))
    body = body.with_faces(belt, rgb=_RED)
    for y in ((-0.9, -0.15), (0.15, 0.9)):
        pane = box_faces((-2.98, 0.0), y, (1.6, 2.25), sides=("back",))
        body = body.with_faces(pane, rgb=GLASS)
    upright = box_faces((-1.2, -0.95), (-half - 0.02, half + 0.02), (1.55, 2.25), sides=("left", "right"))
    across = box_faces((-1.42, -0.72), (-half - 0.02, half + 0.02), (1.8, 2.02), sides=("left", "right"))
    body = body.with_faces(upright, rgb=_BLUE).with_faces(across, rgb=_BLUE)
    body = shapes.with_lamps(shapes.with_wheels(body, (1.9, -1.8), half, 0.36), length, width, (0.65, 0.9), 0.3)
    for x, y in (((1.0, 1.4), (-0.85, 0.85)), ((-2.9, -2.7), (-0.95, -0.6)), ((-2.9, -2.7), (0.6, 0.95))):
        body = body.with_box(x, y, (2.6, 2.75), rgb=(60.0, 120.0, 255.0), lamp=BLUE_LAMP)
    return body


def _with_body(body: Body, other: Body, at_x_m: float, at_z_m: float, scale: float) -> Body:
    """``body`` and another one, smaller, shifted forward and up."""
    points = (other.points * scale + np.array([at_x_m, 0.0, at_z_m])).astype(np.float32)
    moved = replace(other, points=points, swing=other.swing * scale)
    both = {f.name: np.concatenate([getattr(body, f.name), getattr(moved, f.name)]) for f in fields(Body)[1:]}
    return replace(body, **both)


def _child() -> Body:
    """A small person with a large head and a satchel on the back."""
    person = shapes.pedestrian()
    low = person.points * np.array([0.68, 0.72, 0.64])
    body = replace(person, size_lwh_m=(0.45, 0.48, 1.2), points=low.astype(np.float32), swing=person.swing * 0.6)
    body = body.with_box((-0.27, -0.09), (-0.13, 0.13), (0.6, 0.92), rgb=(232.0, 66.0, 92.0))
    return shapes.with_head(body, 0.02, 1.06, 0.14, {"skin_share": 1.0})


def _scooter() -> Body:
    """Somebody who stands on a kick scooter."""
    body = Body((1.15, 0.6, 1.88))
    for x in (0.48, -0.48):
        body = body.with_faces(shapes.disc_y(x, 0.0, 0.12, 0.12, facing_left=True), rgb=TYRE, two_sided=True)
    body = body.with_box((-0.5, 0.45), (-0.09, 0.09), (0.1, 0.16), rgb=(40.0, 44.0, 46.0))
    body = body.with_faces(box_faces((0.44, 0.5), (-0.03, 0.03), (0.14, 1.12), top_x=(0.36, 0.42)), rgb=(60.0, 210.0, 130.0))
    body = body.with_box((0.34, 0.42), (-0.28, 0.28), (1.08, 1.14), rgb=(30.0, 30.0, 32.0))
    person = shapes.pedestrian()
    return _with_body(body, replace(person, swing=np.zeros_like(person.swing)), -0.12, 0.15, 0.98)


def _stroller() -> Body:
    """A pram and who pushes it."""
    body = Body((1.45, 0.6, 1.72))
    for x in (0.2, 0.62):
        for y in (-0.24, 0.24):
            body = body.with_faces(shapes.disc_y(x, y, 0.13, 0.13, facing_left=y > 0), rgb=TYRE, two_sided=True)
    pram = box_faces((0.12, 0.7), (-0.25, 0.25), (0.42, 0.74), top_x=(0.05, 0.74))
    hood = box_faces((0.4, 0.74), (-0.26, 0.26), (0.72, 1.04), top_x=(0.46, 0.66), top_inset_m=0.04)
    body = body.with_faces(pram, rgb=(34.0, 40.0, 66.0)).with_faces(hood, rgb=(60.0, 72.0, 120.0))
    body = body.with_box((0.14, 0.66), (-0.2, 0.2), (0.18, 0.24), rgb=(150.0, 152.0, 156.0))
    body = body.with_faces(box_faces((-0.02, 0.06), (-0.22, 0.22), (0.7, 1.05), top_x=(-0.14, -0.08)), rgb=(40.0, 40.0, 44.0))
    return _with_body(body, shapes.pedestrian(), -0.42, 0.0, 0.97)


def _animal() -> Body:
    """A dog; coats have the tones of skin."""
    body = Body((0.9, 0.32, 0.68))
    for x, phase in ((0.18, 1.0), (-0.3, -1.0)):
        for y in ((-0.13, -0.04), (0.04, 0.13)):
            leg = box_faces((x - 0.04, x + 0.05), y, (0.0, 0.36))
            low = (padded(leg)[..., 2] < 0.15).astype(np.float32)
            body = body.with_faces(leg, skin_share=0.9, swing=0.12 * phase * np.sign(y[0] + 0.05) * low)
    body = body.with_faces(box_faces((-0.36, 0.26), (-0.13, 0.13), (0.3, 0.54)), skin_share=1.0)
    body = body.with_faces(box_faces((0.18, 0.4), (-0.1, 0.1), (0.46, 0.66)), skin_share=1.0)
    body = body.with_faces(box_faces((0.4, 0.53), (-0.06, 0.06), (0.46, 0.56)), rgb=(40.0, 34.0, 30.0))
    for y in ((-0.11, -0.05), (0.05, 0.11)):
        body = body.with_box((0.2, 0.26), y, (0.6, 0.74), rgb=(50.0, 38.0, 30.0))
    return body.with_faces(box_faces((-0.45, -0.34), (-0.03, 0.03), (0.46, 0.5), top_x=(-0.5, -0.42)), skin_share=0.9)


@cache
def body_of(category: AgentClass) -> Body:
    """The detailed body of a class."""
    return {
        AgentClass.CAR: shapes.car,
        AgentClass.TRUCK: shapes.truck,
        AgentClass.BUS: shapes.bus,
        AgentClass.MOTORCYCLE: lambda: shapes.two_wheeler(2.1, 0.32, 0.8, motor=True),
        AgentClass.BICYCLE: lambda: shapes.two_wheeler(1.75, 0.34, 0.92, motor=False),
        AgentClass.PEDESTRIAN: shapes.pedestrian,
        AgentClass.BARRIER: shapes.barrier,
        AgentClass.TRAFFIC_CONE: shapes.cone,
        AgentClass.DEBRIS: shapes.debris,
        AgentClass.TRAILER: _trailer,
        AgentClass.CONSTRUCTION_VEHICLE: _construction_vehicle,
        AgentClass.POLICE_CAR: _police_car,
        AgentClass.AMBULANCE: _ambulance,
        AgentClass.CHILD: _child,
        AgentClass.SCOOTER: _scooter,
        AgentClass.STROLLER: _stroller,
        AgentClass.ANIMAL: _animal,
    }[category]()


@cache
def cuboid() -> Body:
    """A unit box: what the layout shows of an agent."""
    return Body((1.0, 1.0, 1.0)).with_box((-0.5, 0.5), (-0.5, 0.5), (0.0, 1.0), paint_share=1.0)
