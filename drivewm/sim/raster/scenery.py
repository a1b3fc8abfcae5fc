"""What stands still: buildings as faces in the world frame, trees as flat faces turned towards the viewer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from drivewm.datatypes import Array, RoadMap, SemanticClass
from drivewm.geometry import box_corners_xy, ego_from_world, rotate_xy
from drivewm.sim.raster.faces import CORNERS, Faces, Texture, padded
from drivewm.sim.raster.palette import CROWN_RGB, ROOF_RGB, TRUNK_RGB, WALL_RGB, mixed

RANGE_M = 120.0
VIEWPOINT_EGO = np.array([1.0, 0.0])  # the middle of the cameras, to which flat trees turn
_PANEL_M = 7.0  # walls are cut into panels, each sorted by its own distance
_GABLED_BELOW_M = 9.0  # lower houses have pitched roofs


def building_faces(road: RoadMap) -> Faces:
    """Walls in panels, and roofs, of all buildings, in world coordinates; cast once per place."""
    points, rgb, texture, start = [], [], [], []
    for pose, size in zip(road.building_xy_yaw, road.building_size_lwh_m, strict=True):
        seed = int(mixed(np.round(pose[0] * 8).astype(np.int64) * 7919 + np.round(pose[1] * 8).astype(np.int64)))
        wall, roof = WALL_RGB[seed % len(WALL_RGB)], ROOF_RGB[(seed >> 8) % len(ROOF_RGB)]
        foot = road.ground_z_m(box_corners_xy(pose, size[:2])[:, 0]).min()  # houses stay upright, partly in the slope
        gabled = size[2] < _GABLED_BELOW_M
        eaves = size[2] * 0.62 if gabled else size[2]
        parts = [(_panels(size[:2], eaves), wall, Texture.WINDOWS)]
        if gabled:
            parts += [
                (_gables(size[:2], eaves, size[2]), wall, Texture.PLAIN),
                (_roof(size[:2], eaves, size[2]), roof, Texture.PLAIN),
            ]
        for quads, colour, kind in parts:
            along = _along_wall(quads)
            quads[..., :2] = rotate_xy(quads[..., :2], pose[2]) + pose[:2]
            quads[..., 2] += foot
            points.append(quads)
            rgb.append(np.broadcast_to(colour, (len(quads), 3)))
            texture.append(np.full(len(quads), int(kind), np.uint8))
            start.append(along)
    if not points:
        return no_faces()
    corners = padded(np.concatenate(points))
    return Faces.of(
        corners,
        np.concatenate(rgb),
        SemanticClass.BUILDING,
        np.arange(len(corners)),  # each panel is an object of its own
        texture=np.concatenate(texture),
        texture_u_m=np.concatenate(start),
    )


def _along_wall(quads: Array) -> Array:
    """Position of the first corner along its wall as seen from outside, from the middle of the building [F]."""
    edge = quads[:, 1, :2] - quads[:, 0, :2]
    edge = edge / np.maximum(np.hypot(edge[:, 0], edge[:, 1]), 1e-6)[:, None]
    return np.asarray((quads[:, 0, :2] * edge).sum(1), np.float32)


def no_faces() -> Faces:
    return Faces.of(np.zeros((0, CORNERS, 3), np.float32), np.zeros((0, 3)), 0, np.zeros(0, np.int32))


def _cuts(length_m: float) -> Array:
    return np.linspace(-length_m / 2, length_m / 2, max(1, round(length_m / _PANEL_M)) + 1)


def _panels(size_lw_m: Array, height_m: float) -> Array:
    """Quads [F, 4, 3] around a box."""
    length, width = size_lw_m
    quads = []
    for total, depth, turn in ((length, width, 0), (width, length, 1), (length, width, 2), (width, length, 3)):
        cuts = _cuts(total)
        for a, b in pairwise(cuts):
            quad = np.array([[b, depth / 2, 0], [a, depth / 2, 0], [a, depth / 2, height_m], [b, depth / 2, height_m]])
            quad[:, :2] = rotate_xy(quad[:, :2], turn * np.pi / 2)
            quads.append(quad)
    return np.array(quads)


def _gables(size_lw_m: Array, eaves_m: float, ridge_m: float) -> Array:
    length, width = size_lw_m
    half, side = length / 2, width / 2
    front = [[half, -side, eaves_m], [half, side, eaves_m], [half, 0.0, ridge_m], [half, 0.0, ridge_m]]
    back = [[-half, side, eaves_m], [-half, -side, eaves_m], [-half, 0.0, ridge_m], [-half, 0.0, ridge_m]]
    return np.array([front, back])


def _roof(size_lw_m: Array, eaves_m: float, ridge_m: float) -> Array:
    length, width = size_lw_m
    quads = []
    for a, b in pairwise(_cuts(length)):
        side = width / 2 + 0.4
        quads.append([[b, side, eaves_m - 0.2], [a, side, eaves_m - 0.2], [a, 0.0, ridge_m], [b, 0.0, ridge_m]])
        quads.append([[a, -side, eaves_m - 0.2], [b, -side, eaves_m - 0.2], [b, 0.0, ridge_m], [a, 0.0, ridge_m]])
    return np.array(quads)


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees of a place: position and height [M, 3] and looks drawn from the position."""

    xy_height: Array
    foot_m: Array  # [M], height of the ground
    crown_rgb: Array  # float32 [M, 3]
    conifer: Array  # bool [M]


