"""Stored drives judged by any score that has a name: those that others publish, `drive`, and what a plug-in brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from rich.table import Table

from drivewm.datatypes import Rollout, Score
from drivewm.evaluation.cases import Case
from drivewm.evaluation.reference import reference_drives
from drivewm.evaluation.score import SuiteResult
from drivewm.evaluation.summary import Summary, summarise
from drivewm.execution import Progress
from drivewm.metrics.crash import naming
from drivewm.metrics.drive import score as drive_score
from drivewm.metrics.published.formula import Formula, Reference
from drivewm.registry import BUILT_IN, resolve
from drivewm.store import load_record, save_record

GROUP = "drivewm.metrics"
AT_ONCE = 32  # drives whose references are driven together
Judge = Callable[[Case, Reference], Score]


@dataclass(frozen=True, slots=True)
class Judged:
    """One score of all drives of a suite."""

    metric: str
    summary: Summary
    scores: tuple[Score, ...]  # in the order of the cases


def formulas() -> dict[str, Formula]:
    """The formula of each published score, by its name; alphabetical."""
    modules = (import_module(target.partition(":")[0]) for target in BUILT_IN[GROUP].values() if ".published." in target)
    found = {module.FORMULA.name: module.FORMULA for module in modules}
    return dict(sorted(found.items()))


def judge(name: str) -> Judge:
    """How the score behind a name judges a case; raises InputError for an unknown name.

    `drive` needs how far the reference came; a published score and a plug-in may look at the reference's drive. A crash of a
    metric is an InputError that names it and the scene.
    """
    function = resolve(GROUP, name)

    def judged(case: Case, reference: Reference) -> Score:
        with naming(name, case.rollout.scene.id):
            if function is drive_score:
                return drive_score(case.rollout, reference_progress_m=reference.progress_m, void_reasons=case.void_reasons)
            return _voided(function(case.rollout, reference), case)

    return judged


def _voided(score: Score, case: Case) -> Score:
    """A drive that the world did not show as it was has no score, whoever judges."""
    return replace(score, valid=not case.void_reasons, void_reasons=case.void_reasons) if case.void_reasons else score


def judged_cases(cases: Sequence[Case], metrics: Sequence[str]) -> list[dict[str, Score]]:
    """Each case judged by each of ``metrics``. The reference driver drives every scene once, where a score looks at it."""
    judges = {name: judge(name) for name in metrics}
    looked_at = any(name != "drive" for name in metrics)
    drives: list[Rollout | None] = [None] * len(cases)
    if looked_at:
        rates = [1.0 / (case.rollout.plan_every * case.rollout.scene.dt_s) for case in cases]
        for rate_hz in set(rates):
            rows = [row for row, rate in enumerate(rates) if rate == rate_hz]
            for row, driven in zip(rows, reference_drives([cases[r].rollout.scene for r in rows], rate_hz), strict=True):
                drives[row] = driven
    references = [Reference(case.reference_progress_m, driven) for case, driven in zip(cases, drives, strict=True)]
    return [{name: one(case, ref) for name, one in judges.items()} for case, ref in zip(cases, references, strict=True)]


def judged_suite(
    folder: str | Path, result: SuiteResult, metrics: Sequence[str], progress: Progress | None = None
) -> dict[str, Judged]:
    """The cases of the ``result`` stored in ``folder`` under each of ``metrics``; also written to ``folder``/metrics/NAME.json.

    Seeds and weights of scenes count as in the result's own summary.
    """
    folder, metrics = Path(folder), list(dict.fromkeys(metrics))
    scores: dict[str, list[Score]] = {name: [] for name in metrics}
    for done, some in _loaded(folder, result.cases):
        for row in judged_cases(some, metrics):
            for name, score in row.items():
                scores[name].append(score)
        if progress:
            progress(done, len(result.cases))
    out = {name: Judged(name, summarise(each, result.seeds, result.weights), tuple(each)) for name, each in scores.items()}
    for name, one in out.items():
        save_record(folder / "metrics" / f"{name}.json", one)
    return out


def _loaded(folder: Path, cases: Sequence[str]) -> Iterator[tuple[int, list[Case]]]:
    for start in range(0, len(cases), AT_ONCE):
        some = cases[start : start + AT_ONCE]
        yield start + len(some), [load_record(Case, folder / name) for name in some]


def table(judged: Mapping[str, Summary], title: str) -> Table:
    """Mean and interval of each score, family by family, for a terminal; below it why drives are void under a score."""
    reasons = [f"{name}: {kind} ×{count}" for name, one in judged.items() for kind, count in one.void_reasons.items()]
    out = Table(title=title, title_justify="left", caption="\n".join(reasons) or None, caption_justify="left")
    out.add_column("family")
    for name in judged:
        out.add_column(name, justify="right")
    families = [group.name for group in next(iter(judged.values())).families]
    for row, family in enumerate(families):
        out.add_row(family, *(str(summary.families[row].score or "all void") for summary in judged.values()))
    out.add_section()
    out.add_row("all", *(str(summary.all.score or "all void") for summary in judged.values()), style="bold")
    return out
