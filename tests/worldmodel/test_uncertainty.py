"""How unsure the embedded world model is, where it may know and where it cannot."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.datatypes import Action, Array
from drivewm.errors import InputError
from drivewm.evaluation.overheard import Overheard, write_unsure
from drivewm.evaluation.uncertainty import CalibrationOptions, auroc, halves, monotone, risk_at, risk_removed
from drivewm.policies.baselines import ConstantVelocity
from drivewm.rollout import rollout
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import save_record
from drivewm.testing import straight_scene
from drivewm.training.cache import FrameCache
from drivewm.training.shards import write_shard
from drivewm.worldmodel.conditions import FREE_REGIME, FrameConditions, frame_conditions
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.uncertainty import CARRIED, FILE, calibration_in, doubt_of
from drivewm.worldmodel.world import EMBEDDED, DreamWorld, open_pipeline

SCENE = straight_scene(lead=(18.0, 8.0))
FRAMES = 6
FRONT = 1


def expected_errors(world: DreamWorld) -> Array:
    """Expected errors [F, V] while the ego rolls on behind a car."""
    engine, heard, idle = Engine([SCENE]), Overheard(world), Action(np.zeros(1), np.zeros(1))
    state = engine.start()
    _, memory = heard.start([SCENE], state.world, seed=0)
    for _ in range(FRAMES):
        state = engine.step(engine.step(state, idle), idle)
        _, memory = heard.step(memory, state.world, idle)
    unsure = heard.of_scene(0, FRAMES + 1)
    assert unsure is not None
    return unsure


@pytest.fixture(scope="module")
def told() -> Array:
    return expected_errors(DreamWorld.load())


@pytest.fixture(scope="module")
def free() -> Array:
    return expected_errors(DreamWorld.load(drop=FREE_REGIME))


def test_a_given_frame_is_beyond_doubt_and_no_dreamed_one_is(told: Array, free: Array) -> None:
    for unsure in (told, free):
        assert (unsure[0] == 0.0).all()
        assert (unsure[1:] > 1.0).all()


def test_who_is_not_told_the_layout_is_less_sure(told: Array, free: Array) -> None:
    assert (free[1:].mean(1) > 1.15 * told[1:].mean(1)).all()


def test_left_alone_the_dream_grows_less_sure_with_time(free: Array) -> None:
    over_time = free.mean(1)
    assert (np.diff(over_time) > 0).sum() >= FRAMES - 1
    assert over_time[-2:].mean() > 1.5 * over_time[1]


def test_a_drive_is_kept_with_the_doubt_of_every_frame_and_camera(tmp_path: Path) -> None:
    world = DreamWorld.load()
    heard = Overheard(world)
    drive = rollout([straight_scene(horizon_s=0.6)], ConstantVelocity(), heard, seed=0)[0]
    file = write_unsure(tmp_path / "drive.unsure.json", heard.of_scene(0, len(drive.plans.t_s)), drive, world)
    assert file is not None
    kept = json.loads(file.read_text())
    assert kept["t_s"] == [0.0, 0.2, 0.4] and kept["cameras"] == list(world.rig.names)
    errors = np.array(kept["expected_error"])
    assert errors.shape == (3, 6) and (errors[0] == 0).all() and (errors[1:] > 1.0).all()


@torch.no_grad()
def test_a_camera_that_was_lost_is_less_sure_of_what_comes_next() -> None:
    """Two cars see the same, but the front camera of the second was black."""
    pipeline = open_pipeline(EMBEDDED)
    network, codec = pipeline.transformer, pipeline.codec
    rig, session = nuscenes_rig(*network.size.size_px), Session(network, 2, FREE_REGIME)
    state = Engine([SCENE]).start().world
    images = np.repeat(RasterWorld(rig).start([SCENE], state, 0)[0], 2, 0)
    images[1, FRONT] = 0
    row = frame_conditions(SCENE.road, state[0], None, SCENE.conditions, rig)
    both = FrameConditions.stack([row, row])
    told = {f.name: torch.from_numpy(np.ascontiguousarray(getattr(both, f.name)))[:, None] for f in fields(both)}
    latent = codec.encode(torch.from_numpy(images))[:, None]
    lost = torch.zeros_like(told["lost"])
    lost[1, 0, FRONT] = True
    memory = session.observe(session.start(), told | {"time_s": torch.zeros(2, 1), "lost": lost}, latent)
    assert memory.doubt is not None
    assert torch.equal(memory.doubt.amax((-1, -2)), lost[:, 0].float())
    noise = torch.randn(latent[:1].shape, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1, 1, 1)
    _, memory = session.dream(memory, told | {"time_s": torch.full((2, 1), 0.2)}, noise)
    assert memory.doubt is not None
    seen, was_lost = memory.doubt.mean((-1, -2))
    assert was_lost[FRONT] > 2.0 * seen[FRONT]
    assert was_lost[0] < 1.2 * seen[0]


def test_a_given_view_is_beyond_doubt_whatever_was_before_it_and_a_lost_one_is_not() -> None:
    latent = torch.randn(1, 1, 3, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    before = torch.full((1, 3, 8, 12), 0.5)
    given, lost = torch.tensor([[True, True, False]]), torch.tensor([[False, True, False]])
    doubt = doubt_of(latent, latent, before, lost, given)[0].mean((-1, -2))
    np.testing.assert_allclose(doubt.numpy(), [0.0, 1.0, 0.5 * CARRIED], rtol=1e-6)


def test_the_embedded_calibration_is_that_of_the_embedded_weights() -> None:
    made = calibration_in(EMBEDDED, open_pipeline(EMBEDDED).identity())
    assert made is not None, "after new weights: drivewm calibrate"
    for curve in made.curves:
        assert np.all(np.diff(curve.doubt) > 0) and np.all(np.diff(curve.error) >= 0)
        assert curve.spearman > 0.3


def test_a_drive_that_ended_in_a_collision_is_left_out_of_the_calibration(tmp_path: Path) -> None:
    clips = {"long_a": 30, "short": 5, "long_b": 24}
    for name, frames in clips.items():
        write_shard(tmp_path / f"{name}.frames.safetensors", {"images": torch.zeros(frames, 1, 8, 8, 3, dtype=torch.uint8)}, {})
    save_record(tmp_path / "rig.json", nuscenes_rig(8, 8))
    learned, others = halves(FrameCache(tmp_path), CalibrationOptions(seconds=4.0))
    assert learned.images.shape[:2] == others.images.shape[:2] == (1, 24)
    with pytest.raises(InputError, match="1 of 3 scenes have 29 frames"):
        halves(FrameCache(tmp_path), CalibrationOptions(seconds=5.0))


def test_a_calibration_of_other_weights_says_nothing(tmp_path: Path) -> None:
    shutil.copy(EMBEDDED / FILE, tmp_path)
    assert calibration_in(tmp_path, "dream-tiny@00000000") is None
    (tmp_path / FILE).write_text("{")
    with pytest.raises(InputError, match=r"uncertainty\.json"):
        calibration_in(tmp_path, "dream-tiny@00000000")


def test_a_single_step_has_nothing_to_compare() -> None:
    world = DreamWorld.load(steps=1)
    state = Engine([SCENE]).start()
    _, memory = world.start([SCENE], state.world, seed=0)
    _, memory = world.step(memory, state.world, Action(np.zeros(1), np.zeros(1)))
    assert world.unsure(memory) is None
    heard = Overheard(world)
    heard.start([SCENE], state.world, seed=0)
    assert heard.of_scene(0, 1) is None


def test_measures_of_a_score_against_cases_worked_out_by_hand() -> None:
    error = np.array([1.0, 2.0, 3.0, 4.0])
    bad = np.array([False, False, False, True])
    assert auroc(error, bad) == 1.0
    assert auroc(-error, bad) == 0.0
    assert auroc(np.zeros(4), bad) == 0.5
    assert auroc(error, np.zeros(4, bool)) is None
    np.testing.assert_allclose(risk_at(error, error, np.array([0.25, 0.5, 1.0])), [1.0, 1.5, 2.5])
    np.testing.assert_allclose(risk_at(-error, error, np.array([0.25, 1.0])), [4.0, 2.5])
    assert risk_removed(error, error) == pytest.approx(1.0)
    assert risk_removed(-error, error) == pytest.approx(-1.0)


def test_the_line_from_doubt_to_error_rises_from_nothing_and_goes_through_the_means() -> None:
    rng = np.random.default_rng(0)
    doubt = rng.uniform(0.1, 1.0, 6000)
    error = 30.0 * doubt + rng.normal(0.0, 5.0, doubt.size)
    x, y = monotone(doubt, error)
    assert (x[0], y[0]) == (0.0, 0.0)
    assert np.all(np.diff(y) >= 0)
    np.testing.assert_allclose(np.interp([0.2, 0.5, 0.9], x, y), [6.0, 15.0, 27.0], rtol=0.1)
