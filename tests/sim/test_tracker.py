"""The tracker stays on plans: within 0.3 m and 0.2 m/s on constant curvature, and stands when the plan stands."""

from collections.abc import Callable

import numpy as np
import pytest

from drivewm.datatypes import Agents, Array, Trajectory, WorldState
from drivewm.geometry import relative_xy_yaw
from drivewm.sim.bicycle import EgoMotion, advance_ego, along_arc
from drivewm.sim.tracker import track

DT = 0.1


def _world(ego: EgoMotion) -> WorldState:
    return WorldState(
        np.zeros(1), ego.xy_yaw, ego.speed_mps, ego.accel_mps2, ego.curvature_1pm, Agents.empty(0), np.zeros((1, 0))
    )


def _reference(speed: float, accel: Callable[[float], float], curvature: Callable[[float], float]) -> tuple[Array, Array]:
    """Poses and speeds every 10 ms over 15 s of an ideal car."""
    poses, speeds = [np.zeros(3)], [speed]
    for i in range(1500):
        poses.append(along_arc(poses[-1], np.array(speeds[-1] * 0.01), np.array(curvature(0.01 * i))))
        speeds.append(max(0.0, speeds[-1] + 0.01 * accel(0.01 * i)))
    return np.array(poses), np.array(speeds)


def _errors(reference: tuple[Array, Array], start: EgoMotion, replan: int, points: int = 8) -> tuple[Array, Array]:
    """Lateral and longitudinal error [T, 2] and speed error [T] over 8 s of following plans cut from the reference."""
    poses, speeds = reference
    ego, position, speed = start, [], []
    t_s = 0.5 * np.arange(1, points + 1)
    for i in range(80):
        if i % replan == 0:
            made, origin = i, ego.xy_yaw.copy()
            index = np.round((i * DT + t_s) / 0.01).astype(int)
            plan = Trajectory(t_s[None], relative_xy_yaw(poses[index], origin[0])[None], speeds[index][None])
        action = track(plan, (i - made) * DT, origin, _world(ego))
        ego = advance_ego(ego, action.accel_mps2, action.curvature_1pm, DT)
        now = round((i + 1) * DT / 0.01)
        position.append(relative_xy_yaw(ego.xy_yaw[0], poses[now])[:2])
        speed.append(ego.speed_mps[0] - speeds[now])
    return np.array(position), np.array(speed)


def _start(speed: float, curvature: float = 0.0, pose: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> EgoMotion:
    return EgoMotion(np.array([pose]), np.array([speed]), np.zeros(1), np.array([curvature]))


@pytest.mark.parametrize("replan", [2, 40])
@pytest.mark.parametrize(("speed", "curvature"), [(4.0, 0.15), (8.0, 0.05), (13.0, -0.02), (25.0, 0.004)])
def test_constant_curvature_is_followed(speed: float, curvature: float, replan: int) -> None:
    reference = _reference(speed, lambda t: 0.0, lambda t: curvature)
    position, speed_error = _errors(reference, _start(speed, curvature), replan)
    assert np.abs(position).max() < 0.05 and np.abs(speed_error).max() < 0.02


def test_a_slalom_and_a_curve_that_begins_at_once_are_followed() -> None:
    for curvature in (lambda t: 0.03 * np.sin(t), lambda t: 0.05 if t > 2 else 0.0):
        position, _ = _errors(_reference(11.0, lambda t: 0.0, curvature), _start(11.0), 2)
        assert np.abs(position).max() < 0.3


def test_a_stop_ends_where_planned_and_a_start_gets_away() -> None:
    position, _ = _errors(_reference(10.0, lambda t: -4.0 if t > 2 else 0.0, lambda t: 0.0), _start(10.0), 2)
    assert np.abs(position[:, 0]).max() < 0.3
    position, speed = _errors(_reference(0.0, lambda t: 2.0 if 1 < t < 5 else 0.0, lambda t: 0.0), _start(0.0), 2)
    assert np.abs(position[-1]).max() < 0.1 and abs(speed[-1]) < 0.05


def test_an_error_is_taken_back() -> None:
    """One old plan, the car half a metre beside and behind it and a metre per second too slow: gone after 4 s."""
    reference = _reference(10.0, lambda t: 0.0, lambda t: 0.0)
    poses, speeds = reference
    t_s = 0.5 * np.arange(1, 17)
    index = np.round(t_s / 0.01).astype(int)
    plan = Trajectory(t_s[None], poses[index][None], speeds[index][None])
    ego = _start(9.0, pose=(-0.5, 0.5, 0.0))
    for i in range(40):
        action = track(plan, i * DT, np.zeros((1, 3)), _world(ego))
        ego = advance_ego(ego, action.accel_mps2, action.curvature_1pm, DT)
    assert ego.xy_yaw[0, 0] == pytest.approx(40.0, abs=0.1) and ego.xy_yaw[0, 1] == pytest.approx(0.0, abs=0.05)
    assert ego.speed_mps[0] == pytest.approx(10.0, abs=0.1)


def test_standing_still_stays_standing_still() -> None:
    plan = Trajectory(0.5 * np.arange(1, 9)[None], np.zeros((1, 8, 3)), np.zeros((1, 8)))
    action = track(plan, 0.1, np.zeros((1, 3)), _world(_start(0.0, 0.1)))
    assert action.accel_mps2[0] == pytest.approx(0.0, abs=1e-9)
    assert action.curvature_1pm[0] == pytest.approx(0.1, abs=1e-9)  # nobody turns the wheel of a standing car


@pytest.mark.parametrize("age_s", [0.0, 0.3, 0.5, 3.0])
def test_a_plan_of_one_point_is_enough_and_may_run_out(age_s: float) -> None:
    plan = Trajectory(np.array([[0.5]]), np.array([[[4.0, 0.0, 0.0]]]), np.array([[8.0]]))
    ego = EgoMotion(np.array([[8.0 * age_s, 0.0, 0.0]]), np.array([8.0]), np.zeros(1), np.zeros(1))
    action = track(plan, age_s, np.zeros((1, 3)), _world(ego))
    np.testing.assert_allclose([action.accel_mps2[0], action.curvature_1pm[0]], 0.0, atol=1e-6)


def test_points_behind_the_car_mean_stop_not_reverse() -> None:
    plan = Trajectory(0.5 * np.arange(1, 9)[None], np.tile([-1.0, 0.0, 0.0], (1, 8, 1)), np.zeros((1, 8)))
    action = track(plan, 0.0, np.zeros((1, 3)), _world(_start(2.0)))
    assert action.accel_mps2[0] < -3.0 and np.isfinite(action.curvature_1pm[0])
