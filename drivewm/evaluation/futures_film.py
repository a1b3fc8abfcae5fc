"""Several futures of one moment in one film: a row for each, with the cameras that look ahead and the view from above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, CameraRig, Rollout
from drivewm.evaluation.film import Take, view_from_above
from drivewm.evaluation.pictures import beside, labelled, mosaic, stacked, strip, write_png
from drivewm.evaluation.video import write_video

PANEL_PX = 240
FEWEST_ABOVE_PX = 200  # of the view from above


@dataclass(frozen=True, slots=True)
class Future:
    """One of several drives that share their past, as one or more worlds showed it."""

    name: str
    rollout: Rollout
    takes: Sequence[Take]


def futures_picture(futures: Sequence[Future], frame: int, rig: CameraRig, at_s: float) -> Array:
    """All futures at one camera frame; one that has ended stands still and is darkened."""
    return stacked([_row(future, frame, rig, at_s) for future in futures])


def _row(future: Future, frame: int, rig: CameraRig, at_s: float) -> Array:
    last = len(future.rollout.plans.t_s) - 1
    now, ended = min(frame, last), frame > last
    t_s = frame * future.rollout.plan_every * future.rollout.scene.dt_s
    ahead = [view for view, name in enumerate(rig.names) if "FRONT" in name] or list(range(min(3, len(rig.names))))
    names = [rig.names[view] for view in ahead]
    cameras = stacked([_named(take, mosaic(take.images[now][ahead], names, panel_width_px=PANEL_PX)) for take in future.takes])
    above = view_from_above(future.rollout, now, max(FEWEST_ABOVE_PX, cameras.shape[0]), " ")
    picture = beside([cameras, above])
    words = f"{t_s:.1f} s  " + (future.name if t_s >= at_s - 1e-6 else f"one past (then: {future.name})")
    bar = labelled(
        np.full((28, picture.shape[1], 3), 24, np.uint8), words + (f"  ended: {future.rollout.ended}" if ended else "")
    )
    return stacked([bar, picture // 2 if ended else picture], gap_px=0)


def _named(take: Take, picture: Array) -> Array:
    return stacked([labelled(np.full((28, picture.shape[1], 3), 24, np.uint8), take.world), picture], gap_px=0)


def write_futures(path: str | Path, futures: Sequence[Future], rig: CameraRig, at_s: float) -> Path:
    """Write the film as ``path`` (.mp4), with ``path`` .png (the last moment) and .strip.png (four moments) beside it."""
    path, longest = Path(path), max(futures, key=lambda future: len(future.rollout.plans.t_s)).rollout
    frames = [futures_picture(futures, frame, rig, at_s) for frame in range(len(longest.plans.t_s))]
    write_png(path.with_suffix(".png"), frames[-1])
    write_png(path.with_suffix(".strip.png"), strip(frames))
    return write_video(path, frames, 1 / (longest.plan_every * longest.scene.dt_s))
