"""The leaderboard as a page in Markdown: scores, families, what went wrong, why drives are void, where the controls landed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from drivewm.evaluation.leaderboard import BLIND, ROLES, SEER, STILL, Entry, placings
from drivewm.evaluation.summary import Summary
from drivewm.store import provenance, write_text

COLUMNS = ("policy", "what it is", "score [95 %]", "between seeds", "passed [95 %]", "scenes", "drives", "void", "worst family")
ABOUT = (
    "Generated; do not edit. Score: mean `Drive` score with a bootstrap interval over scenes; between seeds: standard deviation",
    "of the mean when only the seed of policy and world changes; passed: share of scenes with every gate kept, with a Wilson",
    "interval; scenes: those with at least one drive that counts; void: drives whose frames did not show what the state says.",
    "They have no score, and which they are differs from policy to policy, so policies are compared in pairs (controls, below;",
    "`drivewm compare`). By whose fault a drive failed, with pictures: `drivewm replay FOLDER/cases --why --out why`, with the",
    "folder of a policy in a world.",
)
SEED = 0  # nothing here is drawn


def leaderboard(entries: Sequence[Entry], command: str) -> str:
    """Tables for each world, policies best first."""
    first, origin = entries[0].result, provenance(SEED)
    when = max(entry.result.provenance.created for entry in entries)[:10]
    lines = ["# Leaderboard", "", *ABOUT, ""]
    lines += [f"Suite `{first.suite}`, commit `{origin.commit[:8]}`, {when}, on {origin.device}. Made by", "", f"    {command}"]
    for world in dict.fromkeys(entry.world for entry in entries):
        mine = sorted((entry for entry in entries if entry.world == world), key=_rank)
        lines += ["", f"## {world}: `{mine[0].result.world}`", "", *_table(COLUMNS, [_cells(entry) for entry in mine])]
        lines += _by_family(mine)
        lines += _counts("What went wrong", "share of the drives that count", {_name(e): _events(e.result.summary) for e in mine})
        lines += _counts("Why drives are void", "share of all drives", {_name(e): _reasons(e.result.summary) for e in mine})
    return "\n".join([*lines, *_controls(entries)]) + "\n"


def write_leaderboard(path: Path, entries: Sequence[Entry], command: str) -> None:
    write_text(path, leaderboard(entries, command))


def _rank(entry: Entry) -> float:
    score = entry.result.summary.all.score
    return -score.value if score else 1.0


def _name(entry: Entry) -> str:
    return Path(entry.policy).name


def _cells(entry: Entry) -> list[str]:
    summary, name = entry.result.summary, _name(entry)
    group, seeds = summary.all, summary.seeds
    passed = f"{group.passed.value:.0%} [{group.passed.low:.0%}, {group.passed.high:.0%}]" if group.passed else "–"
    shown = entry.result.policy if entry.result.policy == name else f"{name} (`{entry.result.policy}`)"
    score, spread = str(group.score or "all void"), f"± {seeds.spread:.3f}" if seeds else "–"
    counts = [str(group.scenes), str(group.drives), f"{group.void_rate:.0%}"]
    return [shown, ROLES.get(name, "of your own"), score, spread, passed, *counts, summary.worst_family or "–"]


def _by_family(entries: Sequence[Entry]) -> list[str]:
    """Mean scores by family; where the policies drive in several families."""
    found = {_name(entry): {group.name: group for group in entry.result.summary.families} for entry in entries}
    families = sorted({family for groups in found.values() for family in groups})
    if len(families) < 2:
        return []
    rows = []
    for family in families:
        groups = [by_family.get(family) for by_family in found.values()]
        rows.append([family, *(f"{g.score.value:.2f}" if g and g.score else "void" for g in groups)])
    return ["", "Mean score by family:", "", *_table(("family", *found), rows)]


def _events(summary: Summary) -> dict[str, float]:
    """Events for each drive that counts; a drive can have several."""
    found: dict[str, float] = defaultdict(float)
    for kind, number in summary.all.events.items():  # an author's demands are many words for one kind
        found[kind.split(":")[0].replace("_", " ")] += number / (summary.all.drives - summary.all.void)
    return found


def _reasons(summary: Summary) -> dict[str, float]:
    return {kind: number / summary.all.drives for kind, number in summary.void_reasons.items()}


def _counts(title: str, of: str, found: Mapping[str, Mapping[str, float]]) -> list[str]:
    kinds = sorted({kind for shares in found.values() for kind in shares})
    most = {kind: max(shares.get(kind, 0.0) for shares in found.values()) for kind in kinds}
    rows = [[kind, *(f"{shares[kind]:.0%}" if kind in shares else "·" for shares in found.values())] for kind in kinds]
    rows.sort(key=lambda row: -most[row[0]])
    return ["", f"{title}, {of}:", "", *_table(("", *found), rows)] if rows else []


def _controls(entries: Sequence[Entry]) -> list[str]:
    words = {True: "yes", False: "**no**", None: "undecided"}
    rows = []
    for one in placings(entries):
        apart = one.difference
        rows.append([one.world, one.claim, words[one.holds], str(apart or "–"), str(apart.count if apart else 0)])
    about = [
        f"Who stands still is `{STILL}`, who ignores the cameras `{BLIND}`, who sees the future `{SEER}`. Paired over the scenes",
        "that count for both; *undecided* where the interval holds 0.",
    ]
    table = _table(("world", "must be", "is it so", "difference [95 %]", "scenes"), rows)
    return ["", "## Controls", "", *about, "", *table]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]
