from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.datatypes import Scene
from drivewm.distill.collect import CollectOptions, Visits, collect, load_visits, save_visits
from drivewm.distill.distil import DistilOptions, distil, stretches
from drivewm.policies.judge import PARTS
from drivewm.policies.onboard import OnboardPolicy
from drivewm.policies.teacher import TeacherPolicy
from drivewm.policies.vocabulary import ACCELERATIONS_MPS2, GENTLE_LATERAL, LATERALS
from drivewm.rollout import rollout
from drivewm.sim.raster import RasterWorld
from drivewm.testing import straight_scene
from tests.distill.conftest import clear_opinion


def test_what_is_visited_is_what_the_small_policy_alone_would_have_visited(
    student: OnboardPolicy, world: RasterWorld, scenes: Sequence[Scene], visits: list[Visits]
) -> None:
    alone = rollout(scenes, student, world, seed=0)
    for drive, seen in zip(alone, visits, strict=True):
        assert len(seen) == len(drive.plans.t_s)
        speed = drive.states.ego_speed_mps[: len(seen) * drive.plan_every : drive.plan_every]
        np.testing.assert_allclose(seen.ego_motion[:, 0], speed, atol=1e-5)


def test_with_the_large_policy_at_the_wheel_its_own_drive_is_recorded(
    student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld, scenes: Sequence[Scene]
) -> None:
    seen = collect(student, teacher, world, scenes[:1], CollectOptions(teacher_share=1.0))[0]
    drive = rollout(scenes[:1], teacher, world, seed=0)[0]
    speed = drive.states.ego_speed_mps[: len(seen) * drive.plan_every : drive.plan_every]
    np.testing.assert_allclose(seen.ego_motion[:, 0], speed, atol=1e-3)


def test_labels_are_exact_full_braking_stops_before_the_standing_car_and_keeping_speed_does_not(visits: list[Visits]) -> None:
    first = visits[1].sub_scores[0, :, PARTS.index("no_collision")]
    brake = ACCELERATIONS_MPS2.index(min(ACCELERATIONS_MPS2)) * LATERALS + GENTLE_LATERAL
    keep = ACCELERATIONS_MPS2.index(0.0) * LATERALS + GENTLE_LATERAL
    assert (first[brake], first[keep]) == (1.0, 0.0)
    assert first[visits[1].expert_index[0]] == 1.0


def test_every_frame_is_told_of_and_an_early_end_counts_as_the_whole_drive(
    student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld
) -> None:
    heard: list[tuple[int, int]] = []
    crash, free = straight_scene(12.0, lead=(1.0, 0.0), horizon_s=1.0), straight_scene(12.0, horizon_s=1.0)
    collect(student, teacher, world, [crash, free], CollectOptions(batch=1), lambda done, total: heard.append((done, total)))
    assert heard[0] == (1, 10) and heard[-1] == (10, 10) and heard == sorted(heard)
    assert {done for done, _ in heard} >= {6, 7, 8, 9, 10}


def test_a_drive_that_ends_in_a_collision_is_recorded_up_to_it(
    student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld
) -> None:
    crash, free = straight_scene(12.0, lead=(1.0, 0.0), horizon_s=2.4), straight_scene(12.0, horizon_s=2.4)
    short, long = collect(student, teacher, world, [crash, free])
    assert len(short) == 1 and len(long) == 12


def test_visits_come_back_from_disk_bit_for_bit(tmp_path: Path, visits: list[Visits]) -> None:
    save_visits(tmp_path, visits)
    for stored, seen in zip(load_visits(tmp_path), visits, strict=True):
        assert all(np.array_equal(getattr(stored, f.name), getattr(seen, f.name)) for f in fields(Visits))


def test_stretches_are_consecutive_frames_and_a_short_drive_repeats_its_last(visits: list[Visits]) -> None:
    numbered = replace(visits[0], speed_limit_mps=np.arange(12, dtype=np.float32))
    batch = stretches([numbered], 16, 5, np.random.default_rng(0))
    steps = np.diff(batch["speed_limit_mps"].numpy(), axis=1)
    assert batch["images"].shape[:2] == (16, 5) and (steps == 1).all()
    short = stretches([numbered[:2]], 1, 4, np.random.default_rng(0))
    assert short["speed_limit_mps"].tolist() == [[0.0, 1.0, 1.0, 1.0]]


def test_the_small_policy_learns_to_choose_like_the_large_one(
    tmp_path: Path, student: OnboardPolicy, visits: list[Visits]
) -> None:
    opinion = clear_opinion(visits)
    losses: list[float] = []
    options = DistilOptions(steps=60, learning_rate=3e-3, batch=3, stretch=3)
    taught = distil(student.network, opinion, tmp_path, options, lambda step, values: losses.append(values["distil"]))
    assert losses[-1] < 0.6 * losses[0]
    assert _agreement(OnboardPolicy(taught), opinion) > _agreement(student, opinion) + 0.3


def _agreement(policy: OnboardPolicy, visits: list[Visits]) -> float:
    """Share of frames in which the policy chooses the plan that the large one likes best."""
    hits = []
    for visit in visits:
        memory = torch.zeros(1, policy.network.config.memory_width)
        for t in range(len(visit)):
            given = (visit.images, visit.ego_motion, visit.route_xy_ego, visit.speed_limit_mps, visit.command.astype(np.int64))
            with torch.no_grad():
                _, memory, logits = policy.network(*(torch.from_numpy(value[t : t + 1]) for value in given), memory)
            hits.append(int(logits.argmax()) == int(visit.teacher_log_score[t].argmax()))
    return float(np.mean(hits))


def test_the_network_that_was_handed_in_stays_as_it_was(tmp_path: Path, student: OnboardPolicy, visits: list[Visits]) -> None:
    before = {name: value.clone() for name, value in student.network.state_dict().items()}
    distil(student.network, visits, tmp_path, DistilOptions(steps=2, batch=2, stretch=2))
    assert all(torch.equal(value, before[name]) for name, value in student.network.state_dict().items())
    assert not student.network.training


@pytest.mark.parametrize("batch", [1, 2])
def test_the_size_of_a_batch_does_not_change_what_is_recorded(
    batch: int, student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld, scenes: Sequence[Scene], visits: list[Visits]
) -> None:
    again = collect(student, teacher, world, scenes, CollectOptions(batch=batch, teacher_share=0.0))
    for one, other in zip(again, visits, strict=True):
        np.testing.assert_allclose(one.teacher_log_score, other.teacher_log_score, atol=1e-3)
        assert np.abs(one.images.astype(int) - other.images).mean() < 0.1
