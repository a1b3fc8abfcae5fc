import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from drivewm.evaluation.control_variate import control_variate
from drivewm.evaluation.rank_measures import kappa, kendall, mmrv, pearson, spearman


def test_one_pair_out_of_order_among_four() -> None:
    """1 2 3 4 against 1 3 2 4: five of six pairs in order, tau (5 - 1) / 6; ranks differ by 0 1 1 0, rho 1 - 6 * 2 / (4 * 15)."""
    x, y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert kendall(x, y) == pytest.approx(4 / 6)
    assert spearman(x, y) == pytest.approx(1 - 12 / 60) == pearson(x, y)


def test_a_tie_on_one_side_enters_tau_b_in_one_root() -> None:
    """1 1 2 against 1 2 3: two pairs in order, one tied on the left; 2 / sqrt(2 * 3)."""
    assert kendall(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 6**0.5)


def test_mmrv_is_the_margin_that_a_wrong_order_hides() -> None:
    """The judged world takes the last two for each other: each of them is wrong by 0.9 - 0.5, the first two are right."""
    truly = np.array([0.1, 0.3, 0.5, 0.9])
    assert mmrv(np.array([0.2, 0.4, 0.8, 0.6]), truly) == pytest.approx(2 * 0.4 / 4)
    assert mmrv(truly**3, truly) == 0.0
    """All upside down: the outer two are wrong by 0.8, the inner two by 0.6 and 0.4."""
    assert mmrv(-truly, truly) == pytest.approx((0.8 + 0.6 + 0.4 + 0.8) / 4)
    """A tie where there is an order: 0.5 is not above 0.3 any more, which only the better of the two notices."""
    assert mmrv(np.array([0.1, 0.4, 0.4, 0.9]), truly) == pytest.approx(0.2 / 4)


def test_kappa_is_agreement_beyond_chance() -> None:
    """Cohen's own form: 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no; observed 0.7, by chance 0.5, kappa 0.4."""
    assert kappa(*(np.array(n) for n in (20.0, 5.0, 10.0, 15.0))) == pytest.approx(0.4)
    assert kappa(*(np.array(n) for n in (0.0, 10.0, 10.0, 0.0))) == pytest.approx(-1.0)
    assert np.isnan(kappa(*(np.array(n) for n in (0.0, 0.0, 0.0, 9.0)))), "what never happens cannot be disagreed on"


def test_many_lists_at_once_give_what_scipy_gives_one_by_one() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (50, 9)) / 5, rng.integers(0, 6, (50, 9)) / 5  # with ties
    for ours, theirs in ((pearson, pearsonr), (spearman, spearmanr), (kendall, kendalltau)):
        assert ours(x, y) == pytest.approx([theirs(a, b).statistic for a, b in zip(x, y, strict=True)])


def test_a_constant_list_has_no_order() -> None:
    flat, rising = np.full(8, 0.5), np.linspace(0, 1, 8)
    assert all(np.isnan(measure(flat, rising)) for measure in (pearson, spearman, kendall))


def test_control_variate_on_a_table_worked_out_by_hand() -> None:
    """The cheap world is the reference plus 0.1: rho is 1. n = 8 pairs of mean 0.5, N = 8 more, cheap mean there 0.7.

    Share N / (n + N) = 1/2, slope 1, so c = 1/2; estimate 0.5 - 1/2 (0.6 - 0.7) = 0.55; half of the variance is saved.
    """
    y = np.array([0.2, 0.3, 0.4, 0.5, 0.5, 0.6, 0.7, 0.8])
    found = control_variate(y, y + 0.1, y + 0.2, seed=0)
    assert found is not None and (found.pairs, found.extra) == (8, 8)
    assert (found.coefficient, found.mean.value, found.saved) == pytest.approx((0.5, 0.55, 0.5))
    assert found.plain.value == pytest.approx(0.5)


def test_a_world_that_knows_nothing_of_the_reference_saves_nothing() -> None:
    y, x = np.array([0.2, 0.2, 0.8, 0.8] * 3), np.array([0.1, 0.9, 0.1, 0.9] * 3)
    found = control_variate(y, x, x, seed=0)
    assert found is not None and (found.coefficient, found.saved, found.mean.value) == pytest.approx((0.0, 0.0, 0.5))
    assert control_variate(y[:7], x[:7], x, seed=0) is None and control_variate(y, x, [], seed=0) is None


def test_what_is_said_to_be_saved_is_saved() -> None:
    """rho^2 = 0.8, N = 4 n: 64 % of the variance. Measured by drawing 20 pairs and 80 more, 120 times."""
    rng, plain, helped = np.random.default_rng(0), [], []
    for seed in range(120):
        truly = rng.normal(0.5, 0.1, 100)
        cheap = 0.7 * truly + rng.normal(0, 0.7 * 0.1 * 0.5, 100)  # rho^2 = 1 / (1 + 0.25)
        found = control_variate(truly[:20], cheap[:20], cheap[20:], seed)
        assert found is not None
        plain.append(found.plain.value)
        helped.append(found.mean.value)
    assert np.mean(helped) == pytest.approx(0.5, abs=0.005)
    assert 1 - np.var(helped) / np.var(plain) == pytest.approx(0.64, abs=0.15)
