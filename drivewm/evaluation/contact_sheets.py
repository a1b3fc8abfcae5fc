"""Contact sheets of a data set: what its cameras saw under every sky, and its road users cut out with their boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drivewm.data.reader import NuScenesFolder, read_image
from drivewm.data.stats import class_name
from drivewm.data.survey import SceneSurvey, Sighting
from drivewm.datatypes import Array, Clip
from drivewm.errors import InputError
from drivewm.evaluation.birdseye import AGENT_COLOUR
from drivewm.evaluation.figures import Photo, jpeg_uri
from drivewm.evaluation.overlay import BOX_EDGES
from drivewm.evaluation.pictures import enlarged, mosaic

PANEL_PX = 200  # width of a camera in a mosaic
CROP_PX = (132, 176)  # height, width
PER_SKY, PER_CLASS = 2, 2
_TRIES = 6  # scenes that are looked at for one picture
MISSING_IMAGE = "image is missing"  # the reader's reason; what is absent is counted elsewhere
_ROOM = 2.2  # a cut-out is this many times as wide and high as the box


@dataclass
class Sheets:
    """Photographs, and what stood in their way."""

    mosaics: list[Photo] = field(default_factory=list)
    crops: list[Photo] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def contact_sheets(folder: NuScenesFolder, scenes: Sequence[SceneSurvey], most: int) -> Sheets:
    """At most ``most`` mosaics, PER_SKY for each weather and light (fewer when there are many), and PER_CLASS cut-outs."""
    sheets = Sheets()
    cameras = {scene.info.token: len(folder.rig(scene.info.token).names) for scene in scenes}
    pictured = [scene for scene in scenes if scene.info.images_absent < scene.info.frames * cameras[scene.info.token]]
    skies = _moments(pictured)
    each = max(1, min(PER_SKY, most // max(len(skies), 1)))
    for sky in sorted(skies, key=lambda sky: -len(skies[sky]))[:most]:
        photos = (_mosaic(folder, scene, frames, sheets) for scene, frames in skies[sky][:_TRIES])
        sheets.mosaics += islice((photo for photo in photos if photo is not None), each)
    if pictured:
        sheets.crops = _crops(folder, [sighting for scene in pictured for sighting in scene.sightings], sheets)
    return sheets


def _moments(scenes: Sequence[SceneSurvey]) -> dict[tuple[str, str], list[tuple[SceneSurvey, list[int]]]]:
    """For every weather and light the scenes that have it, each with its key frames under it, from the middle outwards."""
    out: dict[tuple[str, str], list[tuple[SceneSurvey, list[int]]]] = defaultdict(list)
    for scene in scenes:
        by_sky: dict[tuple[str, str], list[int]] = defaultdict(list)
        for frame in scene.key_frames:
            by_sky[scene.sky[frame]].append(frame)
        for sky, frames in by_sky.items():
            middle = frames[len(frames) // 2]
            out[sky].append((scene, sorted(frames, key=lambda frame: abs(frame - middle))))
    return out


def _mosaic(folder: NuScenesFolder, scene: SceneSurvey, frames: Sequence[int], sheets: Sheets) -> Photo | None:
    """All cameras at the first of these frames whose images are there."""
    height, width = folder.rig(scene.info.token).size_px
    size = (round(PANEL_PX * height / width), PANEL_PX) if width > PANEL_PX else (height, width)
    for frame in frames:
        try:
            clip = folder.clip(scene.info.token, frame, 1, size_px=size)
        except InputError as error:
            if error.reason != MISSING_IMAGE:
                sheets.unreadable.append(str(error))
                return None
        else:
            return _captioned(clip, scene, frame)
    return None


def _captioned(clip: Clip, scene: SceneSurvey, frame: int) -> Photo:
    picture = mosaic(clip.images[0], clip.rig.names, panel_width_px=PANEL_PX)
    weather, light = scene.sky[frame]
    told = [weather, light.replace("_", " "), *([scene.info.manner.replace("_", " ")] if scene.info.manner else [])]
    speed_kmh = 3.6 * float(scene.course.speed_mps[frame])
    moment = f"{float(clip.states.t_s[0]):.1f} s, {speed_kmh:.0f} km/h, {int(scene.course.agents[frame])} agents"
    return Photo(jpeg_uri(picture), scene.info.name, f"{', '.join(told)}; at {moment}")


def _crops(folder: NuScenesFolder, sightings: Sequence[Sighting], sheets: Sheets) -> list[Photo]:
    """The best seen of every class, from different scenes."""
    by_class: dict[int, list[Sighting]] = defaultdict(list)
    for sighting in sorted(sightings, key=lambda sighting: -sighting.height_rad):
        by_class[sighting.category].append(sighting)
    devkits = folder.devkit()
    out: list[Photo] = []
    for kind in sorted(by_class):
        tried = _opened(by_class[kind][: PER_CLASS * _TRIES], devkits)
        found = (_crop(folder, nusc, sighting, sheets) for sighting, nusc in tried)
        out += islice((photo for photo in found if photo is not None), PER_CLASS)
    return out


def _opened(sightings: Sequence[Sighting], devkits: Sequence[Any]) -> Iterator[tuple[Sighting, Any]]:
    tokens = [{scene["token"] for scene in nusc.scene} for nusc in devkits]
    for sighting in sightings:
        yield sighting, next(nusc for nusc, known in zip(devkits, tokens, strict=True) if sighting.scene in known)


def _crop(folder: NuScenesFolder, nusc: Any, sighting: Sighting, sheets: Sheets) -> Photo | None:
    """The agent in the camera that shows it largest, with its box as the devkit projects it; None where none shows it whole."""
    from nuscenes.utils.geometry_utils import BoxVisibility

    index = folder.index(sighting.scene)
    best: tuple[float, Array, str] | None = None
    for token in index.image_tokens[sighting.frame]:
        row = nusc.get("sample_data", token)
        notes = [nusc.get("sample_annotation", note) for note in nusc.get("sample", row["sample_token"])["anns"]]
        mine = [note["token"] for note in notes if note["instance_token"] == sighting.instance_token]
        path, boxes, intrinsic = nusc.get_sample_data(token, BoxVisibility.ALL, mine)
        if mine and boxes and Path(path).is_file():
            corners = boxes[0].corners()
            pixels = (np.asarray(intrinsic) @ corners)[:2] / corners[2]
            tall = float(np.ptp(pixels[1]))
            if best is None or tall > best[0]:
                best = (tall, pixels.T, str(path))
    if best is None:
        return None
    try:
        image = read_image(Path(best[2]))[..., ::-1]
    except InputError as error:
        sheets.unreadable.append(str(error))
        return None
    return Photo(
        jpeg_uri(_cut_out(image, best[1], sighting)),
        class_name(sighting.category).replace("_", " "),
        f"{index.name}, frame {sighting.frame}, {best[0]:.0f} px tall of {image.shape[0]}",
    )


def _cut_out(image: Array, corners_px: Array, sighting: Sighting) -> Array:
    """The surroundings of a box [8, 2], enlarged, with its edges."""
    low, high = corners_px.min(0), corners_px.max(0)
    half_h = max(float(high[1] - low[1]), float(high[0] - low[0]) * CROP_PX[0] / CROP_PX[1], 8.0) * _ROOM / 2
    half = np.minimum([half_h * CROP_PX[1] / CROP_PX[0], half_h], [image.shape[1] / 2, image.shape[0] / 2])
    middle = np.clip((low + high) / 2, half, np.array(image.shape[1::-1]) - half)
    x0, y0, x1, y1 = np.round([*(middle - half), *(middle + half)]).astype(int)
    scale = min(CROP_PX[1] / (x1 - x0), CROP_PX[0] / (y1 - y0))
    picture = np.ascontiguousarray(enlarged(image[y0:y1, x0:x1], round((y1 - y0) * scale), round((x1 - x0) * scale)))
    at = np.round((corners_px - [x0, y0]) * scale).astype(int)
    for a, b in BOX_EDGES:
        cv2.line(picture, at[a].tolist(), at[b].tolist(), AGENT_COLOUR[sighting.category], 1, cv2.LINE_AA)
    return picture
