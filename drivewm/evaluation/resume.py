"""A recorded drive dreamed on from its own frames: as it was driven, or with a policy at the wheel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivewm.data.reader import NuScenesFolder
from drivewm.data.recorded.reading import read_recording
from drivewm.data.recorded.scene import recorded_scene
from drivewm.datatypes import Array, Clip, Scene
from drivewm.errors import InputError, did_you_mean
from drivewm.evaluation.appearance import psnr_db
from drivewm.evaluation.birdseye import Overlay, birdseye
from drivewm.evaluation.dream import DreamFilm, dream
from drivewm.evaluation.film import LARGEST_VIEW_PX, Take, labelled_mosaic
from drivewm.evaluation.pictures import beside, stacked, strip, write_png
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE, Readers, class_iou
from drivewm.evaluation.video import write_video
from drivewm.evaluation.whatif import Course
from drivewm.evaluation.worlds import WorldOptions, load_world
from drivewm.protocols import Policy
from drivewm.worldmodel.conditions import clip_conditions, untold
from drivewm.worldmodel.openings import Recorded, scene_of
from drivewm.worldmodel.world import DreamWorld

RATE_HZ = 5.0  # frames are taken this often, as nearly as the recording allows


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a recorded scene: frames that are shown, and how long the dream goes on after them."""

    scene: str | None = None  # name or token; None is the first
    frame: int = 0
    context: int = 4
    seconds: float = 8.0
    cameras: tuple[str, ...] = ()  # whose pictures are shown; all if empty, the others are dreamed
    key_frames: bool = False  # for a folder without sweeps


@dataclass(frozen=True, slots=True)
class Opened:
    """A stretch that was found: what is shown, and the states of all its frames."""

    folder: NuScenesFolder
    shown: Clip
    whole: Clip  # without images
    recorded: Array | None  # uint8 [T, V, H, W, 3] of all frames; None where some are not there
    seen: Array  # bool [V]


@dataclass(frozen=True, slots=True)
class Continued:
    """A recorded drive and the dream of it [T, V, H, W, 3]; the first frames are those that the dream was shown."""

    world: str
    clip: Clip
    context: int
    images: NDArray[np.uint8]
    recorded: Array | None
    figures: dict[str, float | int | None]


def open_stretch(root: Path, stretch: Stretch, size_px: tuple[int, int]) -> Opened:
    """Raises InputError for a scene, frame or camera that is not there, and for shown frames without images."""
    folder = NuScenesFolder(root, sweeps=not stretch.key_frames)
    scenes = folder.scenes()
    if not scenes:
        raise InputError("has no scenes", file=root)
    index = folder.index(stretch.scene or scenes[0].token)
    info = next(scene for scene in scenes if scene.token == index.token)
    for camera in stretch.cameras:
        if camera not in index.rig.names:
            hint = did_you_mean(camera, [*index.rig.names]) or ", ".join(index.rig.names)
            raise InputError(f"has no camera {camera!r}", file=root, place=f"scene {index.name}", hint=hint)
    stride = max(1, round(index.rig.rate_hz / RATE_HZ))
    left = (info.frames - 1 - stretch.frame) // stride + 1
    if stretch.context < 1 or left <= stretch.context:
        reason = (
            f"frame {stretch.frame} has {max(left, 0)} of {info.frames} frames from there on, {stretch.context} are to be shown"
        )
        raise InputError(reason, file=root, place=f"scene {index.name}", hint="choose another frame or context")
    count = min(left, stretch.context + round(stretch.seconds * index.rig.rate_hz / stride))
    place = (index.token, stretch.frame)
    return Opened(
        folder,
        folder.clip(*place, stretch.context, stride, size_px=size_px),
        folder.clip(*place, count, stride, size_px=size_px, states_only=True),
        folder.clip(*place, count, stride, size_px=size_px).images if info.images_absent == 0 else None,
        np.array([not stretch.cameras or name in stretch.cameras for name in index.rig.names]),
    )


def learned_world(name: str, options: WorldOptions) -> DreamWorld:
    """A world by name that dreams; InputError for one that does not."""
    world = load_world(name, options)
    if not isinstance(world, DreamWorld):
        raise InputError(f"the world {name!r} does not dream", hint="dream, free, or a folder of a trained world model")
    return world


