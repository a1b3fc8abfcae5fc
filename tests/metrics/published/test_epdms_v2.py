"""EPDMS of NAVSIM v2.2 (Cao et al., CoRL 2025; repository docs/metrics.md, scoring/pdm_scorer.py, evaluate/pdm_score.py): gates
for collisions, drivable area, driving direction and lights, weights 5, 5, 2, 2, 2, and what the human fails is forgiven."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import RoadMap, Rollout, Scene
from drivewm.metrics.published.drives import setting_of, ways_of
from drivewm.metrics.published.epdms_v2 import score, score_navsim_2_2
from drivewm.metrics.published.formula import Reference
from drivewm.metrics.published.pdm import lane_keeping
from drivewm.metrics.published.ride import alike
from tests.metrics.published.judging import at_10_mps, standing_car, with_plans
from tests.straight_road import Actor, drive, light, scene, straight_road


def _beside(offset_m: float, speed_mps: float = 10.0) -> Scene:
    """The ego drives parallel to its route."""
    place = scene(speed_mps=speed_mps)
    return replace(place, start=replace(place.start, ego_xy_yaw_world=np.array([20.0, offset_m, 0.0])))


def _reference(drive_: Rollout) -> Reference:
    return Reference(100.0, drive_)


def test_perfect_with_steady_plans() -> None:
    judged = score(with_plans(at_10_mps([Actor(200.0, 10.0)]), [0.0]), _reference(at_10_mps()))
    assert judged.total == pytest.approx(1.0, abs=1e-9) and judged.passed and judged.events == ()
    assert set(judged.terms) == {"progress", "ttc", "lane_keeping", "history_comfort", "extended_comfort"}


def test_a_crash_is_zero_although_the_reference_stayed_clear() -> None:
    judged = score(at_10_mps([standing_car(30.05)]), _reference(at_10_mps()))
    assert judged.total == 0.0 and judged.gates["no_at_fault_collision"] == 0.0


def test_what_does_not_apply_is_listed_and_its_weight_left_out() -> None:
    """No lights, lanes, plans: the terms that remain weigh 14; compute_final_scores gives a missing comfort no weight."""
    judged = score(drive(scene(speed_mps=5.0, road=RoadMap()), 0.0), Reference(100.0))
    assert set(judged.inapplicable) == {
        "traffic_lights",
        "driving_direction",
        "drivable_area",
        "extended_comfort",
        "human_filter",
    }
    assert judged.total == pytest.approx(1 - 0.5 * 5 / 14, abs=1e-6)


def test_metres_off_the_route_within_a_second() -> None:
    """driving_direction thresholds 2 m and 6 m over 11 samples: at 1.5 m/s 1.65 m, at 5 m/s 5.5 m, at 6 m/s 6.6 m."""
    values = [score(drive(_beside(3.5, v), 0.0), Reference(10.0)).gates["driving_direction"] for v in (1.5, 5.0, 6.0)]
    assert values == [1.0, 0.5, 0.0]


def test_two_seconds_beside_the_centre_line() -> None:
    """lane_keeping_horizon_window 2 s: 20 instants on end over 0.5 m, not 19, and not 19 twice with one good instant between."""
    rollout = at_10_mps()
    at, ways = setting_of(rollout), ways_of(rollout)

    def kept(offsets: list[float]) -> float:
        offset_m = np.zeros((1, 101))
        offset_m[0, 10 : 10 + len(offsets)] = offsets
        return float(lane_keeping(ways.centre[..., :2], offset_m, at).value[0])

    assert kept([0.51] * 19) == 1.0 and kept([-0.51] * 20) == 0.0
    assert kept([0.51] * 19 + [0.49] + [0.51] * 19) == 1.0


def test_a_red_light_is_zero() -> None:
    judged = score(drive(scene(speed_mps=10.0, road=straight_road((light(60.0, (1.0, 1.0, 100.0)),))), 0.0), Reference(100.0))
    assert judged.gates["traffic_lights"] == 0.0 and judged.total == 0.0


def test_what_the_reference_fails_is_forgiven_but_release_2_2_forgets_the_total() -> None:
    """Issue 151: lane_keeping is told as 1 and still missing in the total, which is 1 - 2/14."""
    own = drive(_beside(0.6), 0.0)
    alone, fixed, old = score(own, Reference(100.0)), score(own, _reference(own)), score_navsim_2_2(own, _reference(own))
    assert alone.terms["lane_keeping"] == 0.0 and "human_filter" in alone.inapplicable
    assert fixed.terms["lane_keeping"] == old.terms["lane_keeping"] == 1.0
    assert fixed.total == pytest.approx(1.0, abs=1e-6) and old.total == pytest.approx(1 - 2 / 14, abs=1e-6)


def test_discomfort_of_the_reference_is_forgiven_but_not_by_release_2_2() -> None:
    """pdm_score.py judges the human without its history, which makes its history comfort 1."""
    own = at_10_mps()
    jolt = replace(own, states=replace(own.states, ego_accel_mps2=np.full(101, -4.1)))
    fixed, old = score(jolt, _reference(jolt)), score_navsim_2_2(jolt, _reference(jolt))
    assert fixed.terms["history_comfort"] == 1.0 and fixed.total == pytest.approx(1.0, abs=1e-6)
    assert old.terms["history_comfort"] == 0.0 and old.total == pytest.approx(1 - 2 / 14, abs=1e-6)


def test_plans_that_change_their_mind_are_felt() -> None:
    """Plans 0.4 s apart that brake with 0 and 2 m/s^2 in turn differ by 2 m/s^2 (bound 0.7 m/s^2)."""
    steady, moody = (with_plans(at_10_mps(), accels) for accels in ([0.0], [0.0, 0.0, -2.0, -2.0]))
    assert score(steady, Reference(100.0)).terms["extended_comfort"] == 1.0
    judged = score(moody, Reference(100.0))
    assert judged.terms["extended_comfort"] == 0.0 and judged.total == pytest.approx(1 - 2 / 16, abs=1e-6)


def test_the_bound_of_two_plans_is_a_root_mean_square() -> None:
    """acceleration_threshold 0.7: plans of constant accelerations differ by exactly that difference and have no jerk."""
    ways = ways_of(at_10_mps())
    for difference, same in ((0.69, True), (0.71, False)):
        other = replace(ways, accel_mps2=ways.accel_mps2 + 1.0 + difference)
        assert bool(alike(replace(ways, accel_mps2=ways.accel_mps2 + 1.0), other, 0.1)[0]) is same
