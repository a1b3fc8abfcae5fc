"""Opening a nuScenes root with the devkit; what is broken in its tables is one sentence with file and token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drivewm.data.faults import first_fault
from drivewm.data.tables import TABLES
from drivewm.errors import InputError


def find_version(root: Path, version: str | None) -> str:
    """The tables folder of a root; raises InputError when there is none or the choice is open."""
    found = sorted(path.name for path in root.glob("v1.0*") if path.is_dir())
    if version is not None:
        if not (root / version).is_dir():
            raise InputError(f"has no tables folder {version!r}", file=root, hint="it has " + (", ".join(found) or "none"))
        return version
    if not found:
        raise InputError("is no nuScenes folder: it has no v1.0-... folder with tables", file=root)
    if len(found) > 1:
        raise InputError("has several tables folders", file=root, hint="choose a version: " + ", ".join(found))
    return found[0]


def open_devkit(root: Path, version: str) -> Any:
    """The devkit's `NuScenes` over a root; what is broken in its tables is an InputError naming file and token."""
    folder = root / version
    for table in TABLES:
        if not (folder / f"{table}.json").is_file():
            raise InputError("table is missing", file=folder / f"{table}.json")
    from nuscenes import NuScenes

    try:
        return NuScenes(version=version, dataroot=str(root), verbose=False)
    except AssertionError as error:
        raise InputError(str(error), file=folder) from error
    except Exception as error:  # the devkit raises whatever a wrong record makes it stumble over
        raise first_fault(folder) from error


def linked(nusc: Any, table: str, token: str, row: dict[str, Any]) -> dict[str, Any]:
    """The record that ``row`` points at; raises InputError naming the token when there is none."""
    try:
        return nusc.get(table, token)
    except (KeyError, TypeError) as error:
        reason = f"{token!r:.60} is not in table {table}"
        raise InputError(reason, file=nusc.table_root, place=f"token {row['token']}") from error
