"""Does a data set's geometry hold on its own pixels? Boxes, LiDAR, map and images of one key frame against one another.

What the reader makes of the tables is compared with the devkit's own projection, and LiDAR with the images: what reflects the
laser also looks brighter or darker, so how much the one tells of the other is largest where both show the same place (Pandey et
al., "Automatic targetless extrinsic calibration of a 3D lidar and camera by maximizing mutual information", AAAI 2012). If
cameras, LiDAR or poses were off, a shifted image would fit better; the best shift is the error.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import Array, CameraRig, Clip
from drivewm.geometry import box_corners_xy, ego_from_world, upright_corners
from drivewm.sim.raster.layout import moved_on

NEAR_M = 50.0  # boxes further away are a few pixels
SHIFTS_PX = np.arange(-40, 41, 2)  # of an image 1600 px wide; others in proportion
_LEVELS = 16


@dataclass(frozen=True, slots=True)
class CameraGeometry:
    """One camera at one key frame. Pixels are those of the stored image."""

    camera: str
    boxes: int  # whose centre the image shows, within NEAR_M
    flat_px: tuple[float, float]  # median and worst distance of a box centre from the devkit's, by our reading on level ground
    lidar_points: int  # in the image


@dataclass(frozen=True, slots=True)
class Geometry:
    """One key frame of a scene."""

    scene: str
    frame: int
    boxes: int
    boxes_seen: int  # with LiDAR points inside and a corner in some image
    boxes_with_points: int  # by the tables' own count
    points_agree: int  # of these: as many points inside as the table says, within 10 %
    centre_on_road: float | None  # share of the scene's ego positions on the drivable area; None without a map
    shift_px: tuple[int, int] | None  # right and down, where LiDAR and all images fit best; px of an image 1600 wide
    cameras: tuple[CameraGeometry, ...]


def measure(folder: NuScenesFolder, nusc: Any, scene: str, frame: int = 0) -> Geometry | None:
    """The geometry of a key frame; None for the frames between, whose boxes are interpolated. ``nusc`` is the scene's devkit."""
    index, clip = folder.index(scene), folder.clip(scene, frame, 1, states_only=True)
    sample = nusc.get("sample", nusc.get("sample_data", index.image_tokens[frame][index.reference])["sample_token"])
    if not nusc.get("sample_data", index.image_tokens[frame][index.reference])["is_key_frame"]:
        return None
    lidar = sample["data"].get("LIDAR_TOP")
    if lidar is not None and not Path(nusc.get_sample_data_path(lidar)).is_file():
        lidar = None
    counts = _points_in_boxes(nusc, lidar) if lidar else []
    cameras, seen, fits = [], set[str](), []
    for view, image in enumerate(index.image_tokens[frame]):
        camera, shown = _camera(nusc, clip, view, image)
        points, fit = _lidar_fit(nusc, image, lidar) if lidar else (0, None)
        cameras.append(replace(camera, lidar_points=points))
        fits += [] if fit is None else [fit]
        seen |= shown
    told = [(token, inside, said) for token, inside, said in counts if said > 0]
    return Geometry(
        scene=index.name,
        frame=frame,
        boxes=len(sample["anns"]),
        boxes_seen=sum(token in seen for token, _, _ in told),
        boxes_with_points=len(told),
        points_agree=sum(abs(inside - said) <= max(1, 0.1 * said) for _, inside, said in told),
        centre_on_road=_on_road(folder, scene),
        shift_px=_best_shift(fits),
        cameras=tuple(cameras),
    )


def in_words(found: Geometry | None) -> list[str]:
    """What a person wants to read of it."""
    if found is None:
        return ["no key frame: its boxes are interpolated, nothing is measured"]
    lines = [f"{found.scene}, frame {found.frame}: {found.boxes} boxes"]
    if found.boxes_with_points:
        lines.append(
            f"LiDAR: {found.points_agree} of {found.boxes_with_points} boxes hold the points that the table says, "
            f"{found.boxes_seen} of them are seen by a camera"
        )
    if found.shift_px is not None:
        lines.append(
            f"LiDAR and images fit best when shifted by {found.shift_px[0]} px right, {found.shift_px[1]} px down (of 1600)"
        )
    if found.centre_on_road is not None:
        lines.append(f"the car is on the drivable area in {100 * found.centre_on_road:.1f} % of the frames")
    for camera in found.cameras:
        if camera.boxes:
            median, worst = camera.flat_px
            lines.append(f"{camera.camera}: level ground moves {camera.boxes} boxes by {median:.1f} px (worst {worst:.0f})")
    return lines


def flat_corners(rig: CameraRig, view: int, clip: Clip, exposure_s: float) -> Array:
    """Corners [N, 8, 3] in the camera of the agents of a clip's first frame, as they stand at the exposure on level ground."""
    state = moved_on(clip.states[0], exposure_s)
    size = state.agents.size_lwh_m
    base = ego_from_world(box_corners_xy(state.agents.xy_yaw_world, size[:, :2]), state.ego_xy_yaw_world)
    corners = upright_corners(base, size[:, 2])
    camera = rig.ego_from_camera[view]
    return np.asarray((corners - camera[:3, 3]) @ camera[:3, :3])


