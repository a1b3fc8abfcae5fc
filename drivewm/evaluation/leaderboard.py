"""The leaderboard: policies by worlds through one suite, and whether the controls land where they should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drivewm.config import score_folder
from drivewm.evaluation import compare
from drivewm.evaluation.compare import mean_total
from drivewm.evaluation.intervals import Estimate, bootstrap_mean
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite
from drivewm.execution import Progress

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


def run_contest(
    contest: Contest, out: Path, options: ScoreOptions, stage: Callable[[str], Progress] | None = None
) -> list[Entry]:
    """Every policy in every world, each in a folder below ``out`` that is resumed; ``stage`` gives progress of each."""
    pairs = [(world, policy) for world in contest.worlds for policy in contest.policies]
    entries: list[Entry] = []
    for number, (world, policy) in enumerate(pairs, start=1):
        folder = out / score_folder(contest.suite.name, policy, world).name
        report = stage(f"{Path(policy).name} in {world}, {number} of {len(pairs)}") if stage else None
        entries.append(Entry(policy, world, folder, score_suite(policy, contest.suite, world, folder, options, report)))
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
