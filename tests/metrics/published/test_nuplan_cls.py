"""The closed-loop score of nuPlan (devkit 1.2: closed_loop_*_weighted_average.yaml, planning/metrics/evaluation_metrics, the
thresholds in config/common/simulation_metric); weights 5 progress, 5 time to collision, 4 speed limit, 2 comfort."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import AgentClass, RoadMap
from drivewm.metrics.published.formula import Reference
from drivewm.metrics.published.nuplan_cls import score
from tests.metrics.published.judging import FRONT_M, at_10_mps, standing_car
from tests.straight_road import Actor, drive, scene


def test_perfect_behind_a_car_that_drives_as_fast() -> None:
    judged = score(at_10_mps([Actor(200.0, 10.0)]), Reference(100.0))
    assert judged.total == pytest.approx(1.0, abs=1e-9) and judged.passed and judged.events == ()


def test_driving_into_a_standing_car_is_zero() -> None:
    judged = score(at_10_mps([standing_car(30.05)]), Reference(100.0))
    assert judged.total == 0.0 and judged.gates["no_at_fault_collision"] == 0.0 and judged.terms["ttc"] == 0.0


def test_without_lanes_there_is_neither_direction_nor_limit() -> None:
    judged = score(drive(scene(speed_mps=5.0, road=RoadMap()), 0.0), Reference(100.0))
    assert set(judged.inapplicable) == {"driving_direction", "speed_limit", "drivable_area"}
    assert judged.total == pytest.approx(1 - 0.5 * 5 / 12, abs=1e-6)


def test_one_thing_costs_half_and_a_second_all() -> None:
    """max_violation_threshold_object = 1: 1 - n / 2."""
    cones = [Actor(x, category=AgentClass.TRAFFIC_CONE, size_lw_m=(0.4, 0.4)) for x in (80.0, 90.0)]
    values = [score(at_10_mps(cones[:count]), Reference(100.0)).gates["no_at_fault_collision"] for count in (1, 2)]
    assert values == [0.5, 0.0]


def test_progress_is_never_less_than_two_metres() -> None:
    """score_progress_threshold = 2 m: a reference that waits is no measure; min_progress_threshold = 0.2."""
    assert score(drive(scene(), 0.0), Reference(1.5)).total == pytest.approx(1.0)
    stands = score(drive(scene(), 0.0), Reference(100.0))
    assert stands.terms["progress"] == pytest.approx(0.02) and stands.total == 0.0
    gates = [score(drive(scene(speed_mps=v), 0.0), Reference(100.0)).gates["making_progress"] for v in (1.9, 2.1)]
    assert gates == [0.0, 1.0]


def test_speeding_costs_its_mean_over_five_miles_per_hour() -> None:
    """15 m/s where 13.9 are allowed: 101 samples of 1.1 m/s times 0.1 s over 2.23 m/s times 10 s."""
    judged = score(drive(scene(speed_mps=15.0), 0.0), Reference(100.0))
    assert judged.terms["speed_limit"] == pytest.approx(1 - 101 * 1.1 * 0.1 / 22.3, abs=1e-6)


def test_time_to_collision_is_looked_at_in_tenths_up_to_0_95_s() -> None:
    """After 100 m of 109.4 m, 0.94 s remain and are seen at 1.0 s; of 108.9 m, 0.89 s are seen at 0.9 s."""
    values = [score(at_10_mps([standing_car(gap)]), Reference(100.0)).terms["ttc"] for gap in (109.4, 108.9)]
    assert values == [1.0, 0.0]


def test_who_comes_beside_does_not_count_while_the_ego_keeps_its_lane() -> None:
    """Only agents under 30 degrees off the heading: a car that leans over from the next lane 3 m away is not one."""
    rammed = Actor(22.0, 10.0, y_m=2.2, size_lw_m=(4.0, 1.8))
    assert score(at_10_mps([rammed]), Reference(100.0)).terms["ttc"] == 1.0


def test_metres_against_the_lane_within_a_second() -> None:
    """driving_direction_compliance: 11 samples at 1.5, 5 and 6 m/s are 1.65, 5.5 and 6.6 m against the oncoming lane."""
    values = []
    for speed in (1.5, 5.0, 6.0):
        place = scene(speed_mps=speed)
        place = replace(place, start=replace(place.start, ego_xy_yaw_world=np.array([20.0, 3.5, 0.0])))
        values.append(score(drive(place, 0.0), Reference(10.0)).gates["driving_direction"])
    assert values == [1.0, 0.5, 0.0]


def test_three_tenths_of_a_metre_off_the_road_are_tolerated() -> None:
    """drivable_area_compliance: max_violation_threshold = 0.3 m. The road ends at y = -1.75 m, the ego is 1.73 m wide."""
    values = []
    for offset_m in (-1.75 + 0.865 - 0.29, -1.75 + 0.865 - 0.31):
        place = scene(speed_mps=10.0)
        place = replace(place, start=replace(place.start, ego_xy_yaw_world=np.array([20.0, offset_m, 0.0])))
        values.append(score(drive(place, 0.0), Reference(100.0)).gates["drivable_area"])
    assert values == [1.0, 0.0]


def test_a_tail_ender_is_not_the_fault_of_who_is_hit() -> None:
    """The other drives through the ego from behind; a track that was met is left out of the time to collision from then on."""
    judged = score(drive(scene([Actor(FRONT_M - 15.0, 13.0)], speed_mps=8.0), 0.0), Reference(80.0))
    assert judged.total == pytest.approx(1.0, abs=1e-6)
