"""The checks for plug-in authors find what they promise to find, and let honest plug-ins pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drivewm.datatypes import Action, Observation, Rollout, Score, Trajectory, WorldState
from drivewm.metrics.drive import score
from drivewm.metrics.published.formula import Reference
from drivewm.policies.baselines import ConstantVelocity
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.raster.world import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld, check_metric, check_policy, check_scenario, check_world, straight_scene

RIG = nuscenes_rig(32, 48)


class _Steady(ConstantVelocity):
    """Constant velocity with a fault to be found."""

    def __init__(self, fault: str) -> None:
        self.fault, self.calls = fault, 0

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        plan, memory = super().act(observation, memory)
        self.calls += 1
        if self.fault == "finite":
            plan = replace(plan, speed_mps=plan.speed_mps * np.nan)
        elif self.fault == "shapes":
            plan = replace(plan, xy_yaw_ego=plan.xy_yaw_ego[:, :-1])
        elif self.fault == "another plan":
            plan = replace(plan, speed_mps=plan.speed_mps + np.random.default_rng().random())
        elif self.fault == "hides state":
            plan = replace(plan, speed_mps=plan.speed_mps + self.calls % 4)  # four moments: repeats look alike
        elif self.fault == "mixed up":
            plan = replace(plan, speed_mps=plan.speed_mps + plan.speed_mps.mean())
        return plan, memory


@pytest.mark.parametrize("fault", ["finite", "shapes", "another plan", "hides state", "mixed up"])
def test_faulty_policies_are_found(fault: str) -> None:
    words = {"shapes": "finite with shapes", "finite": "finite with shapes"}.get(fault, fault)
    with pytest.raises(AssertionError, match=words):
        check_policy(_Steady(fault), rig=RIG)


def test_an_unordered_horizon_is_found() -> None:
    policy = _Steady("none")
    policy.spec = PolicySpec("p", plan_t_s=(1.0, 0.5))
    with pytest.raises(AssertionError, match="ascend"):
        check_policy(policy, rig=RIG)


def test_an_honest_policy_and_worlds_pass() -> None:
    check_policy(_Steady("none"), rig=RIG)
    check_world(BlankWorld(RIG))
    check_world(RasterWorld(RIG), [straight_scene(8.0, lead=(20.0, 4.0)), straight_scene(5.0)])


class _FaultyWorld(BlankWorld):
    def __init__(self, fault: str) -> None:
        super().__init__(RIG)
        self.fault, self.calls = fault, 0

    def step(self, memory: Any, state: WorldState, action: Action) -> Any:
        images, memory = super().step(memory, state, action)
        self.calls += 1
        if self.fault == "dtype":
            return images.astype(np.float32), memory
        if self.fault == "shape":
            return images[:, :-1], memory
        return images + np.uint8(self.calls), memory


@pytest.mark.parametrize(("fault", "words"), [("dtype", "not uint8"), ("shape", "gives shape"), ("clock", "looks different")])
def test_faulty_worlds_are_found(fault: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_world(_FaultyWorld(fault))


def test_our_metric_passes_and_a_careless_one_does_not() -> None:
    def drive(rollout: Rollout, reference: Reference) -> Score:
        return score(rollout, reference_progress_m=reference.progress_m)

    check_metric(drive)
    with pytest.raises(AssertionError, match="outside"):
        check_metric(lambda *given: replace(drive(*given), total=1.7))
    with pytest.raises(AssertionError, match="nan"):
        check_metric(lambda *given: replace(drive(*given), terms={"smoothness": float("nan")}))
    with pytest.raises(AssertionError, match="another scene"):
        check_metric(lambda *given: replace(drive(*given), scene_id="x"))


def test_scenarios_must_be_repeatable_and_different() -> None:
    def draw(index: int, seed: int) -> Any:
        return replace(straight_scene(8.0 + index, lead=(20.0, 3.0)), id=f"s@00000000:{index}#{seed}")

    check_scenario(draw)
    with pytest.raises(AssertionError, match="same id"):
        check_scenario(lambda index, seed: straight_scene(8.0 + index))
    with pytest.raises(AssertionError, match="1 m apart"):
        check_scenario(lambda index, seed: replace(draw(index, seed), route_xy=2 * draw(index, seed).route_xy))
