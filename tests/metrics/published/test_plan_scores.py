"""HD-Score and ADS from plans made by hand.

Sources: HUGSIM (github.com/hyzhou404/HUGSIM, sim/utils/score_calculator.py); DriveArena (github.com/PJLab-ADG/DriveArena,
TrafficManager/score_calculator.py).
"""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, Rollout, Trajectory
from drivewm.metrics.published import ads, hd_score
from drivewm.metrics.published.formula import Reference
from tests.straight_road import Actor, drive, scene, straight_road

T_S = 0.5 * np.arange(1, 9)


def planned(driven: Rollout, speed_mps: float, ahead_m: np.ndarray | None = None, left_m: float = 0.0) -> Rollout:
    """The drive with plans straight on, one per two steps."""
    frames = driven.scene.steps // 2
    xy_yaw = np.zeros((frames, 8, 3))
    xy_yaw[..., 0] = speed_mps * T_S if ahead_m is None else ahead_m
    xy_yaw[..., 1] = left_m * T_S / 4.0
    plans = Trajectory(np.tile(T_S, (frames, 1)), xy_yaw, np.full((frames, 8), speed_mps))
    return replace(driven, plans=plans)


def test_steady_plans_on_a_free_road_are_perfect() -> None:
    driven = planned(drive(scene([Actor(200.0, 10.0)], speed_mps=10.0), 0.0), 10.0)
    way = Reference(100.0, driven)
    for metric in (hd_score, ads):
        judged = metric.score(driven, way)
        assert judged.total == pytest.approx(1.0) and judged.passed and judged.inapplicable == () and judged.events == ()


def test_route_completion_is_the_other_factor() -> None:
    """Half of the way: DriveArena 0.5; HUGSIM counts 0.9 of the way as all of it: 0.5 / 0.9."""
    driven = planned(drive(scene(speed_mps=5.0), 0.0), 5.0)
    assert hd_score.score(driven, Reference(100.0)).total == pytest.approx(0.5 / 0.9)
    judged = ads.score(driven, Reference(100.0))
    assert judged.total == pytest.approx(0.5) and judged.inapplicable == ("progress",)


def test_a_plan_into_a_standing_car_counts_nothing() -> None:
    """At 4 m/s towards a car with plans of 40 m: they reach it when bumpers are less than 40 m apart, TTC 10 m before."""
    driven = planned(drive(scene([Actor(90.0)], speed_mps=4.0, horizon_s=12.0), 0.0), 10.0)
    gap_m = 90.0 - 2.0 - 20.0 - EGO_SHAPE.rear_axle_to_centre_m - 0.5 * EGO_SHAPE.length_m
    for metric in (hd_score, ads):
        judged = metric.score(driven, Reference(48.0))
        for part, reach_m in (("no_collision", 40.0), ("ttc", 50.0)):
            first = next(event.t_s for event in judged.events if event.kind == f"plan_{part}")
            assert first == pytest.approx(np.ceil((gap_m - reach_m) / 4.0 / 0.2) * 0.2)
    # HUGSIM: 31 of 60 plans stay clear (t = 0 to 6 s), 19 of them by more than a second (t = 0 to 3.6 s).
    whole = hd_score.score(driven, Reference(48.0))
    assert whole.gates["no_collision"] == pytest.approx(31 / 60) and not whole.passed
    assert whole.total == pytest.approx((19 + 12 * 2 / 7) / 60)


def test_comfort_differs_in_the_bound_on_acceleration() -> None:
    """From 10 m/s with 3 m/s²: HUGSIM holds 2.40 against it, DriveArena 4.89 (the lateral bound); 5 TTC of 7 are left."""
    faster = 10.0 * T_S + 0.5 * 3.0 * T_S**2
    driven = planned(drive(scene(speed_mps=10.0), 0.0), 10.0, faster)
    assert hd_score.score(driven, Reference(100.0)).total == pytest.approx(5 / 7)
    assert ads.score(driven, Reference(100.0)).total == pytest.approx(1.0)


def test_plans_off_the_road() -> None:
    """A plan that ends 8 m to the right has no part of its body on the road."""
    driven = planned(drive(scene(speed_mps=10.0), 0.0), 10.0, left_m=-8.0)
    for metric in (hd_score, ads):
        assert metric.score(driven, Reference(100.0)).total == 0.0
    # 1.9 m to the right 0.715 of 1.73 m are on the road: half for DriveArena; two of four quarters touch it: all for HUGSIM.
    beside = planned(drive(scene(speed_mps=10.0), 0.0), 10.0, left_m=-1.9)
    assert ads.score(beside, Reference(100.0)).gates["drivable_area"] == 0.5
    assert hd_score.score(beside, Reference(100.0)).gates["drivable_area"] == 1.0


def test_timid_plans_lose_progress_in_ads_alone() -> None:
    """Plans at 5 m/s where the reference driver goes 10: (5 + 2 + 5 * 0.5) / 12."""
    reference = drive(scene(speed_mps=10.0, horizon_s=30.0), 0.0)
    driven = planned(drive(scene(speed_mps=5.0, horizon_s=20.0), 0.0), 5.0)
    judged = ads.score(driven, Reference(100.0, reference))
    assert judged.terms["progress"] == pytest.approx(0.5, abs=0.02) and judged.total == pytest.approx(9.5 / 12, abs=0.01)


def test_what_does_not_apply() -> None:
    driven = drive(scene(speed_mps=10.0), 0.0)
    for metric in (hd_score, ads):
        without_plans = metric.score(driven, Reference(100.0))
        assert not without_plans.valid and without_plans.void_reasons
        failed = metric.score(replace(driven, ended="policy_error"), Reference(100.0))
        assert failed.valid and failed.total == 0.0
        bare = planned(drive(scene(speed_mps=10.0, road=replace(straight_road(), drivable=())), 0.0), 10.0)
        judged = metric.score(bare, Reference(1.0))
        assert {"drivable_area", "route_completion"} <= set(judged.inapplicable) and judged.total == pytest.approx(1.0)
