"""Judging stored drives again, without a policy, a world or a camera frame; on request with why they failed, and as records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from drivewm.datatypes import Score
from drivewm.errors import InputError
from drivewm.evaluation.cases import Case, rescored
from drivewm.evaluation.drive_record import write_drive_record
from drivewm.evaluation.fault import failure
from drivewm.evaluation.published import judged_cases
from drivewm.execution import Progress, Unit, run_units
from drivewm.records import Json, decode_record, encode_record
from drivewm.store import content_hash, file_hash, load_record, provenance

DRIVES_PER_UNIT = 20  # judging one takes hundredths of a second, which is less than a unit of work costs


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    driver: str | None = None  # the reference driver who is asked why a drive failed; None: nobody is
    out: Path | None = None  # where a record of each drive goes; None: nothing is written
    films: bool = False  # with ``out``: a film in each record
    workers: int = 1
    metrics: tuple[str, ...] = ()  # scores by name that judge each drive besides


@dataclass(frozen=True, slots=True)
class Replay:
    """A stored case, the same case judged now, and in what the two scores differ; a score that is equal is so bit for bit."""

    stored: Case
    now: Case
    differs: tuple[str, ...]  # "terms.comfort: 1.0 -> 0.0"

    @property
    def equal(self) -> bool:
        return not self.differs


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is left of a `Replay` when the drive itself is put away."""

    case: str
    stored: Score
    now: Score
    differs: tuple[str, ...]
    why: str = ""  # the failure in a sentence, if asked for
    record: str = ""  # the JSON written for it
    others: dict[str, Score] = field(default_factory=dict)  # under each of the metrics that were asked for

    @property
    def equal(self) -> bool:
        return not self.differs


def replay(path: str | Path) -> Replay:
    """Re-score the case stored at ``path``; raises InputError if there is none."""
    stored = load_record(Case, path)
    now = rescored(stored)
    return Replay(stored, now, differences(stored.score, now.score))


def differences(stored: Score, now: Score) -> tuple[str, ...]:
    """Every value that is not the same in both, to the last bit."""
    before, after = _leaves(encode_record(stored)), _leaves(encode_record(now))
    places = sorted({*before, *after})
    return tuple(
        f"{place}: {before.get(place, 'absent')} -> {after.get(place, 'absent')}"
        for place in places
        if before.get(place, "absent") != after.get(place, "absent")
    )


def _leaves(value: Json, place: str = "") -> dict[str, Json]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {place: value}
    return {inner: leaf for key, item in items for inner, leaf in _leaves(item, f"{place}.{key}".lstrip(".")).items()}


def replay_all(files: Sequence[Path], options: ReplayOptions | None = None, progress: Progress | None = None) -> list[Verdict]:
    """Re-score all cases, in their order. Raises InputError that names the first file which is no stored drive.

    The result does not depend on the number of workers. With ``out`` a killed run resumes: what is written for a drive is kept
    as long as the case, what is asked for and the version of the program are the same. ``progress`` hears drives done and in all.
    """
    options = options or ReplayOptions()
    size = 1 if options.driver or options.out else DRIVES_PER_UNIT
    parts = [tuple(files[start : start + size]) for start in range(0, len(files), size)]
    alone = replace(options, workers=1)
    if options.out and (again := [stem for stem, count in Counter(file.stem for file in files).items() if count > 1]):
        raise InputError(f"two drives are called {again[0]!r}", hint="write the records of each folder to a folder of their own")
    origin = provenance(0)
    stamp = origin.created if origin.commit.endswith("+") else origin.commit  # changed sources have no name to trust
    units = [
        Unit(_key(part, [alone, origin.version, stamp]), part, f"drives from {number * size + 1} on")
        for number, part in enumerate(parts)
    ]
    with TemporaryDirectory() as passing:
        folder = Path(passing) if options.out is None else options.out / "units"
        tell = (lambda done, total: progress(min(done * size, len(files)), len(files))) if progress else None
        done = run_units(units, partial(replay_unit, alone), folder=folder, workers=options.workers, progress=tell)
    return [decode_record(Verdict, value) for unit in units for value in done[unit.key]]


def _key(files: Sequence[Path], rest: Sequence[Any]) -> str:
    return content_hash([[str(file), file_hash(file)] for file in files] + list(rest))[:32]


def replay_unit(options: ReplayOptions, files: Sequence[Path]) -> list[Any]:
    """The verdicts of some cases as plain JSON values, with their records written."""
    seen = [replay(file) for file in files]
    others = judged_cases([again.now for again in seen], options.metrics)
    return [encode_record(_verdict(*one, options)) for one in zip(files, seen, others, strict=True)]


def _verdict(file: Path, again: Replay, others: dict[str, Score], options: ReplayOptions) -> Verdict:
    why = failure(again.now, options.driver) if options.driver else None
    written = ""
    if options.out is not None:
        write_drive_record(file, again.now, options.out, why, options.films, others)
        written = str(options.out / f"{file.stem}.json")
    return Verdict(str(file), again.stored.score, again.now.score, again.differs, why.sentence if why else "", written, others)
