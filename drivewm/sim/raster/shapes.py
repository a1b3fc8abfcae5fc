"""Bodies of what is common on roads, built from boxes and discs in the metres of a typical member of its class.

A face's colour is ``own RGB + share * paint``. ``lamp`` marks what may shine: 1 head lamp, 2 tail lamp, 3 blue and
4 amber beacon. ``swing`` is how far
a corner moves forward at the extreme of a step. Long bodies have several parts, sorted by depth like objects of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from drivewm.datatypes import Array
from drivewm.sim.raster.faces import CORNERS, padded

HEAD_LAMP, TAIL_LAMP, BLUE_LAMP, AMBER_LAMP = 1, 2, 3, 4
GLASS = (44.0, 56.0, 68.0)
TYRE = (26.0, 26.0, 28.0)
_SIDES = ("front", "left", "back", "right", "top")


@dataclass(frozen=True)
class Body:
    """Faces of one class in its own frame: x forward, y left, z up, origin below the centre of the box."""

    size_lwh_m: tuple[float, float, float]
    points: Array = field(default_factory=lambda: np.zeros((0, CORNERS, 3), np.float32))
    rgb: Array = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    paint_share: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    skin_share: Array = field(default_factory=lambda: np.zeros(0, np.float32))
    lamp: Array = field(default_factory=lambda: np.zeros(0, np.uint8))
    two_sided: Array = field(default_factory=lambda: np.zeros(0, bool))
    swing: Array = field(default_factory=lambda: np.zeros((0, CORNERS), np.float32))
    part: Array = field(default_factory=lambda: np.zeros(0, np.int32))

    def with_faces(self, points: Array, **looks: object) -> Body:
        """This body and more faces [F, n, 3]; looks are rgb, paint_share, skin_share, lamp, two_sided, swing, part."""
        count = len(points)
        shapes = {"rgb": (count, 3), "swing": (count, CORNERS)}
        added: dict[str, Array] = {"points": padded(points).astype(np.float32)}
        for f in fields(self)[2:]:
            old = getattr(self, f.name)
            value = np.broadcast_to(np.asarray(looks.get(f.name, 0), old.dtype), shapes.get(f.name, (count,)))
            added[f.name] = value
        return replace(self, **{name: np.concatenate([getattr(self, name), value]) for name, value in added.items()})

    def with_box(self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], **looks: object) -> Body:
        return self.with_faces(box_faces(x, y, z), **looks)


def box_faces(
    x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], *, top_x: tuple[float, float] | None = None,
    top_inset_m: float = 0.0, sides: tuple[str, ...] = _SIDES,
) -> Array:  # fmt: skip
    """Quads [F, 4, 3] of a box without bottom; the top may be shorter (``top_x``) and narrower."""
    tx, i = top_x or x, top_inset_m
    low = {"fl": (x[1], y[1], z[0]), "fr": (x[1], y[0], z[0]), "bl": (x[0], y[1], z[0]), "br": (x[0], y[0], z[0])}
    top = {
        "fl": (tx[1], y[1] - i, z[1]),
        "fr": (tx[1], y[0] + i, z[1]),
        "bl": (tx[0], y[1] - i, z[1]),
        "br": (tx[0], y[0] + i, z[1]),
    }
    ends = {"front": ("fr", "fl"), "left": ("fl", "bl"), "back": ("bl", "br"), "right": ("br", "fr")}
    quads = []
    for side in sides:
        if side == "top":
            quads.append([top["fr"], top["fl"], top["bl"], top["br"]])
        else:
            a, b = ends[side]
            quads.append([low[a], low[b], top[b], top[a]])
    return np.array(quads, np.float32)


def inset(quads: Array, margin: float, out_m: float = 0.012) -> Array:
    """Smaller copies of quads [F, 4, 3] laid just outside them, such as panes in a wall."""
    middle = quads.mean(1, keepdims=True)
    normal = np.cross(quads[:, 1] - quads[:, 0], quads[:, 2] - quads[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.asarray(middle + (quads - middle) * (1.0 - margin) + out_m * normal[:, None])


def disc_y(x: float, y: float, z: float, radius_m: float, *, facing_left: bool) -> Array:
    """An octagon [1, 8, 3] in a plane of constant y, seen from the left or from the right."""
    angle = np.arange(CORNERS) * (2 * np.pi / CORNERS) + np.pi / 8
    angle = -angle if facing_left else angle
    points = np.stack([x + radius_m * np.cos(angle), np.full(CORNERS, y), z + radius_m * np.sin(angle)], 1)
    return np.asarray(points[None], np.float32)


def disc_x(x: float, y: float, z: float, radius_m: float) -> Array:
    """An octagon [1, 8, 3] that looks backwards along -x; meant for two-sided faces."""
    angle = -np.arange(CORNERS) * (2 * np.pi / CORNERS) + np.pi / 8
    points = np.stack([np.full(CORNERS, x), y + radius_m * np.cos(angle), z + radius_m * np.sin(angle)], 1)
    return np.asarray(points[None], np.float32)


def with_wheels(body: Body, x_m: tuple[float, ...], half_width_m: float, radius_m: float, part: int = 0) -> Body:
    for x in x_m:
        for side in (1.0, -1.0):
            y = side * (half_width_m + 0.015)
            body = body.with_faces(disc_y(x, y, radius_m, radius_m, facing_left=side > 0), rgb=TYRE, part=part)
            hub = disc_y(x, y + side * 0.01, radius_m, radius_m * 0.5, facing_left=side > 0)
            body = body.with_faces(hub, rgb=(150.0, 152.0, 156.0), part=part)
    return body


def with_lamps(
    body: Body, length_m: float, width_m: float, z: tuple[float, float], wide_m: float, *, front_part: int = 0
) -> Body:
    for side in (1.0, -1.0):
        a, b = side * (width_m / 2 - 0.06), side * (width_m / 2 - 0.06 - wide_m)
        y = (min(a, b), max(a, b))
        front = box_faces((0.0, length_m / 2 + 0.02), y, z, sides=("front",))
        back = box_faces((-length_m / 2 - 0.02, 0.0), y, z, sides=("back",))
        body = body.with_faces(front, rgb=(232.0, 232.0, 220.0), lamp=HEAD_LAMP, part=front_part)
        body = body.with_faces(back, rgb=(150.0, 22.0, 22.0), lamp=TAIL_LAMP)
    return body


def car() -> Body:
    length, width, height = 4.5, 1.85, 1.55
    half = width / 2
    body = Body((length, width, height))
    for x in (1.38, -1.38):  # tyres as seen from ahead and behind
        body = body.with_box((x - 0.3, x + 0.3), (-half + 0.08, half - 0.08), (0.0, 0.2), rgb=TYRE)
    body = body.with_faces(
        box_faces((-2.22, 2.22), (-half + 0.04, half - 0.04), (0.18, 0.62), top_x=(-2.25, 2.18)), paint_share=1.0
    )
    body = body.with_faces(
        box_faces((-2.25, 2.18), (-half + 0.04, half - 0.04), (0.62, 0.92), top_x=(-2.2, 1.95), top_inset_m=0.05), paint_share=1.0
    )
    body = with_wheels(body, (1.38, -1.38), half - 0.04, 0.34)
    cabin = box_faces((-2.1, 1.05), (-half + 0.1, half - 0.1), (0.9, height), top_x=(-1.5, 0.25), top_inset_m=0.16)
    body = body.with_faces(cabin, paint_share=0.92)
    body = body.with_faces(inset(cabin[:4], 0.16), rgb=GLASS)
    plate = box_faces((-2.27, 0.0), (-0.26, 0.26), (0.42, 0.54), sides=("back",))
    body = body.with_faces(plate, rgb=(214.0, 214.0, 208.0))
    grille = box_faces((0.0, 2.24), (-0.5, 0.5), (0.3, 0.5), sides=("front",))
    body = body.with_faces(grille, rgb=(40.0, 42.0, 44.0))
    return with_lamps(body, length, width, (0.58, 0.8), 0.38)


def truck() -> Body:
    """Part 0 is the cargo box with the tail lamps, part 1 the cab."""
    length, width, height = 8.0, 2.5, 3.2
    half = width / 2
    body = Body((length, width, height)).with_box((-3.98, 1.9), (-1.0, 1.0), (0.45, 0.95), rgb=(58.0, 60.0, 62.0))
    body = body.with_box((-3.3, -1.1), (-half + 0.12, half - 0.12), (0.0, 0.5), rgb=TYRE)
    body = with_wheels(body, (-1.6, -2.8), half - 0.12, 0.5)
    body = body.with_faces(box_faces((-4.0, 1.95), (-half, half), (0.95, height)), rgb=(96.0, 96.0, 96.0), paint_share=0.6)
    doors = box_faces((-4.01, 0.0), (-0.03, 0.03), (1.0, height), sides=("back",))
    body = body.with_faces(doors, rgb=(70.0, 70.0, 72.0))
    body = body.with_box((2.4, 3.4), (-half + 0.12, half - 0.12), (0.0, 0.5), rgb=TYRE, part=1)
    cab = box_faces((2.1, 3.98), (-half + 0.08, half - 0.08), (0.45, 2.7), top_x=(2.1, 3.7))
    body = with_wheels(body.with_faces(cab, paint_share=1.0, part=1), (2.9,), half - 0.08, 0.5, part=1)
    panes = box_faces((2.3, 3.86), (-half + 0.06, half - 0.06), (1.6, 2.45), top_x=(2.3, 3.76), sides=("front", "left", "right"))
    body = body.with_faces(inset(panes, 0.1), rgb=GLASS, part=1)
    return with_lamps(body, length, width, (0.7, 0.95), 0.4, front_part=1)


def bus() -> Body:
    """Three parts from back to front."""
    length, width, height = 11.0, 2.7, 3.2
    half = width / 2
    body = Body((length, width, height))
    for part, x, sides in (
        (0, (-5.5, -1.9), ("left", "back", "right", "top")),
        (1, (-1.9, 1.7), ("left", "right", "top")),
        (2, (1.7, 5.5), ("front", "left", "right", "top")),
    ):
        if part != 1:
            axle = -2.8 if part == 0 else 3.4
            body = body.with_box((axle - 0.5, axle + 0.5), (-half + 0.05, half - 0.05), (0.0, 0.35), rgb=TYRE, part=part)
        body = body.with_faces(box_faces(x, (-half, half), (0.3, height), sides=sides), paint_share=1.0, part=part)
        for begin in np.linspace(x[0] + 0.1, x[1], 3)[:2]:
            panes = box_faces((begin, begin + 1.6), (-half - 0.01, half + 0.01), (1.45, 2.7), sides=("left", "right"))
            body = body.with_faces(panes, rgb=GLASS, part=part)
    body = with_wheels(with_wheels(body, (-2.8,), half, 0.5), (3.4,), half, 0.5, part=2)
    for side, part in (("back", 0), ("front", 2)):
        pane = box_faces((-5.52, 5.52), (-half + 0.15, half - 0.15), (1.25, 2.75), sides=(side,))
        body = body.with_faces(pane, rgb=GLASS, part=part)
    sign = box_faces((0.0, 5.53), (-0.8, 0.8), (2.8, 3.05), sides=("front",))
    body = body.with_faces(sign, rgb=(250.0, 190.0, 60.0), part=2)
    return with_lamps(body, length, width, (0.6, 0.95), 0.45, front_part=2)


def _with_rider(body: Body, x: float, seat_m: float, helmet: bool) -> Body:
    body = body.with_box((x - 0.1, x + 0.3), (-0.2, -0.06), (seat_m - 0.45, seat_m + 0.05), rgb=(44.0, 48.0, 62.0))
    body = body.with_box((x - 0.1, x + 0.3), (0.06, 0.2), (seat_m - 0.45, seat_m + 0.05), rgb=(44.0, 48.0, 62.0))
    torso = box_faces((x - 0.16, x + 0.12), (-0.23, 0.23), (seat_m, seat_m + 0.62), top_x=(x, x + 0.3))
    body = body.with_faces(torso, paint_share=0.9, rgb=(12.0, 12.0, 12.0))
    skin: dict[str, object] = {"paint_share": 0.5, "rgb": (20.0, 20.0, 24.0)} if helmet else {"skin_share": 1.0}
    return with_head(body, x + 0.2, seat_m + 0.78, 0.15, skin)


def with_head(body: Body, x: float, z: float, radius_m: float, looks: dict[str, object]) -> Body:
    for face in (disc_x(x, 0.0, z, radius_m), disc_y(x, 0.0, z, radius_m, facing_left=True)):
        body = body.with_faces(face, two_sided=True, **looks)
    return body


def two_wheeler(length: float, wheel_radius_m: float, seat_m: float, *, motor: bool) -> Body:
    reach = length / 2 - wheel_radius_m
    body = Body((length, 0.7 if not motor else 0.8, seat_m + 0.93))
    tyre = 0.05 if not motor else 0.1
    for x in (reach, -reach):
        body = body.with_faces(disc_y(x, 0.0, wheel_radius_m, wheel_radius_m, facing_left=True), rgb=TYRE, two_sided=True)
        rim = 0.72 if not motor else 0.5
        for side in (0.01, -0.01):
            spokes = disc_y(x, side, wheel_radius_m, wheel_radius_m * rim, facing_left=side > 0)
            body = body.with_faces(spokes, rgb=(128.0, 130.0, 132.0))
        body = body.with_box((x - wheel_radius_m, x + wheel_radius_m), (-tyre, tyre), (0.02, 2 * wheel_radius_m - 0.02), rgb=TYRE)
        body = _without_sides(body)
    frame = (0.25, seat_m - 0.05) if motor else (seat_m - 0.35, seat_m - 0.18)
    thick = 0.16 if motor else 0.03
    body = body.with_box((-reach, reach), (-thick, thick), frame, paint_share=1.0)
    handle = 0.34
    body = body.with_box((reach - 0.3, reach - 0.22), (-handle, handle), (seat_m + 0.12, seat_m + 0.2), rgb=(30.0, 30.0, 32.0))
    body = _with_rider(body, -0.3, seat_m, helmet=motor)
    head = box_faces((0.0, reach), (-0.1, 0.1), (seat_m - 0.1, seat_m + 0.1), sides=("front",))
    tail = box_faces((-reach - (0.2 if motor else 0.0), 0.0), (-0.1, 0.1), (seat_m - 0.25, seat_m - 0.08), sides=("back",))
    body = body.with_faces(head, rgb=(232.0, 232.0, 220.0), lamp=HEAD_LAMP)
    return body.with_faces(tail, rgb=(150.0, 22.0, 22.0), lamp=TAIL_LAMP)


def _without_sides(body: Body) -> Body:
    """The body without the left and right faces of the box added last, so that a tyre seen edge-on does not fill its wheel."""
    keep = np.ones(len(body.points), bool)
    keep[[-4, -2]] = False  # order of box faces: front, left, back, right, top
    kept: dict[str, Any] = {f.name: getattr(body, f.name)[keep] for f in fields(body)[1:]}
    return replace(body, **kept)


def pedestrian() -> Body:
    body = Body((0.6, 0.6, 1.75))
    dark = (40.0, 44.0, 58.0)
    for side in (1.0, -1.0):
        y = (0.02, 0.19) if side > 0 else (-0.19, -0.02)
        leg = box_faces((-0.1, 0.1), y, (0.0, 0.86))
        lower = (padded(leg)[..., 2] < 0.4).astype(np.float32)
        body = body.with_faces(leg, rgb=dark, paint_share=0.12, swing=side * 0.34 * lower)
    for side in (1.0, -1.0):
        y = (0.22, 0.33) if side > 0 else (-0.33, -0.22)
        arm = box_faces((-0.07, 0.07), y, (0.75, 1.36))
        lower = (padded(arm)[..., 2] < 1.0).astype(np.float32)
        body = body.with_faces(arm, paint_share=0.8, swing=-side * 0.2 * lower)
    body = body.with_faces(box_faces((-0.13, 0.13), (-0.23, 0.23), (0.8, 1.45), top_inset_m=0.02), paint_share=1.0)
    body = with_head(body, 0.02, 1.6, 0.15, {"skin_share": 1.0})
    return body.with_faces(box_faces((-0.12, 0.08), (-0.12, 0.12), (1.64, 1.76)), rgb=(52.0, 40.0, 32.0))


def barrier() -> Body:
    body = Body((2.0, 0.5, 1.0)).with_box((-1.0, 1.0), (-0.2, 0.2), (0.0, 0.35), rgb=(150.0, 150.0, 150.0))
    body = body.with_box((-1.0, 1.0), (-0.06, 0.06), (0.35, 1.0), rgb=(236.0, 236.0, 232.0))
    for x in (-0.95, -0.35, 0.25):
        stripe = box_faces((x, x + 0.35), (-0.075, 0.075), (0.4, 0.96), sides=("left", "right"))
        body = body.with_faces(stripe, rgb=(206.0, 40.0, 34.0))
    return body.with_faces(box_faces((-1.01, 1.01), (-0.06, 0.06), (0.55, 0.9), sides=("front", "back")), rgb=(206.0, 40.0, 34.0))


def cone() -> Body:
    body = Body((0.4, 0.4, 0.75)).with_box((-0.2, 0.2), (-0.2, 0.2), (0.0, 0.05), rgb=(60.0, 60.0, 60.0))
    orange, white = (240.0, 96.0, 28.0), (244.0, 244.0, 240.0)
    for low, high, rgb in ((0.05, 0.32, orange), (0.32, 0.5, white), (0.5, 0.75, orange)):
        wide, narrow = 0.16 * (1 - low / 0.85), 0.16 * (1 - high / 0.85)
        part = box_faces((-wide, wide), (-wide, wide), (low, high), top_x=(-narrow, narrow), top_inset_m=wide - narrow)
        body = body.with_faces(part, rgb=rgb)
    return body


def debris() -> Body:
    body = Body((0.8, 0.6, 0.4)).with_box((-0.4, 0.2), (-0.3, 0.22), (0.0, 0.28), rgb=(122.0, 92.0, 60.0))
    lump = box_faces((-0.1, 0.4), (-0.2, 0.3), (0.0, 0.4), top_x=(0.0, 0.3), top_inset_m=0.08)
    return body.with_faces(lump, rgb=(86.0, 68.0, 50.0))
