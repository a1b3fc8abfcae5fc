"""What a dream doubted, camera by camera, and what was wrong there; how well the one tells the other, over drives drawn again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.reading import segmented
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped
from drivewm.evaluation.dreaming import Images, Regime
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.readers import READ_CLASSES
from drivewm.evaluation.uncertainty import squared_error

MISREAD_SHARE = 0.1  # of a picture's pixels, read otherwise than in the reference
OBJECTS = [READ_CLASSES.index(name) for name in ("vehicle", "two_wheeler", "pedestrian")]
OBJECT_PX, FOUND_SHARE = 80, 0.25  # pixels of objects in a camera to be asked for them; share of them that must be read again
WORST = 0.1  # share of cameras whose error is called bad
DOUBT, TRUTH = "doubt of the dream", "the error itself"


@dataclass(frozen=True, slots=True)
class Case:
    """B drives dreamed in one regime, F frames of V cameras each."""

    regime: Regime
    shown: Images  # after the context [B, F, V, H, W, 3]
    exact: Images  # the reference after the autoencoder
    doubt: Array  # squared [B, F, V, h, w]
    squared: Array  # error, grey levels [B, F, V, h, w]
    scores: dict[str, Array]  # what may foretell an error [B, F, V]: the error itself, naive signals, the doubt
    bad: dict[str, tuple[Array, Array]]  # what can be wrong with a camera: bool [B, F, V], and which cameras are asked

    @property
    def error(self) -> Array:
        """Root mean square of every camera [B, F, V]."""
        return np.asarray(np.sqrt(self.squared.mean((-1, -2))))


def case_of(sample: Sample, regime: Regime) -> Case:
    shown, exact = sample.dreamed(regime)[:, sample.late], sample.through_autoencoder()[:, sample.late]
    squared = squared_error(shown, exact, sample.pipeline.transformer.size.downsampling)
    here, there = segmented(sample.readers, shown), segmented(sample.readers, exact)
    objects = np.isin(there, OBJECTS)
    count, found = objects.sum((-1, -2)), (objects & np.isin(here, OBJECTS)).sum((-1, -2))
    error, everywhere = squared.mean((-1, -2)), np.ones(count.shape, bool)
    bad = {
        "worst tenth": (error >= np.quantile(error, 1.0 - WORST), everywhere),
        "misread": ((here != there).mean((-1, -2)) > MISREAD_SHARE, everywhere),
        "object missing": (found < FOUND_SHARE * count, count >= OBJECT_PX),
    }
    grey, doubt = shown.mean(-1, dtype=np.float32), sample.doubt(regime)
    scores = {
        TRUTH: np.sqrt(error),
        "seconds dreamed": np.broadcast_to(np.arange(error.shape[1])[:, None], error.shape).astype(np.float64),
        "detail in the picture": sum(np.abs(np.diff(grey, axis=axis)).mean((-1, -2)) for axis in (-1, -2)),
        DOUBT: np.sqrt(doubt.mean((-1, -2))),
    }
    return Case(regime, shown, exact, doubt, squared, scores, bad)


def area(score: Array, bad: Array, asked: Array, sample: Sample) -> tuple[Estimate, tuple[float, ...]] | None:
    """Probability that a bad case scores higher than a good one (AUROC), with its interval; None where all are bad or none."""
    bads = [np.sort(s[b & a]) for s, b, a in zip(score, bad, asked, strict=True)]
    goods = [np.sort(s[~b & a]) for s, b, a in zip(score, bad, asked, strict=True)]
    bad_count, good_count = (np.array([len(part) for part in parts], np.float64) for parts in (bads, goods))
    if not bad_count.any() or not good_count.any():
        return None
    wins = np.array([[_wins(theirs, ours) for theirs in goods] for ours in bads])

    def of_drives(rows: Array) -> Array:
        times = (rows[..., None] == np.arange(len(score))).sum(-2).astype(np.float64)  # how often each drive was drawn
        pairs = (times @ bad_count) * (times @ good_count)
        won = np.einsum("...i,ij,...j->...", times, wins, times)
        return np.divide(won, pairs, out=np.full(np.shape(pairs), np.nan), where=pairs > 0)

    return bootstrapped(of_drives, sample)


def _wins(goods: Array, bads: Array) -> float:
    """Pairs in which the bad case scores higher, ties by half."""
    return float((np.searchsorted(goods, bads, "left") + np.searchsorted(goods, bads, "right")).sum() / 2)
