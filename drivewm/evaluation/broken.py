"""Drives whose pictures are broken on purpose, each in one way: what the validity gate has to catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from drivewm.datatypes import Agents, Array, CameraRig, Light, Rollout, Weather, WorldState
from drivewm.evaluation.truth import Truth, displaced, needed, state_at
from drivewm.geometry import compose_xy_yaw, relative_xy_yaw
from drivewm.scenarios.bodies import BODIES
from drivewm.sim.raster import Frame, render

MATTERS_PX, MATTERS_MOMENTS = 120, 3  # an agent counts that is as large in one camera at so many judged moments
PALE = 8.0  # grey levels by which an agent has to stand out from what is behind it; in thick fog nobody sees it
PARTED_M = 12.0  # distance between the ends of two drives that have other actions
FROZEN_M = 8.0  # how far the ego goes on while the picture stands still
ASIDE_M, TURNED_RAD = 2.0, 0.14  # how far the slow drift has come at the end
ADDED = ("car", "van", "truck", "motorcycle", "bicycle", "pedestrian")
TRIES, MOST_REMOVED = 4, 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """A drive to be broken: its own pictures uint8 [F, V, H, W, 3] (those that judging looks at, black between)."""

    drive: Rollout
    other: Rollout  # another drive, which lends its motion
    images: Array
    truth: Truth
    rig: CameraRig

    def drawn(self, state_of: Callable[[int], WorldState], frames: Sequence[int], drive: Rollout | None = None) -> list[Frame]:
        """The reference's frames of other states; drops and flakes fall otherwise than in those that the gate draws."""
        scene = (drive or self.drive).scene
        states = [state_of(frame) for frame in frames]
        return [render(scene.road, s, scene.conditions_at(float(s.t_s)), self.rig, scene.seed + 1) for s in states]

    def film(self, frames: Sequence[int], shown: Sequence[Frame]) -> Array:
        """Pictures [F, V, H, W, 3] with ``shown`` at ``frames``, black between."""
        out = np.zeros_like(self.images)
        for frame, one in zip(frames, shown, strict=True):
            out[frame] = one.images
        return out


@dataclass(frozen=True, slots=True)
class Way:
    """A way to break a drive: pictures of every such case, none where the drive cannot be broken so."""

    cases: Callable[[Subject, np.random.Generator], Iterator[Array]]
    moves: bool  # whether it is the motion that is broken; else only single frames are drawn, and motion is not asked


def whole(drive: Rollout, other: Rollout, truth: Truth, rig: CameraRig) -> Subject:
    """A drive as the reference shows it, ready to be broken."""
    count = len(drive.plans.t_s)
    bare = Subject(drive, other, np.zeros((count, len(rig.names), *rig.size_px, 3), np.uint8), truth, rig)
    frames = needed(count)
    return replace(bare, images=bare.film(frames, bare.drawn(lambda frame: state_at(drive, frame), frames)))


