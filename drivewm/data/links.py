"""The thirteen tables of a nuScenes folder and how they point at one another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivewm.data.tables import TABLES
from drivewm.errors import InputError
from drivewm.store import read_json

Tables = dict[str, dict[str, dict[str, Any]]]  # table -> token -> record

_LINKS: dict[str, dict[str, str]] = {
    "calibrated_sensor": {"sensor_token": "sensor"},
    "instance": {
        "category_token": "category",
        "first_annotation_token": "sample_annotation",
        "last_annotation_token": "sample_annotation",
    },
    "sample": {"scene_token": "scene", "prev": "sample", "next": "sample"},
    "sample_annotation": {
        "sample_token": "sample",
        "instance_token": "instance",
        "visibility_token": "visibility",
        "attribute_tokens": "attribute",
        "prev": "sample_annotation",
        "next": "sample_annotation",
    },
    "sample_data": {
        "sample_token": "sample",
        "ego_pose_token": "ego_pose",
        "calibrated_sensor_token": "calibrated_sensor",
        "prev": "sample_data",
        "next": "sample_data",
    },
    "scene": {"log_token": "log", "first_sample_token": "sample", "last_sample_token": "sample"},
}
_MAY_BE_EMPTY = {"prev", "next", "visibility_token"}


def read_table(folder: Path, table: str) -> list[Any]:
    """The records of one table; raises InputError naming the file when it is missing, no JSON or no list."""
    file = folder / f"{table}.json"
    if not file.is_file():
        raise InputError("table is missing", file=file)
    rows = read_json(file)
    if not isinstance(rows, list):
        raise InputError("is not a list of records", file=file)
    return rows


def dangling(tables: Tables) -> Iterator[tuple[str, str, str]]:
    """Every link that leads nowhere, as table, token of the record, and reason."""
    for table, links in _LINKS.items():
        for token, row in tables[table].items():
            for name, target in links.items():
                value = row.get(name)
                if value == "" and name in _MAY_BE_EMPTY:
                    continue
                for one in value if isinstance(value, list) else [value]:
                    if not isinstance(one, str) or one not in tables[target]:
                        yield table, token, f"{name} {one!r} is not in table {target}"


def first_dangling(folder: Path) -> InputError | None:
    """The first link of a folder's tables that leads nowhere, as the error to raise; None when all are whole."""
    tables: Tables = {}
    for table in TABLES:
        rows = read_table(folder, table)
        tables[table] = {str(row.get("token")): row for row in rows if isinstance(row, dict)}
    for table, token, reason in dangling(tables):
        return InputError(reason, file=folder / f"{table}.json", place=f"token {token}")
    return None
