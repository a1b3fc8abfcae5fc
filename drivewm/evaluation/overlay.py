"""What the tables say, drawn over what the cameras saw: boxes, LiDAR and road of a frame, to be looked at.

Boxes and LiDAR are projected by the devkit straight from the tables; the road is the layout that a world model is told. So a
picture in which both lie on the same things shows that the reader is right, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drivewm.data.categories import CLASS_OF
from drivewm.data.reader import NuScenesFolder, read_image
from drivewm.datatypes import AgentClass, Array, Clip, SemanticClass
from drivewm.evaluation.birdseye import AGENT_COLOUR, birdseye
from drivewm.evaluation.pictures import BACKGROUND, beside, labelled, stacked
from drivewm.evaluation.video import write_video
from drivewm.sim.raster import layout

PANEL_PX = 640  # width of a camera; its height keeps the proportions of the image
COLUMNS = 3
_NEAR_M = 0.5
_SURFACE = {
    SemanticClass.ROAD: (92, 98, 112),
    SemanticClass.MARKING: (236, 236, 228),
    SemanticClass.CROSSWALK: (196, 180, 240),
    SemanticClass.SIDEWALK: (150, 146, 132),
    SemanticClass.TERRAIN: (62, 84, 66),
    SemanticClass.SKY: (150, 186, 214),
    SemanticClass.BUILDING: (140, 112, 100),
    SemanticClass.TREE: (70, 120, 76),
}
_ROAD = (SemanticClass.ROAD, SemanticClass.MARKING, SemanticClass.CROSSWALK)
_PAINT = (SemanticClass.MARKING, SemanticClass.CROSSWALK)
BOX_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))


class Overlay:
    """Draws frames of one scene; ``nusc`` is its devkit."""

    def __init__(self, folder: NuScenesFolder, nusc: Any, scene: str) -> None:
        self.folder, self.index, self._nusc = folder, folder.index(scene), nusc

    def picture(self, frame: int) -> Array:
        """All cameras and the view from above, RGB [H, W, 3]. A camera whose image is absent shows the layout alone."""
        height, width = self.index.rig.size_px
        size = (round(PANEL_PX * height / width), PANEL_PX)
        clip = self.folder.clip(self.index.token, frame, 1, size_px=size, states_only=True)
        told = layout(clip.road, clip.states[0], clip.rig_at(0), clip.exposure_s[0])
        panels = [self._panel(frame, view, told.label[view]) for view in range(len(clip.rig.names))]
        rows = [beside(panels[start : start + COLUMNS]) for start in range(0, len(panels), COLUMNS)]
        return beside([stacked(rows), self._above(clip, size_px=min(stacked(rows).shape[0], 720))])

    def film(self) -> Iterator[Array]:
        """The pictures of all frames."""
        for frame in range(len(self.index.time_us)):
            yield self.picture(frame)

    def _panel(self, frame: int, view: int, label: Array) -> Array:
        token = self.index.image_tokens[frame][view]
        path = Path(self._nusc.get_sample_data_path(token))
        row = self._nusc.get("sample_data", token)
        scale = np.array([label.shape[1] / row["width"], label.shape[0] / row["height"]])
        if path.is_file():
            image = cv2.resize(_rgb(path), label.shape[::-1], interpolation=cv2.INTER_AREA)
            self._points(image, token, scale)
            _outline(image, np.isin(label, _ROAD), (70, 220, 255))
            _outline(image, np.isin(label, _PAINT), (255, 120, 220))
        else:
            image = np.full((*label.shape, 3), BACKGROUND, np.uint8)
            for kind, colour in _SURFACE.items():
                image[label == kind] = colour
        self._boxes(image, token, scale)
        late_ms = 1e-3 * float(self.index.exposure_us[frame, view] - self.index.time_us[frame])
        return labelled(image, f"{row['channel']}  {late_ms:+.0f} ms" + ("" if path.is_file() else "  no image"))

    def _points(self, image: Array, token: str, scale: Array) -> None:
        row = self._nusc.get("sample_data", token)
        lidar = self._nusc.get("sample", row["sample_token"])["data"].get("LIDAR_TOP")
        if lidar is None or not row["is_key_frame"] or not Path(self._nusc.get_sample_data_path(lidar)).is_file():
            return
        pixels, depth, _ = self._nusc.explorer.map_pointcloud_to_image(lidar, token)
        code = np.clip(255 - 4 * np.asarray(depth), 0, 255).astype(np.uint8)
        colours = cv2.applyColorMap(code[:, None], cv2.COLORMAP_TURBO)[:, 0]
        for (x, y), bgr in zip(pixels[:2].T * scale, colours.tolist(), strict=True):
            cv2.circle(image, (round(float(x)), round(float(y))), 1, bgr[::-1], -1, cv2.LINE_AA)

    def _boxes(self, image: Array, token: str, scale: Array) -> None:
        from nuscenes.utils.geometry_utils import BoxVisibility

        _, boxes, intrinsic = self._nusc.get_sample_data(token, box_vis_level=BoxVisibility.ANY)
        for box in sorted(boxes, key=lambda box: -float(box.center[2])):
            corners = box.corners().T  # four in front, four behind
            colour = AGENT_COLOUR[CLASS_OF.get(box.name, AgentClass.DEBRIS)]
            for a, b in BOX_EDGES:
                if (line := _visible_part(corners[a], corners[b])) is not None:
                    ends = (line @ np.asarray(intrinsic).T)[:, :2] / line[:, 2:] * scale
                    start, end = (tuple(np.clip(np.round(xy), -4096, 8192).astype(int).tolist()) for xy in ends)
                    cv2.line(image, start, end, colour, 2 if max(a, b) < 4 else 1, cv2.LINE_AA)

    def _above(self, clip: Clip, size_px: int) -> Array:
        return birdseye(clip.road, clip.states[0], size_px=size_px, span_m=100.0)


def _rgb(path: Path) -> Array:
    return np.ascontiguousarray(read_image(path)[..., ::-1])


def _outline(image: Array, mask: Array, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, colour, 1, cv2.LINE_AA)


def _visible_part(a: Array, b: Array) -> Array | None:
    """The part [2, 3] of an edge that lies before the camera; None when there is none."""
    if max(a[2], b[2]) < _NEAR_M:
        return None
    if min(a[2], b[2]) < _NEAR_M:
        cut = a + (b - a) * (_NEAR_M - a[2]) / (b[2] - a[2])
        a, b = (cut, b) if a[2] < _NEAR_M else (a, cut)
    return np.stack([a, b])


def write_film(drawn: Overlay, out: Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """All frames of the scene as a film."""
    total = len(drawn.index.time_us)

    def counted() -> Iterator[Array]:
        for done, picture in enumerate(drawn.film(), start=1):
            if progress:
                progress(done, total)
            yield picture

    return write_video(out, counted(), drawn.index.rig.rate_hz)
