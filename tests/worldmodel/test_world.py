"""The dream behind the world protocol, and what it is told about a state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.datatypes import Conditions, Light, SemanticClass, Weather
from drivewm.errors import InputError
from drivewm.sim.engine import Engine
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import check_world, straight_scene
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import FREE_REGIME, frame_conditions
from drivewm.worldmodel.embedding import camera_rays
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld, open_pipeline

SIZE = replace(SIZES["tiny"], width=32, depth=1, heads=2, autoencoder_channels=(16, 32, 64), autoencoder_layers=(1, 1, 1))
RIG = nuscenes_rig()


@pytest.fixture(scope="module")
def pipeline() -> DreamPipeline:
    torch.manual_seed(0)
    return DreamPipeline.of_parts(DriveTransformer.of_size(SIZE), FrameCodec.of_size(SIZE))


@pytest.mark.parametrize("context", ["reference", "scratch"])
def test_any_dream_keeps_the_contract_of_worlds(pipeline: DreamPipeline, context: str) -> None:
    check_world(DreamWorld(pipeline, RIG, steps=2, context=context))


def test_worlds_that_show_something_else_have_another_name(pipeline: DreamPipeline) -> None:
    usual = DreamWorld(pipeline, RIG)
    assert usual.id == DreamWorld(pipeline, RIG, steps=SIZE.dream_steps).id == pipeline.identity()
    others = [
        DreamWorld(pipeline, RIG, drop=FREE_REGIME),
        DreamWorld(pipeline, RIG, drop=FREE_REGIME | {"motion"}),
        DreamWorld(pipeline, RIG, drop=frozenset({"layout"})),
        DreamWorld(pipeline, RIG, steps=SIZE.dream_steps + 1),
        DreamWorld(pipeline, RIG, context="scratch"),
    ]
    assert len({usual.id, *(other.id for other in others)}) == 6
    assert others[0].id == usual.id + ":free"


def test_a_rig_that_does_not_fit_the_cells_is_refused(pipeline: DreamPipeline) -> None:
    with pytest.raises(InputError, match="16 px"):
        DreamWorld(pipeline, nuscenes_rig(60, 96))


def test_an_unknown_condition_to_drop_is_refused(pipeline: DreamPipeline) -> None:
    with pytest.raises(InputError, match="layout"):
        DreamWorld(pipeline, RIG, drop=frozenset({"smell"}))


def test_missing_and_damaged_world_models_are_one_sentence(pipeline: DreamPipeline, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no world model"):
        open_pipeline(tmp_path)
    pipeline.save(tmp_path / "world")
    weights = tmp_path / "world" / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="is damaged or not a safetensors file"):
        open_pipeline(tmp_path / "world")


def test_the_model_is_told_the_lead_car_where_it_is() -> None:
    scene = straight_scene(lead=(20.0, 5.0))
    state = Engine([scene]).start().world[0]
    told = frame_conditions(scene.road, state, None, Conditions(Weather.SNOW, Light.NIGHT, sun_azimuth_rad=0.5), RIG)
    x, y, cos, sin, length, *_, speed, kind = told.boxes[0]
    truth = state.agents.xy_yaw_world[0] - state.ego_xy_yaw_world
    assert (x, y) == pytest.approx((truth[0], truth[1]), abs=1e-4)
    assert (cos, sin, speed, kind) == pytest.approx((1.0, 0.0, 5.0, 1.0), abs=1e-4)
    assert length == pytest.approx(state.agents.size_lwh_m[0, 0])
    front = told.label[RIG.names.index("CAM_FRONT")]
    assert (front == SemanticClass.VEHICLE).sum() > 10
    assert not (told.label[RIG.names.index("CAM_BACK")] == SemanticClass.VEHICLE).any()
    assert (told.weather, told.light) == (list(Weather).index(Weather.SNOW), list(Light).index(Light.NIGHT))
    np.testing.assert_allclose(told.sun, [np.cos(0.5), np.sin(0.5)], atol=1e-6)


def test_motion_is_the_step_since_the_last_frame() -> None:
    scene = straight_scene()
    before = Engine([scene]).start().world[0]
    pose = before.ego_xy_yaw_world + [1.6, 0.2, 0.05]
    after = replace(before, ego_xy_yaw_world=pose, t_s=before.t_s + 0.2)
    told = frame_conditions(scene.road, after, before, scene.conditions, RIG)
    np.testing.assert_allclose(told.motion[2:], [1.6, 0.2, 0.05, 0.2], atol=1e-5)


def test_the_front_camera_looks_ahead_and_the_back_camera_back() -> None:
    intrinsics, poses = torch.from_numpy(RIG.intrinsics), torch.from_numpy(RIG.ego_from_camera)
    rays = camera_rays(intrinsics, poses, RIG.size_px, 16).reshape(6, 4, 6, 6).numpy()
    np.testing.assert_allclose(np.linalg.norm(rays[..., 3:], axis=-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(rays[:, 0, 0, :3], RIG.ego_from_camera[:, :3, 3])
    middle = rays[:, 1:3, 2:4, 3:].mean((1, 2))
    assert middle[RIG.names.index("CAM_FRONT"), 0] > 0.95
    assert middle[RIG.names.index("CAM_BACK"), 0] < -0.95
    assert middle[RIG.names.index("CAM_FRONT_LEFT"), 1] > 0.7
