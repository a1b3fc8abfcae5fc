"""Road users of a data set cut out of its images, with their boxes as the devkit projects them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from drivewm.data.index import SceneIndex
from drivewm.data.reader import NuScenesFolder, read_image
from drivewm.data.stats import class_name
from drivewm.data.survey import SceneSurvey
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array
from drivewm.errors import InputError
from drivewm.evaluation.birdseye import AGENT_COLOUR
from drivewm.evaluation.figures import Photo, jpeg_uri
from drivewm.evaluation.overlay import BOX_EDGES
from drivewm.evaluation.pictures import enlarged

SIZE_PX = (132, 176)  # height, width
PER_CLASS = 2
NEAR_M, FAR_M = 8.0, 40.0  # who is nearer is cut by the edge of the image, who is farther is small
_TRIES = 6  # scenes that are looked at for one picture
_ROOM = 2.2  # a cut-out is this many times as wide and high as the box


@dataclass(frozen=True, slots=True)
class Sighting:
    """The annotated agent of its class that looks tallest in a scene."""

    category: AgentClass
    scene: str  # token
    frame: int  # a key frame
    instance_token: str
    rank: float


def cut_outs(folder: NuScenesFolder, scenes: Sequence[SceneSurvey], unreadable: list[str]) -> list[Photo]:
    """PER_CLASS road users of every class from different scenes; images that are damaged are told in ``unreadable``."""
    devkits = {scene["token"]: nusc for nusc in folder.devkit() for scene in nusc.scene}
    by_class: dict[AgentClass, list[Sighting]] = defaultdict(list)
    for scene in scenes:
        index = folder.index(scene.info.token)
        keys = dict(enumerate(scene.key_frames))
        if scene.info.images_absent:
            root = Path(devkits[index.token].dataroot)
            keys = {k: frame for k, frame in keys.items() if all((root / file).is_file() for file in index.files[frame])}
        for sighting in sightings(index, keys):
            by_class[sighting.category].append(sighting)
    out: list[Photo] = []
    for kind in sorted(by_class):
        best = sorted(by_class[kind], key=lambda sighting: -sighting.rank)[: PER_CLASS * _TRIES]
        found = (_cut_out(folder.index(sighting.scene), devkits[sighting.scene], sighting, unreadable) for sighting in best)
        out += islice((photo for photo in found if photo is not None), PER_CLASS)
    return out


def sightings(index: SceneIndex, keys: dict[int, int]) -> list[Sighting]:
    """Of every class the agent that is seen best at the key frames ``keys`` (row of the boxes -> frame).

    Of those seen equally well, or where nobody tells, the one that looks tallest between NEAR_M and FAR_M.
    """
    if not keys:
        return []
    rows, frames = list(keys), list(keys.values())
    ego = EGO_SHAPE.centre_xy_yaw(index.ego_xy_yaw_world[frames])[:, None, :2]
    distance = np.hypot(*np.moveaxis(index.box_xy_yaw_world[rows, :, :2] - ego, -1, 0))
    tall_rad = index.box_size_lwh_m[:, 2] / np.where((distance > NEAR_M) & (distance < FAR_M), distance, np.inf)
    rank = np.where(tall_rad > 0, tall_rad + 10.0 * index.visibility[rows], 0.0)  # nothing looks as tall as 10 rad
    out = []
    for kind in AgentClass:
        mine = np.where(index.category == kind, rank, 0.0)
        if mine.max(initial=0.0) > 0:
            k, i = np.unravel_index(int(mine.argmax()), mine.shape)
            out.append(Sighting(kind, index.token, frames[k], index.instance_tokens[i], float(mine[k, i])))
    return out


def _cut_out(index: SceneIndex, nusc: Any, sighting: Sighting, unreadable: list[str]) -> Photo | None:
    """The agent in the camera that shows it largest; None where none shows it whole."""
    seen = [view for token in index.image_tokens[sighting.frame] if (view := _projected(nusc, token, sighting)) is not None]
    if not seen:
        return None
    path, corners_px = max(seen, key=lambda view: float(np.ptp(view[1][:, 1])))
    try:
        image = read_image(path)[..., ::-1]
    except InputError as error:
        unreadable.append(str(error))
        return None
    tall_px = float(np.ptp(corners_px[:, 1]))
    name = class_name(sighting.category).replace("_", " ")
    detail = f"{index.name}, frame {sighting.frame}, {tall_px:.0f} px tall of {image.shape[0]}"
    return Photo(jpeg_uri(_drawn(image, corners_px, AGENT_COLOUR[sighting.category])), name, detail)


def _projected(nusc: Any, token: str, sighting: Sighting) -> tuple[Path, Array] | None:
    """An image and the corners [8, 2] of the agent's box in it; None where it does not show the whole box."""
    from nuscenes.utils.geometry_utils import BoxVisibility

    sample = nusc.get("sample", nusc.get("sample_data", token)["sample_token"])
    notes = [note for note in sample["anns"] if nusc.get("sample_annotation", note)["instance_token"] == sighting.instance_token]
    if not notes:
        return None
    path, boxes, intrinsic = nusc.get_sample_data(token, BoxVisibility.ALL, notes)
    if not boxes or not Path(path).is_file():
        return None
    corners = boxes[0].corners()
    return Path(path), ((np.asarray(intrinsic) @ corners)[:2] / corners[2]).T


def _drawn(image: Array, corners_px: Array, colour: tuple[int, int, int]) -> Array:
    """The surroundings of a box, enlarged, with its edges."""
    low, high = corners_px.min(0), corners_px.max(0)
    wide, tall = (float(v) for v in high - low)
    height_px = max(tall, wide * SIZE_PX[0] / SIZE_PX[1], 8.0) * _ROOM
    half = np.minimum([height_px * SIZE_PX[1] / SIZE_PX[0], height_px], image.shape[1::-1]) / 2
    middle = np.clip((low + high) / 2, half, np.array(image.shape[1::-1]) - half)
    x0, y0, x1, y1 = np.round([*(middle - half), *(middle + half)]).astype(int)
    scale = min(SIZE_PX[1] / (x1 - x0), SIZE_PX[0] / (y1 - y0))
    picture = np.ascontiguousarray(enlarged(image[y0:y1, x0:x1], round((y1 - y0) * scale), round((x1 - x0) * scale)))
    at = np.round((corners_px - [x0, y0]) * scale).astype(int)
    for a, b in BOX_EDGES:
        cv2.line(picture, at[a].tolist(), at[b].tolist(), colour, 1, cv2.LINE_AA)
    return picture
