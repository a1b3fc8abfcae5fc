"""One self-contained HTML page: figures, films, tables, curves. No script, no network; videos lie beside the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path

import numpy as np

from drivewm.evaluation.figures import Bars, DriveMap, Grid, Histogram, Intervals, Photo, Ranges
from drivewm.evaluation.line_charts import LineChart
from drivewm.evaluation.timeline import Timeline
from drivewm.store import atomic_write

Figure = Photo | DriveMap | Histogram | Bars | Ranges | Intervals | Grid | LineChart | Timeline


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that is read first."""

    label: str
    value: str
    detail: str = ""
    tone: str = ""  # "good" | "bad" | "void" | ""


@dataclass(frozen=True, slots=True)
class Film:
    """A video with its verdict; ``video`` and ``poster`` are relative to the page."""

    title: str
    video: str
    poster: str = ""
    verdict: str = ""  # "passed" | "failed" | "void" | ""
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A cell that leads to a file; ``file`` is relative to the page."""

    text: str
    file: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell in the colour of its verdict."""

    text: str
    verdict: str  # "passed" | "failed" | "void" | ""


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Link | Mark, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """A line over steps, drawn as SVG."""

    title: str
    y: tuple[float, ...]
    x_label: str = "step"

    def svg_points(self, width: float = 560.0, height: float = 150.0) -> str:
        """Polyline points in a box of ``width`` x ``height``, y upwards, at most 300 points."""
        y = np.asarray(self.y, np.float64)
        keep = np.unique(np.linspace(0, len(y) - 1, min(len(y), 300)).round().astype(int))
        span = max(float(y.max() - y.min()), 1e-12)
        x_px, y_px = keep / max(len(y) - 1, 1) * width, height - (y[keep] - y.min()) / span * height
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x_px, y_px, strict=True))


@dataclass(frozen=True, slots=True)
class Group:
    """Figures of one kind beside each other; ``kind`` is a macro of figures.html.j2 that draws what `figures` defines."""

    kind: str  # "photo" | "map" | "histogram" | "bars" | "ranges" | "intervals" | "grid" | "lines" | "timeline"
    figures: tuple[Figure, ...]
    title: str = ""
    layout: str = ""  # "" | "wide" | "dense" | "one"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    about: str = ""
    legend: tuple[tuple[int, str], ...] = ()  # place of a series in the order of colours, and its name
    groups: tuple[Group, ...] = ()
    films: tuple[Film, ...] = ()
    tables: tuple[Table, ...] = ()
    curves: tuple[Curve, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()  # a word and what is to be said of it, in whole sentences
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    about: str
    sections: tuple[Section, ...]
    tiles: tuple[Tile, ...] = ()
    stages: tuple[tuple[str, str], ...] = ()  # the chain from data to vehicle file: (what, id)


def write_page(path: str | Path, page: Page) -> Path:
    """Render ``page`` with the template of this package; every file it names must exist beside ``path``."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    path = Path(path)
    missing = [name for name in _linked(page.sections) if not Path(normpath(path.parent / name)).is_file()]
    if missing:
        raise FileNotFoundError(f"the page {path.name} points to files that are not beside it: {', '.join(missing)}")
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html.j2").render(page=page)
    with atomic_write(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return path


def _linked(sections: Sequence[Section]) -> list[str]:
    films = [name for section in sections for film in section.films for name in (film.video, film.poster) if name]
    cells = [cell for section in sections for table in section.tables for row in table.rows for cell in row]
    return films + [cell.file for cell in cells if isinstance(cell, Link)]
