"""Photographs a driven scene with the raster world and notes how much of every agent the cameras saw."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from drivewm.data.drives import Drive
from drivewm.data.driving import Driven
from drivewm.data.tables import image_path
from drivewm.datatypes import Agents, Array, CameraRig
from drivewm.geometry import box_corners_xy, ego_from_world, upright_corners
from drivewm.sim.raster import render

JPEG_QUALITY = 95
# Full colour resolution: at 64 x 96 pixels a car may be three pixels wide, and halved chroma would wash its paint away.
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_NEAREST_M = 0.3


def film(root: Path, name: str, split: str, driven: Driven, rig: CameraRig) -> Drive:
    """Writes the images of a drive below ``root`` and gives its record."""
    scene = driven.drive.scene
    frame_every = round(1.0 / (rig.rate_hz * scene.dt_s))
    steps = range(0, len(driven.states.t_s), frame_every)
    steps = steps[: len(steps) - 1 + len(steps) % 2]  # the last frame is a key frame, so that no box has to be guessed
    shares = []
    for frame, step in enumerate(steps):
        state = driven.states[step]
        picture = render(scene.road, state, scene.conditions_at(float(state.t_s)), rig, scene.seed)
        for view, camera in enumerate(rig.names):
            path = root / image_path(name, camera, frame, rig.rate_hz, key=frame % 2 == 0)
            path.write_bytes(encode_jpeg(picture.images[view]))
        shares.append(seen_share(state.agents, state.ego_xy_yaw_world, rig, picture.instance))
    return Drive(
        name=name,
        split=split,
        manner=driven.drive.manner.kind,
        scene=scene,
        states=driven.states,
        actions=driven.actions,
        frame_every=frame_every,
        seen_share=np.stack(shares).astype(np.float32),
        rig=rig,
        ended=driven.ended,
    )


def encode_jpeg(image: Array) -> bytes:
    """An RGB image [H, W, 3] as JPEG."""
    good, data = cv2.imencode(".jpg", image[..., ::-1], _JPEG)
    if not good:
        raise RuntimeError("the JPEG encoder failed")
    return data.tobytes()


def seen_share(agents: Agents, ego_xy_yaw: Array, rig: CameraRig, instance: Array) -> Array:
    """Share [N] of each agent's outline (its box's convex hull, summed over cameras) that shows it; 0 where no camera looks."""
    count, (height, width) = len(agents.valid), rig.size_px
    seen, hull = np.zeros(count), np.zeros(count)
    if not count:
        return seen
    ids, pixels = np.unique(instance, return_counts=True)
    for i in range(count):
        at = np.searchsorted(ids, agents.track_id[i])
        seen[i] = pixels[at] if at < len(ids) and ids[at] == agents.track_id[i] else 0
    ground = ego_from_world(box_corners_xy(agents.xy_yaw_world, agents.size_lwh_m[:, :2]), ego_xy_yaw)
    corners = upright_corners(ground, agents.size_lwh_m[:, 2])
    for view in range(len(rig.names)):
        pose = rig.ego_from_camera[view]
        points = (corners - pose[:3, 3]) @ pose[:3, :3]
        image = points @ rig.intrinsics[view].T
        for i in np.flatnonzero((points[..., 2] > _NEAREST_M).all(1) & agents.valid & (seen > 0)):
            outline = cv2.convexHull((image[i, :, :2] / image[i, :, 2:]).astype(np.float32))
            frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
            hull[i] += cv2.intersectConvexConvex(outline, frame)[0]
    # A box fills its hull by about four fifths (cars are round, people thin); a box that surrounds a camera counts as seen.
    share = np.where(hull > 0, seen / np.maximum(0.8 * hull, 1.0), seen > 0)
    return np.clip(share, 0.0, 1.0)
