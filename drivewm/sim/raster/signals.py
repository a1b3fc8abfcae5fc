"""Traffic lights: a pole and a head beside the stop line, with three lamps of which one is lit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, RoadMap, SemanticClass, WorldState
from drivewm.geometry import rotate_xy
from drivewm.sim.raster.faces import CORNERS, Faces, padded
from drivewm.sim.raster.palette import HOUSING_RGB, LAMP_RGB, POLE_RGB
from drivewm.sim.raster.shapes import box_faces

_DARK = 0.2  # brightness of a lamp that is off
_POLE, _HEAD = -2, -1  # in place of a lamp number


@dataclass(frozen=True, slots=True)
class Signals:
    """The lights of a place in the world frame, as if switched off."""

    faces: Faces
    signal: Array  # int64 [F], row of RoadMap.signals
    lamp: Array  # int64 [F], SignalState of a lamp, or _POLE or _HEAD


def signals_of(road: RoadMap) -> Signals | None:
    """The lights of a place, or None where there are none."""
    parts, signal, lamp = [], [], []
    shapes = [
        (_POLE, box_faces((-0.08, 0.08), (-0.08, 0.08), (0.0, 2.5))),
        (_HEAD, box_faces((-0.2, 0.2), (-0.36, 0.36), (2.4, 4.2))),
    ]
    shapes += [(j, _lamp(3.9 - 0.6 * j)) for j in range(3)]
    for i, light in enumerate(road.signals):
        for number, quads in shapes:
            quads = padded(quads).astype(np.float64)
            quads[..., :2] = rotate_xy(quads[..., :2], light.xy_yaw_world[2] + np.pi) + light.xy_yaw_world[:2]
            quads[..., 2] += road.ground_z_m(light.xy_yaw_world[0])
            parts.append(quads)
            signal += [i] * len(quads)
            lamp += [number] * len(quads)
    if not parts:
        return None
    rows, lamps = np.array(signal), np.array(lamp)
    own = np.stack([POLE_RGB, HOUSING_RGB, *(LAMP_RGB * _DARK)])[lamps + 2]
    return Signals(Faces.of(np.concatenate(parts), own, SemanticClass.POLE, rows), rows, lamps)


def _lamp(z: float) -> Array:
    angle = np.arange(CORNERS) * (2 * np.pi / CORNERS) + np.pi / 8
    return np.asarray(np.stack([np.full(CORNERS, 0.22), 0.27 * np.cos(angle), z + 0.27 * np.sin(angle)], 1)[None], np.float32)


def signal_faces(signals: Signals, state: WorldState, *, plain: bool) -> Faces:
    """The lights as they are now, in the ego frame. ``plain`` colours the whole head and leaves the lamps out."""
    now = np.asarray(state.signal, np.int64)[signals.signal]
    lit = signals.lamp == (_HEAD if plain else now)
    faces = signals.faces.moved_to(state.ego_xy_yaw_world)
    faces = replace(
        faces,
        rgb=np.where(lit[:, None], LAMP_RGB[now], faces.rgb),
        label=np.where(lit, SemanticClass.SIGNAL_RED + now, faces.label).astype(np.uint8),
        glow=lit.astype(np.float32),
    )
    if not plain:
        return faces
    kept = signals.lamp < 0
    per_face = ("points", "rgb", "label", "glow", "texture", "texture_u_m", "two_sided", "group")
    return replace(faces, **{name: getattr(faces, name)[kept] for name in per_face})
