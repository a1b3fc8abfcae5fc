"""Units are done once, resume after a kill, give the same results on any number of workers, and fail by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.execution import Unit, UnitError, run_units
from drivewm.store import content_hash


def draw(payload: dict[str, Any]) -> dict[str, Any]:
    """Work that leaves a mark each time it is done, so that tests can count."""
    with open(payload["marks"], "a") as marks:
        marks.write(f"{payload['index']}\n")
    time.sleep(payload.get("sleep", 0.0))
    if payload["index"] == payload.get("fails_at"):
        raise (
            InputError("is broken", file="scene.yaml", line=4) if payload.get("input") else ZeroDivisionError("division by zero")
        )
    rng = np.random.default_rng(np.random.SeedSequence([7, payload["index"]]))
    return {"index": payload["index"], "value": rng.standard_normal(), "pair": (1, 2)}


def die(payload: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def units(folder: Path, count: int, **extra: Any) -> list[Unit]:
    payloads = [{"index": i, "marks": str(folder / "marks"), **extra} for i in range(count)]
    return [Unit(content_hash({"index": p["index"]}), p, f"scene {p['index']}") for p in payloads]


def marks(folder: Path) -> list[int]:
    return sorted(int(line) for line in (folder / "marks").read_text().split())


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    work = units(tmp_path, 7)
    one = run_units(work, draw, folder=tmp_path / "one")
    three = run_units(work, draw, folder=tmp_path / "three", workers=3)
    assert one == three and list(one) == list(three) == [unit.key for unit in work]
    assert one[work[0].key]["pair"] == [1, 2], "results are what JSON gives back, wherever they were made"
    again = run_units(work, draw, folder=tmp_path / "three")
    assert again == one and marks(tmp_path) == sorted([*range(7), *range(7)]), "a finished unit was done again"


def test_progress_counts_what_was_there_already(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    run_units(units(tmp_path, 2), draw, folder=tmp_path / "r")
    run_units(units(tmp_path, 4), draw, folder=tmp_path / "r", progress=lambda *call: calls.append(call))
    assert calls == [(2, 4), (3, 4), (4, 4)]
    assert run_units([], draw, folder=tmp_path / "r") == {}


def test_equal_keys_are_one_unit(tmp_path: Path) -> None:
    work = units(tmp_path, 2)
    assert len(run_units([*work, *work], draw, folder=tmp_path / "r")) == 2 and marks(tmp_path) == [0, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_unit_stops_the_run_with_its_name(tmp_path: Path, workers: int) -> None:
    failing = units(tmp_path, 40, fails_at=1, sleep=0.02 * (workers - 1))
    with pytest.raises(UnitError, match="scene 1: ZeroDivisionError: division by zero"):
        run_units(failing, draw, folder=tmp_path / "r", workers=workers)
    stored = {path.stem for path in (tmp_path / "r").iterdir()}
    assert failing[1].key not in stored and len(stored) < 38, "the run went on after the failure"
    assert len(run_units(units(tmp_path, 5), draw, folder=tmp_path / "r", workers=workers)) == 5


def test_bad_input_in_a_unit_keeps_its_sentence(tmp_path: Path) -> None:
    for workers in (1, 2):
        with pytest.raises(InputError) as caught:
            run_units(units(tmp_path, 2, fails_at=1, input=True), draw, folder=tmp_path / str(workers), workers=workers)
        assert str(caught.value) == "scene.yaml:4: scene 1: is broken"


def test_a_worker_that_dies_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="a worker process died"):
        run_units([Unit("a", 0, "heavy"), Unit("b", 0)], die, folder=tmp_path, workers=2)


def test_a_result_must_be_json(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="nan: ValueError: Out of range float values"):
        run_units([Unit("nan", float("nan"), "nan")], float, folder=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_keys_and_workers_are_checked(tmp_path: Path) -> None:
    for key in ("", "../up", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="usable as a file name"):
            run_units([Unit(key, 0)], draw, folder=tmp_path)
    with pytest.raises(InputError, match="workers must be at least 1, not 0"):
        run_units([], draw, folder=tmp_path, workers=0)


SCRIPT = """
import sys
from pathlib import Path
from tests.test_execution import draw, units
from drivewm.execution import run_units
if __name__ == "__main__":
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    run_units(units(folder, 6, sleep=0.2), draw, folder=folder / "r", workers=workers)
"""


@pytest.mark.parametrize(("workers", "number"), [(1, signal.SIGKILL), (2, signal.SIGINT)])
def test_a_killed_run_resumes_and_repeats_nothing(tmp_path: Path, workers: int, number: int) -> None:
    (tmp_path / "go.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "go.py"), str(tmp_path), str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not list((tmp_path / "r").glob("[!.]*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    process.communicate(timeout=30)
    finished = {path.stem for path in (tmp_path / "r").glob("[!.]*.json")}
    assert 1 <= len(finished) < 6
    started = len(marks(tmp_path))
    assert len(run_units(units(tmp_path, 6), draw, folder=tmp_path / "r")) == 6
    assert len(marks(tmp_path)) == started + 6 - len(finished)
