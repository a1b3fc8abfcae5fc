"""Real pictures by where they lie (image files, folders of images, videos, nuScenes folders) as short clips evenly spread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.devkit import find_version, linked, open_devkit
from drivewm.data.reader import read_image
from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.evaluation.pictures import enlarged
from drivewm.evaluation.video import read_video, video_frames

IMAGES, VIDEOS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}, {".mp4", ".mkv", ".mov", ".avi", ".webm", ".hevc", ".h264"}
LARGEST_PX = (432, 768)  # height and width that two cores manage


@dataclass(frozen=True, slots=True)
class Source:
    """Frames that belong together in a report, in tracks: each is the pictures of one camera or one video in their order."""

    name: str
    tracks: tuple[tuple[Path, ...] | Path, ...]  # image files, or one video
    lengths: tuple[int, ...]  # frames of each track

    def clips(self, frames: int, clip: int, size_px: tuple[int, int] | None = None) -> list[Array]:
        """Clips uint8 [clip, H, W, 3], evenly spread and without a common frame: ``frames`` pictures at most, one clip at least.

        Pictures are brought to ``size_px`` (height, width); without one, those above `LARGEST_PX` shrink into it. Raises
        InputError where no track has so many frames or a picture cannot be read.
        """
        starts = [(track, start) for track, length in enumerate(self.lengths) for start in range(0, length - clip + 1, clip)]
        if not starts:
            longest = max(self.lengths, default=0)
            raise InputError(f"has no {clip} frames in a row, {longest} at most", file=self.name, hint="ask for a shorter clip")
        count = min(max(frames // clip, 1), len(starts))
        chosen = [starts[i] for i in np.linspace(0, len(starts) - 1, count).round().astype(int)]
        clips: list[Array] = []
        for track in sorted({track for track, _ in chosen}):
            rows = [range(start, start + clip) for at, start in chosen if at == track]
            pictures = self._read(track, sorted({i for row in rows for i in row}))
            clips += [np.stack([_sized(pictures[i], size_px or _shrunk(pictures[row[0]])) for i in row]) for row in rows]
        return clips

    def _read(self, track: int, numbers: Sequence[int]) -> dict[int, Array]:
        files = self.tracks[track]
        if isinstance(files, Path):
            pictures = read_video(files, set(numbers))
            if len(pictures) < len(numbers):
                raise InputError("is cut short", file=files)
            return dict(zip(numbers, pictures, strict=True))
        return {i: read_image(files[i])[..., ::-1] for i in numbers}


def _shrunk(picture: Array) -> tuple[int, int]:
    height, width = picture.shape[:2]
    share = min(1.0, LARGEST_PX[0] / height, LARGEST_PX[1] / width)
    return max(round(height * share), 1), max(round(width * share), 1)


def _sized(picture: Array, size_px: tuple[int, int]) -> Array:
    return picture if picture.shape[:2] == size_px else enlarged(picture, *size_px)


def open_sources(paths: Sequence[Path]) -> list[Source]:
    """One source for each path, named by its last two parts. Raises InputError for a path that holds no pictures."""
    tracks = [_tracks(path) for path in paths]
    names = ["/".join(path.resolve().parts[-2:]) for path in paths]
    names = [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    return [
        Source(name, tuple(found), tuple(video_frames(one) if isinstance(one, Path) else len(one) for one in found))
        for name, found in zip(names, tracks, strict=True)
    ]


def _tracks(path: Path) -> list[tuple[Path, ...] | Path]:
    if path.is_file():
        kind = path.suffix.lower()
        if kind in IMAGES:
            return [(path,)]
        if kind in VIDEOS:
            return [path]
        raise InputError("is neither an image nor a video", file=path, hint=" ".join(sorted(IMAGES | VIDEOS)))
    if not path.is_dir():
        raise InputError("does not exist", file=path)
    roots = [root for root in (path, *sorted(path.glob("part-*"))) if any(tables.is_dir() for tables in root.glob("v1.0*"))]
    if roots:
        return [track for root in roots for track in _cameras(root)]
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in IMAGES:
            by_folder[file.parent].append(file)
    if not by_folder:
        raise InputError("holds no images", file=path, hint="a video is named by its file, nuScenes by the folder with v1.0-...")
    return [tuple(files) for files in by_folder.values()]


def _cameras(root: Path) -> list[tuple[Path, ...]]:
    """The images of a nuScenes root that are there, scene by scene and camera by camera; sweeps often are not."""
    nusc = open_devkit(root, find_version(root, None))
    by_camera: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    for row in nusc.sample_data:
        if row["sensor_modality"] == "camera":
            scene = linked(nusc, "sample", row["sample_token"], row)["scene_token"]
            by_camera[scene, row["channel"]].append((row["timestamp"], root / row["filename"]))
    return [tuple(file for _, file in sorted(rows) if file.is_file()) for rows in by_camera.values()]
