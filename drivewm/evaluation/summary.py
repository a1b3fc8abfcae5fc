"""Many scores in few numbers: means and rates with intervals, by family, with what was void always beside them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

import numpy as np
from rich.table import Table

from drivewm.datatypes import LATER, Score
from drivewm.evaluation.intervals import Estimate, bootstrap_mean, effective_size, wilson, worst_group

BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Drives taken together. A scene driven with several seeds counts once, with the mean over its seeds.

    Scenes weigh equally unless they were drawn from another distribution than the scenario's. ``score`` and ``passed`` speak of
    the drives that count; they are None when every drive is void.
    """

    name: str
    drives: int
    void: int
    scenes: int  # with at least one drive that counts
    score: Estimate | None  # mean of totals, bootstrap over scenes
    passed: Estimate | None  # rate of drives with all gates 1, Wilson over scenes
    gates: dict[str, float]  # rate at which each gate was kept
    terms: dict[str, float]  # mean where the term applies
    events: dict[str, int]  # why gates and terms fell
    weighted_as: float = field(default=0.0, metadata=LATER)  # so many equally weighted scenes tell as much; 0: all weigh the same

    @property
    def void_rate(self) -> float:
        return self.void / self.drives if self.drives else 0.0


@dataclass(frozen=True, slots=True)
class Seeds:
    """How far the mean score moves when only the seed of world and policy changes, over scenes that count with every seed."""

    means: dict[str, float]  # per seed
    scenes: int

    @property
    def spread(self) -> float:
        """Standard deviation between the seeds."""
        return float(np.std(list(self.means.values()), ddof=1))

    def __str__(self) -> str:
        levels = sorted(self.means.values())
        return f"± {self.spread:.3f} between {len(self.means)} seeds ({levels[0]:.3f} to {levels[-1]:.3f}, {self.scenes} scenes)"


@dataclass(frozen=True, slots=True)
class Summary:
    all: Group
    families: tuple[Group, ...]  # alphabetical
    worst_family: str | None  # lowest mean score
    void_reasons: dict[str, int]
    seeds: Seeds | None = field(default=None, metadata=LATER)  # of drives with at least two seeds


def summarise(scores: Sequence[Score], seeds: Sequence[int] = (), weights: Sequence[float] = ()) -> Summary:
    """Summary of the drives of one policy in one world, whatever their order.

    ``seeds`` and ``weights`` belong to the drives: with which seed each was driven, and how much its scene weighs.
    """
    by_scene = {s.scene_id: w for s, w in zip(scores, weights, strict=True)} if weights else {}
    names = sorted({s.family for s in scores})
    families = tuple(_group(name, [s for s in scores if s.family == name], by_scene) for name in names)
    judged = [(f.name, f.score.value) for f in families if f.score is not None]
    worst = worst_group([name for name, _ in judged], [value for _, value in judged])
    # The figures in a reason differ from drive to drive: what stands before the colon is the kind.
    kinds = Counter(reason.split(":")[0] for s in scores for reason in s.void_reasons)
    together = _group("all", scores, by_scene)
    return Summary(together, families, worst[0] if worst else None, dict(sorted(kinds.items())), between_seeds(scores, seeds))


def between_seeds(scores: Sequence[Score], seeds: Sequence[int]) -> Seeds | None:
    """What the seed alone does; None with fewer than two seeds, or when no scene counts with all of them."""
    totals: dict[str, dict[int, float]] = defaultdict(dict)
    for s, seed in zip(scores, seeds, strict=False):
        if s.valid:
            totals[s.scene_id][seed] = s.total
    everywhere = [by_seed for by_seed in totals.values() if len(by_seed) == len(set(seeds))]
    if len(set(seeds)) < 2 or not everywhere:
        return None
    means = {str(seed): fsum(by_seed[seed] for by_seed in everywhere) / len(everywhere) for seed in sorted(set(seeds))}
    return Seeds(means, len(everywhere))


def _group(name: str, scores: Sequence[Score], scene_weights: Mapping[str, float]) -> Group:
    valid = [s for s in scores if s.valid]
    by_scene: dict[str, list[Score]] = defaultdict(list)
    for s in valid:
        by_scene[s.scene_id].append(s)
    totals = [fsum(s.total for s in group) / len(group) for group in by_scene.values()]
    passes = [sum(s.passed for s in group) / len(group) for group in by_scene.values()]
    weights = [scene_weights.get(scene, 1.0) for scene in by_scene]
    count = effective_size(weights) if scene_weights else float(len(by_scene))
    rate = fsum(w * p for w, p in zip(weights, passes, strict=True)) / (fsum(weights) or 1.0)
    return Group(
        name=name,
        drives=len(scores),
        void=len(scores) - len(valid),
        scenes=len(by_scene),
        score=bootstrap_mean(totals, BOOTSTRAP_SEED, bounds=(0.0, 1.0), weights=weights),
        passed=wilson(min(rate, 1.0) * count, count),
        gates=_means(s.gates for s in valid),
        terms=_means(s.terms for s in valid),
        events=dict(sorted(Counter(e.kind for s in valid for e in s.events).items(), key=lambda found: (-found[1], found[0]))),
        weighted_as=count if scene_weights else 0.0,
    )


def _means(values: Iterable[dict[str, float]]) -> dict[str, float]:
    lists: dict[str, list[float]] = defaultdict(list)
    for named in values:
        for name, value in named.items():
            lists[name].append(value)
    return {name: fsum(v) / len(v) for name, v in sorted(lists.items())}


COLUMNS = ("family", "score [95 %]", "passed [95 %]", "drives", "void", "what went wrong")


def rows(summary: Summary) -> list[tuple[str, ...]]:
    """The summary as text cells under `COLUMNS`: one row per family, then all."""
    return [_cells(group, worst=group.name == summary.worst_family) for group in summary.families] + [_cells(summary.all)]


def _cells(group: Group, worst: bool = False) -> tuple[str, ...]:
    score = str(group.score) if group.score else "all void"
    passed = f"{group.passed.value:.0%} [{group.passed.low:.0%}, {group.passed.high:.0%}]" if group.passed else "–"
    void = f"{group.void} ({group.void_rate:.0%})"
    events = ", ".join(f"{kind} ×{count}" for kind, count in list(group.events.items())[:4])
    return group.name + (" (worst)" if worst else ""), score, passed, str(group.drives), void, events or "–"


def notes(summary: Summary) -> str:
    """What belongs below the table: the spread between seeds, and how much scenes of unequal weight tell."""
    said = [str(summary.seeds)] if summary.seeds else []
    if summary.all.weighted_as:
        said.append(f"weighted scenes, effective number {summary.all.weighted_as:.1f} of {summary.all.scenes}")
    return "; ".join(said)


def table(summary: Summary, title: str) -> Table:
    """The summary for a terminal."""
    out = Table(title=title, title_justify="left", caption=notes(summary) or None, caption_justify="left")
    for column in COLUMNS:
        out.add_column(column, justify="right" if column in {"drives", "void"} else "left")
    for cells in rows(summary)[:-1]:
        out.add_row(*cells)
    out.add_section()
    out.add_row(*rows(summary)[-1], style="bold")
    return out
