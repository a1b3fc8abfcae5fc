"""How two lists of scores rank the same things, for many pairs of lists at once.

Written over a leading axis because intervals need thousands of resampled lists; `scipy.stats` gives the same values one by one.
A measure is NaN where a list is constant and no order can be told.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from drivewm.datatypes import Array


def pearson(x: Array, y: Array) -> Array:
    """[..., P] and [..., P] to [...]."""
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    return _ratio((x * y).sum(-1), (x * x).sum(-1), (y * y).sum(-1))


def spearman(x: Array, y: Array) -> Array:
    """Pearson's coefficient of ranks; ties share their mean rank."""
    return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def kendall(x: Array, y: Array) -> Array:
    """Tau-b: concordant minus discordant pairs, over the geometric mean of the pairs that are untied in each list."""
    a, b = _order(x), _order(y)
    return _ratio((a * b).sum((-2, -1)), (a * a).sum((-2, -1)), (b * b).sum((-2, -1)))


def mmrv(judged: Array, reference: Array) -> Array:
    """Mean maximum rank violation (SIMPLER, Li et al. 2024), in the unit of the scores; 0 is best.

    For each policy, the largest difference in the reference to any policy that ``judged`` ranks
    otherwise; the mean over policies. A tie on one side only is a violation, as in SIMPLER's own code.
    """
    above, truly = judged[..., :, None] > judged[..., None, :], reference[..., :, None] > reference[..., None, :]
    apart = np.abs(reference[..., :, None] - reference[..., None, :])
    return np.asarray(np.where(above != truly, apart, 0.0).max(axis=-1).mean(axis=-1))


def kappa(both: Array, first_only: Array, second_only: Array, neither: Array) -> Array:
    """Cohen's kappa (1960) of two yes-or-no judgements, from their four counts; NaN when all agree by necessity."""
    total = both + first_only + second_only + neither
    first, second = both + first_only, both + second_only
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = (both + neither) / total
        chance = (first * second + (total - first) * (total - second)) / total**2
        return np.asarray(np.where(chance < 1.0, (observed - chance) / (1.0 - chance), np.nan))


def _order(values: Array) -> Array:
    return np.sign(values[..., :, None] - values[..., None, :])


def _ratio(product: Array, first: Array, second: Array) -> Array:
    scale = np.sqrt(first * second)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(scale > 1e-12, np.clip(product / scale, -1.0, 1.0), np.nan))
