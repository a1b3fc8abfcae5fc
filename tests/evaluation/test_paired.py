import numpy as np
import pytest

from drivewm.evaluation.paired import holm, mcnemar_p, paired, sign_flip_p


@pytest.mark.parametrize(
    ("first_only", "second_only", "p"),
    [
        (0, 0, 1.0),
        (1, 1, 1.0),
        (0, 5, 2 / 2**5),  # all five on one side, or all on the other
        (1, 7, 2 * (1 + 8) / 2**8),
        (2, 8, 2 * (1 + 10 + 45) / 2**10),
    ],
)
def test_mcnemars_exact_test_counts_the_ways_in_which_scenes_could_split(first_only: int, second_only: int, p: float) -> None:
    assert mcnemar_p(first_only, second_only) == pytest.approx(p) == mcnemar_p(second_only, first_only)


def test_of_six_scenes_that_all_improve_two_sign_patterns_of_64_are_as_extreme() -> None:
    assert sign_flip_p([0.1, 0.2, 0.3, 0.1, 0.4, 0.2], seed=0) == pytest.approx(2 / 64)
    assert sign_flip_p([0.1, 0.2, 0.3, 0.1, 0.4], seed=0) > 0.05
    assert sign_flip_p([0.0] * 9, seed=0) == 1.0 and sign_flip_p([0.5], seed=0) == 1.0


def test_two_equal_policies_are_told_apart_no_oftener_than_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    found = 0
    for seed in range(60):
        totals = rng.uniform(0, 1, (12, 1)) + rng.normal(0, 0.1, (12, 2))
        found += paired("all", totals, totals > 0.5, seed).outside_noise
    assert found / 60 < 0.13  # 0.05 expected; 0.13 is beyond 2.8 standard errors


def test_a_policy_that_is_a_little_better_everywhere_is_better() -> None:
    rng = np.random.default_rng(1)
    hard = rng.uniform(0, 1, 40)
    totals = np.stack([hard, hard + rng.uniform(0.01, 0.05, 40)], axis=1)
    seen = paired("all", totals, np.ones((40, 2), bool), seed=0)
    assert seen.outside_noise and 0.01 < seen.difference.value < 0.05
    assert (seen.first_only, seen.second_only, seen.p_passed) == (0, 0, 1.0)


def test_pairing_removes_the_difficulty_of_the_scenes() -> None:
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1, 100)
    difference = paired("all", np.stack([hard + rng.normal(0, 0.01, 100), hard + 0.05], axis=1), np.ones((100, 2)), 0).difference
    assert difference.low > 0.04 and difference.high < 0.06


def test_a_difference_in_one_scene_alone_is_no_change() -> None:
    totals = np.zeros((10, 2))
    totals[3, 1] = 1.0
    assert not paired("all", totals, totals > 0.5, seed=0).outside_noise


def test_holm_multiplies_the_smallest_by_all_the_next_by_one_less_and_never_descends() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_the_order_of_the_scenes_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    totals, order = rng.uniform(size=(30, 2)), rng.permutation(30)
    weights = rng.uniform(1, 3, 30)
    assert paired("a", totals, totals > 0.5, 0, weights) == paired("a", totals[order], totals[order] > 0.5, 0, weights[order])
