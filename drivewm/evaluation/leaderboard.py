"""The leaderboard: policies by worlds through one suite, one page, and whether the controls land where they should."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivewm.config import score_folder
from drivewm.evaluation import compare
from drivewm.evaluation.compare import mean_total
from drivewm.evaluation.intervals import Estimate, bootstrap_mean
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite
from drivewm.execution import Progress
from drivewm.store import provenance, write_text

STILL, SIGHTED, BLIND, SEER, CALM = "still", "teacher", "blind", "expert", "calm"
ROLES = {
    "constant_velocity": "baseline: straight on",
    "idm": "baseline: lane and distance, sees the truth",
    STILL: "control: stops and stays",
    BLIND: "control: the large policy, shown black frames",
    SEER: "control: sees the truth and the near future",
    SIGHTED: "large",
    "onboard": "small",
    "onboard.onnx": "small, as the file for the vehicle",
}
SEED = 0  # of the bootstrap
COLUMNS = ("policy", "what it is", "score [95 %]", "passed [95 %]", "drives", "void", "worst family")


@dataclass(frozen=True, slots=True)
class Entry:
    """One policy in one world, as it was asked for and as it drove."""

    policy: str
    world: str
    folder: Path
    result: SuiteResult


@dataclass(frozen=True, slots=True)
class Placing:
    """Whether a control is where it must be; None where the drives cannot tell."""

    world: str
    claim: str
    holds: bool | None
    difference: Estimate | None  # of scores over the same scenes; positive as the claim says


@dataclass(frozen=True, slots=True)
class Contest:
    """Who drives where."""

    policies: tuple[str, ...]
    worlds: tuple[str, ...]
    suite: Suite


def run_contest(contest: Contest, out: Path, options: ScoreOptions, progress: Progress | None = None) -> list[Entry]:
    """Every policy in every world, each in a folder below ``out`` that is resumed; ``progress`` hears drives of policies done."""
    entries: list[Entry] = []
    total = len(contest.policies) * len(contest.worlds)
    for world in contest.worlds:
        for policy in contest.policies:
            if progress:
                progress(len(entries), total)
            folder = out / score_folder(contest.suite.name, policy, world).name
            entries.append(Entry(policy, world, folder, score_suite(policy, contest.suite, world, folder, options)))
    if progress:
        progress(total, total)
    return entries


def placings(entries: Sequence[Entry]) -> list[Placing]:
    """What must be so in each world: the seer is above everybody, the blind below its seeing twin, the still below everybody.

    A claim holds when the interval of the paired difference lies above 0, fails when it lies below, and is undecided between.
    """
    out = []
    for world in dict.fromkeys(entry.world for entry in entries):
        known = {Path(entry.policy).name: entry for entry in entries if entry.world == world}
        if STILL in known:
            others = [name for name in known if name != STILL]
            out += [_placing(world, (known[name], known[STILL]), "outside calm traffic ", calm=False) for name in others]
        if SEER in known:
            others = [name for name in known if name not in (SEER, STILL)]
            out += [_placing(world, (known[SEER], known[name])) for name in others]
        if BLIND in known and SIGHTED in known:
            out.append(_placing(world, (known[SIGHTED], known[BLIND])))
    return out


def _placing(world: str, pair: tuple[Entry, Entry], where: str = "", calm: bool = True) -> Placing:
    above, below = (compare.Entry(entry.result, entry.folder) for entry in pair)
    both = compare.scene_scores(above, below)
    both = {scene: scores for scene, scores in both.items() if calm or scores[0][0].family != CALM}
    change = [mean_total(higher) - mean_total(lower) for higher, lower in both.values()]
    weights = above.weights()
    apart = bootstrap_mean(change, SEED, bounds=(-1.0, 1.0), weights=[weights.get(scene, 1.0) for scene in both])
    holds = None if apart is None or apart.low <= 0 <= apart.high else apart.low > 0
    names = [Path(entry.policy).name for entry in pair]
    return Placing(world, f"{where}{names[0]} above {names[1]}", holds, apart)


def leaderboard(entries: Sequence[Entry], command: str) -> str:
    """The page, in Markdown: a table for each world, best first, and where the controls landed."""
    first, origin = entries[0].result, provenance(SEED)
    when = max(entry.result.provenance.created for entry in entries)[:10]
    lines = [
        "# Leaderboard",
        "",
        "Generated; do not edit. Score: mean `Drive` score with a bootstrap interval over scenes; passed: share of scenes with",
        "every gate kept, with a Wilson interval; void: drives whose frames did not show what the state says; they have none.",
        "",
        f"Suite `{first.suite}`, commit `{origin.commit[:8]}`, {when}, on {origin.device}. Made by",
        "",
        f"    {command}",
    ]
    for world in dict.fromkeys(entry.world for entry in entries):
        mine = sorted((entry for entry in entries if entry.world == world), key=_rank)
        lines += ["", f"## {world}: `{mine[0].result.world}`", "", _row(COLUMNS), _row(["---"] * len(COLUMNS))]
        lines += [_row(_cells(entry)) for entry in mine]
    lines += ["", "## Controls", ""]
    lines += [
        f"Who stands still is `{STILL}`, who ignores the cameras `{BLIND}`, who sees the future `{SEER}`. Paired over the scenes"
    ]
    lines += ["that count for both; *undecided* where the interval holds 0.", ""]
    lines += [_row(("world", "must be", "is it so", "difference [95 %]", "scenes")), _row(["---"] * 5)]
    words = {True: "yes", False: "**no**", None: "undecided"}
    for one in placings(entries):
        apart = one.difference
        lines.append(_row((one.world, one.claim, words[one.holds], str(apart or "–"), str(apart.count if apart else 0))))
    return "\n".join(lines) + "\n"


def write_leaderboard(path: Path, entries: Sequence[Entry], command: str) -> None:
    write_text(path, leaderboard(entries, command))


def _rank(entry: Entry) -> float:
    score = entry.result.summary.all.score
    return -score.value if score else 1.0


def _cells(entry: Entry) -> list[str]:
    group, name = entry.result.summary.all, Path(entry.policy).name
    passed = f"{group.passed.value:.0%} [{group.passed.low:.0%}, {group.passed.high:.0%}]" if group.passed else "–"
    worst = entry.result.summary.worst_family or "–"
    shown = entry.result.policy if entry.result.policy == name else f"{name} (`{entry.result.policy}`)"
    void = f"{group.void_rate:.0%}"
    return [shown, ROLES.get(name, "of your own"), str(group.score or "all void"), passed, str(group.drives), void, worst]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
