"""How sure a rate or a mean is. An interval is (low, high) at the stated confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval and the number of cases behind it; ``value`` lies inside [low, high]."""

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def wilson(successes: float, count: float, confidence: float = 0.95) -> Estimate | None:
    """A rate with Wilson's score interval (1927), which stays honest at 0, at 1 and for few cases; None without cases.

    ``successes`` may be fractional: a case tried three times and won twice is two thirds of one. So may ``count``, where cases
    weigh differently and tell as much as that many.
    """
    if not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count}")
    if count == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, spread = successes / count, z * z / count
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(rate * (1 - rate) / count + spread / (4 * count))
    return Estimate(rate, min(max(0.0, centre - half), rate), max(min(1.0, centre + half), rate), round(count))


def effective_size(weights: ArrayLike) -> float:
    """How many equally weighted cases tell as much: (sum w)^2 / sum w^2 (Kish 1965); 0 without cases."""
    w = np.sort(np.asarray(weights, np.float64))
    return float(w.sum() ** 2 / (w * w).sum()) if w.size else 0.0


def bootstrap_mean(
    values: ArrayLike,
    seed: int,
    confidence: float = 0.95,
    resamples: int = 2000,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    weights: ArrayLike | None = None,
) -> Estimate | None:
    """A mean with its percentile bootstrap interval; the same ``seed`` gives the same interval; None without values.

    One value alone tells nothing about its like: the interval is then ``bounds``, between which any value must lie. With
    ``weights`` (> 0) the mean is sum w x / sum w, and cases are drawn again together with their weights. The order of the values
    does not matter.
    """
    x = np.asarray(values, np.float64)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    if x.size == 0:
        return None
    if x.size == 1:
        return Estimate(float(x[0]), *bounds, 1)
    order = np.lexsort((w, x))
    x, w = x[order], w[order]
    rng = np.random.default_rng(np.random.SeedSequence([seed, x.size]))
    chosen = rng.integers(0, x.size, (resamples, x.size))
    means = (w * x)[chosen].sum(axis=1) / w[chosen].sum(axis=1)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    mean = float((w * x).sum() / w.sum())
    return Estimate(mean, min(float(low), mean), max(float(high), mean), x.size)


def worst_group(
    groups: Sequence[str], values: ArrayLike, measure: Callable[[NDArray[Any]], Any] = np.mean
) -> tuple[str, float] | None:
    """The group with the lowest ``measure`` of its values (the first in alphabetical order on a tie); None without values."""
    names, x = np.asarray(groups), np.asarray(values, np.float64)
    if x.size == 0:
        return None
    level, name = min((float(measure(x[names == name])), str(name)) for name in np.unique(names))
    return name, level
