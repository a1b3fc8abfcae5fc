"""The loop: what one car does does not depend on the others, and a bad plan ends one drive, not the run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drivewm.datatypes import Action, Observation, Trajectory, WorldState
from drivewm.errors import InputError
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.expert import ExpertPolicy
from drivewm.protocols import GroundTruth, Policy, PolicySpec
from drivewm.rollout import rollout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld, straight_scene

SCENES = [
    straight_scene(10.0, lead=(20.0, 0.0), horizon_s=4.0),
    straight_scene(8.0, horizon_s=2.5),
    straight_scene(12.0, lead=(30.0, 5.0), horizon_s=5.0),
]


@pytest.mark.parametrize("policy", [ConstantVelocity(), IdmPolicy(), ExpertPolicy()], ids=lambda p: p.spec.id)
def test_a_batch_gives_what_single_scenes_give(policy: Policy) -> None:
    together = rollout(SCENES, policy, BlankWorld(), seed=0)
    for scene, one in zip(SCENES, together, strict=True):
        alone = rollout([scene], policy, BlankWorld(), seed=0)[0]
        assert one.ended == alone.ended
        assert one.states.agents.xy_yaw_world.shape == alone.states.agents.xy_yaw_world.shape
        assert np.abs(one.states.ego_xy_yaw_world - alone.states.ego_xy_yaw_world).max() < 1e-9
        assert np.abs(one.plans.xy_yaw_ego - alone.plans.xy_yaw_ego).max() < 1e-9


def test_lengths_follow_the_horizon() -> None:
    result = rollout(SCENES, IdmPolicy(), BlankWorld(), seed=0)[1]
    assert result.ended == "horizon"
    assert result.states.t_s[-1] == pytest.approx(2.5)
    assert len(result.states.t_s) == len(result.actions.accel_mps2) + 1 == 26
    assert len(result.plans.t_s) == len(result.latency_ms) == 13
    assert result.plan_every == 2
    assert result.provenance.ids == {"policy": "idm", "world": "blank"}


def test_a_collision_ends_the_record_at_the_first_contact() -> None:
    result = rollout(SCENES, ConstantVelocity(), BlankWorld(), seed=0)[0]
    assert result.ended == "collision"
    assert result.states.t_s[-1] == pytest.approx(2.1)  # 20 m at 10 m/s: touching at 2.0 s, overlapping one step later
    assert len(result.plans.t_s) == 11


class _Broken:
    """Drives well until a moment, then answers with something unusable for the second car."""

    def __init__(self, damage: Any) -> None:
        self.spec = PolicySpec("broken", plan_t_s=(0.5, 1.0))
        self.damage = damage

    def start(self, batch: int, seed: int) -> int:
        return 0

    def act(self, observation: Observation, memory: int, truth: GroundTruth | None = None) -> tuple[Trajectory, int]:
        t_s = np.tile(self.spec.plan_t_s, (len(observation.command), 1))
        speed = observation.ego_motion[:, -1, :1].astype(np.float64)
        plan = Trajectory(t_s, np.stack([speed * t_s, 0 * t_s, 0 * t_s], -1), np.repeat(speed, 2, 1))
        return (self.damage(plan) if memory == 3 else plan), memory + 1


def _nan_for_one(plan: Trajectory) -> Trajectory:
    pose = plan.xy_yaw_ego.copy()
    pose[1, 1, 0] = np.nan
    return replace(plan, xy_yaw_ego=pose)


def test_a_plan_that_is_not_finite_ends_that_drive_only() -> None:
    results = rollout(SCENES, _Broken(_nan_for_one), BlankWorld(), seed=0)
    assert [result.ended for result in results] == ["collision", "policy_error", "collision"]
    assert results[1].states.t_s[-1] == pytest.approx(0.6)
    assert np.isfinite(results[1].plans.xy_yaw_ego).all()


def test_a_plan_of_the_wrong_shape_ends_every_drive() -> None:
    results = rollout(SCENES, _Broken(lambda plan: replace(plan, speed_mps=plan.speed_mps[:, :1])), BlankWorld(), seed=0)
    assert {result.ended for result in results} == {"policy_error"}


def test_every_frame_is_shown_with_its_state() -> None:
    seen: list[tuple[int, float]] = []

    def on_frame(index: int, images: np.ndarray[Any, Any], state: WorldState) -> None:
        assert images.shape == (3, 6, 64, 96, 3)
        seen.append((index, float(state.t_s[0])))

    rollout(SCENES, IdmPolicy(), BlankWorld(), seed=0, on_frame=on_frame)
    assert seen[:3] == [(0, 0.0), (1, pytest.approx(0.2)), (2, pytest.approx(0.4))]
    assert len(seen) == 25


def test_the_world_is_told_the_mean_action_of_the_period() -> None:
    told: list[Action] = []

    class Listening(BlankWorld):
        def step(self, memory: Any, state: WorldState, action: Action) -> Any:
            told.append(action)
            return super().step(memory, state, action)

    result = rollout([SCENES[2]], IdmPolicy(), Listening(), seed=0)[0]
    assert told[0].accel_mps2[0] == pytest.approx(result.actions.accel_mps2[:2].mean())


def test_cameras_must_fit_the_time_step() -> None:
    with pytest.raises(InputError, match="12 Hz"):
        rollout(SCENES, IdmPolicy(), BlankWorld(nuscenes_rig(rate_hz=12.0)), seed=0)
