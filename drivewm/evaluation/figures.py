"""Figures of a page, drawn as markup so that they follow its colours: photographs, maps, histograms, bars, ranges, heat maps.

Series are told apart by their place in a list; the page gives place 0 its first colour, and so on.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.intervals import Estimate

WIDTH, HEIGHT = 320.0, 130.0  # of the axes of a histogram, in units of the drawing
RANGE_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Photo:
    source: str  # data URI
    caption: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One drive on a map, in units of the drawing."""

    name: str
    series: int
    points: str
    start: tuple[float, float]


@dataclass(frozen=True, slots=True)
class DriveMap:
    """Paths over a picture of the roads, north up."""

    caption: str
    detail: str
    width: int
    height: int
    roads: str  # data URI; empty without a map
    traces: tuple[Trace, ...]
    scale: tuple[float, str]  # length of the bar in units of the drawing, and in words
    small: bool = False


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares of one quantity by bin, one series per data set; what lies outside counts in the outermost bins."""

    title: str
    unit: str
    edges: tuple[float, ...]  # [B + 1], equally wide
    shares: tuple[tuple[float, ...], ...]  # [S][B]
    detail: str = ""

    @property
    def highest(self) -> float:
        return max((max(series) for series in self.shares), default=0.0) or 1.0

    @property
    def highest_words(self) -> str:
        return f"{100 * self.highest:.0f} %" if self.highest >= 0.1 else f"{100 * self.highest:.2g} %"

    def outline(self, series: int) -> str:
        """Points of the steps of a series, from the left end of the base line to its right end."""
        x = np.repeat(np.linspace(0.0, WIDTH, len(self.edges)), 2)
        y = HEIGHT * (1.0 - np.array([0.0, *np.repeat(self.shares[series], 2), 0.0]) / self.highest)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))

    def ticks(self) -> list[tuple[float, str]]:
        """Places along the base line and what stands there."""
        low, high = self.edges[0], self.edges[-1]
        return [((value - low) / (high - low) * WIDTH, f"{value:g}") for value in round_steps(low, high)]


@dataclass(frozen=True, slots=True)
class Bars:
    """Shares (0 to 1) of kinds, one bar per data set; ``counts`` stand beside them."""

    title: str
    kinds: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]  # [S][kinds]

    def share(self, series: int, kind: int) -> float:
        return self.counts[series][kind] / max(sum(self.counts[series]), 1)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Where the values of each kind lie: 5 to 95 %, 25 to 75 %, median, one row per kind and data set."""

    title: str
    unit: str
    kinds: tuple[str, ...]
    quantiles: tuple[tuple[tuple[float, ...] | None, ...], ...]  # [S][kinds], at RANGE_QUANTILES

    @property
    def highest(self) -> float:
        return max((values[-1] for series in self.quantiles for values in series if values), default=1.0) or 1.0

    def percent(self, value: float) -> float:
        return max(0.0, 100.0 * value / self.highest)


@dataclass(frozen=True, slots=True)
class Interval:
    name: str
    words: str
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Intervals:
    """Values with their intervals on one scale from ``low`` to ``high``; zero is marked where it lies inside."""

    title: str
    low: float
    high: float
    rows: tuple[Interval, ...]

    def percent(self, value: float) -> float:
        return min(max(100.0 * (value - self.low) / (self.high - self.low), 0.0), 100.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of counts whose cells are the stronger coloured, the more they hold; the last column sums up."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    detail: str = ""

    def percent(self, count: int) -> float:
        """How strong a cell is coloured; by the square root, so that few are told from none."""
        most = max((max(counts[:-1], default=0) for _, counts in self.rows), default=0)
        return float(round(72.0 * np.sqrt(min(count / most, 1.0)), 1)) if most else 0.0


def histogram(title: str, unit: str, values: Sequence[Array], bins: int = 32, *, low: float | None = None) -> Histogram | None:
    """One quantity of several data sets over common bins of a round width; None when no set has a value.

    The bins reach from ``low``, or the 0.2 % quantile (or 0 where that is near), to the 99.8 % quantile of whichever set reaches
    farther.
    """
    known = [series[np.isfinite(series)] for series in values]
    told = [series for series in known if len(series)]
    if not told:
        return None
    lowest = min(float(np.quantile(series, 0.002)) for series in told) if low is None else low
    highest = max(float(np.quantile(series, 0.998)) for series in told)
    if low is None and 0 < lowest < 0.4 * highest:
        lowest = 0.0
    width = _round_step(max(highest - lowest, 0.1 * abs(highest), 1e-3) / bins)
    first = np.floor(lowest / width + 1e-9)
    edges = width * (first + np.arange(int(np.floor(highest / width + 1e-9) - first) + 2))
    shares = []
    for series in known:
        place = np.clip(np.floor(series / width + 1e-9) - first, 0, len(edges) - 2).astype(int)
        shares.append(tuple((np.bincount(place, minlength=len(edges) - 1) / max(len(series), 1)).tolist()))
    return Histogram(title, unit, tuple(round(float(edge), 9) for edge in edges), tuple(shares))


def ranges(title: str, unit: str, kinds: Sequence[str], values: Sequence[Sequence[Array]]) -> Ranges:
    """Quantiles of ``values`` [S][kinds][...]."""
    found = tuple(tuple(tuple(np.quantile(v, RANGE_QUANTILES).tolist()) if len(v) else None for v in series) for series in values)
    return Ranges(title, unit, tuple(kinds), found)


def round_steps(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers in a range, at most ``most`` or so."""
    step = _round_step((high - low) / most)
    return [float(v) for v in np.round(np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step, 9) + 0.0]


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10 ... times a power of ten that is not below ``least``."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least * (1 - 1e-9)))


def jpeg_uri(picture: Array, quality: int = 78) -> str:
    """An RGB picture [H, W, 3] as data URI."""
    return _uri("jpeg", cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality]))


def stencil_uri(opacity: Array) -> str:
    """Grey of a given opacity [H, W], uint8, as data URI: it shows on light and on dark ground."""
    picture = np.full((*opacity.shape, 4), 128, np.uint8)
    picture[..., 3] = opacity
    return _uri("png", cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9]))


def _uri(kind: str, encoded: tuple[bool, Any]) -> str:
    good, data = encoded
    if not good:
        raise RuntimeError(f"the {kind} encoder failed")
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"
