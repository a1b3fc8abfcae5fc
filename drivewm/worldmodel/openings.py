"""How a dream begins: what it is shown before it goes on by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from drivewm.datatypes import ActorScripts, Array, CameraRig, Clip, Scene, WorldState
from drivewm.errors import InputError, did_you_mean
from drivewm.sim.hindsight import moments_before
from drivewm.sim.raster.world import RasterWorld
from drivewm.store import content_hash
from drivewm.worldmodel.conditions import FrameConditions, clip_conditions, frame_conditions


@dataclass(frozen=True, slots=True)
class Shown:
    """F frames at the beginning of B dreams; the last one is the moment at which they start."""

    images: Array  # uint8 [B, F, V, H, W, 3]
    told: FrameConditions  # leading [B, F]
    time_s: Array  # [B, F]
    seen: Array  # bool [V], cameras whose pictures these are; the others are dreamed beside them


class Opening(Protocol):
    """What a dream is shown. ``id`` is part of the world's name; the usual opening, one frame of the reference, has none."""

    @property
    def id(self) -> str: ...

    def shown(self, rig: CameraRig, scenes: Sequence[Scene], state: WorldState, seed: int) -> Shown:
        """The frames for dreams of ``scenes`` that start in the states [B]."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference world's frames, the last at the start and the others on the way there. More than one show motion."""

    frames: int = 1

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise InputError(f"a dream cannot be shown {self.frames} frames", hint="1 or more, or start from scratch")

    @property
    def id(self) -> str:
        return f"context-{self.frames}" if self.frames > 1 else ""

    def shown(self, rig: CameraRig, scenes: Sequence[Scene], state: WorldState, seed: int) -> Shown:
        states = [*moments_before(scenes, state, self.frames - 1, 1.0 / rig.rate_hz), state]
        world = RasterWorld(rig)
        images = np.stack([world.start(scenes, moment, seed)[0] for moment in states], 1)
        return _of_states(images, rig, scenes, states, np.ones(len(rig.names), bool))


@dataclass(frozen=True, slots=True)
class Scratch:
    """Nothing: the first frame is dreamed too."""

    id: str = "scratch"

    def shown(self, rig: CameraRig, scenes: Sequence[Scene], state: WorldState, seed: int) -> Shown:
        nothing = np.zeros((len(scenes), 1, len(rig.names), *rig.size_px, 3), np.uint8)
        return _of_states(nothing, rig, scenes, [state], np.zeros(len(rig.names), bool))


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures of one moment by some or all cameras. The cameras without one are dreamed to fit beside them."""

    views: dict[str, Array]  # camera -> uint8 [H, W, 3] of any size

    @property
    def id(self) -> str:
        return f"pictures-{len(self.views)}@{content_hash(self.views)[:8]}"

    def shown(self, rig: CameraRig, scenes: Sequence[Scene], state: WorldState, seed: int) -> Shown:
        """Raises InputError for a picture of a camera that the rig has not."""
        images = np.zeros((len(rig.names), *rig.size_px, 3), np.uint8)
        for name, picture in self.views.items():
            if name not in rig.names:
                raise InputError(f"the car has no camera {name!r}", hint=did_you_mean(name, [*rig.names]) or ", ".join(rig.names))
            images[rig.names.index(name)] = cv2.resize(picture, rig.size_px[::-1], interpolation=cv2.INTER_AREA)
        seen = np.array([name in self.views for name in rig.names])
        return _of_states(np.repeat(images[None, None], len(scenes), 0), rig, scenes, [state], seen)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Frames with all that is known of them, one clip per scene, whether a camera took them or a dream made them.

    The last frame of a clip is the moment at which the dream starts. ``seen`` [V] may leave cameras out.
    """

    clips: tuple[Clip, ...]
    seen: Array | None = None

    @property
    def id(self) -> str:
        content = [[clip.images, clip.token] for clip in self.clips]
        return f"recorded-{len(self.clips[0].images)}@{content_hash([content, self.seen])[:8]}"

    def shown(self, rig: CameraRig, scenes: Sequence[Scene], state: WorldState, seed: int) -> Shown:
        """Raises InputError where clips, scenes and cameras do not fit together."""
        if len(self.clips) != len(scenes):
            raise InputError(f"{len(self.clips)} recorded clips given for {len(scenes)} scenes")
        for clip in self.clips:
            wanted = (len(self.clips[0].images), len(rig.names), *rig.size_px, 3)
            if clip.images.shape != wanted:
                raise InputError(f"clip {clip.token} has frames of shape {list(clip.images.shape)}, not {list(wanted)}")
        times = np.stack([clip.states.t_s for clip in self.clips])
        return Shown(
            np.stack([clip.images for clip in self.clips]),
            FrameConditions.stack([clip_conditions(clip) for clip in self.clips]),
            times - times[:, -1:] + np.asarray(state.t_s)[:, None],
            np.ones(len(rig.names), bool) if self.seen is None else self.seen,
        )


def conditions_of(scenes: Sequence[Scene], state: WorldState, previous: WorldState | None, rig: CameraRig) -> FrameConditions:
    """What is told of the states [B], a camera period after the ``previous`` ones; leading [B]."""
    rows = [
        frame_conditions(
            scene.road,
            state[i],
            None if previous is None else previous[i],
            scene.conditions_at(float(state.t_s[i])),
            rig,
        )
        for i, scene in enumerate(scenes)
    ]
    return FrameConditions.stack(rows)


def scene_of(clip: Clip) -> Scene:
    """A recorded clip as a scene that can be looked at, not driven: road, first state, weather and light, no scripts."""
    changes = tuple((float(t_s), now) for t_s, now in zip(clip.states.t_s, clip.conditions, strict=True))
    start = clip.states[0]
    pose = start.ego_xy_yaw_world
    ahead = np.arange(3.0)[:, None] * [np.cos(pose[2]), np.sin(pose[2])]
    return Scene(
        id=clip.token,
        family="recorded",
        road=clip.road,
        start=start,
        scripts=ActorScripts.empty(len(start.agents.valid)),
        conditions=clip.conditions[0],
        route_xy=pose[:2] + ahead,
        speed_limit_mps=float(np.max(clip.states.ego_speed_mps)),
        horizon_s=float(clip.states.t_s[-1] - clip.states.t_s[0]),
        seed=0,
        condition_changes=changes,
    )


def _of_states(images: Array, rig: CameraRig, scenes: Sequence[Scene], states: Sequence[WorldState], seen: Array) -> Shown:
    told = [conditions_of(scenes, now, states[i - 1] if i else None, rig) for i, now in enumerate(states)]
    return Shown(images, FrameConditions.stack(told, axis=1), np.stack([now.t_s for now in states], 1), seen)
