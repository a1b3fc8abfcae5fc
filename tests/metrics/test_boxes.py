"""Relations of boxes against arithmetic."""

import numpy as np
import pytest

from drivewm.geometry import box_corners_xy, boxes_overlap
from drivewm.metrics.boxes import behind, gap_m, overlap, time_to_contact_s

CAR = np.array([2.0, 1.0])  # half length, half width


def _pose(x: float, y: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    return np.array([x, y, yaw])


def test_contact_time_is_gap_over_closing_speed() -> None:
    assert time_to_contact_s(_pose(0), CAR, _pose(24), CAR, np.array([10.0, 0.0])) == pytest.approx(2.0, abs=1e-6)
    assert time_to_contact_s(_pose(0), CAR, _pose(24, yaw=np.pi / 2), CAR, np.array([10.0, 0.0])) == pytest.approx(2.1, abs=1e-6)
    assert time_to_contact_s(_pose(0), CAR, _pose(24), CAR, np.array([-10.0, 0.0])) == np.inf
    assert time_to_contact_s(_pose(0), CAR, _pose(24, 2.5), CAR, np.array([10.0, 0.0])) == np.inf
    assert time_to_contact_s(_pose(0), CAR, _pose(3), CAR, np.array([10.0, 0.0])) == 0.0


def test_crossing_paths_meet_only_if_both_axes_overlap_at_once() -> None:
    """From 20 m before and 20 m beside: at equal speeds the boxes meet after (20 - 3) / 10 s, at unequal ones they miss."""
    other = _pose(20, -20, np.pi / 2)
    assert time_to_contact_s(_pose(0), CAR, other, CAR, np.array([10.0, -10.0])) == pytest.approx(1.7, abs=1e-6)
    assert time_to_contact_s(_pose(0), CAR, other, CAR, np.array([10.0, -3.0])) == np.inf


def test_overlap_agrees_with_the_separating_axis_test_on_random_boxes() -> None:
    rng = np.random.default_rng(0)
    a, b = (np.concatenate([rng.uniform(-4, 4, (2000, 2)), rng.uniform(-4, 4, (2000, 1))], -1) for _ in range(2))
    half = rng.uniform(0.3, 3, (2, 2000, 2))
    expected = boxes_overlap(box_corners_xy(a, 2 * half[0]), box_corners_xy(b, 2 * half[1]))
    assert np.array_equal(overlap(a, half[0], b, half[1]), expected)
    assert 0.2 < expected.mean() < 0.9


def test_contact_time_agrees_with_moving_the_boxes() -> None:
    rng = np.random.default_rng(1)
    a, b = (np.concatenate([rng.uniform(-8, 8, (300, 2)), rng.uniform(-4, 4, (300, 1))], -1) for _ in range(2))
    velocity = rng.uniform(-8, 8, (300, 2))
    exact = time_to_contact_s(a, CAR, b, CAR, velocity)
    grid = np.arange(0.0, 3.0, 0.01)
    moved = np.concatenate(
        [a[:, None, :2] + velocity[:, None] * grid[:, None], np.broadcast_to(a[:, None, 2:], (300, 300, 1))], -1
    )
    hit = overlap(moved, CAR, b[:, None], CAR)
    seen = np.where(hit.any(1), grid[np.argmax(hit, 1)], np.inf)
    found = np.isfinite(seen)
    assert found.sum() > 50
    assert np.all((exact[found] <= seen[found]) & (exact[found] > seen[found] - 0.0101))
    assert np.mean(exact[~found] > 2.9) > 0.98  # grazes shorter than a grid step may be missed


def test_gap_between_boxes() -> None:
    assert gap_m(_pose(0), CAR, _pose(10), CAR) == pytest.approx(6.0)
    assert gap_m(_pose(0), CAR, _pose(7, 6), CAR) == pytest.approx(5.0)  # 3 and 4 m between corners
    assert gap_m(_pose(0), CAR, _pose(10, 0, np.pi / 4), CAR) == pytest.approx(8.0 - 3.0 / np.sqrt(2))
    assert gap_m(_pose(0), CAR, _pose(1), CAR) == 0.0


def test_behind_is_a_cone_of_thirty_degrees() -> None:
    assert behind(_pose(0), np.array([-10.0, 5.0])) and not behind(_pose(0), np.array([-10.0, 6.0]))
    assert not behind(_pose(0), np.array([10.0, 0.0]))
