"""Curves of several quantities over one time axis, drawn as markup; and how critical a drive was as such a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.figures import round_steps
from drivewm.metrics.criticality import Criticality

WIDTH, HEIGHT, GAP = 560.0, 54.0, 20.0  # of a panel, and what is left below it, in units of the drawing


@dataclass(frozen=True, slots=True)
class CriticalitySeries:
    """The worst of all agents at each state; None where there is none: nobody is ahead, or on a collision course."""

    t_s: tuple[float, ...]
    ttc_s: tuple[float | None, ...]
    thw_s: tuple[float | None, ...]
    drac_mps2: tuple[float | None, ...]
    rss_margin_m: tuple[float | None, ...]
    pet_s: tuple[tuple[float, float], ...]  # when the second of two comes to where their ways cross, and how long after the first


def criticality_series(found: Criticality) -> CriticalitySeries:
    met = np.isfinite(found.pet_s)
    crossings = sorted(zip(found.pet_at_s[met].tolist(), found.pet_s[met].tolist(), strict=True))
    drac = np.where(np.isfinite(found.drac_mps2) & (found.drac_mps2 > 0), found.drac_mps2, -np.inf)
    return CriticalitySeries(
        t_s=tuple(found.t_s.tolist()),
        ttc_s=_known(found.ttc_s.min(1, initial=inf)),
        thw_s=_known(found.thw_s.min(1, initial=inf)),
        drac_mps2=_known(drac.max(1, initial=-inf)),
        rss_margin_m=_known(found.rss_margin_m.min(1, initial=inf)),
        pet_s=tuple(crossings),
    )


def _known(values: Array) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity. What lies outside the axis is drawn at its edge."""

    name: str
    unit: str
    low: float
    high: float
    t_s: tuple[float, ...]
    values: tuple[float | None, ...]
    bound: float | None = None  # a line across
    dots: bool = False  # single events instead of a curve

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT * (1.0 - min(max(share, 0.0), 1.0))


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant that all panels show."""

    t_s: float
    text: str
    series: int


@dataclass(frozen=True, slots=True)
class Timeline:
    title: str
    panels: tuple[Panel, ...]
    marks: tuple[Mark, ...] = ()

    @property
    def end_s(self) -> float:
        return max((panel.t_s[-1] for panel in self.panels if panel.t_s), default=1.0) or 1.0

    @property
    def height(self) -> float:
        return (HEIGHT + GAP) * len(self.panels)

    def x(self, t_s: float) -> float:
        return WIDTH * t_s / self.end_s

    def top(self, panel: int) -> float:
        return (HEIGHT + GAP) * panel

    def ticks(self) -> list[float]:
        return round_steps(0.0, self.end_s, most=8)

    def points(self, panel: Panel) -> list[tuple[float, float]]:
        """Where there is a value, in units of the drawing."""
        known = zip(panel.t_s, panel.values, strict=True)
        return [(self.x(t), panel.y(value)) for t, value in known if value is not None]

    def runs(self, panel: Panel) -> list[str]:
        """Points of the unbroken parts of a curve; a value without neighbours becomes a short line."""
        out: list[list[tuple[float, float]]] = [[]]
        for t, value in zip(panel.t_s, panel.values, strict=True):
            if value is None:
                out.append([])
            else:
                out[-1].append((self.x(t), panel.y(value)))
        lone = [[(run[0][0] - 1.0, run[0][1]), (run[0][0] + 1.0, run[0][1])] if len(run) == 1 else run for run in out if run]
        return [" ".join(f"{x:.1f},{y:.1f}" for x, y in run) for run in lone]


def criticality_timeline(title: str, series: CriticalitySeries, marks: Sequence[Mark] = ()) -> Timeline:
    """Five panels: time to collision, headway, needed deceleration, post-encroachment time, RSS margin."""
    panels = (
        Panel("time to collision", "s", 0.0, 6.0, series.t_s, series.ttc_s),
        Panel("headway", "s", 0.0, 6.0, series.t_s, series.thw_s),
        Panel("deceleration needed", "m/s²", 0.0, 8.0, series.t_s, series.drac_mps2),
        Panel("post-encroachment time", "s", 0.0, 6.0, *_dots(series.pet_s), dots=True),
        Panel("RSS margin", "m", -4.0, 4.0, series.t_s, series.rss_margin_m, bound=0.0),
    )
    return Timeline(title, panels, tuple(marks))


def _dots(pairs: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
    return tuple(t for t, _ in pairs), tuple(value for _, value in pairs)
