"""Detail that is computed where a sample falls instead of being painted: ground grain, windows, shadows, head-lamp light."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from drivewm.datatypes import Array
from drivewm.sim.raster.clipping import SHIFT, corners
from drivewm.sim.raster.ground import flat_quads
from drivewm.sim.raster.optics import Optics
from drivewm.sim.raster.shadows import Shadows

_TILE = 512
_PLAN, _PLAN_M = 1024, 76.8  # cells and half side of the plan of shadows around the ego
_CELLS_PER_M = np.float32(8.0)
_GRAIN = np.array([0.0, 0.30, 0.10, 0.10, 0.10, 0.08, 0.08, 0.10], np.float32)  # how much the grain of each surface shows
_WINDOW_M = 3.0  # distance between windows, and height of a floor
LIT_WINDOW_RGB = np.array([250.0, 206.0, 120.0], np.float32)


@cache
def _noise() -> Array:
    """A tile of smooth noise float32 [_TILE * _TILE] in -1..1 that repeats without a seam."""
    rng = np.random.default_rng(20)
    total = np.zeros((_TILE, _TILE), np.float32)
    for cells, weight in ((16, 0.8), (64, 0.8), (128, 1.0)):
        grid = rng.uniform(-1.0, 1.0, (cells, cells)).astype(np.float32)
        wrapped = np.pad(grid, ((1, 1), (1, 1)), mode="wrap")
        step = _TILE // cells
        large = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        total += weight * large[step : step + _TILE, step : step + _TILE]
    return np.asarray((total / np.abs(total).max()).reshape(-1), np.float32)


def ground_grain(surface: Array, at: Array, optics: Optics, ego_xy_yaw_world: Array) -> Array:
    """Gain about 1 [n] from the grain of the ground ``surface`` [n] at flat sample indices [n]; it fades with distance."""
    x, y, yaw = ego_xy_yaw_world
    cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    gx, gy = optics.ground_x_ego.take(at), optics.ground_y_ego.take(at)
    cell_x = (cos * gx - sin * gy + np.float32(x)) * _CELLS_PER_M
    cell_y = (sin * gx + cos * gy + np.float32(y)) * _CELLS_PER_M
    index = (np.floor(cell_x).astype(np.intp) & (_TILE - 1)) * _TILE + (np.floor(cell_y).astype(np.intp) & (_TILE - 1))
    fade = np.minimum(np.float32(14.0) / optics.ground_depth_m.reshape(-1).take(at), np.float32(1.0))
    return np.asarray(np.float32(1.0) + _noise().take(index) * fade * _GRAIN.take(surface))


def shade_ground(gain: Array, on_ground: Array, shadows: Shadows, optics: Optics) -> None:
    """Darken ``gain`` [V * H * W] where ``on_ground`` [V * H * W] is True and a shadow falls."""
    height, width = optics.size
    for view in range(len(optics.position)):
        quads = flat_quads(shadows.quads_ego, optics, view)
        if not quads:
            continue
        mask = np.zeros((height, width), np.float32)
        for polygon, i in quads:
            cv2.fillConvexPoly(mask, polygon, shadows.darkness[i], 8, SHIFT)
        part = slice(view * height * width, (view + 1) * height * width)
        gain[part] *= 1.0 - cv2.blur(mask, (3, 3)).reshape(-1) * on_ground[part]


def shade_relief(gain: Array, on_ground: Array, shadows: Shadows, optics: Optics) -> None:
    """The same where the ground is not level: shadows are drawn in plan and looked up where samples meet the ground."""
    plan = np.zeros((_PLAN, _PLAN), np.uint8)
    polygons = corners((shadows.quads_ego + _PLAN_M) * (_PLAN / (2 * _PLAN_M)) - 0.5)
    for polygon, darkness in zip(polygons, shadows.darkness, strict=True):
        cv2.fillConvexPoly(plan, polygon, round(255 * darkness), 8, SHIFT)
    plan = cv2.blur(plan, (3, 3))
    per_m = np.float32(_PLAN / (2 * _PLAN_M))
    column, row = (along * per_m + np.float32(_PLAN / 2) for along in (optics.ground_x_ego, optics.ground_y_ego))
    inside = (np.minimum(column, row) >= 0) & (np.maximum(column, row) < _PLAN)
    at = np.flatnonzero(on_ground & optics.below_horizon.reshape(-1) & inside)
    gain[at] *= 1.0 - plan[row[at].astype(np.intp), column[at].astype(np.intp)] * np.float32(1.0 / 255.0)


def windows(position: Array, row: Array, points: Array, normal: Array, start_u_m: Array) -> tuple[Array, Array]:
    """Which samples on walls fall on glass, as their indices [m], and a hash of the window each falls on [m].

    ``position`` [3, n] in the ego frame; ``row`` [n] is the face of a sample; points [F, C, 3], normal [F, 3] and the distance
    of the first corner from the middle of its wall [F] describe the faces.
    """
    offset = start_u_m + points[:, 0, 0] * normal[:, 1] - points[:, 0, 1] * normal[:, 0]
    u = position[1] * normal[:, 0].take(row) - position[0] * normal[:, 1].take(row) + offset.take(row)
    foot = points[:, 0, 2]
    up_wall, top = position[2] - foot.take(row), points[:, 2, 2] - foot
    column, floor = np.floor(u * np.float32(1.0 / _WINDOW_M)), np.floor(up_wall * np.float32(1.0 / _WINDOW_M))
    du, dv = u - column * np.float32(_WINDOW_M), up_wall - floor * np.float32(_WINDOW_M)
    across, up = np.abs(du - np.float32(_WINDOW_M / 2)) < 0.75, np.abs(dv - np.float32(1.65)) < 0.75
    pane = np.flatnonzero(across & up & (up_wall < (top - np.float32(0.5)).take(row)))
    house = np.round(top * 16).astype(np.intp).take(row.take(pane))
    window = column.take(pane).astype(np.intp) * 73 + floor.take(pane).astype(np.intp) * 31
    return pane, window + house * 1009


def head_lamp_light(x: Array, y: Array, z: Array | float) -> Array:
    """Light of the ego's low beam at points in the ego frame; about 1 ten metres ahead on the ground."""
    ahead = x - np.float32(3.2)
    reach = np.maximum(ahead, np.float32(0.1))
    spread = y / (reach + np.float32(2.0))
    beam = np.exp(-np.square(spread / np.float32(0.42))) / (1.0 + np.square(reach / np.float32(20.0)))
    cut = np.clip(1.7 - np.maximum(z - 0.6, 0.0) / (0.6 + 0.03 * reach), 0.15, 1.0)
    return np.asarray(np.where(ahead > 0.0, beam * cut, 0.0), np.float32)
