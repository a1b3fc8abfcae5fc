"""What went wrong in a set of drives, as a page or as a section of another one: a picture and a sentence for each failure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from drivewm.evaluation.drive_record import DriveRecord
from drivewm.evaluation.figures import Photo
from drivewm.evaluation.report import Group, Page, Section, Table, write_page
from drivewm.store import load_record


def failures_section(records: Sequence[Path], page: str | Path) -> Section:
    """A section for ``page`` from the JSON ``records`` of drives, which must lie where their pictures are.

    Drives that nobody asked why, and those without a failure, are left out. A table counts what happened and who was at fault.
    """
    read = [(path, load_record(DriveRecord, path)) for path in records]
    failed = [(path, record) for path, record in read if record.failure is not None]
    counts = Counter(_kind(record) for _, record in failed)
    rows = tuple((*kind, str(number)) for kind, number in counts.most_common())
    columns = ("event", "at fault", "avoidable by the reference driver", "drives")
    photos = tuple(_photo(path, record, Path(page)) for path, record in failed)
    return Section(
        title="What went wrong",
        about="From left to right in time: the first mistake, which is the last moment at which the reference driver could still "
        "have avoided it, a second before the event, and the event. The front camera is that of the exact world.",
        groups=(Group("photo", photos, layout="one"),) if photos else (),
        tables=(Table(columns, rows, f"{len(failed)} of {len(read)} drives"),) if rows else (),
    )


def write_failures_page(folder: Path, records: Sequence[Path]) -> Path:
    """``folder``/failures.html for the ``records`` in it."""
    section = failures_section(records, folder / "failures.html")
    return write_page(folder / "failures.html", Page("Failed drives", "Who was at fault, when, and why.", (section,)))


def _kind(record: DriveRecord) -> tuple[str, str, str]:
    found = record.failure
    assert found is not None  # chosen by the caller
    avoidable = "not known" if found.avoidable is None else "no" if found.avoidable.until_s is None else "yes"
    return found.what, "the ego" if found.at_fault else "the other", avoidable


def _photo(path: Path, record: DriveRecord, page: Path) -> Photo:
    source = Path(os.path.relpath(path.parent / str(record.picture), page.parent)).as_posix()
    return Photo(source, record.scene_id, record.why)
