"""Lines with bands, and points with whiskers, over two axes, as `report` draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from drivewm.evaluation.figures import round_steps

WIDTH, HEIGHT = 420.0, 210.0  # of the axes, in units of the drawing
Point = tuple[float, float, float, float]  # x, value, low, high


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with its whisker, in units of the drawing; ``words`` appear under the pointer."""

    x: float
    y: float
    low: float
    high: float
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    line: str  # points of a polyline; empty in a scatter plot
    band: str  # points of a polygon
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class LineChart:
    """What a page draws; ticks are (place, text)."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Axis:
    low: float
    high: float
    length: float

    @classmethod
    def over(cls, values: Sequence[float], length: float) -> Axis:
        """From the smallest to the largest of the finite values, a little wider."""
        known = [value for value in values if isfinite(value)] or [0.0, 1.0]
        spread = max(known) - min(known) or abs(known[0]) or 1.0
        return cls(min(known) - 0.04 * spread, max(known) + 0.04 * spread, length)

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(share * self.length, 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        return tuple((self.at(value), f"{value:g}") for value in round_steps(self.low, self.high))


def line_chart(labels: tuple[str, str, str], series: Sequence[tuple[str, Sequence[Point]]], scatter: bool = False) -> LineChart:
    """A chart of named series; ``labels`` are title, x and y. Points that are not finite are left out."""
    known = [(name, [point for point in points if isfinite(point[0]) and isfinite(point[1])]) for name, points in series]
    every = [point for _, points in known for point in points]
    x, y = Axis.over([point[0] for point in every], WIDTH), Axis.over([v for point in every for v in point[1:]], HEIGHT)
    lines = tuple(_line(name, points, (x, y), scatter) for name, points in known)
    up = tuple((HEIGHT - place, text) for place, text in y.ticks())
    return LineChart(*labels, x.ticks(), up, lines)


def _line(name: str, points: Sequence[Point], axes: tuple[Axis, Axis], scatter: bool) -> Line:
    x, y = axes
    dots = tuple(
        Dot(
            x.at(at),
            HEIGHT - y.at(value),
            HEIGHT - y.at(low if isfinite(low) else value),
            HEIGHT - y.at(high if isfinite(high) else value),
            f"{name}: {at:.3g}, {value:.3g} [{low:.3g}, {high:.3g}]",
        )
        for at, value, low, high in points
    )
    if scatter:
        return Line(name, "", "", dots)
    band = [f"{dot.x},{dot.low}" for dot in dots] + [f"{dot.x},{dot.high}" for dot in reversed(dots)]
    return Line(name, " ".join(f"{dot.x},{dot.y}" for dot in dots), " ".join(band), dots)
