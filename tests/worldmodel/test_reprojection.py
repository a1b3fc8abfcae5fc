"""What the frame before tells of this one, by geometry alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from drivewm.datatypes import CameraRig, WorldState
from drivewm.evaluation.suite import load_suite
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import level_camera, nuscenes_rig
from drivewm.worldmodel.conditions import FrameConditions, frame_conditions
from drivewm.worldmodel.reprojection import SeenBefore, Sightlines

RIG = nuscenes_rig()
CELL_PX = 4
SCENE = load_suite("demo").scenes(0)[1]  # clear weather: nothing falls that no geometry knows
START = Engine([SCENE]).start().world[0]
HEADING = np.array([np.cos(START.ego_xy_yaw_world[2]), np.sin(START.ego_xy_yaw_world[2])])


def at(ahead_m: float, yaw_rad: float = 0.0) -> WorldState:
    """The first state of a scene with its ego moved straight ahead and turned, everybody else as they were."""
    moved = START.ego_xy_yaw_world + np.array([*(ahead_m * HEADING), yaw_rad])
    return replace(START, ego_xy_yaw_world=moved, t_s=START.t_s + 0.2)


def matched(before: WorldState, now: WorldState, *, layout: bool = True, motion: bool = True, rig: CameraRig = RIG) -> SeenBefore:
    told = frame_conditions(SCENE.road, now, before, SCENE.conditions, rig)
    names = FrameConditions.__dataclass_fields__
    tensors = {name: torch.from_numpy(np.asarray(getattr(told, name)))[None, None] for name in names}
    lines = Sightlines.of(tensors, torch.tensor([not layout]), torch.tensor([not motion]), CELL_PX)
    return lines.seen_before(lines.ground_BTVP)


def shown(state: WorldState) -> torch.Tensor:
    """Mean colours of all cells [1, 1, V, 3, h, w]."""
    images, _ = RasterWorld(RIG).start([SCENE], WorldState.stack([state]), seed=0)
    pixels = torch.from_numpy(images[0]).movedim(-1, 1).float()
    return torch.nn.functional.avg_pool2d(pixels, CELL_PX)[None, None]


def error(guess: torch.Tensor, truth: torch.Tensor, seen: SeenBefore) -> float:
    """Root of the mean squared error over the cells that were seen before."""
    counts = (seen.share_BTN4.sum(-1) > 0.99).view(1, 1, 6, 1, *truth.shape[-2:]).expand(truth.shape)
    return float(((guess - truth)[counts] ** 2).mean().sqrt())


@pytest.mark.parametrize("layout", [True, False])
def test_who_stands_still_sees_every_point_where_it_was(layout: bool) -> None:
    picture = torch.randn(1, 1, 6, 3, 64 // CELL_PX, 96 // CELL_PX)
    moved = matched(at(0.0), at(0.0), layout=layout).of(picture)
    torch.testing.assert_close(moved, picture, atol=1e-3, rtol=1e-3)


def test_driving_on_moves_the_picture_as_the_road_moves() -> None:
    was, now = shown(at(0.0)), shown(at(3.0))
    told = matched(at(0.0), at(3.0))
    assert error(told.of(was), now, told) < 0.65 * error(was, now, told)
    ground = matched(at(0.0), at(3.0), layout=False)
    assert error(ground.of(was), now, ground) < error(was, now, ground)


def test_turning_brings_what_another_camera_saw() -> None:
    cameras = replace(RIG, ego_from_camera=np.stack([level_camera((0.0, 0.0, 1.5), yaw) for yaw in range(180, -180, -60)]))
    intrinsics = np.tile(np.array([[83.14, 0.0, 48.0], [0.0, 83.14, 32.0], [0.0, 0.0, 1.0]]), (6, 1, 1))  # 60 degrees wide
    cameras = replace(cameras, intrinsics=intrinsics)
    picture = torch.arange(6.0).view(1, 1, 6, 1, 1, 1).expand(1, 1, 6, 1, 64 // CELL_PX, 96 // CELL_PX).contiguous()
    moved = matched(at(0.0), at(0.0, yaw_rad=np.radians(60.0)), rig=cameras).of(picture)
    middle = moved[0, 0, :, 0, 8, 12]
    assert middle.tolist() == pytest.approx([5.0, 0.0, 1.0, 2.0, 3.0, 4.0], abs=0.01)  # camera i looks where i - 1 looked


def test_without_motion_nothing_is_known_of_the_frame_before() -> None:
    seen = matched(at(0.0), at(3.0), motion=False)
    assert not seen.share_BTN4.any()


def test_shares_of_a_cell_add_up_to_one_or_nothing() -> None:
    total = matched(at(0.0), at(1.0, 0.2)).share_BTN4.sum(-1)
    assert bool((((total - 1.0).abs() < 1e-4) | (total == 0)).all())
    assert 0.5 < float((total > 0).float().mean()) <= 1.0
