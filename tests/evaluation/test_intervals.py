import numpy as np
import pytest

from drivewm.evaluation.intervals import bootstrap_mean, effective_size, wilson, worst_group


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_equals_newcombes_published_table(successes: int, count: int, low: float, high: float) -> None:
    estimate = wilson(successes, count)
    assert estimate is not None
    assert (estimate.low, estimate.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_twenty_clean_drives_do_not_prove_perfection() -> None:
    estimate = wilson(20, 20)
    assert estimate is not None and estimate.value == 1.0 and estimate.high == 1.0
    assert estimate.low == pytest.approx(0.8389, abs=1e-4)


def test_nothing_driven_means_no_rate_and_no_mean() -> None:
    assert wilson(0, 0) is None and bootstrap_mean([], seed=1) is None and worst_group([], []) is None
    with pytest.raises(ValueError, match="3 successes of 2"):
        wilson(3, 2)


def test_the_95_percent_bootstrap_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    intervals = [bootstrap_mean(rng.normal(0.7, 0.1, 50), seed=i, resamples=500) for i in range(400)]
    covered = np.mean([e is not None and e.low <= 0.7 <= e.high for e in intervals])
    assert covered == pytest.approx(0.945, abs=0.025)


def test_the_interval_of_a_mean_has_the_width_of_the_normal_theory() -> None:
    many = bootstrap_mean(np.random.default_rng(5).normal(0.7, 0.1, 5000), seed=1)
    assert many is not None
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(5000), rel=0.1)


def test_one_value_alone_says_nothing_about_its_like() -> None:
    estimate = bootstrap_mean([0.7], seed=0, bounds=(0.0, 1.0))
    assert estimate is not None and (estimate.value, estimate.low, estimate.high) == (0.7, 0.0, 1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [0.1, 0.9, 0.4, 0.8]
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)


def test_worst_family_is_the_one_with_the_lowest_mean() -> None:
    assert worst_group(["cut_in", "calm", "cut_in", "calm"], [0.2, 0.9, 0.4, 1.0]) == ("cut_in", pytest.approx(0.3))


def test_weights_say_how_much_a_case_counts() -> None:
    """(1 * 0.2 + 3 * 1.0) / 4 = 0.8; (1 + 3)^2 / (1 + 9) = 1.6 cases."""
    estimate = bootstrap_mean([0.2, 1.0], seed=0, weights=[1, 3])
    assert estimate is not None and estimate.value == pytest.approx(0.8)
    assert effective_size([1, 3]) == pytest.approx(1.6)
    assert effective_size([2.0] * 7) == pytest.approx(7) and effective_size([]) == 0


def test_an_interval_of_weighted_cases_is_as_wide_as_that_of_their_effective_number() -> None:
    """Delta method: variance of sum w x / sum w is sum w^2 (x - m)^2 / (sum w)^2, near sd^2 / effective number here."""
    rng = np.random.default_rng(2)
    x, w = rng.normal(0.7, 0.1, 4000), rng.choice([1.0, 9.0], 4000)
    estimate = bootstrap_mean(x, seed=1, weights=w)
    assert estimate is not None
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(effective_size(w)), rel=0.1)


def test_the_order_of_the_cases_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    x, w, order = rng.uniform(size=50), rng.uniform(1, 2, 50), rng.permutation(50)
    assert bootstrap_mean(x, seed=1, weights=w) == bootstrap_mean(x[order], seed=1, weights=w[order])
    assert effective_size(w) == effective_size(w[order])
