"""Drivers without learning, on roads where the right answer can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from drivewm.datatypes import Command, Rollout
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.expert import ExpertPolicy
from drivewm.policies.observation import Observer, locate, route_command
from drivewm.protocols import Policy
from drivewm.rollout import rollout
from drivewm.sim.engine import Engine
from drivewm.testing import BlankWorld, straight_scene


def drive(policy: Policy, **scene: float | tuple[float, float]) -> Rollout:
    return rollout([straight_scene(**scene)], policy, BlankWorld(), seed=0)[0]  # type: ignore[arg-type]


def test_constant_velocity_hits_a_standing_car_when_arithmetic_says() -> None:
    result = drive(ConstantVelocity(), ego_mps=10.0, lead=(37.5, 0.0))
    assert result.ended == "collision"
    assert result.states.t_s[-1] == pytest.approx(3.8)  # 3.75 s, seen at the next step
    assert result.states.ego_speed_mps == pytest.approx(10.0)


def test_idm_stops_behind_a_standing_car() -> None:
    result = drive(IdmPolicy(), ego_mps=12.0, lead=(50.0, 0.0), horizon_s=14.0)
    gap = 50.0 - result.states.ego_xy_yaw_world[-1, 0]
    assert result.ended == "horizon"
    assert result.states.ego_speed_mps[-1] < 0.1
    assert 1.5 < gap < 2.5  # the model keeps 2 m
    assert result.states.ego_accel_mps2.min() > -3.0


def test_idm_follows_at_the_speed_of_the_car_ahead() -> None:
    result = drive(IdmPolicy(), ego_mps=12.0, lead=(30.0, 6.0), horizon_s=20.0)
    assert result.states.ego_speed_mps[-1] == pytest.approx(6.0, abs=0.2)
    gap = 30.0 + 6.0 * 20.0 - result.states.ego_xy_yaw_world[-1, 0]
    assert gap == pytest.approx(2.0 + 1.4 * 6.0, abs=1.0)


def test_expert_gets_past_or_stops_before_a_standing_car() -> None:
    result = drive(ExpertPolicy(), ego_mps=12.0, lead=(45.0, 0.0), horizon_s=12.0)
    assert result.ended == "horizon"
    assert result.states.ego_accel_mps2.min() > -4.0


def test_expert_follows_a_slower_car_instead_of_leaving_its_lane() -> None:
    result = drive(ExpertPolicy(), ego_mps=12.0, lead=(25.0, 6.0), horizon_s=10.0)
    assert result.ended == "horizon"
    assert np.abs(result.states.ego_xy_yaw_world[:, 1]).max() < 0.3
    assert result.states.ego_speed_mps[-1] == pytest.approx(6.0, abs=1.0)


def test_expert_does_not_brake_on_an_empty_road() -> None:
    result = drive(ExpertPolicy(), ego_mps=11.0, horizon_s=8.0)
    assert result.states.ego_accel_mps2.min() > -0.05
    assert result.states.ego_speed_mps[-1] == pytest.approx(13.9, abs=0.1)
    assert result.states.ego_accel_mps2.max() < 2.1


def test_privileged_policies_say_so_without_truth() -> None:
    scenes = [straight_scene()]
    state = Engine(scenes).start().world
    observation = Observer(scenes, 1).observe(np.zeros((1, 6, 8, 8, 3), np.uint8), state)
    for policy in (IdmPolicy(), ExpertPolicy()):
        with pytest.raises(ValueError, match="privileged"):
            policy.act(observation, policy.start(1, 0))


def test_the_first_observation_repeats_its_frame_and_marks_it() -> None:
    scenes = [straight_scene(7.0)]
    observer, engine = Observer(scenes, 3), Engine(scenes)
    state = engine.start().world
    first = observer.observe(np.full((1, 6, 8, 8, 3), 9, np.uint8), state)
    assert first.ego_motion[0, :, 3].tolist() == [0, 0, 1]
    assert (first.images == 9).all()
    second = observer.observe(np.full((1, 6, 8, 8, 3), 11, np.uint8), state)
    assert second.ego_motion[0, :, 3].tolist() == [0, 1, 1]
    assert second.images[0, :, 0, 0, 0, 0].tolist() == [9, 9, 11]
    assert second.route_xy_ego[0, 0] == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_route_that_crosses_itself_is_followed_in_order() -> None:
    angle = np.arange(0.0, 2 * np.pi, 1 / 20.0)
    ring = 20.0 * np.stack([np.sin(angle), 1 - np.cos(angle)], -1)
    route = np.concatenate(
        [np.stack([np.arange(-30.0, 0.0), np.zeros(30)], -1), ring, np.stack([np.arange(1.0, 40), np.zeros(39)], -1)]
    )
    s, d = locate(route, np.array([2.0, 0.0]), near_s_m=31.0)
    assert s == pytest.approx(32.0, abs=0.5) and abs(d) < 0.2
    s, _ = locate(route, np.array([2.0, 0.0]), near_s_m=30.0 + len(ring))
    assert s > 30.0 + len(ring)


@pytest.mark.parametrize(("sign", "command"), [(1, Command.LEFT), (-1, Command.RIGHT), (0, Command.STRAIGHT)])
def test_the_command_is_the_turn_of_the_route(sign: int, command: Command) -> None:
    heading = np.concatenate([np.zeros(6), np.linspace(0.0, sign * np.pi / 2, 6), np.full(20, sign * np.pi / 2)])
    route = np.cumsum(2.0 * np.stack([np.cos(heading), np.sin(heading)], -1), axis=0)
    assert route_command(route) == command
