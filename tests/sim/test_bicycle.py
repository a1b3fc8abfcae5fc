"""The ego moves as a kinematic bicycle: circles close, brakes stop where v^2 / 2a says, limits hold."""

import numpy as np
import pytest

from drivewm.sim.bicycle import EGO_LIMITS, EgoMotion, advance_ego, along_arc, travel


def _ego(speed: float, accel: float = 0.0, curvature: float = 0.0) -> EgoMotion:
    return EgoMotion(np.zeros((1, 3)), np.array([speed]), np.array([accel]), np.array([curvature]))


@pytest.mark.parametrize("radius_m", [6.0, 20.0, 150.0])
def test_a_circle_closes_after_its_circumference(radius_m: float) -> None:
    pose, length = np.zeros(3), 2 * np.pi * radius_m
    for _ in range(100):
        pose = along_arc(pose, np.array(length / 100), np.array(1 / radius_m))
    np.testing.assert_allclose(pose, 0.0, atol=1e-9)


def test_a_left_quarter_circle_ends_where_geometry_says() -> None:
    np.testing.assert_allclose(along_arc(np.zeros(3), np.array(5 * np.pi), np.array(0.1)), [10.0, 10.0, np.pi / 2], atol=1e-12)


def test_the_engine_step_drives_the_circle_too() -> None:
    ego, speed, radius = _ego(5.0, curvature=0.1), 5.0, 10.0
    steps = 1000
    for _ in range(steps):
        ego = advance_ego(ego, np.zeros(1), np.array([0.1]), 2 * np.pi * radius / speed / steps)
    np.testing.assert_allclose(ego.xy_yaw, 0.0, atol=1e-8)


def test_braking_stops_after_v2_over_2a_and_stays() -> None:
    ego, accel = _ego(13.0, accel=-4.0), np.array([-4.0])
    for _ in range(100):
        ego = advance_ego(ego, accel, np.zeros(1), 0.1)
    assert ego.xy_yaw[0, 0] == pytest.approx(13.0**2 / 8, abs=1e-9)
    assert ego.speed_mps[0] == 0.0 and ego.accel_mps2[0] == 0.0


def test_travel_is_the_exact_integral_when_the_stop_lies_inside_the_step() -> None:
    distance, speed = travel(np.array([1.0, 1.0]), np.array([-4.0, 2.0]), 0.5)
    np.testing.assert_allclose(distance, [1.0 / 8, 0.75])
    np.testing.assert_allclose(speed, [0.0, 2.0])


def test_limits_of_pedals_and_steering() -> None:
    hard = _ego(10.0)
    for _ in range(20):
        before, hard = hard, advance_ego(hard, np.array([50.0]), np.array([9.0]), 0.1)
        assert hard.accel_mps2[0] <= EGO_LIMITS.accel_max_mps2 + 1e-9
        assert hard.curvature_1pm[0] - before.curvature_1pm[0] <= EGO_LIMITS.curvature_rate_max_1pms * 0.1 + 1e-9
        mean_speed = 0.5 * (before.speed_mps[0] + hard.speed_mps[0])
        assert hard.curvature_1pm[0] * mean_speed**2 <= EGO_LIMITS.lateral_accel_max_mps2 + 1e-6
    assert advance_ego(_ego(20.0), np.array([-50.0]), np.zeros(1), 0.1).accel_mps2[0] == pytest.approx(-6.0)  # 60 m/s^3 * 0.1 s
    assert advance_ego(_ego(20.0, accel=-8.0), np.array([-50.0]), np.zeros(1), 0.1).accel_mps2[0] == pytest.approx(-9.0)
    slow = _ego(2.0)
    for _ in range(30):
        slow = advance_ego(slow, np.zeros(1), np.array([9.0]), 0.1)
    assert slow.curvature_1pm[0] == pytest.approx(EGO_LIMITS.curvature_max_1pm)
