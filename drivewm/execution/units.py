"""Content-addressed units of work on local processes; a finished unit is a JSON file, so nothing is ever done twice."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

from drivewm.errors import InputError
from drivewm.store import read_json, write_json

Work = Callable[[Any], Any]  # payload -> plain JSON values; must be importable by name when workers > 1
Progress = Callable[[int, int], None]  # units done, units in all


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece of work. ``key`` is a content hash of all that decides the result; ``name`` is for people."""

    key: str
    payload: Any
    name: str = ""


class UnitError(RuntimeError):
    """A unit failed for a reason that is no bad input; the cause is chained."""


def run_units(
    units: Sequence[Unit], work: Work, *, folder: str | Path, workers: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Results by key, in the order of ``units``; each is what ``work(payload)`` gave, read back from ``folder/KEY.json``.

    Units whose file stands are not done again, so a killed run resumes. Results do not depend on ``workers``, as long as
    ``work`` depends on its payload alone. The first failure ends the run after the units under way have been stored:
    InputError with the unit's name in front when the input was bad, UnitError otherwise.
    """
    folder = Path(folder)
    if workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}")
    if bad := [unit.key for unit in units if not re.fullmatch(r"[0-9A-Za-z_.@#-]{1,200}", unit.key) or unit.key.startswith(".")]:
        raise ValueError(f"a unit key must be usable as a file name, not {bad[0]!r}")
    files = {unit.key: folder / f"{unit.key}.json" for unit in units}
    todo = [unit for unit in {unit.key: unit for unit in units}.values() if not files[unit.key].exists()]
    total = len(files)
    if progress:
        progress(total - len(todo), total)
    finished = _in_processes if workers > 1 and len(todo) > 1 else _here
    for count, _ in enumerate(finished(todo, work, files, workers), start=total - len(todo) + 1):
        if progress:
            progress(count, total)
    return {key: read_json(file)["result"] for key, file in files.items()}


def _here(todo: Sequence[Unit], work: Work, files: dict[str, Path], workers: int) -> Iterator[None]:
    for unit in todo:
        try:
            _do(unit, work, files[unit.key])
        except Exception as error:  # whatever work raises: it is named and raised again
            raise _named(unit, error) from error
        yield


def _in_processes(todo: Sequence[Unit], work: Work, files: dict[str, Path], workers: int) -> Iterator[None]:
    workers = min(workers, len(todo))
    threads = max(1, (os.cpu_count() or 1) // workers)
    queue = iter(todo)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare, initargs=(threads,)) as pool:

        def submit(count: int) -> dict[Future[None], Unit]:
            # No more than one unit per worker is ever under way: after a failure or Ctrl-C nothing waits to be started.
            return {pool.submit(_do, unit, work, files[unit.key]): unit for _, unit in zip(range(count), queue, strict=False)}

        running = submit(workers)
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit = running.pop(future)
                try:
                    future.result()
                except BrokenProcessPool as error:
                    raise UnitError(f"{unit.name or unit.key}: a worker process died, most likely for lack of memory") from error
                except Exception as error:  # whatever work raises: it is named and raised again
                    raise _named(unit, error) from error
                yield
                running |= submit(1)


def _do(unit: Unit, work: Work, file: Path) -> None:
    write_json(file, {"unit": unit.name, "result": work(unit.payload)})


def _named(unit: Unit, error: Exception) -> Exception:
    name = unit.name or unit.key
    if isinstance(error, InputError):
        place = f"{name}: {error.place}" if error.place else name
        return InputError(error.reason, file=error.file, line=error.line, place=place, hint=error.hint)
    return UnitError(f"{name}: {type(error).__name__}: {error}")


def _prepare(threads: int) -> None:
    """In each worker, before it loads torch: its share of the cores, and a quiet end on Ctrl-C."""
    os.environ["OMP_NUM_THREADS"] = str(threads)

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGINT, leave)
