"""The Drive score says what a human would say of drives that are simple enough to judge by hand."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, AgentClass, ManoeuvreKind, Score, TriggerKind
from drivewm.metrics.drive import DRIVE_GATES, DRIVE_TERMS, score
from tests.straight_road import Actor, drive, light, scene, straight_road

FRONT_M = 20.0 + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m  # of an ego that starts at x = 20 m


def _kinds(judged: Score) -> list[str]:
    return [event.kind for event in judged.events]


def test_a_perfect_drive_scores_one() -> None:
    judged = score(drive(scene([Actor(200.0, 10.0)], speed_mps=10.0), 0.0), reference_progress_m=100.0)
    assert judged.total == pytest.approx(1.0, abs=1e-9) and judged.passed and judged.valid
    assert judged.measures["progress_m"] == pytest.approx(100.0, abs=1e-6)
    assert judged.measures["min_gap_m"] == pytest.approx(198.0 - FRONT_M, abs=1e-6)
    assert judged.inapplicable == ("red_light",) and judged.events == ()
    assert set(judged.gates) | set(judged.terms) | set(judged.inapplicable) == set(DRIVE_GATES) | set(DRIVE_TERMS)


def test_standing_still_gives_no_progress_and_no_score() -> None:
    judged = score(drive(scene(), 0.0), reference_progress_m=100.0)
    assert judged.terms["progress"] == 0.0 and judged.gates["making_progress"] == 0.0 and judged.total == 0.0
    waiting = score(drive(scene(), 0.0), reference_progress_m=3.0)
    assert waiting.total == 1.0 and {"progress", "making_progress"} <= set(waiting.inapplicable)


def test_half_the_way_costs_its_share_of_the_weights() -> None:
    judged = score(drive(scene(speed_mps=5.0), 0.0), reference_progress_m=100.0)
    weights = {name: weight for name, (_, weight) in DRIVE_TERMS.items()}
    assert judged.terms["progress"] == pytest.approx(0.5)
    assert judged.total == pytest.approx(1 - 0.5 * weights["progress"] / sum(weights.values()))


def test_a_crash_is_seen_at_the_analytic_instant() -> None:
    """Bumper to bumper at 10 m/s into a standing car: contact after gap / 10 s, seen in the first state after it."""
    gap_m = 30.05
    judged = score(drive(scene([Actor(FRONT_M + gap_m + 2.0)], speed_mps=10.0), 0.0), reference_progress_m=100.0)
    (crash,) = [event for event in judged.events if event.kind == "collision"]
    assert crash.t_s == pytest.approx(3.1, abs=1e-6) and crash.track_id == 1
    assert judged.gates["no_at_fault_collision"] == 0.0 and judged.total == 0.0 and not judged.passed
    assert judged.measures["impact_speed_mps"] == pytest.approx(10.0, abs=1e-6)
    assert judged.measures["min_ttc_s"] == 0.0


def test_hitting_a_thing_is_the_milder_half() -> None:
    cone = Actor(80.0, category=AgentClass.TRAFFIC_CONE, size_lw_m=(0.4, 0.4))
    assert score(drive(scene([cone], speed_mps=10.0), 0.0), reference_progress_m=100.0).gates["no_at_fault_collision"] == 0.5


def test_an_ego_hit_from_behind_or_while_standing_is_not_at_fault() -> None:
    for ego_speed, agent in ((8.0, Actor(5.0, 13.0)), (0.0, Actor(5.0, 10.0)), (0.0, Actor(80.0, 10.0, oncoming=True))):
        judged = score(drive(scene([agent], speed_mps=ego_speed), 0.0), reference_progress_m=20.0)
        assert "collision_not_at_fault" in _kinds(judged)
        assert judged.gates["no_at_fault_collision"] == 1.0


def test_a_side_touch_is_the_fault_of_who_leaves_the_lane() -> None:
    cut_in = (TriggerKind.TIME, 0.0, ManoeuvreKind.OFFSET, -3.5, 2.0)
    beside = Actor(21.0, 10.0, y_m=3.5, steps=(cut_in,))
    assert score(drive(scene([beside], speed_mps=10.0), 0.0), reference_progress_m=100.0).gates["no_at_fault_collision"] == 1.0
    steady = Actor(21.0, 10.0, y_m=3.5)
    steer = np.concatenate([np.full(15, 0.01), np.zeros(85)])
    judged = score(drive(scene([steady], speed_mps=10.0), 0.0, steer), reference_progress_m=100.0)
    assert judged.gates["no_at_fault_collision"] == 0.0


def test_who_crosses_and_is_met_sideways_is_not_excused() -> None:
    """A pedestrian at 2 m/s from the right reaches the side of an ego that passes: the middle of the ego, not its front."""
    walker = Actor(60.0, 2.0, category=AgentClass.PEDESTRIAN, size_lw_m=(0.5, 0.5))
    place = scene([walker], speed_mps=10.0)
    across = np.stack([np.full(401, 60.0), np.arange(401.0) - 100.0], -1)[None]
    start_s = 100.0 - 0.5 * EGO_SHAPE.width_m - 0.25 - 2.0 * (60.0 - 20.0 - EGO_SHAPE.rear_axle_to_centre_m) / 10.0
    scripts = replace(place.scripts, path_xy=across, start_s_m=np.array([start_s]))
    judged = score(drive(replace(place, scripts=scripts), 0.0), reference_progress_m=100.0)
    (hit,) = [event for event in judged.events if event.kind.startswith("collision")]
    assert hit.kind == "collision" and hit.t_s == pytest.approx((60.0 - 20.0 - EGO_SHAPE.rear_axle_to_centre_m) / 10.0, abs=0.1)
    assert judged.gates["no_at_fault_collision"] == 0.0


def test_leaving_the_road_is_seen_when_the_first_corner_does() -> None:
    """Full right from y = 0: the front right corner crosses y = -1.75 m; its path is known in closed form."""
    judged = score(drive(scene(speed_mps=5.0), 0.0, -0.03), reference_progress_m=20.0)
    (off,) = [event for event in judged.events if event.kind == "off_road"]
    angle = np.linspace(0, 1, 100001)
    reach = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
    corner_y = (np.cos(angle) - 1) / 0.03 - reach * np.sin(angle) - 0.5 * EGO_SHAPE.width_m * np.cos(angle)
    expected_s = angle[np.argmax(corner_y < -1.75 - 0.05)] / 0.03 / 5.0
    assert off.t_s - expected_s == pytest.approx(0.05, abs=0.051)
    assert judged.gates["drivable_area"] == 0.0


def test_driving_against_traffic_is_wrong_unless_something_stands_in_the_way() -> None:
    change = 0.038 * np.sin(2 * np.pi * (np.arange(24) + 0.5) / 24)  # one lane to the left in 2.4 s
    steer = np.concatenate([change, np.zeros(76)])
    aimless = score(drive(scene(speed_mps=10.0), 0.0, steer), reference_progress_m=90.0)
    assert aimless.gates["driving_direction"] == 0.0 and "wrong_way" in _kinds(aimless)
    assert aimless.terms["lane_keeping"] == 0.0
    back = np.concatenate([change, np.zeros(10), -change, np.zeros(42)])
    around = score(drive(scene([Actor(55.0, category=AgentClass.TRUCK)], speed_mps=10.0), 0.0, back), reference_progress_m=90.0)
    assert around.gates["driving_direction"] == 1.0 and around.terms["lane_keeping"] == 1.0
    assert around.gates["no_at_fault_collision"] == 1.0


def test_a_red_light_is_run_at_the_front_bumper() -> None:
    """Line 30.05 m ahead of the bumper at 10 m/s: crossed after 3.005 s."""
    x_m = FRONT_M + 30.05
    for phases, offset, fault in (((1.0, 1.0, 60.0), 0.0, True), ((3.2, 3.0, 60.0), 0.0, False), ((1.0, 4.0, 60.0), 0.0, False)):
        place = scene(speed_mps=10.0, road=straight_road((light(x_m, phases, offset),)))
        judged = score(drive(place, 0.0), reference_progress_m=100.0)
        assert judged.gates["red_light"] == (0.0 if fault else 1.0)
        if fault:
            assert [e.t_s for e in judged.events if e.kind == "red_light"] == pytest.approx([3.1])
    stops = scene(speed_mps=10.0, road=straight_road((light(x_m, (1.0, 1.0, 60.0)),)))
    assert score(drive(stops, -2.0), reference_progress_m=3.0).gates["red_light"] == 1.0


def test_time_to_collision_is_gap_over_speed_difference() -> None:
    """At 12 behind 7 m/s with 40 m between: 4 s of approach leave 20 m and 4 s; on end it falls below 1 s after 7 s."""
    place = scene([Actor(FRONT_M + 42.0, 7.0)], speed_mps=12.0, horizon_s=4.0)
    judged = score(drive(place, 0.0), reference_progress_m=48.0)
    assert judged.measures["min_ttc_s"] == pytest.approx(4.0, abs=1e-6) and judged.terms["ttc"] == 1.0
    late = score(drive(replace(place, horizon_s=7.5), 0.0), reference_progress_m=90.0)
    assert [e.t_s for e in late.events if e.kind == "time_to_collision"] == pytest.approx([7.1])
    assert late.terms["ttc"] == 0.0 and late.passed


def test_oncoming_traffic_in_its_own_lane_is_no_conflict() -> None:
    judged = score(drive(scene([Actor(150.0, 12.0, y_m=3.5, oncoming=True)], speed_mps=12.0), 0.0), reference_progress_m=100.0)
    assert judged.terms["ttc"] == 1.0 and "min_ttc_s" not in judged.measures


def test_comfort_falls_with_the_bound_that_is_broken() -> None:
    gentle = score(drive(scene(speed_mps=13.0), np.full(100, -1.0)), reference_progress_m=80.0)
    assert gentle.terms["comfort"] == 1.0
    hard = score(drive(scene(speed_mps=13.0), np.concatenate([np.zeros(40), np.full(60, -7.0)])), reference_progress_m=60.0)
    assert hard.terms["comfort"] == 0.0 and {"comfort_accel_mps2", "comfort_jerk_lon_mps3"} <= set(_kinds(hard))
    fast_curve = scene(speed_mps=13.0, road=replace(straight_road(), drivable=(), lanes=()))
    assert "comfort_lateral_accel_mps2" in _kinds(score(drive(fast_curve, 0.0, 0.035), reference_progress_m=9.0))


def test_speeding_costs_its_mean_over_five_miles_per_hour() -> None:
    judged = score(drive(scene(speed_mps=13.9 + 1.115), 0.0), reference_progress_m=100.0)
    assert judged.terms["speed_limit"] == pytest.approx(0.5)


def test_a_void_rollout_is_not_valid_and_a_failed_policy_scores_zero() -> None:
    finished = drive(scene(speed_mps=10.0), 0.0)
    void = score(finished, reference_progress_m=100.0, void_reasons=("agents not where the state says",))
    assert not void.valid and void.void_reasons
    failed = score(replace(finished, ended="policy_error"), reference_progress_m=100.0)
    assert failed.total == 0.0 and "policy_error" in _kinds(failed)


def test_a_drive_of_a_single_state_is_judged() -> None:
    finished = drive(replace(scene(speed_mps=10.0), horizon_s=0.0), 0.0, ended="policy_error")
    assert score(finished, reference_progress_m=100.0).total == 0.0
