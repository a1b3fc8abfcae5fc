"""What keeps its place and colour, and what does not."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from drivewm.evaluation.appearance import appearance, displaced
from drivewm.evaluation.suite import load_suite
from drivewm.policies.load import load_policy
from drivewm.rollout import rollout
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.conditions import FrameConditions, frame_conditions

Told = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def driven() -> tuple[np.ndarray, Told]:
    """Six frames of a motorway in clear weather, as the reference world shows them, with what is told of them."""
    scene, rig = load_suite("demo").scenes(0)[1], nuscenes_rig()
    images: list[np.ndarray] = []
    done = rollout(
        [scene], load_policy("expert"), RasterWorld(rig), seed=0, on_frame=lambda _, frame, state: images.append(frame[0])
    )[0]
    states = [done.states[done.plan_every * index] for index in range(6)]
    rows = [
        frame_conditions(scene.road, state, states[index - 1] if index else None, scene.conditions, rig)
        for index, state in enumerate(states)
    ]
    told = FrameConditions.stack(rows)
    tensors = {f.name: torch.from_numpy(np.ascontiguousarray(getattr(told, f.name)))[None] for f in fields(told)}
    return np.stack(images[:6])[None], tensors


def test_the_reference_has_its_own_colours_and_small_displacements(driven: tuple[np.ndarray, Told]) -> None:
    images, told = driven
    own = appearance(images, images, told)
    assert own["colour_error"]["vehicle"] == 0.0
    assert own["displaced_rms"] < 0.5 * displaced(images[:, [0, 5, 0, 5, 0, 5]], told)


def test_other_paint_is_an_error_of_colour(driven: tuple[np.ndarray, Told]) -> None:
    images, told = driven
    vehicle = told["label"].numpy() == 9
    other = images.copy()
    other[vehicle] = np.clip(other[vehicle].astype(int) + 40, 0, 255)
    measured = appearance(other, images, told)["colour_error"]
    assert 25.0 < measured["vehicle"] <= 40.0
    assert measured["building"] in (None, 0.0)


def test_a_frozen_picture_is_displaced(driven: tuple[np.ndarray, Told]) -> None:
    images, told = driven
    assert displaced(images[:, :1].repeat(6, 1), told) > 1.5 * displaced(images, told)
