"""Two policies in the same scenes: how far apart they are, and whether that is more than chance.

The unit is the scene: drives of one scene with several seeds are no independent cases, since they share what makes it hard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, permutation_test

from drivewm.datatypes import Array
from drivewm.evaluation.intervals import Estimate, bootstrap_mean

ALPHA = 0.05
RESAMPLES = 9999  # of signs; with up to 13 scenes all 2^n are tried
NO_CHANGE = "no change"


@dataclass(frozen=True, slots=True)
class Paired:
    """What two policies did in one group of scenes. The difference is second minus first, between -1 and 1."""

    group: str
    difference: Estimate  # of mean scores, paired bootstrap over scenes
    p: float  # of the difference, by chance alone
    first_only: int  # scenes that only the first policy passed with every seed
    second_only: int
    p_passed: float  # McNemar, exact

    @property
    def outside_noise(self) -> bool:
        """Both the interval and the test say that the difference is none of chance."""
        return self.p < ALPHA and not self.difference.low <= 0.0 <= self.difference.high


def paired(group: str, totals: ArrayLike, passed: ArrayLike, seed: int, weights: ArrayLike | None = None) -> Paired:
    """``totals`` [S, 2] and ``passed`` [S, 2] of S scenes, first and second policy; ``weights`` [S] are for the scores."""
    score, kept = np.asarray(totals, np.float64), np.asarray(passed, bool)
    change = score[:, 1] - score[:, 0]
    estimate = bootstrap_mean(change, seed, bounds=(-1.0, 1.0), weights=weights)
    if estimate is None:
        raise ValueError("no scene was driven by both")
    mine, yours = int((kept[:, 0] & ~kept[:, 1]).sum()), int((kept[:, 1] & ~kept[:, 0]).sum())
    return Paired(group, estimate, sign_flip_p(change, seed, weights), mine, yours, mcnemar_p(mine, yours))


def mcnemar_p(first_only: int, second_only: int) -> float:
    """Probability of so uneven a split of the scenes that one policy passes and the other does not, if both are equally good.

    McNemar's test (1947) in its exact form: two-sided binomial.
    """
    split = first_only + second_only
    return float(binomtest(first_only, split, 0.5).pvalue) if split else 1.0


def sign_flip_p(differences: ArrayLike, seed: int, weights: ArrayLike | None = None) -> float:
    """Probability of so large a (weighted) mean difference if each scene could as well have gone the other way round.

    Fisher's permutation test for pairs; exact for up to 13 scenes, else by `RESAMPLES` random signs. Two-sided. With fewer than
    six scenes it never comes below 0.05.
    """
    x = np.asarray(differences, np.float64)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    told = x != 0  # a sign in front of nothing changes nothing
    x = np.sort((w * x)[told])
    if x.size < 2:
        return 1.0

    def total(values: Array, axis: int) -> Any:
        return np.sum(values, axis=axis)

    rng = np.random.default_rng(np.random.SeedSequence([seed, x.size]))
    options = {"n_resamples": RESAMPLES, "vectorized": True, "batch": 500, "rng": rng}
    return float(permutation_test((x,), total, permutation_type="samples", **options).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979): among those below a level, the chance of any false one is that level."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    out, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        out[index] = largest
    return out
