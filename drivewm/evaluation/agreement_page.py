"""Agreement of two worlds for people: tables for a terminal, and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table as RichTable

from drivewm.evaluation.agreement import MEASURES, RESAMPLED, Agreement, GroupAgreement, Measured
from drivewm.evaluation.figures import Interval, Intervals
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.report import Group, Page, Section, Table, write_page

COLUMNS = ("group", "scenes", "measure", "value", *(f"95 % over {what}" for what in RESAMPLED))
MEAN_COLUMNS = ("policy", "judged", "reference", "difference")
CORRECTED_COLUMNS = (
    "policy",
    "reference alone [95 %]",
    "with the judged world [95 %]",
    "variance saved",
    "coefficient",
    "drives",
)
METHOD = (
    "Pearson, Spearman and Kendall's tau-b compare the mean scores of policies. MMRV is the mean over policies of the largest "
    "score difference in the reference to a policy that the judged world ranks otherwise; 0 is best. Kappa compares, drive by "
    "drive, whether an event happened, beyond what chance alone would agree on. Intervals come from drawing scenarios with all "
    "their scenes, policies, or both again. Many figures stand here; none is corrected for their number."
)


def rows(shown: Agreement) -> list[tuple[str, ...]]:
    return [row for group in (shown.all, *shown.families) for row in _group_rows(group)]


def _group_rows(group: GroupAgreement) -> list[tuple[str, ...]]:
    named = [*group.ranking.items(), *((f"kappa, {kind}", found) for kind, found in group.kappas.items())]
    return [(group.name, str(group.scenes), name, f"{one.value:.3f}", *_spans(one)) for name, one in named]


def _spans(one: Measured) -> list[str]:
    return [f"[{one.intervals[what][0]:.3f}, {one.intervals[what][1]:.3f}]" for what in RESAMPLED]


def mean_rows(shown: Agreement) -> list[tuple[str, ...]]:
    ordered = sorted(zip(shown.policies, shown.means, strict=True), key=lambda row: (-row[1][1], row[0]))
    return [(policy, f"{judged:.3f}", f"{truly:.3f}", f"{judged - truly:+.3f}") for policy, (judged, truly) in ordered]


def corrected_rows(shown: Agreement) -> list[tuple[str, ...]]:
    return [
        (policy, str(one.plain), str(one.mean), f"{one.saved:.0%}", f"{one.coefficient:.2f}", f"{one.pairs} + {one.extra}")
        for policy, one in shown.corrected.items()
    ]


def _tables(shown: Agreement) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    found = [
        ("Mean scores", MEAN_COLUMNS, mean_rows(shown)),
        (f"How far {shown.judged} agrees with {shown.reference}", COLUMNS, rows(shown)),
        (
            "Means of the reference with the help of scenes that only the judged world knows",
            CORRECTED_COLUMNS,
            corrected_rows(shown),
        ),
    ]
    return [one for one in found if one[2]]


def tables(shown: Agreement) -> list[RichTable | str]:
    """For a terminal, remarks last."""
    out: list[RichTable | str] = []
    for title, columns, cells in _tables(shown):
        table = RichTable(title=title, title_justify="left")
        for column in columns:
            table.add_column(column)
        for row in cells:
            table.add_row(*row)
        out.append(table)
    return [*out, *shown.remarks]


def write_agreement(path: Path, shown: Agreement, command: str) -> Path:
    """The page at ``path``; it needs nothing but itself."""
    sections = [Section(title, tables=(Table(columns, tuple(cells)),)) for title, columns, cells in _tables(shown)]
    page = Page(
        title="Agreement of two worlds",
        about=f"{shown.judged} judged by {shown.reference}: {len(shown.policies)} policies, {shown.all.scenes} scenes in both.",
        sections=(Section("Overall", " ".join(shown.remarks), groups=_figures(shown)), *sections, _how(command)),
    )
    return write_page(path, page)


def _how(command: str) -> Section:
    return Section("How to read this", METHOD, commands=(command,))


def _figures(shown: Agreement) -> tuple[Group, ...]:
    ranking = [(name, shown.all.ranking[name]) for name in MEASURES if name in shown.all.ranking]
    figures = [
        Intervals(title, -1.0, 1.0, _lines(named))
        for title, named in (
            ("coefficients", [one for one in ranking if one[0] != "MMRV"]),
            ("kappa by event", list(shown.all.kappas.items())),
        )
        if named
    ]
    return (Group("intervals", tuple(figures), layout="wide"),) if figures else ()


def _lines(named: Sequence[tuple[str, Measured]]) -> tuple[Interval, ...]:
    """With the interval over scenarios and policies both, the widest in general."""
    out = []
    for name, one in named:
        estimate = Estimate(one.value, *one.intervals["both"], one.count)
        out.append(Interval(name, str(estimate), estimate))
    return tuple(out)
