"""Agents of a state as faces in the ego frame."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import ON_FOOT, STATIC_CLASSES, VULNERABLE, WHEELED_BODIES, AgentClass, Array, SemanticClass, WorldState
from drivewm.geometry import relative_xy_yaw
from drivewm.sim.raster.bodies import body_of, cuboid
from drivewm.sim.raster.faces import Faces
from drivewm.sim.raster.palette import PAINT_RGB, SKIN_RGB, mixed, paint_index
from drivewm.sim.raster.relief import Relief
from drivewm.sim.raster.shapes import AMBER_LAMP, BLUE_LAMP, HEAD_LAMP, TAIL_LAMP, Body

RANGE_M = 110.0
BRAKING_MPS2 = -1.0  # brake lights come on below
_SHADOW_SHARE = np.array([0.7 if c in VULNERABLE else 1.0 for c in AgentClass])  # of the box that a body fills
_BEACONS = ((BLUE_LAMP, (70.0, 130.0, 255.0)), (AMBER_LAMP, (255.0, 160.0, 30.0)))  # they shine day and night
_STEP_LENGTH_M = 1.5  # of a walking person, two steps
_LABELS = ((WHEELED_BODIES, SemanticClass.VEHICLE), (ON_FOOT, SemanticClass.PEDESTRIAN), (STATIC_CLASSES, SemanticClass.OBSTACLE))
LABEL_OF_CLASS = np.array(
    [next((label for group, label in _LABELS if c in group), SemanticClass.TWO_WHEELER) for c in AgentClass], np.uint8
)
_UPRIGHT = np.array([c in ON_FOOT for c in AgentClass])  # on a slope
_HAS_BRAKE_LAMPS = np.array([c not in ON_FOOT | {AgentClass.BICYCLE} for c in AgentClass])


def agent_faces(state: WorldState, relief: Relief | None, *, plain: bool, lights_on: bool = False) -> list[Faces]:
    """Faces of the valid agents near the ego, in the ego frame: detailed bodies, or one cuboid each when ``plain``.

    On a relief they stand at the height and on the slope of the ground, in the heights of the world.
    """
    agents = state.agents
    pose = relative_xy_yaw(agents.xy_yaw_world, state.ego_xy_yaw_world)
    shown = np.asarray(agents.valid, bool) & (np.hypot(pose[:, 0], pose[:, 1]) < RANGE_M)
    parts = []
    for category in np.unique(agents.category[shown]) if not plain else ([-1] if shown.any() else []):
        rows = np.flatnonzero(shown if plain else shown & (agents.category == category))
        body = cuboid() if plain else body_of(AgentClass(int(category)))
        parts.append(_placed(body, state, rows, pose[rows], relief, lights_on))
    return parts


def _placed(body: Body, state: WorldState, rows: Array, pose: Array, relief: Relief | None, lights_on: bool) -> Faces:
    """One body at the poses [n, 3] of the given agents."""
    agents = state.agents
    count, faces = len(rows), len(body.points)
    scale = (agents.size_lwh_m[rows] / np.array(body.size_lwh_m)).astype(np.float32)
    points = np.broadcast_to(body.points, (count, *body.points.shape)).copy()
    if body.swing.any():
        points[..., 0] += body.swing * _stride(state, rows)[:, None, None]
    points *= scale[:, None, None]
    cos, sin = np.cos(pose[:, 2]).astype(np.float32)[:, None, None], np.sin(pose[:, 2]).astype(np.float32)[:, None, None]
    if relief is not None:
        points = _pitched(points, state, rows, relief)
    x, y = points[..., 0], points[..., 1]
    placed = np.empty_like(points)
    placed[..., 0] = cos * x - sin * y + pose[:, 0, None, None].astype(np.float32)
    placed[..., 1] = sin * x + cos * y + pose[:, 1, None, None].astype(np.float32)
    placed[..., 2] = points[..., 2]
    paint = paint_index(agents.track_id[rows], agents.category[rows])
    rgb, glow = _looks(body, state, rows, paint, lights_on)
    parts = int(body.part.max()) + 1
    flat = placed.reshape(count * faces, *placed.shape[2:])
    group = (np.arange(count)[:, None] * parts + body.part).reshape(-1)
    return Faces.of(
        flat,
        rgb.reshape(-1, 3),
        np.repeat(LABEL_OF_CLASS[agents.category[rows]], faces),
        group,
        glow=glow.reshape(-1),
        two_sided=np.tile(body.two_sided, count),
        instance=np.repeat(agents.track_id[rows].astype(np.int32), parts),
        paint=np.repeat(paint, parts),
    )


def _pitched(points: Array, state: WorldState, rows: Array, relief: Relief) -> Array:
    """Points [n, F, C, 3] of bodies turned along the slope and lifted to the ground; people stay upright."""
    agents = state.agents
    pose = agents.xy_yaw_world[rows]
    pitch = relief.pitch_rad(pose, agents.size_lwh_m[rows, 0]) * ~_UPRIGHT[agents.category[rows]]
    cos, sin = (f(pitch).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    x, y, z = np.moveaxis(points, -1, 0)
    foot = relief.height_m(pose[:, 0]).astype(np.float32)[:, None, None]
    return np.stack([cos * x - sin * z, y, sin * x + cos * z + foot], -1)


def _stride(state: WorldState, rows: Array) -> Array:
    """Phase of the step in -1..1, from the distance walked along the heading; standing people stand."""
    x, y, yaw = state.agents.xy_yaw_world[rows].T
    walked = x * np.cos(yaw) + y * np.sin(yaw)
    return np.asarray(np.where(state.agents.speed_mps[rows] > 0.2, np.sin(2 * np.pi * walked / _STEP_LENGTH_M), 0.0), np.float32)


def _looks(body: Body, state: WorldState, rows: Array, paint: Array, lights_on: bool) -> tuple[Array, Array]:
    """Colour [n, F, 3] and glow [n, F] of every face."""
    agents = state.agents
    skin = SKIN_RGB[mixed(agents.track_id[rows], 1) % len(SKIN_RGB)]
    rgb = body.rgb + body.paint_share[:, None] * PAINT_RGB[paint].astype(np.float32)[:, None]
    rgb = np.minimum(rgb + body.skin_share[:, None] * skin[:, None], 255.0)
    glow = np.zeros(rgb.shape[:2], np.float32)
    head, tail = body.lamp == HEAD_LAMP, body.lamp == TAIL_LAMP
    braking = (agents.accel_mps2[rows] < BRAKING_MPS2) & _HAS_BRAKE_LAMPS[agents.category[rows]]
    if lights_on:
        rgb[:, head], glow[:, head] = (255.0, 250.0, 226.0), 1.0
        rgb[:, tail], glow[:, tail] = (190.0, 14.0, 14.0), 0.75
    for lamp, colour in _BEACONS:
        shines = body.lamp == lamp
        rgb[:, shines], glow[:, shines] = colour, 1.0
    lit = np.flatnonzero(braking)[:, None], np.flatnonzero(tail)
    rgb[lit], glow[lit] = (255.0, 36.0, 30.0), 1.0
    return rgb.astype(np.float32), glow


def footprints(state: WorldState, range_m: float) -> tuple[Array, Array]:
    """Boxes x, y, yaw, length, width [n, 5] in the ego frame and heights [n] of valid agents nearby, for shadows."""
    pose = relative_xy_yaw(state.agents.xy_yaw_world, state.ego_xy_yaw_world)
    shown = np.asarray(state.agents.valid, bool) & (np.hypot(pose[:, 0], pose[:, 1]) < range_m)
    size = state.agents.size_lwh_m[shown]
    slim = _SHADOW_SHARE[state.agents.category[shown]]
    return np.concatenate([pose[shown], size[:, :2] * slim[:, None]], 1), size[:, 2]
