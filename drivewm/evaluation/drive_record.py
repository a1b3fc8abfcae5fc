"""A stored drive for other programs and people: JSON, Parquet, MP4 where films are asked for, and a picture of what went wrong.

The case (.safetensors) stays what a drive is kept and judged again from; these files are made from it and never read back.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drivewm.datatypes import Provenance, Score
from drivewm.evaluation.cases import Case
from drivewm.evaluation.drive_table import write_drive_table
from drivewm.evaluation.fault import Failure
from drivewm.evaluation.fault_strip import fault_strip
from drivewm.evaluation.film import Take, pictures
from drivewm.evaluation.pictures import write_png
from drivewm.evaluation.timeline import CriticalitySeries, criticality_series
from drivewm.evaluation.video import write_video
from drivewm.metrics.criticality import criticality
from drivewm.metrics.series import Series
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import atomic_write, file_hash, provenance, save_record


@dataclass(frozen=True, slots=True)
class DriveRecord:
    """What the JSON holds; files are named relative to it."""

    scene_id: str
    family: str
    parameters: dict[str, float | str]
    ended: str
    score: Score
    reference_progress_m: float
    evidence: dict[str, float]  # of the validity gate
    failure: Failure | None  # None also when nobody asked why
    why: str  # the failure in a sentence, "" without one
    table: str  # Parquet
    picture: str | None  # of the failure
    film: str | None
    film_shows: str  # "what the policy saw", or "the exact world, from the stored states", "" without a film
    case: str  # the file that all this was made from
    case_sha256: str
    drive: Provenance  # who drove where
    provenance: Provenance  # of this record
    others: dict[str, Score] = field(default_factory=dict)  # by each other metric that was asked for
    criticality: CriticalitySeries | None = None


def write_drive_record(
    case_file: Path,
    case: Case,
    out: Path,
    why: Failure | None = None,
    films: bool = False,
    others: Mapping[str, Score] | None = None,
) -> DriveRecord:
    """Write ``out``/NAME.json, .parquet, with ``why`` .why.png and with ``films`` .mp4; NAME is that of the case.

    ``others`` are its scores under other metrics.
    """
    stem, rollout = out / case_file.stem, case.rollout
    table = write_drive_table(stem.with_name(f"{stem.name}.parquet"), rollout)
    picture = write_png(stem.with_name(f"{stem.name}.why.png"), fault_strip(case, why)) if why else None
    film, shows = _film(case_file, case, stem.with_name(f"{stem.name}.mp4")) if films else (None, "")
    record = DriveRecord(
        scene_id=rollout.scene.id,
        family=rollout.scene.family,
        parameters=dict(rollout.scene.parameters),
        ended=rollout.ended,
        score=case.score,
        reference_progress_m=case.reference_progress_m,
        evidence=dict(case.evidence),
        failure=why,
        why=why.sentence if why else "",
        table=table.name,
        picture=picture.name if picture else None,
        film=film.name if film else None,
        film_shows=shows,
        case=str(case_file),
        case_sha256=file_hash(case_file),
        drive=rollout.provenance,
        provenance=provenance(rollout.provenance.seed, scene=rollout.scene.id, **rollout.provenance.ids),
        others=dict(others or {}),
        criticality=criticality_series(criticality(Series.of(rollout, case.reference_progress_m))),
    )
    save_record(stem.with_name(f"{stem.name}.json"), record)
    return record


def film_beside(case_file: Path) -> Path | None:
    """The film that was written with a case: of the same name beside it, or in the folder ``films`` beside its own."""
    places = (case_file.with_suffix(".mp4"), case_file.parent.parent / "films" / f"{case_file.stem}.mp4")
    return next((place for place in places if place.is_file()), None)


def _film(case_file: Path, case: Case, target: Path) -> tuple[Path, str]:
    seen = film_beside(case_file)
    if seen is not None:
        with atomic_write(target) as temporary:
            shutil.copyfile(seen, temporary)
        return target, "what the policy saw"
    rollout, world = case.rollout, RasterWorld(nuscenes_rig())
    frames = slice(0, len(rollout.plans.t_s) * rollout.plan_every, rollout.plan_every)
    states = rollout.states[frames]
    count = len(states.t_s)
    images, _ = world.start([rollout.scene] * count, states, rollout.provenance.seed)
    write_video(target, pictures(rollout, [Take(world.id, images)], world.rig), 1 / (rollout.plan_every * rollout.scene.dt_s))
    return target, "the exact world, from the stored states"
