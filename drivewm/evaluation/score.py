"""Driving a suite and judging it: every scene x policy x world x seed once, stored under the hash of all four."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from drivewm.datatypes import Provenance, Scene, Score
from drivewm.evaluation.cases import Case, drive
from drivewm.evaluation.film import Take, write_film
from drivewm.evaluation.gate import gate_for
from drivewm.evaluation.suite import Suite
from drivewm.evaluation.summary import Summary, summarise
from drivewm.evaluation.worlds import load_world
from drivewm.execution import Progress, Unit, run_units
from drivewm.policies.load import load_policy
from drivewm.store import content_hash, load_record, provenance, save_record


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    seed: int = 0  # of the draws; a drive's own seed is this plus one of the suite's seeds
    workers: int = 1
    batch: int = 8  # scenes driven at once
    films: bool = False


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """All drives of one policy in one world. ``cases`` are files in the result's folder, in the order of ``scores``."""

    suite: str
    policy: str
    world: str
    summary: Summary
    scores: tuple[Score, ...]
    cases: tuple[str, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Job:
    """Who drives where, by name so that it can travel to another process, and where the cases go."""

    policy: str
    world: str
    out: Path
    films: bool = False

    def file(self, key: str) -> Path:
        return self.out / "cases" / f"{key}.safetensors"


@dataclass(frozen=True, slots=True)
class Batch:
    """Scenes that are driven at once, each with the key of its case."""

    job: Job
    scenes: tuple[Scene, ...]
    keys: tuple[str, ...]
    seed: int


def score_suite(
    policy: str, suite: Suite, world: str, out: str | Path, options: ScoreOptions | None = None, progress: Progress | None = None
) -> SuiteResult:
    """Drive ``policy`` (name or file) through ``suite`` in ``world`` (name or folder); ``out`` receives cases and result.json.

    A killed run resumes: a case that is stored is not driven again. ``progress`` hears drives done and drives in all.
    """
    options, out = options or ScoreOptions(), Path(out)
    job = Job(policy, world, out, options.films)
    opened = load_world(world)
    ids = {"policy": load_policy(policy).spec.id, "world": opened.id, "gate": gate.id if (gate := gate_for(opened)) else "none"}
    drives = [(options.seed + s, scene) for s in suite.seeds for scene in suite.scenes(options.seed)]
    keys = [content_hash([content_hash(scene), *ids.values(), seed])[:32] for seed, scene in drives]
    todo = [(seed, scene, key) for (seed, scene), key in zip(drives, keys, strict=True) if not job.file(key).exists()]
    batches = batched(job, todo, options.batch)
    stored = len(keys) - len(todo)

    def tell(done: int, total: int) -> None:
        if progress:
            progress(stored + sum(len(batch.keys) for batch in batches[:done]), len(keys))

    units = [Unit(content_hash(list(b.keys))[:32], b, f"{b.scenes[0].id} and {len(b.scenes) - 1} more") for b in batches]
    run_units(units, drive_batch, folder=out / "batches", workers=options.workers, progress=tell)
    scores = tuple(load_record(Case, job.file(key)).score for key in keys)
    origin = provenance(options.seed, suite=suite.id, **ids)
    cases = tuple(str(job.file(key).relative_to(out)) for key in keys)
    result = SuiteResult(suite.id, ids["policy"], ids["world"], summarise(scores), scores, cases, origin)
    save_record(out / "result.json", result)
    return result


def batched(job: Job, todo: Sequence[tuple[int, Scene, str]], size: int) -> list[Batch]:
    """Drives (seed, scene, key) in batches of equal seed."""
    out = []
    for seed in dict.fromkeys(seed for seed, _, _ in todo):
        mine = [(scene, key) for s, scene, key in todo if s == seed]
        for start in range(0, len(mine), size):
            scenes, keys = zip(*mine[start : start + size], strict=True)
            out.append(Batch(job, scenes, keys, seed))
    return out


def drive_batch(batch: Batch) -> list[str]:
    """Drive, judge and store; returns the keys."""
    job, world = batch.job, load_world(batch.job.world)
    driven = drive(batch.scenes, load_policy(job.policy), world, seed=batch.seed, gate=gate_for(world))
    for key, one in zip(batch.keys, driven, strict=True):
        if job.films:
            write_film(job.out / "films" / f"{key}.mp4", one.case.rollout, [Take(world.id, one.images)], world.rig)
        save_record(job.file(key), one.case)
    return list(batch.keys)
