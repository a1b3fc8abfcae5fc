"""Tunnels: walls and ceiling in panels, lamps under the ceiling, and a front around each mouth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from drivewm.datatypes import Array, RoadMap, SemanticClass
from drivewm.geometry import rotate_xy
from drivewm.sim.raster.faces import CORNERS, Faces, padded

_PANEL_M = 5.0  # panels are sorted one by one, so they must be small
_LAMP_EVERY_M, _LAMP_LW_M = 10.0, (1.6, 0.35)
_FRONT_M = (5.0, 2.2)  # how far the front reaches beside and above the mouth
_WALL, _DADO, _CEILING, _FRONT, _LAMP = (118, 116, 112), (150, 146, 136), (84, 83, 82), (134, 130, 122), (255, 236, 190)
_DADO_M = 1.6


def tunnel_faces(road: RoadMap) -> Faces:
    """All faces in world coordinates; each panel is an object of its own."""
    points, rgb, glow = [], [], []
    for pose, size in zip(road.tunnel_xy_yaw, road.tunnel_size_lwh_m, strict=True):
        for quads, colour, shine in _parts(*size.tolist()):
            quads[..., :2] = rotate_xy(quads[..., :2], pose[2]) + pose[:2]
            quads[..., 2] += road.ground_z_m(quads[..., 0])
            points.append(quads)
            rgb.append(np.tile(np.array(colour, np.float32), (len(quads), 1)))
            glow.append(np.full(len(quads), shine, np.float32))
    if not points:
        return Faces.of(np.zeros((0, CORNERS, 3), np.float32), np.zeros((0, 3)), 0, np.zeros(0, np.int32))
    corners = padded(np.concatenate(points))
    return Faces.of(
        corners,
        np.concatenate(rgb),
        SemanticClass.BUILDING,
        np.arange(len(corners)),
        glow=np.concatenate(glow),
        two_sided=np.ones(len(corners), bool),
    )


def _parts(length: float, width: float, height: float) -> list[tuple[Array, tuple[int, int, int], float]]:
    """Quads [F, 4, 3] with colour and glow, in the frame of the tunnel."""
    cuts = np.linspace(-length / 2, length / 2, max(1, round(length / _PANEL_M)) + 1)
    across = np.linspace(-width / 2, width / 2, max(1, round(width / _PANEL_M)) + 1)
    spans = np.stack([cuts[:-1], cuts[1:]], 1)
    walls, dados = [], []
    for y in (-width / 2, width / 2):
        for a, b in spans:
            dados.append([[a, y, 0.0], [b, y, 0.0], [b, y, _DADO_M], [a, y, _DADO_M]])
            walls.append([[a, y, _DADO_M], [b, y, _DADO_M], [b, y, height], [a, y, height]])
    ceiling = [[[a, y, height], [b, y, height], [b, z, height], [a, z, height]] for a, b in spans for y, z in pairwise(across)]
    half, side = _LAMP_LW_M[0] / 2, _LAMP_LW_M[1] / 2
    below = height - 0.05
    lamps = [
        [[x - half, y - side, below], [x + half, y - side, below], [x + half, y + side, below], [x - half, y + side, below]]
        for x in np.arange(-length / 2 + _LAMP_EVERY_M / 2, length / 2, _LAMP_EVERY_M)
        for y in (-width / 5, width / 5)
    ]
    beside, above = _FRONT_M
    top = height + above
    front = []
    for x in (-length / 2, length / 2):
        front.append([[x, -width / 2, height], [x, width / 2, height], [x, width / 2, top], [x, -width / 2, top]])
        for y, z in ((-width / 2 - beside, -width / 2), (width / 2, width / 2 + beside)):
            front.append([[x, y, 0.0], [x, z, 0.0], [x, z, top], [x, y, top]])
    groups = ((dados, _DADO, 0.06), (walls, _WALL, 0.06), (ceiling, _CEILING, 0.04), (lamps, _LAMP, 1.0), (front, _FRONT, 0.0))
    return [(np.array(quads, np.float64), colour, shine) for quads, colour, shine in groups if quads]
