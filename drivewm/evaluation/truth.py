"""What a drive must have shown: the reference's frames of its states at the judged moments, and what readers see in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from drivewm.datatypes import AgentClass, Array, CameraRig, Rollout, WorldState
from drivewm.evaluation.readers import READ_TABLE
from drivewm.geometry import compose_xy_yaw
from drivewm.sim.raster import Frame, layout, render

JUDGED_EVERY = 5  # frames between judged frames: once a second at 5 Hz
#: how far the ego is moved to see what would change in the pictures: ahead (m), to the left (m), turned left (rad)
NUDGES = (2.0, 1.0, 0.06)


class FrameReaders(Protocol):
    """Networks that read frames; `drivewm.evaluation.readers.Readers` is the trained one."""

    views: int  # cameras that `motion` and `sky` look through

    def segment(self, images: Array) -> Array:
        """Index into `READ_CLASSES` [..., H, W] for pictures uint8 [..., H, W, 3]."""

    def motion(self, images: Array) -> Array:
        """Step ahead (m) and turn (rad) [T - 1, 2] between successive frames uint8 [T, V, H, W, 3]."""

    def sky(self, images: Array) -> tuple[Array, Array]:
        """Index into Weather and into Light [N] for frames uint8 [N, V, H, W, 3]."""

    def state_dict(self) -> dict[str, Any]:
        """The weights, as torch has them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the readers see in the judged frames of some pictures of a drive: J moments, P of which have a next frame."""

    labels: Array  # [J, V, H, W], index into READ_CLASSES
    moved: Array | None  # [P, 2] step ahead (m) and turn (rad) to the next frame; None for a car with other cameras
    sky: Array | None  # [J, 2] index into Weather and into Light; None likewise

    @classmethod
    def of(cls, images: Array, frames: Sequence[int], readers: FrameReaders, moves: bool = True) -> Seen:
        """``images`` uint8 [F, V, H, W, 3], one per plan, judged at ``frames``; without ``moves`` motion is not asked."""
        shown = np.ascontiguousarray(images[list(frames)])
        labels = readers.segment(shown)
        if images.shape[1] != readers.views:
            return cls(labels, None, None)
        pairs = [readers.motion(images[frame : frame + 2])[0] for frame in frames if moves and frame + 1 < len(images)]
        return cls(labels, np.array(pairs) if pairs else None, np.stack(readers.sky(shown), -1))


@dataclass(frozen=True, slots=True)
class Truth:
    """The reference at the J judged moments of a drive."""

    frames: tuple[int, ...]  # which are judged
    exact: tuple[Frame, ...]
    sound: Array  # bool [J, V], cameras whose picture shows the state
    told_sky: Array  # [J, 2] index into Weather and into Light
    seen: Seen  # by the readers in the exact frames
    nudged: Array  # [J, 3, 2, V, H, W], index into READ_CLASSES of the layout after each of `NUDGES`, and after its opposite
    category: dict[int, AgentClass]  # of every agent, by track id
    step_s: float  # between frames

    @classmethod
    def of(cls, rollout: Rollout, count: int, rig: CameraRig, readers: FrameReaders) -> Truth:
        """Of a drive with ``count`` camera frames."""
        frames, scene = tuple(range(0, count, JUDGED_EVERY)), rollout.scene
        states = {frame: state_at(rollout, frame) for frame in needed(count)}
        exact = {frame: exact_frame(rollout, state, rig) for frame, state in states.items()}
        images = np.zeros((count, *next(iter(exact.values())).images.shape), np.uint8)
        for frame, shown in exact.items():
            images[frame] = shown.images
        now = [scene.conditions_at(float(states[frame].t_s)) for frame in frames]
        agents = rollout.states.agents
        return cls(
            frames,
            tuple(exact[frame] for frame in frames),
            np.array([[name not in one.faulty_cameras for name in rig.names] for one in now]),
            np.array([[list(type(one.weather)).index(one.weather), list(type(one.light)).index(one.light)] for one in now]),
            Seen.of(images, frames, readers),
            np.stack([_nudged(rollout, states[frame], rig) for frame in frames]),
            {int(i): AgentClass(int(c)) for i, c in zip(agents.track_id[0], agents.category[0], strict=True)},
            rollout.plan_every * scene.dt_s,
        )


def needed(count: int) -> list[int]:
    """Frames of ``count`` that judging looks at: the judged ones and those after them."""
    return [frame for frame in range(count) if frame % JUDGED_EVERY <= 1]


def state_at(rollout: Rollout, frame: int) -> WorldState:
    """The state that camera frame ``frame`` shows."""
    state: WorldState = rollout.states[frame * rollout.plan_every]
    return state


def exact_frame(rollout: Rollout, state: WorldState, rig: CameraRig) -> Frame:
    scene = rollout.scene
    return render(scene.road, state, scene.conditions_at(float(state.t_s)), rig, scene.seed)


def displaced(state: WorldState, ahead_m: float, left_m: float, turn_rad: float) -> WorldState:
    """The state with the ego elsewhere; agents stay."""
    pose = compose_xy_yaw(state.ego_xy_yaw_world, [ahead_m, left_m, turn_rad])
    return replace(state, ego_xy_yaw_world=pose)


def _nudged(rollout: Rollout, state: WorldState, rig: CameraRig) -> Array:
    out = []
    for nudge in np.diag(NUDGES):
        out.append([READ_TABLE[layout(rollout.scene.road, displaced(state, *(sign * nudge)), rig).label] for sign in (1, -1)])
    return np.array(out, np.uint8)
