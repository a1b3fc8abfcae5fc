"""Drives steered by hand through random towns, with exact frames: the same start, another path for every way to steer.

Recorded drives keep to their lanes, so they never tell what a picture does when a car is steered off its road. Here the ego goes
where it is told, nothing else knows of it, and every path is photographed by the raster world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from drivewm.data.towns import draw_drive
from drivewm.datatypes import Action, Array, CameraRig, Clip, Scene, WorldState
from drivewm.sim.engine import Engine
from drivewm.sim.raster.render import render
from drivewm.store import content_hash, save_record
from drivewm.training.cache import FRAMES, FrameCache, clip_tensors
from drivewm.training.shards import Tensors, metadata_of, write_shard

_RECIPE = 1  # raised when the same options begin to give other frames
Told = Callable[[WorldState], tuple[Array, Array]]  # states [B] -> acceleration and curvature [B] until the next


def steered(scenes: list[Scene], told: Told, seconds: float) -> WorldState:
    """States [T, B] of the scenes, ``dt_s`` apart, as ``told`` steers their egos; collisions end nothing."""
    engine = Engine(scenes)
    state = engine.start()
    states = [state.world]
    for _ in range(round(seconds / engine.dt_s)):
        state = engine.step(state, Action(*told(states[-1])))
        states.append(state.world)
    return WorldState.stack(states)


def photographed(scene: Scene, states: WorldState, rig: CameraRig) -> Tensors:
    """Exact frames and conditions [T, ...] of the states [T] of one scene that lie a camera period apart."""
    conditions = tuple(scene.conditions_at(float(t_s)) for t_s in states.t_s)
    frames = [render(scene.road, states[t], now, rig, scene.seed).images for t, now in enumerate(conditions)]
    count, views = len(frames), len(rig.names)
    at_once = np.broadcast_to(np.eye(4), (count, views, 4, 4))
    clip = Clip(
        images=np.stack(frames),
        rig=rig,
        states=states,
        actions=np.stack([states.ego_accel_mps2, states.ego_curvature_1pm], -1),
        road=scene.road,
        conditions=conditions,
        token=scene.id,
        exposure_s=np.zeros((count, views)),
        frame_from_exposure=at_once,
    )
    return clip_tensors(clip)


@dataclass(frozen=True, slots=True)
class WanderOptions:
    """Drives that turn far more, and at other speeds, than people do on roads."""

    drives: int
    seed: int
    split: str = "train"  # whose roads
    seconds: float = 5.0
    most_turn_radps: float = 0.9
    most_speed_mps: float = 22.0


def wandering(out: Path, rig: CameraRig, options: WanderOptions, progress: Callable[[int], None] | None = None) -> FrameCache:
    """A cache in ``out`` of drives that are steered at random. What is there already is kept."""
    save_record(out / "rig.json", rig)
    for index in range(options.drives):
        file = out / f"wander-{index:04d}{FRAMES}"
        made_from = content_hash([_RECIPE, replace(options, drives=0), index, rig])
        if metadata_of(file).get("made_from") != made_from:
            write_shard(file, _wander(index, rig, options), {"made_from": made_from})
        if progress:
            progress(index + 1)
    return FrameCache(out, options.seed)


def _wander(index: int, rig: CameraRig, options: WanderOptions) -> Tensors:
    rng = np.random.default_rng(np.random.SeedSequence([options.seed, index, 11]))
    scene = draw_drive(index, options.split, options.seed, seconds=options.seconds).scene
    speed_mps = float(options.most_speed_mps * rng.random() ** 1.5)
    scene = replace(scene, start=replace(scene.start, ego_speed_mps=np.array(speed_mps)))
    wishes = np.column_stack([rng.uniform(-1.0, 1.0, 16), rng.uniform(-3.0, 3.0, 16), rng.uniform(0.0, 1.0, 16)])
    states = steered([scene], partial(_random_hold, wishes, options), options.seconds)[:, 0]
    return photographed(scene, states[:: round(1.0 / (rig.rate_hz * scene.dt_s))], rig)


def _random_hold(wishes: Array, options: WanderOptions, now: WorldState) -> tuple[Array, Array]:
    """A wish for every 0.8 s: turn, acceleration; a fifth of the time straight on."""
    turn, accel, chance = wishes[int(now.t_s[0] / 0.8 + 1e-6) % len(wishes)]
    turn_radps = 0.0 if chance < 0.2 else turn * options.most_turn_radps
    return np.array([accel]), turn_radps / np.maximum(now.ego_speed_mps, 1.0)
