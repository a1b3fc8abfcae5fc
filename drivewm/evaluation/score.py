"""Driving a suite and judging it: every scene x policy x world x seed once, stored under the hash of all four."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drivewm.datatypes import LATER, Provenance, Scene, Score
from drivewm.evaluation.cases import Case, drive, frames_of
from drivewm.evaluation.film import Take, write_film
from drivewm.evaluation.gate import gate_for
from drivewm.evaluation.suite import Suite
from drivewm.evaluation.summary import Summary, summarise
from drivewm.evaluation.worlds import load_world
from drivewm.execution import Progress, Unit, run_units
from drivewm.policies.controls import TimeLimited
from drivewm.policies.load import load_policy
from drivewm.protocols import Policy
from drivewm.store import content_hash, load_record, provenance, save_record


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    seed: int = 0  # of the draws; a drive's own seed is this plus one of the suite's seeds
    workers: int = 1
    batch: int = 8  # scenes driven at once
    films: bool = False
    plan_limit_s: float | None = None  # a plan that takes longer ends its drive as "policy_timeout"


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
    seeds: tuple[int, ...] = field(default=(), metadata=LATER)  # with which each was driven
    weights: tuple[float, ...] = field(default=(), metadata=LATER)  # of the scene of each; none: all weigh the same


@dataclass(frozen=True, slots=True)
class Job:
    """Who drives where, by name so that it can travel to another process, and where the cases go."""

    policy: str
    world: str
    out: Path
    films: bool = False
    plan_limit_s: float | None = None

    def driver(self) -> Policy:
        policy = load_policy(self.policy)
        return policy if self.plan_limit_s is None else TimeLimited(policy, self.plan_limit_s)

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

    A killed run resumes: a case that is stored is not driven again. ``progress`` hears camera frames driven and in all.
    """
    options, out = options or ScoreOptions(), Path(out)
    job = Job(policy, world, out, options.films, options.plan_limit_s)
    opened = load_world(world)
    ids = {"policy": load_policy(policy).spec.id, "world": opened.id, "gate": gate.id if (gate := gate_for(opened)) else "none"}
    if options.plan_limit_s is not None:
        ids["plan_limit"] = f"{options.plan_limit_s:g} s"
    drives = [(options.seed + s, scene) for s in suite.seeds for scene in suite.scenes(options.seed)]
    keys = [content_hash([content_hash(scene), *ids.values(), seed])[:32] for seed, scene in drives]
    todo = [(seed, scene, key) for (seed, scene), key in zip(drives, keys, strict=True) if not job.file(key).exists()]
    _drive_all(
        batched(job, todo, options.batch), _Frames.of([scene for _, scene in drives], opened.rig.rate_hz, progress), options
    )
    scores = tuple(load_record(Case, job.file(key)).score for key in keys)
    origin = provenance(options.seed, suite=suite.id, **ids)
    cases = tuple(str(job.file(key).relative_to(out)) for key in keys)
    seeds, weights = tuple(seed for seed, _ in drives), suite.weights([scene for _, scene in drives])
    summary = summarise(scores, seeds, weights)
    result = SuiteResult(suite.id, ids["policy"], ids["world"], summary, scores, cases, origin, seeds, weights)
    save_record(out / "result.json", result)
    return result


@dataclass(frozen=True, slots=True)
class _Frames:
    """Progress in camera frames, the unit that takes the time."""

    rate_hz: float
    total: int
    progress: Progress | None

    @classmethod
    def of(cls, scenes: Sequence[Scene], rate_hz: float, progress: Progress | None) -> _Frames:
        return cls(rate_hz, sum(frames_of(scene, rate_hz) for scene in scenes), progress)

    def left(self, batches: Sequence[Batch], shown: int = 0) -> int:
        """Frames that ``batches`` still need when the first has shown ``shown`` of each scene."""
        counts = [[frames_of(scene, self.rate_hz) for scene in batch.scenes] for batch in batches]
        return sum(map(sum, counts)) - (sum(min(shown, count) for count in counts[0]) if counts else 0)

    def tell(self, batches: Sequence[Batch], shown: int = 0) -> None:
        if self.progress:
            self.progress(self.total - self.left(batches, shown), self.total)


def _drive_all(batches: list[Batch], frames: _Frames, options: ScoreOptions) -> None:
    units = [Unit(content_hash(list(b.keys))[:32], b, f"{b.scenes[0].id} and {len(b.scenes) - 1} more") for b in batches]
    done = 0

    def finished(count: int, total: int) -> None:
        nonlocal done
        done = count
        frames.tell(batches[done:])

    def here(batch: Batch) -> list[str]:
        return drive_batch(batch, lambda frame: frames.tell(batches[done:], frame + 1))

    work = here if options.workers == 1 else drive_batch  # another process cannot tell of single frames
    if not batches:
        frames.tell([])
        return
    folder = batches[0].job.out / "batches"
    for unit in units:  # a case that somebody removed is driven again
        (folder / f"{unit.key}.json").unlink(missing_ok=True)
    run_units(units, work, folder=folder, workers=options.workers, progress=finished)


def batched(job: Job, todo: Sequence[tuple[int, Scene, str]], size: int) -> list[Batch]:
    """Drives (seed, scene, key) in batches of equal seed."""
    out = []
    for seed in dict.fromkeys(seed for seed, _, _ in todo):
        mine = [(scene, key) for s, scene, key in todo if s == seed]
        for start in range(0, len(mine), size):
            scenes, keys = zip(*mine[start : start + size], strict=True)
            out.append(Batch(job, scenes, keys, seed))
    return out


def drive_batch(batch: Batch, on_frame: Callable[[int], None] | None = None) -> list[str]:
    """Drive, judge and store; returns the keys."""
    job, world = batch.job, load_world(batch.job.world)
    driven = drive(batch.scenes, job.driver(), world, seed=batch.seed, gate=gate_for(world), on_frame=on_frame)
    for key, one in zip(batch.keys, driven, strict=True):
        if job.films:
            write_film(job.out / "films" / f"{key}.mp4", one.case.rollout, [Take(world.id, one.images)], world.rig)
        save_record(job.file(key), one.case)
    return list(batch.keys)
