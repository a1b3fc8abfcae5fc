"""Opening a nuScenes root with the devkit; what is broken in its tables is one sentence with file and token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drivewm.data.links import first_dangling, read_table
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
    except json.JSONDecodeError as error:
        for table in TABLES:
            read_table(folder, table)  # names the file and the line
        raise InputError(f"a table is not JSON: {error}", file=folder) from error
    except (KeyError, TypeError, IndexError) as error:
        if found := first_dangling(folder):
            raise found from error
        reason = f"tables do not fit together, the devkit fails at {error}"
        raise InputError(reason, file=folder, hint="run `drivewm data check`") from error
    except AssertionError as error:
        raise InputError(str(error), file=folder) from error


def linked(nusc: Any, table: str, token: str, row: dict[str, Any]) -> dict[str, Any]:
    """The record that ``row`` points at; raises InputError naming the token when there is none."""
    try:
        return nusc.get(table, token)
    except KeyError as error:
        raise InputError(f"{token!r} is not in table {table}", file=nusc.table_root, place=f"token {row['token']}") from error
