"""Charts of data sets: how they drive, whom they meet, how they are balanced; several sets over one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from drivewm.data.categories import ATTRIBUTES, VISIBILITY
from drivewm.data.stats import class_name
from drivewm.data.survey import LEADER_REACH_M, SLOWEST_FOLLOWER_MPS, SceneSurvey
from drivewm.datatypes import STATIC_CLASSES, AgentClass, Array
from drivewm.evaluation.figures import Bars, Grid, Histogram, histogram, ranges
from drivewm.evaluation.report import Group, Table

Surveys = Sequence[Sequence[SceneSurvey]]  # [S] data sets
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
STANDING_MPS = 0.2
_LONGEST_GAP_S = 10.0  # of the drawing

_QUANTITIES: tuple[tuple[str, str, Callable[[SceneSurvey], Array]], ...] = (
    ("Speed", "m/s", lambda scene: scene.course.speed_mps),
    ("Acceleration", "m/s²", lambda scene: scene.course.accel_mps2),
    ("Yaw rate", "rad/s", lambda scene: scene.course.yaw_rate_radps),
    ("Lateral acceleration", "m/s²", lambda scene: scene.course.lateral_mps2),
    ("Agents per frame", "", lambda scene: scene.course.agents),
    ("Time gap to the leader", "s", lambda scene: scene.course.time_gap_s),
    ("Distance of agents", "m", lambda scene: scene.encounters.distance_m),
    ("Speed of agents that move", "m/s", lambda scene: _moving(scene.encounters.speed_mps)),
    ("Length of tracks", "s", lambda scene: scene.tracks.known_s),
)


def _moving(speed_mps: Array) -> Array:
    return speed_mps[np.abs(speed_mps) > STANDING_MPS]


def pooled(scenes: Sequence[SceneSurvey], value: Callable[[SceneSurvey], Array]) -> Array:
    """A quantity of all scenes in one row, without what is not known."""
    values = np.concatenate([np.zeros(0), *(np.asarray(value(scene), np.float64) for scene in scenes)])
    return np.asarray(values[np.isfinite(values)])


def chart_groups(surveys: Surveys) -> Iterator[Group]:
    """Histograms of the quantities, of distance and speed by class, ranges of sizes by class, bars of what annotators told."""
    drawn = []
    for title, unit, value in _QUANTITIES:
        values = [pooled(scenes, value) for scenes in surveys]
        if title.startswith("Time gap"):
            values = [np.minimum(series, _LONGEST_GAP_S) for series in values]
        if (chart := _whole(title, unit, values)) is not None:
            drawn.append(chart)
    yield Group("histogram", tuple(drawn))
    kinds = [kind for kind in AgentClass if any((scene.tracks.category == kind).any() for scenes in surveys for scene in scenes)]
    for title, unit, name in (("Distance by class", "m", "distance_m"), ("Speed by class, those that move", "m/s", "speed_mps")):
        charts = (_of_class(kind, unit, name, surveys) for kind in kinds if name == "distance_m" or kind not in STATIC_CLASSES)
        if found := tuple(chart for chart in charts if chart is not None):
            yield Group("histogram", found, title)
    if kinds:
        names = [class_name(kind).replace("_", " ") for kind in kinds]
        figures = [
            ranges(title, "m", names, [[_tracks(scenes, kind, _axis(axis)) for kind in kinds] for scenes in surveys])
            for axis, title in enumerate(("Length of boxes", "Width of boxes", "Height of boxes"))
        ]
        lasting = [[_tracks(scenes, kind, lambda scene: scene.tracks.known_s) for kind in kinds] for scenes in surveys]
        figures.append(ranges("Length of tracks", "s", names, lasting))
        yield Group("ranges", tuple(figures), "By class: 5 to 95 %, 25 to 75 %, median")
        yield Group("bars", (_classes(kinds, names, surveys), *_told(surveys)), "Annotations")


def _whole(title: str, unit: str, values: Sequence[Array]) -> Histogram | None:
    """A histogram whose bins fit what is counted: whole numbers get bins around them."""
    if unit:
        return histogram(title, unit, values)
    most = max((int(np.quantile(series, 0.998)) for series in values if len(series)), default=0)
    return histogram(title, unit, values, bins=max(1, min(32, most + 1)), low=0.0)


def _of_class(kind: AgentClass, unit: str, name: str, surveys: Surveys) -> Histogram | None:
    def value(scene: SceneSurvey) -> Array:
        met = scene.encounters
        if name == "distance_m":
            return np.asarray(met.distance_m[met.category == kind])
        return _moving(met.speed_mps[met.category == kind])

    return histogram(class_name(kind).replace("_", " "), unit, [pooled(scenes, value) for scenes in surveys], bins=24)


def _axis(axis: int) -> Callable[[SceneSurvey], Array]:
    return lambda scene: scene.tracks.size_lwh_m[:, axis]


def _tracks(scenes: Sequence[SceneSurvey], kind: AgentClass, value: Callable[[SceneSurvey], Array]) -> Array:
    return pooled(scenes, lambda scene: value(scene)[scene.tracks.category == kind])


def _classes(kinds: Sequence[AgentClass], names: Sequence[str], surveys: Surveys) -> Bars:
    counts = [
        sum((np.bincount(s.tracks.category, minlength=len(AgentClass)) for s in scenes), np.zeros(1, int)) for scenes in surveys
    ]
    return Bars("Tracks by class", tuple(names), tuple(tuple(int(of[kind]) for kind in kinds) for of in counts))


def _told(surveys: Surveys) -> Iterator[Bars]:
    """Visibility and attributes, where any table tells them."""
    levels = ("not told", *(f"{words[1:]} % visible" for _, words, _ in VISIBILITY))
    for title, words, name in (("Visibility", levels, "visibility"), ("Attributes", (*ATTRIBUTES, "none"), "attributes")):
        counts = [sum((getattr(scene, name) for scene in scenes), np.zeros(len(words), int)) for scenes in surveys]
        untold = 0 if name == "visibility" else len(words) - 1
        if any(np.delete(of, untold).any() for of in counts):
            shown = [k for k in range(len(words)) if any(of[k] for of in counts)]
            yield Bars(title, tuple(words[k] for k in shown), tuple(tuple(int(of[k]) for k in shown) for of in counts))


def quantile_table(names: Sequence[str], surveys: Surveys) -> Table:
    """Quantiles of the quantities, one row per quantity and set."""
    rows = []
    for title, unit, value in _QUANTITIES:
        for name, scenes in zip(names, surveys, strict=True):
            values = pooled(scenes, value)
            told = [*np.quantile(values, QUANTILES), values.mean()] if len(values) else []
            cells = [f"{round(float(v), 3):.4g}" for v in told] or ["–"] * (len(QUANTILES) + 1)
            rows.append((f"{title}, {unit}" if unit else title, name, f"{len(values):,}", *cells))
    columns = ("quantity", "set", "values", *(f"{100 * q:g} %" for q in QUANTILES), "mean")
    note = (
        f"An agent that moves is faster than {STANDING_MPS} m/s. A leader is the nearest vehicle or two-wheeler on the way that "
        f"the ego goes on to drive, up to {LEADER_REACH_M:.0f} m ahead and heading the same way; the time gap is the free way to "
        f"it over the ego's speed, above {SLOWEST_FOLLOWER_MPS:.0f} m/s. Above {_LONGEST_GAP_S:.0f} s it counts in the last bar."
    )
    return Table(columns, tuple(rows), note)


def balance_groups(names: Sequence[str], surveys: Surveys) -> Iterator[Group]:
    """Frames by weather and light (rows) and manner of driving (columns), one heat map per set."""
    grids = []
    for name, scenes in zip(names, surveys, strict=True):
        counts: Counter[tuple[tuple[str, str], str]] = Counter()
        for scene in scenes:
            for sky in scene.sky:
                counts[sky, scene.info.manner or "recorded"] += 1
        manners = sorted({manner for _, manner in counts})
        skies = sorted({sky for sky, _ in counts})
        rows = [
            (f"{weather}, {light.replace('_', ' ')}", (*(counts[(weather, light), manner] for manner in manners),))
            for weather, light in skies
        ]
        columns = (*(manner.replace("_", " ") for manner in manners), "all")
        whole = tuple((label, (*cells, sum(cells))) for label, cells in rows)
        grids.append(Grid(name, columns, whole, f"{sum(counts.values()):,} frames"))
    yield Group("grid", tuple(grid for grid in grids if grid.rows), layout="one")
