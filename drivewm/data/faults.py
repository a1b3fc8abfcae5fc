"""The thirteen tables of a nuScenes folder: what a record must hold, how records point at one another, and which do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.tables import TABLES
from drivewm.errors import InputError
from drivewm.store import read_json

Tables = dict[str, dict[str, dict[str, Any]]]  # table -> token -> record

_TEXT, _WHOLE, _FLAG, _ROTATION, _SIZE, _MATRIX, _NAMES = "text", "whole", "flag", "rotation", "size", "matrix", "names"
_XYZ = "xyz"

# What is read of each table, and what kind of value it is.
_FIELDS: dict[str, dict[str, str]] = {
    "attribute": {"name": _TEXT},
    "calibrated_sensor": {"translation": _XYZ, "rotation": _ROTATION, "camera_intrinsic": _MATRIX},
    "category": {"name": _TEXT},
    "ego_pose": {"timestamp": _WHOLE, "translation": _XYZ, "rotation": _ROTATION},
    "instance": {"nbr_annotations": _WHOLE},
    "log": {"location": _TEXT, "logfile": _TEXT},
    "map": {"filename": _TEXT, "log_tokens": _NAMES},
    "sample": {"timestamp": _WHOLE},
    "sample_annotation": {"translation": _XYZ, "size": _SIZE, "rotation": _ROTATION, "num_lidar_pts": _WHOLE},
    "sample_data": {"timestamp": _WHOLE, "filename": _TEXT, "is_key_frame": _FLAG, "height": _WHOLE, "width": _WHOLE},
    "scene": {"name": _TEXT, "description": _TEXT},
    "sensor": {"channel": _TEXT, "modality": _TEXT},
    "visibility": {"level": _TEXT},
}

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


def wrong_values(tables: Tables) -> Iterator[tuple[str, str, str]]:
    """Every value that is missing or not of its kind, as table, token of the record, and reason."""
    for table, fields in _FIELDS.items():
        for token, row in tables[table].items():
            for name, kind in fields.items():
                if reason := _wrong(row.get(name), kind):
                    yield table, token, f"{name} {reason}"
    cameras = {token for token, row in tables["sensor"].items() if row.get("modality") == "camera"}
    for token, row in tables["calibrated_sensor"].items():
        if str(row.get("sensor_token")) in cameras and (reason := _unknown_camera(row)):
            yield "calibrated_sensor", token, reason


def wrong_camera(row: dict[str, Any]) -> str | None:
    """Why a record of a calibrated camera is none of a pinhole camera, the only one that rigs know; None when it is."""
    wrong = _wrong(row.get("camera_intrinsic"), _MATRIX)
    return f"camera_intrinsic {wrong}" if wrong else _unknown_camera(row)


def _unknown_camera(row: dict[str, Any]) -> str | None:
    """nuScenes itself has neither models nor distortion; nuImages and sets after its likeness have."""
    if row.get("camera_intrinsic") == []:
        return "camera_intrinsic is empty: without it nobody knows where a pixel looks"
    for name, value in row.items():
        if name.endswith("model") and value not in (None, "pinhole"):
            return f"unknown camera model {value!r:.60}, only pinhole is known"
        numbers = value if isinstance(value, list) else [value]
        if "distortion" in name and any(one not in (0, None) for one in numbers):
            return f"{name} {value!r:.60} is not of a pinhole camera, take distortion out of the pictures first"
    return None


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
                        yield table, token, f"{name} {one!r:.60} is not in table {target}"
                if isinstance(value, list) != name.endswith("_tokens"):
                    yield table, token, f"{name} {value!r:.60} has another form"


def first_fault(folder: Path) -> InputError:
    """The first thing that is wrong with a folder's tables, as the error to raise."""
    tables: Tables = {}
    for table in TABLES:
        tables[table] = {}
        for number, row in enumerate(read_table(folder, table)):
            if not isinstance(row, dict) or not isinstance(row.get("token"), str):
                return InputError("has no token", file=folder / f"{table}.json", place=f"record {number}")
            tables[table][row["token"]] = row
    for find in (wrong_values, dangling):
        for table, token, reason in find(tables):
            return InputError(reason, file=folder / f"{table}.json", place=f"token {token}")
    return InputError("tables do not fit together", file=folder, hint="run `drivewm data check`")


def _wrong(value: Any, kind: str) -> str | None:
    """Why a value is not of a kind; None when it is."""
    if value is None:
        return "is missing"
    if kind == _TEXT:
        return None if isinstance(value, str) else f"is no text: {value!r:.60}"
    if kind == _FLAG:
        return None if isinstance(value, bool) else f"is neither true nor false: {value!r:.60}"
    if kind == _WHOLE:
        whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62
        return None if whole else f"is no whole number: {value!r:.60}"
    if kind == _NAMES:
        return None if isinstance(value, list) and all(isinstance(one, str) for one in value) else "is no list of tokens"
    return _wrong_numbers(value, kind)


def _wrong_numbers(value: Any, kind: str) -> str | None:
    if kind == _MATRIX and value == []:  # of a sensor that is no camera
        return None
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return f"is not all numbers: {value!r:.60}"
    shape = {_XYZ: (3,), _SIZE: (3,), _ROTATION: (4,), _MATRIX: (3, 3)}[kind]
    if numbers.shape != shape:
        return f"needs {' x '.join(map(str, shape))} numbers"
    if not np.isfinite(numbers).all():
        return f"is not finite: {numbers.tolist()}"
    if kind == _ROTATION and (np.abs(numbers).max() > 1.1 or abs(float(np.linalg.norm(numbers)) - 1.0) > 1e-2):
        return f"is no unit quaternion: {numbers.tolist()}"
    if kind == _SIZE and numbers.min() <= 0:
        return f"must be positive: {numbers.tolist()}"
    if kind == _MATRIX and (min(numbers[0, 0], numbers[1, 1]) <= 0 or np.abs(numbers[2] - [0, 0, 1]).max() > 1e-6):
        return f"is no pinhole camera: {numbers.tolist()}"
    return None
