"""What went wrong in a set of drives, as a page or as a section of another one: a picture and a sentence for each failure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from drivewm.evaluation.drive_record import DriveRecord
from drivewm.evaluation.figures import Photo
from drivewm.evaluation.report import Group, Page, Section, Table, write_page
from drivewm.evaluation.score import SuiteResult
from drivewm.evaluation.timeline import Mark, Timeline, criticality_timeline
from drivewm.store import load_record

ABOUT = (
    "From left to right in time: the first mistake, which is the last moment at which the reference driver could still have "
    "avoided it, a second before the event, and the event. The front camera is that of the exact world. Below, how critical the "
    "drive was: at each instant the worst of all agents, drawn at the edge where it leaves the axis; a curve ends where nobody "
    "is ahead or on a collision course. RSS calls a situation dangerous while its margin is below 0."
)


def failures_section(records: Sequence[Path], page: str | Path) -> Section:
    """A section for ``page`` from the JSON ``records`` of drives, which must lie where their pictures are.

    Drives that nobody asked why, and those without a failure, are left out. A table counts what happened and who was at fault.
    """
    read = [(path, load_record(DriveRecord, path)) for path in records]
    failed = [(path, record) for path, record in read if record.failure is not None]
    counts = Counter(_kind(record) for _, record in failed)
    rows = tuple((*kind, str(number)) for kind, number in counts.most_common())
    columns = ("event", "at fault", "avoidable by the reference driver", "drives")
    drives = [group for path, record in failed for group in _drive(path, record, Path(page))]
    return Section(
        title="What went wrong",
        about=ABOUT,
        groups=tuple(drives),
        tables=(Table(columns, rows, f"{len(failed)} of {len(read)} drives"),) if rows else (),
    )


def write_failures_page(folder: Path, records: Sequence[Path]) -> Path:
    """``folder``/failures.html for the ``records`` in it."""
    section = failures_section(records, folder / "failures.html")
    return write_page(folder / "failures.html", Page("Failed drives", "Who was at fault, when, and why.", (section,)))


def why_command(result: SuiteResult, folder: Path) -> str:
    """What tells of the failed drives of a ``result`` in ``folder`` who was at fault; "" when all that count passed."""
    failed = any(one.valid and not one.passed for one in result.scores)
    return f"drivewm replay {folder / 'cases'} --why --out {folder / 'why'}" if failed else ""


def _kind(record: DriveRecord) -> tuple[str, str, str]:
    found = record.failure
    assert found is not None  # chosen by the caller
    avoidable = "not known" if found.avoidable is None else "no" if found.avoidable.until_s is None else "yes"
    return found.what, "the ego" if found.at_fault else "the other", avoidable


def _drive(path: Path, record: DriveRecord, page: Path) -> list[Group]:
    """The picture of a failure, and how critical the drive was where the record tells it."""
    photo = Group("photo", (_photo(path, record, page),), layout="one")
    return [photo, Group("timeline", (_timeline(record),), layout="one")] if record.criticality else [photo]


def _timeline(record: DriveRecord) -> Timeline:
    found, series = record.failure, record.criticality
    assert found is not None and series is not None  # chosen by the caller
    marks = [Mark(found.event.t_s, found.what, 5)]
    if found.avoidable and found.avoidable.until_s is not None:
        marks.insert(0, Mark(found.avoidable.until_s, "first mistake", 1))
    return criticality_timeline(f"How critical {record.scene_id} was", series, marks)


def _photo(path: Path, record: DriveRecord, page: Path) -> Photo:
    source = Path(os.path.relpath(path.parent / str(record.picture), page.parent)).as_posix()
    return Photo(source, record.scene_id, record.why)