def shuffled_actions(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """The picture moves as another drive's ego did."""
    count, lent = len(subject.images), len(subject.other.plans.t_s)
    other = [state_at(subject.other, frame).ego_xy_yaw_world for frame in range(min(count, lent))]
    if len(other) < 2:
        return
    while len(other) < count:  # it ended earlier: it goes on as it last did
        other.append(compose_xy_yaw(other[-1], relative_xy_yaw(other[-1], other[-2])))
    start, end = state_at(subject.drive, 0), state_at(subject.drive, count - 1).ego_xy_yaw_world
    shown = [displaced(start, *relative_xy_yaw(pose, other[0])).ego_xy_yaw_world for pose in other]
    if np.hypot(*(shown[-1] - end)[:2]) < PARTED_M:
        return
    frames = needed(count)
    moved = subject.drawn(lambda frame: replace(state_at(subject.drive, frame), ego_xy_yaw_world=shown[frame]), frames)
    yield subject.film(frames, moved)


def removed_agent(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """One agent is not shown."""
    instances = [frame.instance for frame in subject.truth.exact]
    tracks = [int(track) for track in np.unique(instances) if track >= 0]
    large = [track for track in tracks if _matters([now == track for now in instances], subject)]
    for gone in rng.permutation(large)[:MOST_REMOVED]:

        def without(frame: int) -> WorldState:
            state = state_at(subject.drive, frame)
            agents = state.agents
            return replace(state, agents=replace(agents, valid=agents.valid & (agents.track_id != gone)))  # noqa: B023

        shown = subject.drawn(without, subject.truth.frames)
        gaps = [_uncovered(was, now, gone) for was, now in zip(subject.truth.exact, shown, strict=True)]
        if _matters(gaps, subject):
            yield subject.film(subject.truth.frames, shown)


def added_agent(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """An agent is shown that does not exist: it goes with the ego, or stands where the ego comes by."""
    drive, frames = subject.drive, subject.truth.frames
    track_id = int(drive.states.agents.track_id.max(initial=0)) + 1
    for _ in range(TRIES):
        body = BODIES[str(rng.choice(ADDED))]
        place = float(rng.uniform(5.0, 12.0)), float(rng.uniform(-5.0, 5.0)), float(rng.normal(0.0, 0.2))
        stop = state_at(drive, int(rng.integers(len(subject.images)))) if rng.random() < 0.5 else None

        def with_it(frame: int) -> WorldState:
            state = state_at(drive, frame)
            pose = displaced(stop or state, *place).ego_xy_yaw_world  # noqa: B023
            speed = 0.0 if stop else float(state.ego_speed_mps)  # noqa: B023
            row = (track_id, int(body.category), pose, speed, 0.0, body.size_lwh_m, True)  # noqa: B023
            return replace(state, agents=_joined(state.agents, row))

        shown = subject.drawn(with_it, frames)
        places = [_uncovered(now, was, track_id) for now, was in zip(shown, subject.truth.exact, strict=True)]
        if _matters(places, subject):
            yield subject.film(frames, shown)
            return


def frozen_picture(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """From some moment of the first half on the picture stands still while the ego goes on."""
    frames = needed(len(subject.images))
    last = frames[int(rng.integers(len(frames) // 2))]
    stood, end = (state_at(subject.drive, frame).ego_xy_yaw_world for frame in (last, frames[-1]))
    if np.hypot(*(end - stood)[:2]) >= FROZEN_M:
        images = subject.images.copy()
        images[last:] = images[last]
        yield images


def wrong_sky(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """Another weather, or another light, than was told."""
    told = subject.drive.scene.conditions
    if rng.random() < 0.5:
        shown = replace(told, weather=_other(told.weather, tuple(Weather), rng))
    else:
        shown = replace(told, light=_other(told.light, tuple(Light), rng))
    drive = replace(subject.drive, scene=replace(subject.drive.scene, conditions=shown, condition_changes=()))
    frames = subject.truth.frames
    yield subject.film(frames, subject.drawn(lambda frame: state_at(drive, frame), frames, drive))


def swapped_cameras(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """Two cameras show each other's picture."""
    sound = np.flatnonzero(subject.truth.sound.all(0))
    if len(sound) >= 2:
        a, b = rng.choice(sound, 2, replace=False)
        images = subject.images.copy()
        images[:, [a, b]] = subject.images[:, [b, a]]
        yield images


def slow_drift(subject: Subject, rng: np.random.Generator) -> Iterator[Array]:
    """The picture leaves the place of the ego little by little, to one side or by turning."""
    sign, aside = float(rng.choice([-1.0, 1.0])), bool(rng.random() < 0.5)
    last, frames = len(subject.images) - 1, subject.truth.frames

    def drifted(frame: int) -> WorldState:
        part, state = sign * frame / last, state_at(subject.drive, frame)
        return displaced(state, 0.0, part * ASIDE_M, 0.0) if aside else displaced(state, 0.0, 0.0, part * TURNED_RAD)

    yield subject.film(frames, subject.drawn(drifted, frames))


WAYS: dict[str, Way] = {
    "shuffled actions": Way(shuffled_actions, True),
    "removed agent": Way(removed_agent, False),
    "added agent": Way(added_agent, False),
    "frozen picture": Way(frozen_picture, True),
    "wrong weather or light": Way(wrong_sky, False),
    "swapped cameras": Way(swapped_cameras, True),
    "slow drift": Way(slow_drift, False),
}


def _joined(agents: Agents, row: tuple[Any, ...]) -> Agents:
    more = agents.padded(len(agents.valid) + 1)
    for one, value in zip(fields(Agents), row, strict=True):
        getattr(more, one.name)[-1] = value
    return more


def _uncovered(with_it: Frame, without: Frame, track_id: int) -> Array:
    """Pixels [V, H, W] that show an agent, hide no other one, and stand out from what is behind."""
    apart = np.abs(with_it.images.astype(np.int16) - without.images).mean(-1)
    return (with_it.instance == track_id) & (without.instance < 0) & (apart >= PALE)


def _matters(masks_JVHW: Sequence[Array], subject: Subject) -> bool:
    """Whether so many pixels are in one camera that shows the state, at enough of the judged moments."""
    most = [mask[sound].sum((1, 2)).max(initial=0) for mask, sound in zip(masks_JVHW, subject.truth.sound, strict=True)]
    return sum(px >= MATTERS_PX for px in most) >= MATTERS_MOMENTS


def _other(now: T, all_of_them: tuple[T, ...], rng: np.random.Generator) -> T:
    others = [one for one in all_of_them if one != now]
    return others[int(rng.integers(len(others)))]
