"""A rig prepared for painting: per-camera matrices and per-pixel rays on the ground, computed once per rig."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, CameraRig
from drivewm.sim.raster.clipping import FAR_M
from drivewm.sim.raster.relief import Standpoint

_REMEMBERED = 8
_prepared: OrderedDict[tuple[int, int], tuple[CameraRig, Optics]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Optics:
    """V cameras on a raster of H x W samples; ``scale`` samples per pixel side."""

    camera_from_ego: Array  # float32 [V, 3, 3]
    position: Array  # float32 [V, 3], ego frame
    focal: Array  # float32 [V, 2], samples
    centre: Array  # float32 [V, 2], samples, of the principal point
    size: tuple[int, int]  # H, W in samples
    scale: int
    half_fov_rad: Array  # float32 [V], to the farther side edge
    heading_rad: Array  # float32 [V], of the optical axis in the ego frame
    ray_xy: Array  # float32 [V, H, W, 2], camera-frame x and y of the ray with z = 1
    ray_ego: Array  # float32 [V, H, W, 3], the same ray in the ego frame
    ray_planes: Array  # float32 [3, V * H * W], its components one by one
    ground_depth_m: Array  # float32 [V, H, W], along the optical axis, where the ray meets the ground; FAR_M above the horizon
    below_horizon: Array  # bool [V, H, W]
    ground_x_ego: Array  # float32 [V * H * W], where the ray meets the ground
    ground_y_ego: Array
    stretch: Array  # float32 [V, H, W], distance from the camera per depth
    standpoint: Standpoint | None = None  # where the ground is not level


def prepare(rig: CameraRig, scale: int) -> Optics:
    """The optics of a rig on ``scale`` x finer samples; remembered for the rigs used last."""
    entry = _prepared.get((id(rig), scale))
    if entry is None:
        entry = (rig, _compute(rig, scale))
        _prepared[id(rig), scale] = entry  # keeps the rig alive, so that its id stays its own
        if len(_prepared) > _REMEMBERED:
            _prepared.popitem(last=False)
    return entry[1]


def _compute(rig: CameraRig, scale: int) -> Optics:
    views = len(rig.names)
    height, width = rig.size_px[0] * scale, rig.size_px[1] * scale
    focal = np.stack([rig.intrinsics[:, 0, 0], rig.intrinsics[:, 1, 1]], 1) * scale
    centre = rig.intrinsics[:, :2, 2] * scale
    ego_from_camera = rig.ego_from_camera[:, :3, :3]
    position = rig.ego_from_camera[:, :3, 3]
    u, v = np.arange(width) + 0.5, np.arange(height) + 0.5
    ray_xy = np.empty((views, height, width, 2), np.float32)
    ray_xy[..., 0] = ((u - centre[:, :1]) / focal[:, :1])[:, None, :]
    ray_xy[..., 1] = ((v - centre[:, 1:]) / focal[:, 1:])[:, :, None]
    rays = np.concatenate([ray_xy, np.ones((views, height, width, 1), np.float32)], -1)
    ray_ego = np.einsum("vij,vhwj->vhwi", ego_from_camera, rays).astype(np.float32)
    below = ray_ego[..., 2] < -position[:, 2, None, None] / FAR_M
    depth = np.where(below, -position[:, 2, None, None] / np.where(below, ray_ego[..., 2], -1.0), FAR_M)
    ground = position[:, None, None, :2] + depth[..., None] * ray_ego[..., :2]
    edge = np.maximum(centre[:, 0], width - centre[:, 0]) / focal[:, 0]
    axis = ego_from_camera[:, :, 2]
    return Optics(
        np.ascontiguousarray(ego_from_camera.transpose(0, 2, 1), np.float32), position.astype(np.float32),
        focal.astype(np.float32), centre.astype(np.float32), (height, width), scale, np.arctan(edge).astype(np.float32),
        np.arctan2(axis[:, 1], axis[:, 0]).astype(np.float32), ray_xy, ray_ego,
        np.ascontiguousarray(ray_ego.reshape(-1, 3).T), depth.astype(np.float32), below,
        ground[..., 0].astype(np.float32).reshape(-1), ground[..., 1].astype(np.float32).reshape(-1),
        np.linalg.norm(rays, axis=-1).astype(np.float32),
    )  # fmt: skip


def standing(optics: Optics, standpoint: Standpoint) -> Optics:
    """The optics of a rig on level ground, as they are where the ego stands."""
    cos, sin = np.cos(standpoint.pitch_rad), np.sin(standpoint.pitch_rad)
    level_from_body = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    position = (optics.position @ level_from_body.T).astype(np.float32)
    camera_from_ego = (optics.camera_from_ego @ level_from_body.T).astype(np.float32)
    planes = level_from_body.astype(np.float32) @ optics.ray_planes
    views, (height, width) = len(position), optics.size
    cos_yaw, sin_yaw = (np.float32(f(standpoint.ego_xy_yaw_world[2])) for f in (np.cos, np.sin))
    ray_x = (cos_yaw * planes[0] - sin_yaw * planes[1]).reshape(views, -1)
    ray_z = planes[2].reshape(views, -1)
    depth = np.stack([standpoint.eye(at).depth(*ray) for at, *ray in zip(position, ray_x, ray_z, strict=True)])
    ground_x, ground_y = (position[:, i, None] + depth * planes[i].reshape(views, -1) for i in range(2))
    return replace(
        optics,
        camera_from_ego=camera_from_ego,
        position=position,
        heading_rad=np.arctan2(camera_from_ego[:, 2, 1], camera_from_ego[:, 2, 0]),
        ray_ego=planes.T.reshape(views, height, width, 3),
        ray_planes=planes,
        ground_depth_m=depth.reshape(views, height, width),
        below_horizon=(depth < FAR_M).reshape(views, height, width),
        ground_x_ego=ground_x.reshape(-1),
        ground_y_ego=ground_y.reshape(-1),
        standpoint=standpoint,
    )
