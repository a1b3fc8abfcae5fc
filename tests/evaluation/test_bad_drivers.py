"""What may go wrong with a driver, a scene or a metric: a named failure or one sentence, never a better mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from drivewm.datatypes import ActorScripts, AgentClass, Agents, Observation, Scene, Trajectory
from drivewm.errors import InputError
from drivewm.evaluation import cases
from drivewm.evaluation.cases import drive, judged
from drivewm.policies.baselines import ConstantVelocity
from drivewm.policies.controls import TimeLimited
from drivewm.protocols import GroundTruth, PolicyFailed
from drivewm.rollout import rollout
from drivewm.testing import BlankWorld, straight_scene

FAST_MPS = 11.0


class Spoilt(ConstantVelocity):
    """Keeps its speed, except that plans of cars that are faster than 11 m/s pass through ``spoil``."""

    def __init__(self, spoil: Callable[[Trajectory], Any]) -> None:
        self._spoil = spoil

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        plan, memory = super().act(observation, memory, truth)
        return (self._spoil(plan) if (plan.speed_mps > FAST_MPS).any() else plan), memory


def raise_(error: Exception) -> None:
    raise error


def scenes() -> list[Scene]:
    return [straight_scene(8.0, horizon_s=1.0), straight_scene(13.0, horizon_s=1.0)]


@pytest.mark.parametrize(
    ("spoil", "ended", "who"),
    [
        (lambda plan: replace(plan, speed_mps=np.where(plan.speed_mps > FAST_MPS, np.nan, plan.speed_mps)), "policy_error", {1}),
        (lambda plan: plan[:, :3], "policy_error", {0, 1}),  # shorter than the spec says: the whole batch has the wrong shape
        (lambda plan: raise_(ValueError("no idea")), "policy_raised", {1}),
        (lambda plan: None, "policy_raised", {1}),
    ],
)
def test_a_spoilt_plan_ends_its_own_drive_by_name(spoil: Callable[[Trajectory], Any], ended: str, who: set[int]) -> None:
    driven = drive(scenes(), Spoilt(spoil), BlankWorld(), seed=0)
    for index, one in enumerate(driven):
        failed = index in who
        assert one.case.rollout.ended == (ended if failed else "horizon")
        assert (one.case.score.total == 0.0) == failed
        assert (ended in {event.kind for event in one.case.score.events}) == failed
    if ended == "policy_raised":
        told = driven[1].case.rollout.provenance.settings["policy_failure"]
        assert "no idea" in str(told) or "NoneType" in str(told)


def test_with_several_cars_nobody_knows_whose_plan_failed() -> None:
    with pytest.raises(PolicyFailed, match="constant_velocity raised ValueError: no idea"):
        rollout(scenes(), Spoilt(lambda plan: raise_(ValueError("no idea"))), BlankWorld(), seed=0)


def test_a_plan_for_less_time_than_the_scene_lasts_is_followed_beyond_its_end() -> None:
    class Short(ConstantVelocity):
        spec = replace(ConstantVelocity.spec, id="short", plan_t_s=(0.1,))

    one = rollout([straight_scene(10.0, horizon_s=3.0)], Short(), BlankWorld(), seed=0)[0]
    assert one.ended == "horizon" and one.states.ego_xy_yaw_world[-1, 0] == pytest.approx(30.0, abs=0.1)


def test_who_takes_too_long_fails_only_under_a_limit() -> None:
    slow = Spoilt(lambda plan: (time.sleep(0.3), plan)[1])
    limited = [one.case for one in drive(scenes(), TimeLimited(slow, 0.1), BlankWorld(), seed=0)]
    assert [case.rollout.ended for case in limited] == ["horizon", "policy_timeout"]
    assert limited[1].score.total == 0.0 and "policy_timeout" in {event.kind for event in limited[1].score.events}
    free = rollout([straight_scene(13.0, horizon_s=0.2)], slow, BlankWorld(), seed=0)[0]
    assert free.ended == "horizon"


def crowd(count: int) -> Scene:
    """``count`` people who stand beside a straight road."""
    scene = straight_scene(10.0, horizon_s=1.0)
    place = np.stack([np.arange(count) % 400, 20.0 + np.arange(count) // 400, np.zeros(count)], -1).astype(np.float64)
    scripts = ActorScripts.empty(count)
    path = place[:, None, :2] + np.array([[0.0, 0.0], [1.0, 0.0]])
    agents = replace(
        Agents.empty(count),
        track_id=np.arange(count, dtype=np.int32),
        category=np.full(count, AgentClass.PEDESTRIAN, np.int8),
        xy_yaw_world=place,
        size_lwh_m=np.full((count, 3), 0.6),
        valid=np.ones(count, bool),
    )
    return replace(scene, start=replace(scene.start, agents=agents), scripts=replace(scripts, path_xy=path))


def test_ten_thousand_people_and_nobody_at_all_are_judged_alike() -> None:
    many, nobody = rollout([crowd(10_000), crowd(0)], ConstantVelocity(), BlankWorld(), seed=0)
    scores = [judged(one, 10.0).score for one in (many, nobody)]
    assert scores[0].total == scores[1].total == 1.0
    assert scores[0].measures["min_gap_m"] > 15.0 and "min_gap_m" not in scores[1].measures


def test_who_starts_off_every_road_fails_by_name_from_the_first_moment() -> None:
    scene = straight_scene(10.0, horizon_s=1.0)
    scene = replace(scene, start=replace(scene.start, ego_xy_yaw_world=np.array([0.0, 60.0, 0.0])))
    score = drive([scene], ConstantVelocity(), BlankWorld(), seed=0)[0].case.score
    assert score.total == 0.0
    assert min(event.t_s for event in score.events if event.kind == "off_road") == 0.0


def test_a_metric_that_crashes_stops_the_run_and_names_itself_and_the_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    driven = rollout([straight_scene(8.0, horizon_s=0.4)], ConstantVelocity(), BlankWorld(), seed=0)[0]
    broken = replace(driven, states=driven.states[:0])
    with pytest.raises(InputError, match=r"metric 'drive' on straight@00000000:0#0: crashed: \w+"):
        cases.judged(broken, 5.0)