def _best_shift(fits: list[Array]) -> tuple[int, int] | None:
    if not fits:
        return None
    down, right = np.unravel_index(int(np.sum(fits, axis=0).argmax()), fits[0].shape)
    return int(SHIFTS_PX[right]), int(SHIFTS_PX[down])


def _lidar_fit(nusc: Any, image_token: str, lidar: str) -> tuple[int, Array | None]:
    """LiDAR points in an image, and how well they fit it by shift; (0, None) when the image is absent or shows none."""
    if not Path(nusc.get_sample_data_path(image_token)).is_file():
        return 0, None
    pixels, reflectance, image = nusc.explorer.map_pointcloud_to_image(lidar, image_token, render_intensity=True)
    count = pixels.shape[1]
    return count, information_by_shift(np.asarray(image), pixels[:2].T, np.asarray(reflectance)) if count else None


def _camera(nusc: Any, clip: Clip, view: int, token: str) -> tuple[CameraGeometry, set[str]]:
    """The camera's part without LiDAR, and the annotations of which it shows a corner."""
    from nuscenes.utils.geometry_utils import BoxVisibility, box_in_image

    _, boxes, intrinsic = nusc.get_sample_data(token, box_vis_level=BoxVisibility.NONE)
    row, rig = nusc.get("sample_data", token), clip.rig_at(0)
    size = (row["width"], row["height"])
    ours = flat_corners(rig, view, clip, float(clip.exposure_s[0, view])).mean(1)
    errors = []
    for box in boxes:
        if not 1.0 < box.center[2] < NEAR_M or not _inside(_pixel(box.center, intrinsic), size):
            continue
        # The devkit lists no instance; the flat box at the same place is the same box.
        nearest = ours[np.argmin(np.hypot(*(ours[:, [0, 2]] - box.center[[0, 2]]).T))] if len(ours) else None
        if nearest is not None:
            errors.append(float(np.hypot(*(_pixel(nearest, intrinsic) - _pixel(box.center, intrinsic)))))
    shown = {box.token for box in boxes if box_in_image(box, intrinsic, size, BoxVisibility.ANY)}
    flat = (float(np.median(errors)), float(np.max(errors))) if errors else (0.0, 0.0)
    return CameraGeometry(clip.rig.names[view], len(errors), flat, 0), shown


def _pixel(xyz: Array, intrinsic: Array) -> Array:
    image = np.asarray(intrinsic) @ xyz
    return np.asarray(image[:2] / image[2])


def _inside(pixel: Array, size: tuple[int, int]) -> bool:
    return bool(0 <= pixel[0] < size[0] and 0 <= pixel[1] < size[1])


def information_by_shift(image: Array, pixels: Array, reflectance: Array) -> Array:
    """How much the reflectance [P] of points at ``pixels`` [P, 2] tells of an image's [H, W, 3] brightness there.

    Mutual information (nats) [S, S] by shift of SHIFTS_PX down and right.
    """
    from sklearn.metrics import mutual_info_score

    unit = image.shape[1] / 1600
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 2.0 * unit).astype(np.float32)
    laser, reach = _levels(reflectance.reshape(len(pixels), -1)[:, 0]), int(np.ceil(40 * unit)) + 1
    grey = np.pad(grey, reach, mode="reflect")
    edges = np.quantile(grey, np.linspace(0, 1, _LEVELS + 1)[1:-1])
    brightness = np.searchsorted(edges, grey)
    out = np.zeros((len(SHIFTS_PX), len(SHIFTS_PX)))
    for i, down in enumerate(SHIFTS_PX):
        for j, right in enumerate(SHIFTS_PX):
            column, row = np.round(pixels + np.array([right, down]) * unit).astype(int).T + reach
            both = np.bincount(laser * _LEVELS + brightness[row, column], minlength=_LEVELS**2).reshape(_LEVELS, _LEVELS)
            out[i, j] = mutual_info_score(None, None, contingency=both)
    return out


def _levels(values: Array) -> Array:
    """Values as levels that are equally frequent; ties may fill one level."""
    return np.asarray(np.searchsorted(np.quantile(values, np.linspace(0, 1, _LEVELS + 1)[1:-1]), values))


def _points_in_boxes(nusc: Any, lidar: str) -> list[tuple[str, int, int]]:
    """Annotation, LiDAR points inside its box, and how many the table says."""
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box

    path, boxes, _ = nusc.get_sample_data(lidar)
    points = LidarPointCloud.from_file(path).points[:3]
    return [
        (box.token, int(points_in_box(box, points).sum()), int(nusc.get("sample_annotation", box.token)["num_lidar_pts"]))
        for box in boxes
    ]


def _on_road(folder: NuScenesFolder, scene: str) -> float | None:
    from shapely import Polygon, contains_xy, union_all

    clip = folder.clip(scene, states_only=True)
    if not clip.road.drivable:
        return None
    area = union_all([Polygon(xy).buffer(0.05) for xy in clip.road.drivable])
    return float(contains_xy(area, clip.states.ego_xy_yaw_world[:, :2]).mean())
