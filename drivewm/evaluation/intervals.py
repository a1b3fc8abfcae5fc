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


def wilson(successes: float, count: int, confidence: float = 0.95) -> Estimate | None:
    """A rate with Wilson's score interval (1927), which stays honest at 0, at 1 and for few cases; None without cases.

    ``successes`` may be fractional: a case tried three times and won twice is two thirds of one.
    """
    if not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count}")
    if count == 0:
        return None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate, spread = successes / count, z * z / count
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(rate * (1 - rate) / count + spread / (4 * count))
    return Estimate(rate, min(max(0.0, centre - half), rate), max(min(1.0, centre + half), rate), count)


def bootstrap_mean(
    values: ArrayLike, seed: int, confidence: float = 0.95, resamples: int = 2000, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> Estimate | None:
    """A mean with its percentile bootstrap interval; the same ``seed`` gives the same interval; None without values.

    One value alone tells nothing about its like: the interval is then ``bounds``, between which any value must lie.
    """
    x = np.asarray(values, np.float64)
    if x.size == 0:
        return None
    if x.size == 1:
        return Estimate(float(x[0]), *bounds, 1)
    rng = np.random.default_rng(np.random.SeedSequence([seed, x.size]))
    means = x[rng.integers(0, x.size, (resamples, x.size))].mean(axis=1)
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    mean = float(x.mean())
    return Estimate(mean, min(float(low), mean), max(float(high), mean), x.size)


def paired_difference(a: ArrayLike, b: ArrayLike, seed: int, confidence: float = 0.95) -> Estimate | None:
    """Mean of a - b over the same scenes; the pairing removes how hard each scene is. None without values."""
    return bootstrap_mean(np.asarray(a, np.float64) - np.asarray(b, np.float64), seed, confidence)


def worst_group(
    groups: Sequence[str], values: ArrayLike, measure: Callable[[NDArray[Any]], Any] = np.mean
) -> tuple[str, float] | None:
    """The group with the lowest ``measure`` of its values (the first in alphabetical order on a tie); None without values."""
    names, x = np.asarray(groups), np.asarray(values, np.float64)
    if x.size == 0:
        return None
    level, name = min((float(measure(x[names == name])), str(name)) for name in np.unique(names))
    return name, level
