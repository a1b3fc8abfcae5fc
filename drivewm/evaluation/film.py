"""A finished drive as a film: all cameras, beside them the bird's-eye view with plan and trails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, CameraRig, Rollout
from drivewm.evaluation.birdseye import Overlay, birdseye
from drivewm.evaluation.pictures import beside, labelled, mosaic, stacked, strip, with_bars, write_png
from drivewm.evaluation.video import write_video

PANEL_PX = 320
LARGEST_VIEW_PX = 600  # of the view from above beside two worlds
TRAIL_S = 4.0
FULL_BAR = 64.0  # grey levels of expected error that fill a bar
POSTER_MOMENT = 0.6  # share of the drive at which the still picture is taken: after the start, before the end


@dataclass(frozen=True, slots=True)
class Take:
    """Camera frames of one drive: what a world showed."""

    world: str
    images: Array  # uint8 [F, V, H, W, 3], one per plan
    unsure: Array | None = None  # [F, V], expected error in grey levels; shown as a bar below each camera


def pictures(rollout: Rollout, takes: Sequence[Take], rig: CameraRig, caption: str = "") -> Iterator[Array]:
    """One RGB picture per camera frame: the mosaic of each take, and the state from above."""
    for frame in range(len(takes[0].images)):
        panels = [labelled_mosaic(take, frame, rig, named=len(takes) > 1) for take in takes]
        cameras = stacked(panels)
        yield beside([cameras, view_from_above(rollout, frame, min(cameras.shape[0], LARGEST_VIEW_PX), caption)])


def labelled_mosaic(take: Take, frame: int, rig: CameraRig, named: bool) -> Array:
    """All cameras of one moment; ``named`` writes the world's name above them."""
    images = take.images[frame] if take.unsure is None else with_bars(take.images[frame], take.unsure[frame] / FULL_BAR)
    picture = mosaic(images, rig.names, panel_width_px=PANEL_PX)
    if not named:
        return picture
    return stacked([labelled(np.full((24, picture.shape[1], 3), 24, np.uint8), take.world), picture], gap_px=0)


def view_from_above(rollout: Rollout, frame: int, size_px: int, caption: str = "") -> Array:
    """The state at a camera frame with its plan, the route, and where everyone was in the last seconds."""
    scene, step = rollout.scene, frame * rollout.plan_every
    overlay = Overlay(
        route_xy_world=scene.route_xy,
        plan_xy_yaw_ego=rollout.plans.xy_yaw_ego[frame] if frame < len(rollout.plans.t_s) else None,
        trail=rollout.states[max(0, step - round(TRAIL_S / scene.dt_s)) : step + 1],
        caption=caption or scene.id.split("@")[0],
    )
    return birdseye(scene.road, rollout.states[step], overlay, size_px=size_px)


def write_film(path: str | Path, rollout: Rollout, takes: Sequence[Take], rig: CameraRig, caption: str = "") -> Path:
    """Write the film as ``path`` (.mp4), with ``path`` .png (still) and .strip.png (four moments) beside it."""
    path, frames = Path(path), list(pictures(rollout, takes, rig, caption))
    write_png(path.with_suffix(".png"), frames[round(POSTER_MOMENT * (len(frames) - 1))])
    write_png(path.with_suffix(".strip.png"), strip(frames))
    rate_hz = 1 / (rollout.plan_every * rollout.scene.dt_s)
    return write_video(path, frames, rate_hz)
