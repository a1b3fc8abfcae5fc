"""How far one world agrees with another about the same policies in the same scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.evaluation.control_variate import Corrected, control_variate
from drivewm.evaluation.rank_measures import kappa, kendall, mmrv, pearson, spearman
from drivewm.evaluation.score_table import ScoreTable, scenario_of

LEAST_POLICIES, ENOUGH_POLICIES = 8, 12
RESAMPLES = 1000
MEASURES: dict[str, Callable[[Array, Array], Array]] = {
    "Pearson": pearson,
    "Spearman": spearman,
    "Kendall tau-b": kendall,
    "MMRV": mmrv,
}
RESAMPLED = ("scenarios", "policies", "both")


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure with its interval when scenarios, policies, or both are drawn again. ``count``: policies, or drives for kappa."""

    value: float
    intervals: dict[str, tuple[float, float]]
    count: int


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    name: str
    scenes: int
    ranking: dict[str, Measured]  # by name of MEASURES; empty below `LEAST_POLICIES`, and a measure is absent that is undefined
    kappas: dict[str, Measured]  # by event that both tell of and that happened; absent where it cannot be told


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the ``judged`` world says, held against the ``reference``."""

    judged: str
    reference: str
    policies: tuple[str, ...]
    means: tuple[tuple[float, float], ...]  # of each policy, judged and reference, over the drives that count in both
    all: GroupAgreement
    families: tuple[GroupAgreement, ...]
    corrected: dict[str, Corrected]  # by policy: the reference's mean with the help of scenes that only the judged world knows
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Cells:
    """[P, S]: scores of both worlds, zero where ``known`` is false; scenario and weight of each scene [S]."""

    judged: Array
    reference: Array
    known: Array
    scenario: Array
    weight: Array  # of each scene [S]
    events: dict[str, tuple[Array, Array]]

    def of(self, scenes: Array) -> _Cells:
        events = {kind: (a[:, scenes], b[:, scenes]) for kind, (a, b) in self.events.items()}
        tables = (self.judged[:, scenes], self.reference[:, scenes], self.known[:, scenes])
        return _Cells(*tables, self.scenario[scenes], self.weight[scenes], events)


def agreement(judged: ScoreTable, reference: ScoreTable, seed: int = 0) -> Agreement:
    """Both tables must have the same policies (`ScoreTable.of`) and share scenes; raises InputError otherwise.

    A drive counts when it counts in both worlds; means of a policy are over its drives that count, by the weights of scenes.
    """
    policies = tuple(sorted(judged.cells))
    reference.of(policies), judged.of(sorted(reference.cells))
    scenes = sorted(set(_scenes(judged)) & set(_scenes(reference)))
    if not scenes:
        hint = f"one has {next(iter(_scenes(judged)), 'none')}, the other {next(iter(_scenes(reference)), 'none')}"
        raise InputError(f"no scene is in both {judged.name} and {reference.name}", hint=hint)
    cells = _cells(judged, reference, policies, scenes)
    if silent := [policy for policy, row in zip(policies, cells.known, strict=True) if not row.any()]:
        raise InputError(f"policy {silent[0]} has no drive that counts in both worlds")
    families = np.array([reference.families.get(scene, scene.partition(".")[0]) for scene in scenes])
    groups = [_group(name, cells.of(families == name), seed) for name in sorted(set(families))]
    together = _group("all", cells, seed)
    return Agreement(
        judged.name,
        reference.name,
        policies,
        tuple(zip(*(row.tolist() for row in _means(cells, np.ones((1, len(scenes))))[:, 0]), strict=True)),
        together,
        tuple(groups),
        _corrected(judged, reference, policies, seed),
        _remarks(len(policies), cells),
    )


def _scenes(table: ScoreTable) -> dict[str, None]:
    return {scene: None for row in table.cells.values() for scene in row}


def _cells(judged: ScoreTable, reference: ScoreTable, policies: Sequence[str], scenes: Sequence[str]) -> _Cells:
    pairs = [[(judged.cells[p].get(s), reference.cells[p].get(s)) for s in scenes] for p in policies]
    known = np.array([[a is not None and b is not None for a, b in row] for row in pairs])
    scores = np.array([[(a.score, b.score) if a and b else (0.0, 0.0) for a, b in row] for row in pairs])
    told = [table.told for table in (judged, reference) if table.told is not None]
    happened_at_all = {kind for row in pairs for a, b in row if a and b for kind in a.events | b.events}
    kinds = sorted(kind for kind in happened_at_all if all(kind in known_kinds for known_kinds in told))
    events = {}
    for kind in kinds:
        happened = np.array(
            [[(kind in a.events, kind in b.events) if a and b else (False, False) for a, b in row] for row in pairs]
        )
        events[kind] = happened[..., 0], happened[..., 1]
    _, scenario = np.unique([scenario_of(scene) for scene in scenes], return_inverse=True)
    weight = np.array([(reference.weights or judged.weights).get(scene, 1.0) for scene in scenes])
    return _Cells(scores[..., 0], scores[..., 1], known, scenario, weight, events)


def _group(name: str, cells: _Cells, seed: int) -> GroupAgreement:
    policies, scenes = cells.known.shape
    draws = {what: _draw(cells, what, seed) for what in RESAMPLED}
    every = np.ones((1, scenes)), np.arange(policies)[None]
    ranking: dict[str, Measured] = {}
    if policies >= LEAST_POLICIES and cells.known.any(1).all():
        for measure, function in MEASURES.items():
            found = _measured(partial(_ranked, cells, function), every, draws, policies)
            ranking |= {measure: found} if found else {}
    kappas: dict[str, Measured] = {}
    for kind, happened in cells.events.items():
        found = _measured(partial(_kappa, cells, happened), every, draws, int(cells.known.sum()))
        kappas |= {kind: found} if found else {}
    return GroupAgreement(name, scenes, ranking, kappas)


def _draw(cells: _Cells, what: str, seed: int) -> tuple[Array, Array]:
    """How often each scene [R, S] and which policies [R, P] take part in each resample."""
    policies, scenes = cells.known.shape
    rng = np.random.default_rng(np.random.SeedSequence([seed, RESAMPLED.index(what), policies, scenes]))
    _, local = np.unique(cells.scenario, return_inverse=True)
    count = int(local.max()) + 1
    times, who = np.ones((RESAMPLES, scenes)), np.tile(np.arange(policies), (RESAMPLES, 1))
    if what != "policies":  # a scenario brings all its scenes
        times = rng.multinomial(count, np.full(count, 1.0 / count), RESAMPLES).astype(np.float64)[:, local]
    if what != "scenarios":
        who = rng.integers(0, policies, (RESAMPLES, policies))
    return times, who


def _measured(
    function: Callable[[Array, Array], Array], every: tuple[Array, Array], draws: dict[str, tuple[Array, Array]], count: int
) -> Measured | None:
    value = float(function(*every)[0])
    if not np.isfinite(value):
        return None
    intervals = {}
    for what, drawn in draws.items():
        values = function(*drawn)
        told = values[np.isfinite(values)]  # a resample of equal policies has no order
        low, high = np.quantile(told, [0.025, 0.975]) if len(told) else (-np.inf, np.inf)
        intervals[what] = min(float(low), value), max(float(high), value)
    return Measured(value, intervals, count)


def _means(cells: _Cells, times: Array) -> Array:
    """[2, R, P]: mean scores over the drives that count; NaN for a policy without any."""
    times = times * cells.weight
    counted = times @ cells.known.T
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [times @ scores.T / counted for scores in (cells.judged, cells.reference)]
    return np.round(np.stack(means), 12)  # equal means are equal, in whatever order they were added up


def _ranked(cells: _Cells, measure: Callable[[Array, Array], Array], times: Array, who: Array) -> Array:
    judged, reference = _means(cells, times)
    if len(judged) != len(who):
        judged, reference = np.repeat(judged, len(who), 0), np.repeat(reference, len(who), 0)
    x, y = np.take_along_axis(judged, who, -1), np.take_along_axis(reference, who, -1)
    complete = np.isfinite(x).all(-1) & np.isfinite(y).all(-1)
    out = np.full(len(x), np.nan)
    out[complete] = measure(x[complete], y[complete])
    return out


def _kappa(cells: _Cells, events: tuple[Array, Array], times: Array, who: Array) -> Array:
    times = times * cells.weight
    mine, yours = (one & cells.known for one in events)
    kinds = (mine & yours, mine & ~yours, ~mine & yours, ~mine & ~yours & cells.known)
    counts = [np.take_along_axis(times @ kind.T.astype(np.float64), who, -1).sum(-1) for kind in kinds]
    return kappa(*counts)


def _corrected(judged: ScoreTable, reference: ScoreTable, policies: Sequence[str], seed: int) -> dict[str, Corrected]:
    out: dict[str, Corrected] = {}
    if judged.weights or reference.weights:
        return out  # the correction takes all scenes for equal
    for policy in policies:
        cheap, dear = judged.cells[policy], reference.cells[policy]
        both, extra = sorted(set(cheap) & set(dear)), sorted(set(cheap) - set(_scenes(reference)))
        paired = [dear[s].score for s in both], [cheap[s].score for s in both]
        found = control_variate(*paired, [cheap[s].score for s in extra], seed)
        out |= {policy: found} if found else {}
    return out


def _remarks(policies: int, cells: _Cells) -> tuple[str, ...]:
    out = []
    if policies < LEAST_POLICIES:
        out.append(f"{policies} policies are too few for a coefficient of ranking; {LEAST_POLICIES} are needed")
    elif policies < ENOUGH_POLICIES:
        out.append(f"{policies} policies are few for a coefficient of ranking: read the intervals ({ENOUGH_POLICIES} are better)")
    if lost := int((~cells.known).sum()):
        out.append(f"{lost} of {cells.known.size} drives do not count in both worlds and are left out")
    return tuple(out)
