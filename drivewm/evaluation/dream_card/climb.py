"""The ladder driven in a world and in the reference: every policy in the same scenes, with three seeds, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from drivewm.evaluation.dream_card.sample import Progress
from drivewm.evaluation.gate import gate_for
from drivewm.evaluation.ladder import Ladder, Rung
from drivewm.evaluation.score import ScoreOptions, SuiteResult, score_suite
from drivewm.evaluation.suite import Suite
from drivewm.evaluation.summary import summarise
from drivewm.evaluation.worlds import load_world
from drivewm.execution import Unit, run_units
from drivewm.store import content_hash, load_record

REFERENCE = "raster"
WORKERS = 2
QUICK_SCENES = 2  # of the first seed
RESULT = "result.json"


@dataclass(frozen=True, eq=False)
class Climb:
    """What the ladder did: a result for each rung and seed [P][S] in the judged world and in the reference."""

    rungs: tuple[Rung, ...]
    judged: tuple[tuple[SuiteResult, ...], ...]
    reference: tuple[tuple[SuiteResult, ...], ...]
    missing: tuple[str, ...] = ()

    @property
    def seeds(self) -> int:
        return len(self.judged[0])

    def only(self, rungs: Sequence[int]) -> Climb:
        """These rungs alone."""
        judged, reference = (tuple(rows[i] for i in rungs) for rows in (self.judged, self.reference))
        return replace(self, rungs=tuple(self.rungs[i] for i in rungs), judged=judged, reference=reference)

    def seed(self, index: int) -> Climb:
        """One seed alone."""
        judged, reference = (tuple((row[index],) for row in rows) for rows in (self.judged, self.reference))
        return replace(self, judged=judged, reference=reference)

    def pixels(self, own_plans: bool = False) -> Climb:
        """Those that know the world through its pixels alone; with ``own_plans`` those of them whose plans are not made worse."""
        chosen = [i for i, rung in enumerate(self.rungs) if rung.sees == "pixels" and (rung.own_plans or not own_plans)]
        return self.only(chosen)


@dataclass(frozen=True, slots=True)
class _Task:
    """One policy in one world with one seed, so that it can travel to another process."""

    policy: str
    world: str
    suite: Suite
    seed: int
    out: Path


def climb(ladder: Ladder, world: str, folder: Path, quick: bool, progress: Progress) -> Climb:
    """Drive what is not driven yet; a killed run goes on. ``quick``: few policies, few scenes."""
    rungs = tuple(rung for rung in ladder.rungs if rung.quick or not quick)
    suite, policies = ladder.scenes(), [rung.policy().spec.id for rung in rungs]
    tasks: list[_Task] = []
    units: list[Unit] = []
    for shown in (world, REFERENCE):
        opened = load_world(shown)
        gate = gate_for(opened)
        for rung, policy in zip(rungs, policies, strict=True):
            for seed, part in parts(suite, quick):
                driven = [opened.id, gate.id if gate else "none", policy, part.id, [file.name for file in part.files], seed]
                key = content_hash(driven)
                words = re.sub(r"[^A-Za-z0-9_.]+", "-", f"{rung.name}-{opened.id}-{seed}")
                tasks.append(_Task(rung.given, shown, part, seed, folder / "ladder" / f"{words}-{key[:8]}"))
                units.append(Unit(key[:32], tasks[-1], f"{rung.name} in {shown}, seed {seed}"))

    def told(done: int, total: int) -> None:
        progress(done, total, "the ladder of policies")

    kept = folder / "ladder" / "units"
    for task, unit in zip(tasks, units, strict=True):  # what somebody removed is driven again
        if not (task.out / RESULT).is_file():
            (kept / f"{unit.key}.json").unlink(missing_ok=True)
    run_units(units, drive_task, folder=kept, workers=WORKERS, progress=told)
    results = [load_record(SuiteResult, task.out / RESULT) for task in tasks]
    seeds = len(parts(suite, quick))
    rows = [tuple(results[start : start + seeds]) for start in range(0, len(results), seeds)]
    return Climb(rungs, tuple(rows[: len(rungs)]), tuple(rows[len(rungs) :]), ladder.missing)


def drive_task(task: _Task) -> str:
    """In a process of its own."""
    score_suite(task.policy, task.suite, task.world, task.out, ScoreOptions(task.seed, batch=len(task.suite.files)))
    return str(task.out)


def parts(suite: Suite, quick: bool) -> list[tuple[int, Suite]]:
    """The suite's scenarios in as many parts as it has seeds, so that none is driven with two; ``quick``: few with the first."""
    blocks = np.array_split(np.arange(len(suite.files)), len(suite.seeds))
    chosen = [blocks[0][:QUICK_SCENES]] if quick else blocks
    scenes = [replace(suite, files=tuple(suite.files[i] for i in block), seeds=(0,)) for block in chosen]
    return list(zip(suite.seeds, scenes, strict=False))


def together(results: Sequence[SuiteResult]) -> SuiteResult:
    """The drives of several seeds as one result."""
    scores = tuple(score for result in results for score in result.scores)
    seeds = tuple(seed for result in results for seed in result.seeds)
    weights = tuple(weight for result in results for weight in result.weights)
    cases = tuple(case for result in results for case in result.cases)
    summary = summarise(scores, seeds, weights)
    return replace(results[0], summary=summary, scores=scores, seeds=seeds, weights=weights, cases=cases)
