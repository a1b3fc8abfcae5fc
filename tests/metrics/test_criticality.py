"""Series of criticality and safe distances against pencil and paper, and against the tests of ad-rss-lib."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, AgentClass, Rollout
from drivewm.metrics import rss
from drivewm.metrics.criticality import Criticality, criticality, criticality_measures
from drivewm.metrics.series import Series
from tests.straight_road import Actor, drive, scene

FRONT_M = 20.0 + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m  # of an ego that starts at x = 20 m
KMH = 1 / 3.6


def of(driven: Rollout) -> Criticality:
    return criticality(Series.of(driven, 100.0))


def test_safe_distance_beside_is_that_of_ad_rss_lib() -> None:
    """ad-rss-lib, tests/structured/RssFormulaTestsCalculateSafeLateralDistance.cpp: both respond after 2 s; km/h to the right."""
    slow = replace(rss.DEFAULT, ego_response_s=2.0)
    same = {0.0: 1.1, 1.0: 1.19, -1.0: 1.19, 5.0: 2.9, -5.0: 2.9}
    for kmh, expected_m in same.items():  # the one on the left goes towards the other, the one on the right away
        assert rss.safe_beside_m(np.array(kmh * KMH), np.array(-kmh * KMH), slow) == pytest.approx(expected_m, abs=0.01)
    for kmh, expected_m in {1.0: 1.84, -1.0: 0.45, 5.0: 5.77, -5.0: 0.0}.items():
        assert rss.safe_beside_m(np.array(kmh * KMH), np.array(0.0), slow) == pytest.approx(expected_m, abs=0.01)


def test_safe_distance_behind_follows_the_paper() -> None:
    """Shalev-Shwartz et al. 2017, definition 1, at 10 m/s each: 10 + 1.75 + 13.5²/8 - 10²/16 = 28.28 m; 0 behind who is far "
    "faster."""
    assert rss.safe_behind_m(np.array(10.0), np.array(10.0), 1.0) == pytest.approx(10 + 1.75 + 13.5**2 / 8 - 100 / 16)
    assert rss.safe_behind_m(np.array(3.0), np.array(30.0), 1.0) == 0.0
    # Definition 2: the ego brakes with 3 m/s^2 in its own lane, who comes against it after 2 s with 4 m/s^2.
    expected_m = (10 + 1.75 + 13.5**2 / 6) + (20 + 7 + 17.0**2 / 8)
    assert rss.safe_oncoming_m(np.array(10.0), np.array(10.0)) == pytest.approx(expected_m)


def test_following_is_told_by_gap_and_speeds() -> None:
    """Westhofen et al. 2023 (THW, DRAC): 40 m behind at 12 against 7 m/s: 40 / 12 s and 5² / 80 m/s²; after 4 s the gap is 20 "
    "m."""
    found = of(drive(scene([Actor(FRONT_M + 42.0, 7.0)], speed_mps=12.0, horizon_s=4.0), 0.0))
    gap_m = 40.0 - 5.0 * found.t_s
    np.testing.assert_allclose(found.thw_s[:, 0], gap_m / 12.0)
    np.testing.assert_allclose(found.drac_mps2[:, 0], 25.0 / (2 * gap_m))
    np.testing.assert_allclose(found.rss_along_m[:, 0], gap_m - (12 + 1.75 + 15.5**2 / 8 - 49 / 16))
    told = criticality_measures(found)
    assert told["min_thw_s"] == pytest.approx(20 / 12) and told["max_drac_mps2"] == pytest.approx(25 / 40)
    assert told["min_ttc_s"] == pytest.approx(4.0) and told["max_drac_t_s"] == pytest.approx(4.0)
    assert told["rss_dangerous_share"] == pytest.approx(found.t_s[gap_m < 40.71875].size / 41) and "pet_s" not in told


def test_nobody_ahead_is_no_following() -> None:
    for actors in ([], [Actor(0.0, 12.0)], [Actor(150.0, 12.0, y_m=3.5, oncoming=True)]):
        found = of(drive(scene(actors, speed_mps=12.0, horizon_s=4.0), 0.0))
        assert np.isinf(found.thw_s).all() and (found.drac_mps2 == 0).all()
        assert {"min_thw_s", "max_drac_mps2"}.isdisjoint(criticality_measures(found))
    beside = of(drive(scene([Actor(150.0, 12.0, y_m=3.5, oncoming=True)], speed_mps=12.0, horizon_s=4.0), 0.0))
    # Half bodies leave 3.5 - 0.865 - 0.9 m; both need 0.125 + 0.5 + 0.1 m.
    np.testing.assert_allclose(beside.rss_across_m, 1.735 - 0.725)
    assert criticality_measures(beside)["rss_dangerous_share"] == 0.0


def test_post_encroachment_is_the_time_between_leaving_and_entering() -> None:
    """Allen et al. 1978: at 10 m/s the rear leaves the way of a pedestrian (0.5 m wide, along x = 60 m); it comes 1.5 s later."""
    walker = Actor(60.0, 2.0, category=AgentClass.PEDESTRIAN, size_lw_m=(0.5, 0.5))
    place = scene([walker], speed_mps=10.0, horizon_s=8.0)
    rear_m = EGO_SHAPE.rear_axle_to_centre_m - 0.5 * EGO_SHAPE.length_m
    leaves_s = (60.25 - 20.0 - rear_m) / 10.0
    start_y = -0.5 * EGO_SHAPE.width_m - 0.25 - 2.0 * (leaves_s + 1.5)
    across = np.stack([np.full(401, 60.0), np.arange(401.0) - 100.0], -1)[None]
    agents = replace(place.start.agents, xy_yaw_world=np.array([[60.0, start_y, np.pi / 2]]))
    scripts = replace(place.scripts, path_xy=across, start_s_m=np.array([100.0 + start_y]))
    found = of(drive(replace(place, start=replace(place.start, agents=agents), scripts=scripts), 0.0))
    assert found.pet_s == pytest.approx([1.5], abs=0.21) and found.pet_at_s == pytest.approx([leaves_s + 1.5], abs=0.11)
    assert criticality_measures(found)["pet_s"] == found.pet_s[0]
