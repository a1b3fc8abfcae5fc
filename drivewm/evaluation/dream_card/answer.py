"""What a dream card says: questions, each answered by claims with intervals against targets, tables, and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from drivewm.evaluation.intervals import Estimate

LIGHTS = ("reached", "open", "missed", "not measured")


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure that is held against a target. ``estimate`` None: not measured, ``note`` says why."""

    name: str
    estimate: Estimate | None
    target: float | None = None  # None: told without a target
    higher_is_better: bool = True
    by_seed: tuple[float, ...] = ()  # the same figure of each seed alone
    least_low: float | None = None  # what the worse end of the interval has to reach besides
    note: str = ""

    @property
    def light(self) -> str:
        """One of `LIGHTS`: "open" when the value misses the target and the interval holds it, or only ``least_low`` is missed.

        Empty for a figure that is measured and told without a target.
        """
        if self.estimate is None or isnan(self.estimate.value):
            return "not measured"
        if self.target is None:
            return ""
        sign = 1.0 if self.higher_is_better else -1.0
        worst, best = sorted(sign * end for end in (self.estimate.low, self.estimate.high))
        if sign * self.estimate.value < sign * self.target:
            return "open" if best >= sign * self.target else "missed"
        return "reached" if self.least_low is None or worst >= sign * self.least_low else "open"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: ``kind`` is "exact", "floor", "naive", "dream" or "control"."""

    name: str
    kind: str
    cells: tuple[Estimate | float | str | None, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A table under named columns, each with its unit."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """A line with a band over a common axis: [x, value, low, high] each."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    scatter: bool = False  # points with intervals instead of lines


@dataclass(frozen=True, slots=True)
class Answer:
    """One question of the card. ``pictures`` are files beside the card, each with a caption."""

    key: str
    question: str
    claims: tuple[Claim, ...]
    tables: tuple[Rows, ...] = ()
    charts: tuple[Chart, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    method: str = ""
    not_shown: tuple[str, ...] = ()

    @property
    def light(self) -> str:
        """The worst light of its measured claims; without one "not measured", or empty when no claim has a target."""
        known = [claim.light for claim in self.claims if claim.light not in ("", "not measured")]
        if known:
            return max(known, key=LIGHTS.index)
        asked = any(claim.target is not None for claim in self.claims)
        return "not measured" if asked or all(claim.light for claim in self.claims) else ""
