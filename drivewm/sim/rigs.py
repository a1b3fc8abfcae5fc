"""Camera rigs. A rig is data: another car is another function here or another file of the user's."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, CameraRig

# nuScenes cameras as published with the data set: focal length and principal point (px at 1600 x 900), position in the ego
# frame (m) and heading (degrees); rounded to whole pixels, centimetres and degrees, pitch and roll (below 1 degree) left out.
_NUSCENES = {
    "CAM_FRONT_LEFT": (1273, 827, 480, (1.52, 0.49, 1.51), 55.0),
    "CAM_FRONT": (1266, 816, 491, (1.70, 0.02, 1.51), 0.0),
    "CAM_FRONT_RIGHT": (1261, 808, 495, (1.55, -0.49, 1.50), -56.0),
    "CAM_BACK_LEFT": (1257, 792, 493, (1.04, 0.48, 1.59), 109.0),
    "CAM_BACK": (809, 829, 482, (0.03, 0.00, 1.58), 180.0),
    "CAM_BACK_RIGHT": (1260, 807, 501, (1.02, -0.48, 1.56), -111.0),
}


def level_camera(xyz_ego_m: tuple[float, float, float], yaw_deg: float) -> Array:
    """``ego_from_camera`` [4, 4] of a camera that looks horizontally along ``yaw_deg`` (0 is ahead, 90 is left)."""
    yaw = np.radians(yaw_deg)
    pose = np.eye(4)
    pose[:3, 0] = np.sin(yaw), -np.cos(yaw), 0.0
    pose[:3, 1] = 0.0, 0.0, -1.0
    pose[:3, 2] = np.cos(yaw), np.sin(yaw), 0.0
    pose[:3, 3] = xyz_ego_m
    return pose


def nuscenes_rig(height: int = 64, width: int = 96, rate_hz: float = 5.0) -> CameraRig:
    """The six cameras of the nuScenes car on a raster of ``height`` x ``width`` pixels."""
    intrinsics = np.stack([np.array([[f, 0.0, cx], [0.0, f, cy], [0.0, 0.0, 1.0]]) for f, cx, cy, _, _ in _NUSCENES.values()])
    poses = np.stack([level_camera(xyz, yaw) for _, _, _, xyz, yaw in _NUSCENES.values()])
    return CameraRig(tuple(_NUSCENES), intrinsics, poses, (900, 1600), rate_hz).resized(height, width)
