"""Many scores in few numbers: means and rates with intervals, by family, with what was void always beside them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from drivewm.datatypes import Score
from drivewm.evaluation.intervals import Estimate, bootstrap_mean, wilson, worst_group

BOOTSTRAP_SEED = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Drives taken together. A scene driven with several seeds counts once, with the mean over its seeds.

    ``score`` and ``passed`` speak of the drives that count; they are None when every drive is void.
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

    @property
    def void_rate(self) -> float:
        return self.void / self.drives if self.drives else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    all: Group
    families: tuple[Group, ...]  # alphabetical
    worst_family: str | None  # lowest mean score
    void_reasons: dict[str, int]


def summarise(scores: Sequence[Score]) -> Summary:
    """Summary of the drives of one policy in one world."""
    names = sorted({s.family for s in scores})
    families = tuple(_group(name, [s for s in scores if s.family == name]) for name in names)
    judged = [(f.name, f.score.value) for f in families if f.score is not None]
    worst = worst_group([name for name, _ in judged], [value for _, value in judged])
    # The figures in a reason differ from drive to drive: what stands before the colon is the kind.
    kinds = Counter(reason.split(":")[0] for s in scores for reason in s.void_reasons)
    return Summary(_group("all", scores), families, worst[0] if worst else None, dict(sorted(kinds.items())))


def _group(name: str, scores: Sequence[Score]) -> Group:
    valid = [s for s in scores if s.valid]
    by_scene: dict[str, list[Score]] = defaultdict(list)
    for s in valid:
        by_scene[s.scene_id].append(s)
    totals = [np.mean([s.total for s in group]) for group in by_scene.values()]
    passes = float(sum(np.mean([s.passed for s in group]) for group in by_scene.values()))
    return Group(
        name=name,
        drives=len(scores),
        void=len(scores) - len(valid),
        scenes=len(by_scene),
        score=bootstrap_mean(totals, BOOTSTRAP_SEED, bounds=(0.0, 1.0)),
        passed=wilson(passes, len(by_scene)),
        gates=_means(s.gates for s in valid),
        terms=_means(s.terms for s in valid),
        events=dict(Counter(e.kind for s in valid for e in s.events).most_common()),
    )


def _means(values: Iterable[dict[str, float]]) -> dict[str, float]:
    lists: dict[str, list[float]] = defaultdict(list)
    for named in values:
        for name, value in named.items():
            lists[name].append(value)
    return {name: float(np.mean(v)) for name, v in lists.items()}


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


def table(summary: Summary, title: str) -> Table:
    """The summary for a terminal."""
    out = Table(title=title, title_justify="left")
    for column in COLUMNS:
        out.add_column(column, justify="right" if column in {"drives", "void"} else "left")
    for cells in rows(summary)[:-1]:
        out.add_row(*cells)
    out.add_section()
    out.add_row(*rows(summary)[-1], style="bold")
    return out
