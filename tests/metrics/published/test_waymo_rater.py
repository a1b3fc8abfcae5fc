"""Rater Feedback Score against numbers of Waymo's own tests (waymo-open-dataset, rater_feedback_utils_test.py)."""

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.metrics.published import waymo_rater
from drivewm.metrics.published.formula import Reference
from drivewm.metrics.published.waymo_rater import RatedWays, rater_feedback
from tests.straight_road import drive, scene

WAY = Reference(50.0)
# Sample 665 of Waymo's tests, one point a second, as printed there to 4 decimals.
RATED_665 = RatedWays(
    [
        np.array([[1.7595, -0.1476], [2.7480, -0.3286], [3.3625, -0.3995], [4.1822, -0.3374]]),
        np.array([[2.5976, -0.6775], [5.7540, -4.7072], [6.8914, -12.8989], [7.3057, -24.0339], [8.1468, -37.4326]]),
        np.array([[2.2131, -0.3852], [4.2947, -1.9280], [5.3705, -4.0046], [5.7428, -5.9692], [5.9755, -7.5329]]),
    ],
    [6, 10, 9],
)
MODEL3_665 = np.array([[2.8003, -1.4908], [5.1213, -5.3089], [6.2969, -11.2645], [7.0849, -19.0115], [7.9616, -28.3702]])


def test_the_published_sample_gives_the_published_score() -> None:
    value, trusted = rater_feedback(MODEL3_665, RATED_665, 2.1179442405700684, rate_hz=1, floor=0.0)
    assert value == pytest.approx(5.228241007761699, abs=2e-3) and not trusted


def test_decay_outside_the_trust_region_of_waymos_grid_test() -> None:
    """Straight on, rated 1, no floor: at 1.5 times the region's size 0.1^0.5, at twice 0.1; the region halves for slow starts."""
    ahead = np.stack([np.arange(1.0, 6.0), np.zeros(5)], -1)
    rated = RatedWays([ahead], [1.0])
    for start_mps, scale in ((0.0, 0.5), (1.4, 0.5), (6.2, 0.75), (11.0, 1.0), (22.0, 1.0)):
        for times, expected in ((0.0, 1.0), (1.0, 1.0), (1.5, 0.1**0.5), (2.0, 0.1)):
            beside, before = ahead.copy(), ahead.copy()
            beside[[2, 4], 1] += times * scale * np.array([1.0, 1.8]) * (1 - 1e-9)
            before[[2, 4], 0] += times * scale * np.array([4.0, 7.2]) * (1 - 1e-9)
            for way in (beside, before):
                assert rater_feedback(way, rated, start_mps, rate_hz=1, floor=0.0)[0] == pytest.approx(expected)
    assert rater_feedback(ahead + [0.0, 30.0], RatedWays([ahead], [10.0]), 10.0, rate_hz=1)[0] == 4.0


def test_who_drives_as_rated_gets_the_rating() -> None:
    """At 10 m/s straight on: the way rated 9 is its own, the one rated 10 swerves 10 m to the left."""
    own = np.stack([2.5 * np.arange(1, 21), np.zeros(20)], -1)
    rated = RatedWays([own, own + [0.0, 10.0]], [9.0, 10.0])
    driven = drive(scene(speed_mps=10.0, horizon_s=6.0), 0.0)
    judged = waymo_rater.score(driven, WAY, rated)
    assert judged.total == pytest.approx(0.9) and judged.measures["trusted"] == 1.0 and judged.valid
    far = waymo_rater.score(driven, WAY, RatedWays([own + [0.0, 30.0]], [10.0]))
    assert far.total == pytest.approx(0.4) and far.measures["trusted"] == 0.0
    standing = waymo_rater.score(drive(scene(horizon_s=6.0), 0.0), WAY, RatedWays([np.zeros((20, 2))] * 3, [10.0] * 3))
    assert standing.total == 1.0


def test_it_does_not_apply_without_ratings_or_for_short_drives() -> None:
    driven = drive(scene(speed_mps=10.0, horizon_s=4.0), 0.0)
    for judged in (waymo_rater.score(driven, WAY), waymo_rater.score(driven, WAY, RATED_665)):
        assert not judged.valid and judged.inapplicable == ("rater_feedback",) and "does not apply" in judged.void_reasons[0]
    with pytest.raises(InputError, match="ratings"):
        rater_feedback(np.zeros((20, 2)), RatedWays([np.zeros((20, 2))], []), 1.0)
