"""Policies beside each other on the same scenes and seeds: each with its intervals, and every other one against the first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from drivewm.datatypes import Score
from drivewm.errors import InputError
from drivewm.evaluation.paired import ALPHA, NO_CHANGE, Paired, holm, paired
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite
from drivewm.execution import Progress
from drivewm.policies.load import load_policy
from drivewm.store import load_record

BOOTSTRAP_SEED = 0
RESULT = "result.json"
Drive = tuple[str, int]  # scene and seed


@dataclass(frozen=True, slots=True)
class Entry:
    """A finished result and the folder that its cases lie in."""

    result: SuiteResult
    folder: Path

    def drives(self) -> dict[Drive, int]:
        """Where in the result each drive stands."""
        keys = zip((score.scene_id for score in self.result.scores), self.result.seeds, strict=True)
        return {key: index for index, key in enumerate(keys)}

    def weights(self) -> dict[str, float]:
        """By scene; empty when all weigh the same."""
        return dict(zip((score.scene_id for score in self.result.scores), self.result.weights, strict=False))


@dataclass(frozen=True, slots=True)
class Against:
    """One group of scenes with p-values corrected for all rows of the table it stands in (Holm)."""

    paired: Paired
    p_holm: float
    p_passed_holm: float

    @property
    def score_verdict(self) -> str:
        """``better`` or ``worse`` than the first, or ``no change`` when the difference is inside its noise."""
        if not (self.paired.outside_noise and self.p_holm < ALPHA):
            return NO_CHANGE
        return "better" if self.paired.difference.value > 0 else "worse"

    @property
    def passed_verdict(self) -> str:
        if self.p_passed_holm >= ALPHA:
            return NO_CHANGE
        return "better" if self.paired.second_only > self.paired.first_only else "worse"


@dataclass(frozen=True, slots=True)
class Pairing:
    """A policy against the first one, over drives that count for both."""

    first: str
    second: str
    all: Against
    families: tuple[Against, ...]  # alphabetical
    scenes: int
    left_out: int  # drives that are void for either


@dataclass(frozen=True, slots=True)
class Comparison:
    suite: str
    world: str
    entries: tuple[Entry, ...]
    pairings: tuple[Pairing, ...]


def gather(
    policies: Sequence[str],
    suite: Suite | None,
    world: str,
    options: ScoreOptions,
    folder_of: Callable[[str], Path],
    stage: Callable[[str], Progress],
) -> list[Entry]:
    """A result for each of ``policies``: read from a folder that holds one, else driven through ``suite``, going on."""
    entries = []
    for name in policies:
        folder = Path(name)
        if folder.is_dir():
            if not (folder / RESULT).is_file():
                raise InputError(f"holds no {RESULT}", file=folder, hint="give a folder that `drivewm score` finished")
            entries.append(Entry(load_record(SuiteResult, folder / RESULT), folder))
        elif suite is None:
            raise InputError(f"{name!r} is to be driven, in what is not said", hint="add --suite")
        else:
            load_policy(name)  # an unknown name is told before anything is driven
            entries.append(Entry(score_suite(name, suite, world, folder_of(name), options, stage(name)), folder_of(name)))
    return entries


def compare(entries: Sequence[Entry]) -> Comparison:
    """Raises InputError unless all results are of the same scenes, seeds and world, and of different policies."""
    if len(entries) < 2:
        raise InputError("one policy alone cannot be compared", hint="name two or more")
    first, *others = entries
    for entry in entries:
        _comparable(first, entry)
    names = [entry.result.policy for entry in entries]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"policy {twice} is given twice")
    rows = [_rows(first, other) for other in others]
    overall = _corrected([row[0] for row in rows])
    families = iter(_corrected([one for row in rows for one in row[1:]]))
    pairings = []
    for other, row, together in zip(others, rows, overall, strict=True):
        left_out = sum(not (first.result.scores[a].valid and other.result.scores[b].valid) for a, b in _pairs(first, other))
        mine = tuple(next(families) for _ in row[1:])
        count = together.paired.difference.count
        pairings.append(Pairing(first.result.policy, other.result.policy, together, mine, count, left_out))
    return Comparison(first.result.suite, first.result.world, tuple(entries), tuple(pairings))


def scene_scores(first: Entry, second: Entry) -> dict[str, tuple[list[Score], list[Score]]]:
    """By scene, the drives that count for both, in the order of the seeds."""
    found: dict[str, tuple[list[Score], list[Score]]] = defaultdict(lambda: ([], []))
    for a, b in _pairs(first, second):
        mine, yours = first.result.scores[a], second.result.scores[b]
        if mine.valid and yours.valid:
            found[mine.scene_id][0].append(mine)
            found[mine.scene_id][1].append(yours)
    return dict(found)


def mean_total(scores: Sequence[Score]) -> float:
    return fsum(score.total for score in scores) / len(scores)


def _pairs(first: Entry, second: Entry) -> list[tuple[int, int]]:
    """Where the same drive stands in both results, by scene and seed."""
    mine, yours = first.drives(), second.drives()
    return [(mine[key], yours[key]) for key in sorted(mine)]


def _rows(first: Entry, second: Entry) -> list[Paired]:
    """All scenes, then each family. A scene is passed when it is passed with every seed."""
    scenes = scene_scores(first, second)
    if not scenes:
        names = f"{first.result.policy} and {second.result.policy}"
        raise InputError(f"no drive counts for both {names}", hint="all of them are void for one")
    weights = first.weights()
    families = sorted({mine[0].family for mine, _ in scenes.values()})
    rows = []
    for group in ("all", *families):
        chosen = {scene: both for scene, both in sorted(scenes.items()) if group in ("all", both[0][0].family)}
        totals = [[mean_total(mine), mean_total(yours)] for mine, yours in chosen.values()]
        passed = [[all(s.passed for s in scores) for scores in both] for both in chosen.values()]
        rows.append(paired(group, totals, passed, BOOTSTRAP_SEED, [weights.get(scene, 1.0) for scene in chosen]))
    return rows


def _corrected(rows: Sequence[Paired]) -> list[Against]:
    scores, passes = holm([row.p for row in rows]), holm([row.p_passed for row in rows])
    return [Against(*one) for one in zip(rows, scores, passes, strict=True)]


def _comparable(first: Entry, other: Entry) -> None:
    for entry in (first, other):
        if len(entry.result.seeds) != len(entry.result.scores):
            hint = "run the same `drivewm score` again: nothing is driven anew"
            raise InputError("does not say with which seeds it was driven", file=entry.folder / RESULT, hint=hint)
    mine, yours = first.result, other.result
    if mine.suite != yours.suite:
        raise InputError(f"is of suite {yours.suite}, not {mine.suite}", file=other.folder / RESULT, hint="compare on one suite")
    if mine.world != yours.world:
        hint = "compare in one world; --worlds compares two worlds"
        raise InputError(f"is of world {yours.world}, not {mine.world}", file=other.folder / RESULT, hint=hint)
    if mine.provenance.ids.get("gate") != yours.provenance.ids.get("gate"):
        raise InputError("was judged by another validity gate", file=other.folder / RESULT, hint="score it again")
    if missing := set(first.drives()) ^ set(other.drives()):
        scene, seed = min(missing)
        raise InputError(f"scene {scene} with seed {seed} is in one result only", file=other.folder / RESULT)
