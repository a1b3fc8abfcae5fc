"""The mean score in a reference that is dear, from few drives there and many in a world that is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from drivewm.datatypes import Array
from drivewm.evaluation.intervals import Estimate, bootstrap_mean

LEAST_PAIRS = 8  # below, the coefficient is mostly noise
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Corrected:
    """``mean`` is the reference's mean with the help of the cheap world, ``plain`` without it, from the same reference drives."""

    mean: Estimate
    plain: Estimate
    coefficient: float
    saved: float  # share of the plain estimate's variance that is saved
    pairs: int
    extra: int


def control_variate(reference: ArrayLike, cheap: ArrayLike, extra: ArrayLike, seed: int) -> Corrected | None:
    """``reference`` and ``cheap`` [n] are scores of the same n scenes, ``extra`` [N] of further scenes in the cheap world alone.

    All are drawn alike. The estimate is mean(reference) - c (mean(cheap) - mean(extra)). Its variance is least at
    c = cov / var(cheap) * N / (n + N), and is then smaller by the share rho^2 N / (n + N): control variates with an estimated
    mean; the tuned estimator of Angelopoulos, Duchi and Zrnic 2023 ("PPI++") is the same. The interval draws pairs and extra
    scenes again and finds c anew each time. None below `LEAST_PAIRS` pairs or without extra scenes.
    """
    y, x, more = (np.asarray(values, np.float64) for values in (reference, cheap, extra))
    plain = bootstrap_mean(y, seed, bounds=(0.0, 1.0))
    if y.size < LEAST_PAIRS or not more.size or plain is None:
        return None
    order = np.lexsort((x, y))
    y, x, more = y[order], x[order], np.sort(more)
    value, coefficient, saved = (float(one[0]) for one in _estimate(y[None], x[None], more[None]))
    rng = np.random.default_rng(np.random.SeedSequence([seed, y.size, more.size]))
    chosen, others = rng.integers(0, y.size, (RESAMPLES, y.size)), rng.integers(0, more.size, (RESAMPLES, more.size))
    low, high = np.quantile(_estimate(y[chosen], x[chosen], more[others])[0], [0.025, 0.975])
    mean = Estimate(value, min(float(low), value), max(float(high), value), y.size)
    return Corrected(mean, plain, coefficient, saved, y.size, more.size)


def _estimate(y: Array, x: Array, more: Array) -> Sequence[Array]:
    """Value, coefficient and share of variance saved, over a leading axis."""
    pairs, extra = y.shape[-1], more.shape[-1]
    dy, dx = y - y.mean(-1, keepdims=True), x - x.mean(-1, keepdims=True)
    cov, var_x, var_y = (dy * dx).mean(-1), (dx * dx).mean(-1), (dy * dy).mean(-1)
    share = extra / (pairs + extra)
    known = var_x > 1e-12
    slope = np.where(known, cov / np.where(known, var_x, 1.0), 0.0)
    coefficient = slope * share
    saved = np.where(known & (var_y > 1e-12), slope * cov / np.where(var_y > 1e-12, var_y, 1.0) * share, 0.0)
    return y.mean(-1) - coefficient * (x.mean(-1) - more.mean(-1)), coefficient, saved
