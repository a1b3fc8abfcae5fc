"""What the frame before tells of this one, by geometry alone."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from drivewm.datatypes import WorldState
from drivewm.evaluation.suite import load_suite
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.conditions import frame_conditions
from drivewm.worldmodel.reprojection import Sightlines

RIG = nuscenes_rig()
SCENE = load_suite("demo").scenes(0)[1]  # clear weather: nothing falls that no geometry knows
START = Engine([SCENE]).start().world[0]
HEADING = np.array([np.cos(START.ego_xy_yaw_world[2]), np.sin(START.ego_xy_yaw_world[2])])


def at(ahead_m: float, yaw_rad: float = 0.0) -> WorldState:
    """The first state of a scene with its ego moved straight ahead and turned, everybody else as they were."""
    moved = START.ego_xy_yaw_world + np.array([*(ahead_m * HEADING), yaw_rad])
    return replace(START, ego_xy_yaw_world=moved, t_s=START.t_s + 0.2)


def lines(before: WorldState, now: WorldState, *, layout: bool = True, motion: bool = True) -> Sightlines:
    told = frame_conditions(SCENE.road, now, before, SCENE.conditions, RIG)
    tensors = {f.name: torch.from_numpy(np.asarray(getattr(told, f.name)))[None, None] for f in fields(told)}
    return Sightlines.of(tensors, torch.tensor([not layout]), torch.tensor([not motion]), 1)


def shown(state: WorldState) -> torch.Tensor:
    """Pixels [1, 1, V, 3, H, W]."""
    images, _ = RasterWorld(RIG).start([SCENE], WorldState.stack([state]), seed=0)
    return torch.from_numpy(images[0]).movedim(-1, 1).float()[None, None]


def error(guess: torch.Tensor, truth: torch.Tensor, seen: torch.Tensor) -> float:
    """Root of the mean squared error over the pixels that were seen before."""
    return float(((guess - truth) ** 2).mean(3)[seen].mean().sqrt())


@pytest.mark.parametrize("layout", [True, False])
def test_who_stands_still_sees_every_point_where_it_was(layout: bool) -> None:
    picture, still = torch.randn(1, 1, 6, 3, 64, 96), lines(at(0.0), at(0.0), layout=layout)
    moved = still.moved(picture, still.ground)
    torch.testing.assert_close(moved[:, :, :, :3], picture, atol=1e-3, rtol=1e-3)
    assert bool((moved[:, :, :, 3] == 1.0).all())


def test_driving_on_moves_the_picture_as_the_road_moves() -> None:
    was, now = shown(at(0.0)), shown(at(3.0))
    for layout, most in ((True, 0.65), (False, 1.0)):
        driven = lines(at(0.0), at(3.0), layout=layout)
        moved = driven.moved(was, driven.ground)
        seen = moved[:, :, :, 3] == 1.0
        assert error(moved[:, :, :, :3], now, seen) < most * error(was, now, seen)


def test_turning_left_moves_the_picture_to_the_right() -> None:
    picture = torch.arange(96.0).expand(1, 1, 6, 1, 64, 96).contiguous()
    turned = lines(at(0.0), at(0.0, yaw_rad=0.1))
    moved = turned.moved(picture, turned.told)[0, 0, 1, 0, 32]
    focal_px = RIG.intrinsics[1, 0, 0]
    assert float(moved[48]) == pytest.approx(48.0 - 0.1 * focal_px, abs=1.0)


def test_without_motion_nothing_is_known_of_the_frame_before() -> None:
    driven = lines(at(0.0), at(3.0), motion=False)
    assert not driven.moved(torch.ones(1, 1, 6, 1, 64, 96), driven.told).any()


def test_the_ground_is_as_far_as_the_layout_says() -> None:
    told = lines(at(0.0), at(0.0))
    layout = frame_conditions(SCENE.road, START, START, SCENE.conditions, RIG).label
    road = torch.from_numpy(layout == 2)[None, None]
    assert road.sum() > 1000
    assert float((told.ground - told.told).abs()[road].quantile(0.95)) < 0.01
