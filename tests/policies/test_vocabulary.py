"""What the 128 candidate plans promise: kinematics that a car can follow, from where it is to where it should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drivewm.policies import vocabulary as v

T_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


def straight(batch: int = 1, offset_m: float = 0.0) -> torch.Tensor:
    """A straight route that runs ``offset_m`` to the left of the ego."""
    route = torch.zeros(batch, v.ROUTE_POINTS, 2, dtype=torch.float64)
    route[:, :, 0] = v.ROUTE_SPACING_M * torch.arange(v.ROUTE_POINTS)
    route[:, :, 1] = offset_m
    return route


def arc(radius_m: float) -> torch.Tensor:
    angle = v.ROUTE_SPACING_M * torch.arange(v.ROUTE_POINTS, dtype=torch.float64) / radius_m
    return torch.stack([radius_m * torch.sin(angle), radius_m * (1 - torch.cos(angle))], -1)[None]


def plans(
    speed: float, route: torch.Tensor, curvature: float = 0.0, limit: float = 13.9, t_s: tuple[float, ...] = T_S
) -> np.ndarray:
    """Candidates [16, 8, K, 4] of one car."""
    one = torch.ones(1, dtype=torch.float64)
    out = v.candidates(speed * one, curvature * one, route, limit * one, t_s)
    return out.reshape(len(v.ACCELERATIONS_MPS2), v.LATERALS, len(t_s), 4).numpy()


def test_full_brake_stops_after_half_speed_squared_over_deceleration() -> None:
    plan = plans(12.0, straight())[0, v.GENTLE_LATERAL]
    assert plan[-1, 0] == pytest.approx(12.0**2 / (2 * 8.0), abs=1e-3)
    assert plan[-1, 3] == 0.0


def test_no_candidate_is_ever_slower_than_standing_or_faster_than_limit_and_start() -> None:
    for speed in (0.0, 5.0, 13.0, 20.0):
        plan = plans(speed, straight())
        assert plan[..., 3].min() >= 0.0
        assert plan[..., 3].max() <= max(13.9, speed) + 1e-9


def test_offsets_are_reached_and_kept() -> None:
    late = plans(12.0, straight(), t_s=(3.5, 4.0, 5.0))[9]
    for lateral, offset in enumerate(v.OFFSETS_M):
        assert late[lateral, 0, 1] == pytest.approx(offset, abs=1e-6)
        assert late[lateral, :, 2] == pytest.approx(0.0, abs=1e-6)


def test_a_car_beside_the_route_returns_to_it() -> None:
    plan = plans(10.0, straight(offset_m=-1.2))[9, v.GENTLE_LATERAL]
    assert abs(plan[0, 1]) < 0.1  # no jump
    assert plan[-1, 1] == pytest.approx(-1.2, abs=1e-6)


@pytest.mark.parametrize("curvature", [-0.03, 0.0, 0.05])
@pytest.mark.parametrize("heading_rad", [-0.2, 0.0, 0.15])
def test_plans_leave_in_the_pose_and_curvature_of_the_ego(curvature: float, heading_rad: float) -> None:
    route = straight(offset_m=0.4)
    cos, sin = np.cos(heading_rad), np.sin(heading_rad)
    route = route @ torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
    plan = plans(10.0, route, curvature, t_s=(0.001, 0.011))[9]
    assert np.abs(plan[:, 0, :3] - [0.01, 0.0, 0.0]).max() < 2e-3
    # The heading turns as the ego turns now; 0.006 1/m is what the jerk of the quintic adds within a decimetre.
    assert np.abs((plan[:, 1, 2] - plan[:, 0, 2]) / 0.1 - curvature).max() < 0.006


def test_headings_are_the_derivative_of_positions() -> None:
    t_s = tuple(np.arange(0.1, 4.01, 0.1))
    plan = plans(9.0, arc(30.0), 1 / 40, t_s=t_s)[9]
    step = np.diff(plan[:, :, :2], axis=1)
    heading = np.arctan2(step[..., 1], step[..., 0])
    middle = 0.5 * (plan[:, 1:, 2] + plan[:, :-1, 2])
    assert np.abs(heading - middle).max() < 0.01
    assert np.hypot(step[..., 0], step[..., 1]) == pytest.approx(np.full(step.shape[:2], 0.9), abs=5e-3)


def test_the_zero_offset_follows_a_curve() -> None:
    plan = plans(8.0, arc(20.0), 1 / 20)[9, v.GENTLE_LATERAL]
    distance_from_centre = np.hypot(plan[:, 0], plan[:, 1] - 20.0)
    assert np.abs(distance_from_centre - 20.0).max() < 0.05


def test_routes_shorter_than_the_plan_run_straight_on() -> None:
    plan = plans(35.0, straight(), limit=40.0)[9, v.GENTLE_LATERAL]
    assert plan[-1, :3] == pytest.approx([140.0, 0.0, 0.0], abs=0.02)


def test_a_standing_car_stays_or_leaves_slowly() -> None:
    plan = plans(0.0, straight())
    assert np.abs(plan[:10, :, :, :2]).max() < 1e-3
    assert plan[15, v.GENTLE_LATERAL, -1, 0] == pytest.approx(16.0, abs=0.01)


def test_chosen_picks_per_car() -> None:
    both = torch.cat([straight(), straight()])
    speed = torch.tensor([4.0, 10.0], dtype=torch.float64)
    everything = v.candidates(speed, 0 * speed, both, 0 * speed + 14, T_S).numpy()
    plan = v.chosen(everything, np.array([3, 76]), T_S)
    assert np.array_equal(plan.xy_yaw_ego[1], everything[1, 76, :, :3])
    assert plan.t_s.shape == (2, 8)