def trees_of(road: RoadMap) -> Trees:
    trees = np.asarray(road.tree_xy_height, np.float64)
    seed = mixed(np.round(trees[:, 0] * 8).astype(np.int64) * 7919 + np.round(trees[:, 1] * 8).astype(np.int64), 3)
    conifer = (trees[:, 2] > 7.0) & ((seed >> 8) % 3 == 0)
    return Trees(trees, road.ground_z_m(trees[:, 0]), CROWN_RGB[seed % len(CROWN_RGB)], conifer)


def tree_faces(trees: Trees, ego_xy_yaw_world: Array) -> Faces:
    """Trunk and crown of every tree nearby, flat and turned to the viewer; the sunlit side of the crown is lighter."""
    near = np.hypot(*(trees.xy_height[:, :2] - ego_xy_yaw_world[:2]).T) < RANGE_M
    if not near.any():
        return no_faces()
    xy = ego_from_world(trees.xy_height[near, :2], ego_xy_yaw_world)
    height, foot = trees.xy_height[near, 2], trees.foot_m[near]
    across = _across(xy)
    count = len(xy)
    trunk = _upright(xy, across, np.array([[-0.03, 0.0], [0.03, 0.0], [0.025, 0.5], [-0.025, 0.5]]), height, foot)
    conifer = trees.conifer[near][:, None, None]
    points, rgb = [trunk], [np.broadcast_to(TRUNK_RGB, (count, 3))]
    for lobe, layer, light in zip(_LOBES, _LAYERS, _LOBE_LIGHT, strict=True):
        points.append(_upright(xy, across, np.where(conifer, layer, lobe), height, foot))
        rgb.append(np.minimum(trees.crown_rgb[near] * light + (light > 1.0) * 5.0, 255.0))
    return Faces.of(
        np.concatenate(points),
        np.concatenate(rgb),
        SemanticClass.TREE,
        np.tile(np.arange(count), len(points)),
        two_sided=np.ones(len(points) * count, bool),
    )


def _oval(right: float, up: float, half_width: float, half_height: float) -> Array:
    angle = np.arange(CORNERS) * (2 * np.pi / CORNERS) + np.pi / 8
    return np.stack([right + half_width * np.cos(angle), up + half_height * np.sin(angle)], 1)


def _skirt(low: float, high: float, half_width: float) -> Array:
    corners = np.array([[-half_width, low], [half_width, low], [0.02, high], [-0.02, high]])
    return np.concatenate([corners, np.repeat(corners[-1:], CORNERS - 4, axis=0)])


# Outlines (right, up) in heights: round crowns are lobes from the shade up to the light, conifers are skirts from low to high.
_LOBES = (
    _oval(-0.15, 0.58, 0.19, 0.20), _oval(0.15, 0.58, 0.19, 0.20), _oval(0.0, 0.72, 0.24, 0.27),
    _oval(0.09, 0.70, 0.14, 0.14), _oval(-0.04, 0.84, 0.14, 0.12),
)  # fmt: skip
_LAYERS = (
    _skirt(0.14, 0.62, 0.27),
    _skirt(0.14, 0.62, 0.25),
    _skirt(0.36, 0.82, 0.21),
    _skirt(0.58, 1.0, 0.15),
    _skirt(0.72, 1.0, 0.10),
)
_LOBE_LIGHT = (0.76, 0.82, 0.90, 1.04, 1.10)


def _across(xy_ego: Array) -> Array:
    """Unit vectors [n, 2] to the right as seen from the viewpoint."""
    gaze = xy_ego - VIEWPOINT_EGO
    gaze = gaze / np.maximum(np.hypot(gaze[:, 0], gaze[:, 1]), 1e-6)[:, None]
    return np.stack([gaze[:, 1], -gaze[:, 0]], 1)


def _upright(xy: Array, across: Array, outline: Array, height_m: Array, foot_m: Array) -> Array:
    """Outlines (right, up) [C, 2] or [n, C, 2] in heights, as faces [n, CORNERS, 3] standing at ``xy`` [n, 2], ``foot_m`` [n]."""
    outline = np.broadcast_to(outline, (len(xy), *outline.shape[-2:])) * height_m[:, None, None]
    ground = xy[:, None] + outline[..., :1] * across[:, None]
    return padded(np.concatenate([ground, outline[..., 1:] + foot_m[:, None, None]], -1).astype(np.float32))
