"""Contact sheets of a data set: what its cameras saw under every sky."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from drivewm.data.reader import NuScenesFolder
from drivewm.data.survey import SceneSurvey
from drivewm.datatypes import Clip
from drivewm.errors import InputError
from drivewm.evaluation.cut_outs import cut_outs
from drivewm.evaluation.figures import Photo, jpeg_uri
from drivewm.evaluation.pictures import mosaic

PANEL_PX = 200  # width of a camera in a mosaic
PER_SKY = 2
_TRIES = 6  # scenes that are looked at for one picture
MISSING_IMAGE = "image is missing"  # the reader's reason; what is absent is counted elsewhere


@dataclass
class Sheets:
    """Photographs, and what stood in their way."""

    mosaics: list[Photo] = field(default_factory=list)
    crops: list[Photo] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def contact_sheets(folder: NuScenesFolder, scenes: Sequence[SceneSurvey], most: int) -> Sheets:
    """At most ``most`` mosaics, PER_SKY for each weather and light (fewer when there are many), and cut-outs."""
    sheets = Sheets()
    cameras = {scene.info.token: len(folder.rig(scene.info.token).names) for scene in scenes}
    pictured = [scene for scene in scenes if scene.info.images_absent < scene.info.frames * cameras[scene.info.token]]
    skies = _moments(pictured)
    each = max(1, min(PER_SKY, most // max(len(skies), 1)))
    for sky in sorted(skies, key=lambda sky: -len(skies[sky]))[:most]:
        photos = (_mosaic(folder, scene, frames, sheets) for scene, frames in skies[sky][:_TRIES])
        sheets.mosaics += islice((photo for photo in photos if photo is not None), each)
    if pictured:
        sheets.crops = cut_outs(folder, pictured, sheets.unreadable)
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
