"""Who is in sight: bodies, buildings and the top of a hill hide what stands behind them, haze and darkness what is far away."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Agents, Array, Conditions, RoadMap, Scene, WorldState
from drivewm.geometry import box_corners_xy, ego_from_world, hidden_by_ground, world_from_ego
from drivewm.policies.reference.published import EYE_HEIGHT_M, lamp_range_m, visual_range_m
from drivewm.sim.raster.light import illumination

EYE_M = np.array([1.3, 0.37])  # driver's eyes ahead of the rear axle and left of the middle, left-hand drive
LEAST_POINTS = 2  # of the five points of a body that must be in sight for the body to be seen
_HIDES_FROM_M = 0.05  # bodies that come within this of the eye or of the point looked at hide nothing


def in_sight(scene: Scene, state: WorldState) -> Array:
    """Which agents [N] the driver of one car sees now; ``state`` has no leading axes.

    Haze is that of the reference world at this moment, so that fog hides from this driver what it hides from its cameras.
    """
    agents, conditions = state.agents, scene.conditions_at(float(state.t_s))
    eye = world_from_ego(EYE_M, state.ego_xy_yaw_world)
    points, of = _points(agents)
    clear = _unhidden(scene.road, agents, eye, points, of)
    far = np.hypot(*(points[..., :2] - eye).T).T
    seen = clear & (far < sight_range_m(conditions, agents.category)[:, None])
    return np.asarray(agents.valid & (seen.sum(-1) >= LEAST_POINTS))


def sight_range_m(conditions: Conditions, category: Array) -> Array:
    """How far agents of these categories [N] are seen on a free line of sight."""
    return np.minimum(visual_range_m(illumination(conditions).haze_m), lamp_range_m(conditions, category))


def _points(agents: Agents) -> tuple[Array, Array]:
    """Five points at the top of each body [N, 5, 3], above the ground there, and whose they are [N, 5]."""
    corners = box_corners_xy(agents.xy_yaw_world, 0.9 * agents.size_lwh_m[:, :2])
    flat = np.concatenate([agents.xy_yaw_world[:, None, :2], corners], 1)
    top = np.broadcast_to(agents.size_lwh_m[:, None, 2:], (*flat.shape[:2], 1))
    return np.concatenate([flat, top], -1), np.broadcast_to(np.arange(len(flat))[:, None], flat.shape[:2])


def _unhidden(road: RoadMap, agents: Agents, eye_xy: Array, points: Array, of: Array) -> Array:
    """Whether each point [N, P, 3] can be seen over and between all bodies and buildings, and over the ground."""
    pose = np.concatenate([agents.xy_yaw_world, road.building_xy_yaw])
    size = np.concatenate([agents.size_lwh_m, road.building_size_lwh_m])
    hides = np.concatenate([agents.valid, np.ones(len(road.building_xy_yaw), bool)])
    reach = np.hypot(*(points[..., :2] - eye_xy).T).max(initial=0.0)
    hides &= np.hypot(*(pose[:, :2] - eye_xy).T) < reach + 0.5 * np.hypot(size[:, 0], size[:, 1])
    which = np.flatnonzero(hides)
    enter, leave = _crossings(eye_xy, points[..., None, :2], pose[which], size[which])
    eye_z = EYE_HEIGHT_M + float(road.ground_z_m(eye_xy[0]))
    point_z = points[..., 2] + road.ground_z_m(points[..., 0])
    line_z = eye_z + np.stack([enter, leave]) * (point_z - eye_z)[..., None]
    top_z = size[which, 2] + road.ground_z_m(pose[which, 0])
    blocked = (enter < leave) & (top_z > line_z.min(0)) & (which != of[..., None])
    clear = ~blocked.any(-1)
    if len(road.height_xz_m):
        seen = np.concatenate([points[..., :2], point_z[..., None]], -1)
        clear &= ~hidden_by_ground(road.height_xz_m, np.append(eye_xy, eye_z), seen)
    return np.asarray(clear)


def _crossings(eye_xy: Array, point_xy: Array, pose: Array, size: Array) -> tuple[Array, Array]:
    """Shares of the lines from the eye to points [..., 1, 2] at which they enter and leave boxes [M]; enter > leave if never."""
    start, end = ego_from_world(eye_xy, pose), ego_from_world(point_xy, pose)
    step, half = end - start, 0.5 * size[:, :2]
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    a, b = (-half - start) / step, (half - start) / step
    enter, leave = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    margin = _HIDES_FROM_M / np.maximum(np.hypot(step[..., 0], step[..., 1]), _HIDES_FROM_M)
    return np.clip(enter, margin, 1 - margin), np.clip(leave, margin, 1 - margin)