def as_recorded(root: Path, stretch: Stretch, world: str, options: WorldOptions, seed: int) -> Continued:
    """Dream on while ego and agents go as they were recorded; states, map and boxes are the recording's."""
    found = open_stretch(root, stretch, learned_world(world, options).rig.size_px)
    whole = found.whole
    options = replace(
        options, rig=whole.rig, without=options.without | untold(whole), opening=Recorded((found.shown,), found.seen)
    )
    dreaming, told = learned_world(world, options), clip_conditions(whole)
    images, memory = dreaming.open([scene_of(whole)], whole.states[stretch.context - 1][None], seed)
    frames = [*images[0]]
    for t in range(stretch.context, len(whole.states.t_s)):
        now, memory = dreaming.step_told(memory, told[t : t + 1], whole.states[t : t + 1])
        frames.append(now[0])
    shown = np.stack(frames)
    truth = None if "layout" in untold(whole) else READ_TABLE[told.label]
    figures = _figures(dreaming, shown, found.recorded, truth, stretch.context)
    return Continued(dreaming.id, whole, stretch.context, shown, found.recorded, figures)


def driven_on(
    root: Path, stretch: Stretch, world: tuple[str, WorldOptions], policy: Policy, out: Path, *, seed: int
) -> DreamFilm:
    """A policy takes over after the shown frames; everybody else goes on as recorded. Writes the film to ``out`` (.mp4)."""
    name, options = world
    found = open_stretch(root, stretch, learned_world(name, options).rig.size_px)
    index = found.folder.index(found.shown.token.rpartition(":")[0])
    labelled_s = float(index.key_time_us[0] - index.time_us[0]) * 1e-6  # a recording counts from its first annotation
    start_s = max(0.0, float(found.shown.states.t_s[-1]) - labelled_s)
    recording = read_recording(root, scene=index.token, start_s=start_s, duration_s=None)
    scene, _ = recorded_scene(recording)
    scene = replace(scene, horizon_s=min(scene.horizon_s, stretch.seconds))
    numbers = dict(zip(index.instance_tokens, index.track_id, strict=True))
    scene = _numbered(scene, [numbers[name] for name in recording.agent_names])
    rig = replace(found.shown.rig, rate_hz=RATE_HZ)
    opening = Recorded((found.shown,), found.seen)
    told = replace(options, rig=rig, without=options.without | untold(found.shown), opening=opening)
    return dream(scene, Course(policy), learned_world(name, told), out, seed=seed, reference=True)


def _numbered(scene: Scene, numbers: Sequence[int]) -> Scene:
    """The scene with its agents numbered as in the recording, because what they are told to look like hangs on the number."""
    agents = scene.start.agents
    ids = np.array([numbers[row - 1] for row in agents.track_id], np.int32)
    return replace(scene, start=replace(scene.start, agents=replace(agents, track_id=ids)))


def _figures(
    world: DreamWorld, shown: NDArray[np.uint8], recorded: Array | None, truth: Array | None, context: int
) -> dict[str, float | int | None]:
    """How near the dreamed frames come to the recorded ones, beside the autoencoder alone and beside standing still."""
    late = slice(context, None)
    figures: dict[str, float | int | None] = {"frames_shown": context, "frames_dreamed": len(shown) - context}
    readers = Readers.load()
    here = class_iou(readers.segment(shown[late]), truth[late]) if truth is not None else []
    figures |= {f"iou_{name}": dreamed for name, dreamed in zip(READ_CLASSES, here, strict=False)}
    if recorded is None:
        return figures
    floor = world.seen_again(recorded[late])
    still = np.broadcast_to(shown[context - 1], recorded[late].shape)
    for name, images in (("dream", shown[late]), ("autoencoder", floor), ("last_frame", still)):
        figures[f"psnr_db_{name}"] = float(psnr_db(images[None], recorded[None, late])[0])
    if truth is not None:
        there = class_iou(readers.segment(recorded[late]), truth[late])
        for name, dreamed, exact in zip(READ_CLASSES, here, there, strict=True):
            figures[f"iou_share_{name}"] = dreamed / exact if dreamed is not None and exact else None
    return figures


def film_of(continued: Continued) -> Iterator[Array]:
    """One picture per frame: recorded (where it is there) above dreamed, beside the state from above."""
    clip = continued.clip
    takes = [Take("recorded", continued.recorded)] if continued.recorded is not None else []
    takes.append(Take(continued.world, continued.images))
    for frame in range(len(continued.images)):
        cameras = stacked([labelled_mosaic(take, frame, clip.rig, named=True) for take in takes])
        word = "shown" if frame < continued.context else f"dreamed {frame - continued.context + 1}"
        above = birdseye(
            clip.road,
            clip.states[frame],
            Overlay(trail=clip.states[max(0, frame - 20) : frame + 1], caption=word),
            size_px=min(cameras.shape[0], LARGEST_VIEW_PX),
        )
        yield beside([cameras, above])


def write_continued(path: Path, continued: Continued) -> Path:
    """The film as ``path`` (.mp4) and four moments as .strip.png beside it."""
    pictures = list(film_of(continued))
    write_png(path.with_suffix(".strip.png"), strip(pictures))
    return write_video(path, pictures, continued.clip.rig.rate_hz)
