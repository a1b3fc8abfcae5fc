"""A comparison for people: tables for a terminal and a page with intervals and links to the cases."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table as RichTable

from drivewm.datatypes import Score
from drivewm.evaluation.compare import Against, Comparison, Entry, Pairing, mean_total, scene_scores
from drivewm.evaluation.failures_page import why_command
from drivewm.evaluation.figures import Interval, Intervals
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.report import Group, Link, Page, Section, Table, Tile, write_page
from drivewm.evaluation.summary import notes

POLICY_COLUMNS = ("policy", "score [95 %]", "passed [95 %]", "drives", "void", "worst family", "between seeds")
PAIR_COLUMNS = ("scenes", "score difference [95 %]", "p", "score", "passed by one only", "p", "passed")
SCENES_SHOWN = 30
METHOD = (
    "A scene counts once, whatever the number of seeds; it is passed when it is passed with every seed. Rates have Wilson's "
    "interval, means and differences a bootstrap over scenes. p of a score difference is Fisher's sign permutation test, p of "
    "passes McNemar's exact test; both are corrected for the number of rows by Holm's method, policies and families apart. "
    "'No change' stands where the interval holds zero or p is not below 0.05. Drives that are void for either are left out."
)


def policy_rows(shown: Comparison) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for entry in shown.entries:
        summary = entry.result.summary
        group = summary.all
        passed = f"{group.passed.value:.0%} [{group.passed.low:.0%}, {group.passed.high:.0%}]" if group.passed else "–"
        void = f"{group.void} ({group.void_rate:.0%})"
        score, worst = str(group.score or "all void"), summary.worst_family or "–"
        rows.append((entry.result.policy, score, passed, str(group.drives), void, worst, notes(summary) or "one seed"))
    return rows


def pair_rows(pairing: Pairing) -> list[tuple[str, ...]]:
    """Under `PAIR_COLUMNS`: all scenes, then each family."""
    return [_pair_cells(against) for against in (pairing.all, *pairing.families)]


def _pair_cells(against: Against) -> tuple[str, ...]:
    one, split = against.paired, f"{against.paired.first_only} : {against.paired.second_only}"
    group = f"{one.group} ({one.difference.count})"
    scores = (_signed(one.difference), f"{against.p_holm:.3f}", against.score_verdict)
    return group, *scores, split, f"{against.p_passed_holm:.3f}", against.passed_verdict


def _signed(estimate: Estimate) -> str:
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def tables(shown: Comparison) -> list[RichTable]:
    """For a terminal."""
    out = [_rich(f"{shown.suite} in {shown.world}", POLICY_COLUMNS, policy_rows(shown))]
    out += [_rich(_title(pairing), PAIR_COLUMNS, pair_rows(pairing)) for pairing in shown.pairings]
    return out


def _rich(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> RichTable:
    out = RichTable(title=title, title_justify="left")
    for column in columns:
        out.add_column(column)
    for row in rows:
        out.add_row(*row)
    return out


def _title(pairing: Pairing) -> str:
    return f"{pairing.second} against {pairing.first}"


def write_comparison(path: Path, shown: Comparison, command: str) -> Path:
    """The page at ``path``; it needs nothing but itself, and links to the cases where they lie."""
    by_policy = {entry.result.policy: entry for entry in shown.entries}
    why = [why_command(entry.result, entry.folder) for entry in shown.entries]
    pairs = [_pair_section(path, one, by_policy[one.first], by_policy[one.second]) for one in shown.pairings]
    page = Page(
        title="Policies compared",
        about=f"Suite {shown.suite}, world {shown.world}. The first policy is what the others are compared with.",
        sections=(_scores(shown), *pairs, Section("How to read this", METHOD, commands=(command, *filter(None, why)))),
        tiles=tuple(_tile(one) for one in shown.pairings),
    )
    return write_page(path, page)


def _tile(pairing: Pairing) -> Tile:
    verdict = pairing.all.score_verdict
    tone = {"better": "good", "worse": "bad"}.get(verdict, "")
    return Tile(_title(pairing), verdict, f"score {_signed(pairing.all.paired.difference)}", tone)


def _scores(shown: Comparison) -> Section:
    groups = [(entry.result.policy, entry.result.summary.all) for entry in shown.entries]
    score = tuple(Interval(name, str(group.score), group.score) for name, group in groups if group.score)
    passed = tuple(Interval(name, str(group.passed), group.passed) for name, group in groups if group.passed)
    figures = (Intervals("score", 0.0, 1.0, score), Intervals("share of scenes passed", 0.0, 1.0, passed))
    kinds = sorted({kind for entry in shown.entries for kind in entry.result.summary.all.events})
    wrong = tuple((kind, *(str(group.events.get(kind, 0)) for _, group in groups)) for kind in kinds)
    tables = (
        Table(POLICY_COLUMNS, tuple(policy_rows(shown))),
        *((Table(("what went wrong", *(name for name, _ in groups)), wrong),) if wrong else ()),
    )
    return Section("Scores", groups=(Group("intervals", figures, layout="wide"),), tables=tables)


def _pair_section(path: Path, pairing: Pairing, first: Entry, second: Entry) -> Section:
    rows = [against.paired for against in (pairing.all, *pairing.families)]
    widest = max(max(abs(one.difference.low), abs(one.difference.high)) for one in rows) or 1.0
    lines = tuple(Interval(one.group, _signed(one.difference), one.difference) for one in rows)
    figure = Intervals(f"score of {pairing.second} minus {pairing.first}", -widest, widest, lines)
    about = f"{pairing.scenes} scenes; {pairing.left_out} drives are void for either and left out. Behind a family, its scenes."
    tables = (Table(PAIR_COLUMNS, tuple(pair_rows(pairing))), _scene_table(path, first, second))
    return Section(_title(pairing), about, groups=(Group("intervals", (figure,), layout="one"),), tables=tables)


def _scene_table(path: Path, first: Entry, second: Entry) -> Table:
    """The scenes in which the two differ most, with links to both cases."""
    found = scene_scores(first, second)
    apart = sorted(found, key=lambda scene: (-abs(mean_total(found[scene][1]) - mean_total(found[scene][0])), scene))
    apart = [scene for scene in apart if mean_total(found[scene][0]) != mean_total(found[scene][1])]
    rows = []
    for scene in apart[:SCENES_SHOWN]:
        mine, yours = found[scene]
        cells = [_case(path, entry, scene, scores) for entry, scores in ((first, mine), (second, yours))]
        rows.append((scene, *cells, f"{mean_total(yours) - mean_total(mine):+.2f}"))
    note = f"The {len(rows)} scenes, of {len(apart)} in which scores differ, that differ most."
    return Table(("scene", first.result.policy, second.result.policy, "difference"), tuple(rows), note)


def _case(path: Path, entry: Entry, scene: str, scores: Sequence[Score]) -> Link | str:
    """Score and mishaps, linked to the film of the first such drive if there is one, else to its case."""
    index = next(index for (name, _), index in entry.drives().items() if name == scene)
    events = sorted({event.kind for score in scores for event in score.events})
    text = f"{mean_total(scores):.2f} " + (", ".join(events) if events else "passed" if scores[0].passed else "")
    case = entry.folder / entry.result.cases[index]
    film = entry.folder / "films" / f"{case.stem}.mp4"
    file = film if film.is_file() else case
    return Link(text.strip(), os.path.relpath(file, path.parent)) if file.is_file() else text
