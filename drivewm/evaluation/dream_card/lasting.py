"""When has a dream failed? Four causes, each held against what is read in the reference at the same moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.signs import Signs
from drivewm.evaluation.readers import READ_CLASSES

CAUSES = ("no street", "another street", "motion", "sky")
WINDOW_S = 2.0  # what passes sooner is a slip
OFF_MPS, OFF_SHARE = 3.0, 0.3
ROAD = READ_CLASSES.index("road")
NEVER = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True)
class Lasting:
    """After how many frames each of B drives had failed for each of `CAUSES` [B, causes], `NEVER` where it did not."""

    failed: Array
    frames: int  # that were looked at
    rate_hz: float

    def first(self, but: str = "") -> Array:
        """The first failure of any cause, but for one [B]."""
        return np.asarray(self.failed[:, [cause != but for cause in CAUSES]].min(1))

    def alive(self, but: str = "") -> Array:
        """Whether a drive has not failed after 0, 1 ... frames [B, frames + 1]."""
        return np.asarray(self.first(but)[:, None] > np.arange(self.frames + 1))

    @property
    def half_s(self) -> float | None:
        """When half of the drives have failed; None where fewer do."""
        at = float(np.sort(self.first())[(len(self.failed) - 1) // 2])
        return None if at == NEVER else at / self.rate_hz


def lasting(signs: Signs, exact: Signs, rate_hz: float) -> Lasting:
    """How long drives last that are read as ``signs``, where the reference is read as ``exact``."""
    width = round(WINDOW_S * rate_hz)

    def summed(values: Array) -> Array:
        return np.asarray(sliding_window_view(np.asarray(values, np.float64), width, axis=1).sum(-1))

    def road(read: Signs) -> tuple[Array, Array]:
        both, either, told = (summed(part[..., ROAD]) for part in (read.counts.both, read.counts.either, read.counts.told))
        return either + both - told, both / np.maximum(either, 1.0)

    (seen, iou), (true_seen, true_iou) = road(signs), road(exact)
    off_mps, told_mps = np.abs(summed(signs.speed_mps - exact.speed_mps)) / width, summed(signs.told_mps) / width
    misread = (exact.weather & ~signs.weather) | (exact.light & ~signs.light)
    bad = (
        (seen < 0.5 * true_seen) | (seen > 2.0 * true_seen),
        iou < 0.5 * true_iou,
        off_mps > np.maximum(OFF_MPS, OFF_SHARE * told_mps),
        summed(misread) > 0.5 * width,
    )
    failed = [np.where(one.any(1), one.argmax(1) + width, NEVER) for one in bad]
    return Lasting(np.stack(failed, 1), signs.frames, rate_hz)
