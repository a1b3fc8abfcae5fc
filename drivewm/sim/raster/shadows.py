"""Shadows on the ground: what the sun casts, and the dark patch right under a body that every light leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array, RoadMap, WorldState
from drivewm.geometry import box_corners_xy, ego_from_world, relative_xy_yaw
from drivewm.sim.raster.agents import footprints
from drivewm.sim.raster.light import Illumination

_AGENT_RANGE_M, _STILL_RANGE_M = 60.0, 75.0
_UNDER = 0.42  # light taken under a body
_LONGEST = 2.0  # shadow length per height


@dataclass(frozen=True, slots=True)
class Shadows:
    """Convex quads on the ground in painting order; a later one replaces an earlier one where they meet."""

    quads_ego: Array  # float32 [S, 4, 2]
    darkness: list[float]  # [S], share of light taken


def shadows_of(road: RoadMap, state: WorldState, light: Illumination, sun_ego: Array) -> Shadows:
    """Shadows near the ego."""
    boxes, height = footprints(state, _AGENT_RANGE_M)
    under = box_corners_xy(boxes[:, :3], boxes[:, 3:] * np.array([1.0, 1.04]))
    cast: list[Array] = []
    if light.shadow > 0.0:
        drift = -sun_ego[:2] / max(float(sun_ego[2]), float(np.hypot(sun_ego[0], sun_ego[1])) / _LONGEST)
        cast = [_swept(under, height, drift)]
        ego = state.ego_xy_yaw_world
        near = np.hypot(*(road.building_xy_yaw[:, :2] - ego[:2]).T) < _STILL_RANGE_M
        houses = box_corners_xy(relative_xy_yaw(road.building_xy_yaw[near], ego), road.building_size_lwh_m[near, :2])
        cast.append(_swept(houses, road.building_size_lwh_m[near, 2], drift))
        cast.append(_crowns(road, ego, drift))
    quads = np.concatenate([*cast, under]).astype(np.float32)
    return Shadows(quads, [light.shadow] * (len(quads) - len(under)) + [_UNDER] * len(under))


def _swept(corners: Array, height_m: Array, drift: Array) -> Array:
    """What footprints [n, 4, 2] cover while they drift to where their tops fall: four sides and the far end, [5 n, 4, 2]."""
    far = corners + height_m[:, None, None] * drift
    sides = [np.stack([corners[:, i], corners[:, (i + 1) % 4], far[:, (i + 1) % 4], far[:, i]], 1) for i in range(4)]
    return np.concatenate([*sides, far])


def _crowns(road: RoadMap, ego_xy_yaw_world: Array, drift: Array) -> Array:
    """Shadows of tree crowns as two crossed rectangles each, and of trunks."""
    trees = road.tree_xy_height
    trees = trees[np.hypot(*(trees[:, :2] - ego_xy_yaw_world[:2]).T) < _STILL_RANGE_M]
    if not len(trees):
        return np.zeros((0, 4, 2))
    foot, height = ego_from_world(trees[:, :2], ego_xy_yaw_world), trees[:, 2:]
    middle, yaw = foot + 0.66 * height * drift, np.arctan2(drift[1], drift[0])
    long = 0.3 * height * (1.0 + 0.6 * float(np.hypot(*drift)))
    parts = []
    for share_long, share_wide in ((2.0, 1.1), (1.4, 1.7)):
        pose = np.concatenate([middle, np.full((len(foot), 1), yaw)], 1)
        parts.append(box_corners_xy(pose, np.concatenate([long * share_long, 0.28 * height * share_wide], 1)))
    trunk = np.concatenate([(foot + middle) / 2, np.full((len(foot), 1), yaw)], 1)
    size = np.concatenate([0.66 * height * float(np.hypot(*drift)), 0.06 * height], 1)
    return np.concatenate([*parts, box_corners_xy(trunk, size)])
