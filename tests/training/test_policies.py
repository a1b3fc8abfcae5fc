"""Training the large policy: what is recorded, how batches are cut, and that a killed run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from drivewm.datatypes import Scene
from drivewm.errors import InputError
from drivewm.policies.judge import PARTS
from drivewm.policies.load import load_policy
from drivewm.policies.teacher import TeacherConfig, TeacherNetwork, TeacherPolicy
from drivewm.policies.vocabulary import CANDIDATES
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld, straight_scene
from drivewm.training.policies import TeacherOptions, catalogue_scenes, teacher_step, train_teacher, weathered
from drivewm.training.visits import DrivingMix, load_drives, moments, record_drives, save_drive

RIG = nuscenes_rig(32, 48)
SMALL = TeacherConfig(RIG, stage_channels=(8, 16, 24), width=24, heads=2, encoder_layers=1, decoder_layers=1)


def scene_at(index: int) -> Scene:
    return straight_scene(6.0 + index, lead=(30.0, 3.0), horizon_s=2.0)


def test_recorded_drives_hold_what_was_seen_and_exact_labels(tmp_path: Path) -> None:
    scenes = [straight_scene(10.0, lead=(5.0, 0.0), horizon_s=3.0), straight_scene(8.0, horizon_s=2.0)]
    crash, free = record_drives(scenes, BlankWorld(RIG), DrivingMix(detour_chance=0.0), seed=0)
    assert len(free) == 10 and 1 <= len(crash) <= 6  # half a second from the wall there is nothing left to do
    assert free.images.shape == (10, 6, *RIG.size_px, 3)
    assert free.sub_scores.shape == (10, CANDIDATES, len(PARTS))
    assert free.ego_motion[0].tolist() == [8.0, 0.0, 0.0]
    save_drive(tmp_path / "drive-00000.safetensors", free)
    again = load_drives(tmp_path)[0]
    assert np.array_equal(again.sub_scores, free.sub_scores) and again.images.dtype == np.uint8


def test_detours_leave_the_line_of_the_expert() -> None:
    scenes = [straight_scene(10.0, horizon_s=5.0) for _ in range(4)]
    straight = record_drives(scenes, BlankWorld(RIG), DrivingMix(detour_chance=0.0), seed=0)
    wandering = record_drives(scenes, BlankWorld(RIG), DrivingMix(detour_chance=0.3), seed=0)
    aside = [np.abs(drive.route_xy_ego[:, 0, 1]).max() for drive in wandering]
    assert max(np.abs(drive.route_xy_ego[:, 0, 1]).max() for drive in straight) < 0.05
    assert max(aside) > 0.3 and len({round(float(value), 3) for value in aside}) > 2


def test_a_moment_brings_the_frame_before_it() -> None:
    drive = record_drives([straight_scene(8.0, horizon_s=2.0)], BlankWorld(RIG), DrivingMix(), seed=0)[0]
    drive.images[:] = np.arange(len(drive), dtype=np.uint8)[:, None, None, None, None]
    batch = moments([drive], 64, np.random.default_rng(0))
    first, last = batch["images"][:, 0, 0, 0, 0, 0].int(), batch["images"][:, 1, 0, 0, 0, 0].int()
    exists = batch["ego_motion"][:, 0, 3].bool()
    assert torch.equal(first[exists] + 1, last[exists])
    assert (last[~exists] == 0).all() and (first[~exists] == 0).all() and (~exists).any()


def test_a_step_gives_finite_losses_and_gradients() -> None:
    drives = record_drives([scene_at(0)], BlankWorld(RIG), DrivingMix(), seed=0)
    network = TeacherNetwork(SMALL)
    losses = teacher_step(network, moments(drives, 4, np.random.default_rng(0)))
    losses["loss"].backward()
    assert all(torch.isfinite(value) for value in losses.values())
    idle = [name for name, value in network.named_parameters() if value.grad is None]
    assert idle == []


def test_weathering_changes_pixels_but_not_what_they_show() -> None:
    images = torch.randint(0, 256, (6, 2, 6, 32, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, :, :, :16] = 40
    images[:, :, :, 16:] = 200
    after = weathered(images, np.random.default_rng(0))
    assert after.shape == images.shape and after.dtype == torch.uint8
    assert not torch.equal(after, images)
    upper, lower = after[:, :, :, :14].float().mean(), after[:, :, :, 18:].float().mean()
    assert upper < 80 and lower > 160


def test_training_resumes_and_ends_in_a_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = TeacherOptions(2, drives_per_round=2, batch_drives=1, steps_per_round=3, batch=2, config=SMALL)
    seen: list[tuple[int, int]] = []

    class Killed(Exception):
        pass

    def until_third(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 3:
            raise Killed

    with pytest.raises(Killed):
        train_teacher(scene_at, BlankWorld(RIG), tmp_path, options, progress=until_third)
    first = (tmp_path / "round-0" / "teacher.safetensors").read_bytes()
    drawn: list[int] = []

    def counted(index: int) -> Scene:
        drawn.append(index)
        return scene_at(index)

    steps: list[int] = []
    policy = train_teacher(counted, BlankWorld(RIG), tmp_path, options, on_log=lambda step, _: steps.append(step))
    assert drawn == [3]  # the first round and the first drive of the second were there already
    assert (tmp_path / "round-0" / "teacher.safetensors").read_bytes() == first
    assert steps == [6]
    assert isinstance(policy, TeacherPolicy)
    assert load_policy(tmp_path / "teacher.safetensors").spec.id == policy.spec.id


def test_other_cameras_and_an_empty_catalogue_are_refused(tmp_path: Path) -> None:
    options = TeacherOptions(1, drives_per_round=1, steps_per_round=1, config=SMALL)
    with pytest.raises(InputError, match="same cameras"):
        train_teacher(scene_at, BlankWorld(nuscenes_rig(16, 24)), tmp_path, options)
    with pytest.raises(InputError, match="no scenarios"):
        catalogue_scenes([], 0)


def test_catalogue_scenes_take_turns() -> None:
    files = sorted((Path(__file__).parents[2] / "scenarios" / "calm").glob("*.yaml"))[:2]
    scenes: list[Any] = [catalogue_scenes(files, 0)(index) for index in range(4)]
    assert [scene.family for scene in scenes] == ["calm"] * 4
    assert scenes[0].id.split("@")[0] == scenes[2].id.split("@")[0] != scenes[1].id.split("@")[0]
    assert scenes[0].id != scenes[2].id
