"""Policies that are made worse: each impairment does what its word says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import Observation, Rollout, Scene
from drivewm.errors import InputError
from drivewm.policies.load import load_policy
from drivewm.policies.observation import Observer
from drivewm.rollout import rollout
from drivewm.sim.engine import Engine
from drivewm.testing import BlankWorld, check_policy, straight_scene


def drives(policy: str, *scenes: Scene) -> list[Rollout]:
    return rollout(list(scenes), load_policy(policy), BlankWorld(), seed=0)


STANDING = straight_scene(ego_mps=12.0, lead=(50.0, 0.0), horizon_s=10.0)


def test_who_does_not_see_cars_hits_one_and_who_does_not_see_pedestrians_stops_behind_it() -> None:
    blind, sighted = (drives(f"idm:unseeing-{kind}", STANDING)[0] for kind in ("car", "pedestrian"))
    assert blind.ended == "collision" and blind.states.t_s[-1] == pytest.approx(
        50 / 13, abs=0.2
    )  # between 12 and the limit, 13.9 m/s
    assert sighted.ended == "horizon" and sighted.states.ego_speed_mps[-1] < 0.5


def test_a_late_driver_follows_the_plan_of_four_frames_ago() -> None:
    """The plan of `constant_velocity` tells the speed at which it was made."""
    late, memory = load_policy("constant_velocity:late-4"), load_policy("constant_velocity:late-4").start(1, 0)
    planned = []
    for speed_mps in range(1, 9):
        seen = moment(float(speed_mps))
        plan, memory = late.act(seen, memory)
        planned.append(float(plan.speed_mps[0, 0]))
    assert planned == [1, 1, 1, 1, 1, 2, 3, 4]


def test_who_keeps_half_of_its_speed_stops_later_and_who_keeps_all_of_it_not_at_all() -> None:
    half, whole = (drives(f"idm:cruise-{share}", STANDING)[0] for share in ("0.5", "1"))
    assert whole.ended == "collision" and whole.states.ego_speed_mps[-1] == pytest.approx(12.0, abs=0.3)
    first = drives("idm", STANDING)[0].states.ego_speed_mps
    assert half.states.ego_speed_mps[30] > first[30] + 0.5


def test_who_takes_the_limit_for_half_drives_up_to_half_of_it() -> None:
    free = straight_scene(ego_mps=4.0, horizon_s=10.0, limit_mps=13.9)
    slow, swift = (drives(name, free)[0].states.ego_speed_mps[-1] for name in ("expert:limit-0.5", "expert"))
    assert slow == pytest.approx(0.5 * 13.9, abs=0.5) and swift == pytest.approx(13.9, abs=1.0)


def test_noise_makes_a_driver_swerve_and_is_the_same_alone_and_among_others() -> None:
    calm, other = straight_scene(horizon_s=8.0), straight_scene(ego_mps=12.0, horizon_s=8.0)
    alone, among = drives("constant_velocity:noise-1", calm)[0], drives("constant_velocity:noise-1", other, calm)[1]
    assert np.abs(alone.states.ego_xy_yaw_world[:, 1]).max() > 0.3
    assert np.ptp(alone.states.ego_speed_mps) > 1.0
    np.testing.assert_allclose(alone.states.ego_xy_yaw_world, among.states.ego_xy_yaw_world)


def moment(speed_mps: float = 12.0) -> Observation:
    rng, scene = np.random.default_rng(0), straight_scene(ego_mps=speed_mps)
    images = rng.integers(0, 256, (1, 6, 64, 96, 3), np.uint8)
    return Observer([scene], 2).observe(images, Engine([scene]).start().world)


def test_a_driver_that_is_shown_noise_plans_the_same_whatever_is_there_and_a_seeing_one_does_not() -> None:
    seen = moment()
    dark = replace(seen, images=np.zeros_like(seen.images))

    def differ(name: str) -> bool:
        network = load_policy(name)
        plans = [network.act(shown, network.start(1, 0))[0].xy_yaw_ego for shown in (seen, dark)]
        return bool(np.abs(plans[0] - plans[1]).max() > 0)

    assert not differ("teacher:frames-noise") and not differ("teacher:without-cameras")
    assert differ("teacher") and differ("teacher:without-back")


def test_an_impaired_policy_keeps_the_rules() -> None:
    check_policy(load_policy("onboard:late-2:noise-0.3:blinks-0.5:blur-4:static-0.2"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("expert:static-0.5", "sees no frames"),
        ("teacher:unseeing-car", "cameras alone"),
        ("teacher:lat-2", "late-2"),
        ("teacher:without-frnt", "without-front"),
        ("teacher:late-99", "at most late-20"),
        ("teacher:late-0.5", "no whole number"),
        ("expert:unseeing-elk", "unknown word"),
        ("teachr:late-2", "unknown policy"),
    ],
)
def test_a_word_that_cannot_be_is_answered_in_a_sentence(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        load_policy(name)
