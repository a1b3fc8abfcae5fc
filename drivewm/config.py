"""Where things are in a workspace: content folders that are read, run folders that are written."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from drivewm.errors import InputError

RUNS_VARIABLE = "DRIVEWM_RUNS"
CONTENT = ("scenarios", "policies", "eval")


def content_folder(kind: str) -> Path:
    """The folder of "scenarios", "policies" or "eval": the workspace's own, else the one that came with drivewm.

    The workspace is the current folder. An installed drivewm carries the content in the package, a source tree beside it.
    """
    if kind not in CONTENT:
        raise ValueError(f"content is one of {', '.join(CONTENT)}, not {kind!r}")
    package = Path(__file__).parent
    for folder in (Path.cwd() / kind, package / "_catalog" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise InputError(f"there is no {kind} folder here and none came with drivewm", hint="`drivewm init DIR` makes a workspace")


def runs_root() -> Path:
    """The folder of all runs: $DRIVEWM_RUNS, else ``runs`` in the current folder."""
    return Path(os.environ.get(RUNS_VARIABLE) or "runs").absolute()


def run_folder(kind: str, out: str | Path | None = None) -> Path:
    """The folder a command writes to: ``out`` when the user chose one, else a new name ``RUNS/kind-date-time[-n]``.

    The folder is not made here: `drivewm.store.atomic_folder` does that when the run is complete.
    """
    if out is not None:
        return Path(out).absolute()
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", kind):
        raise ValueError(f"a kind of run is a short lower-case word, not {kind!r}")
    stem = f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    candidates = [stem, *(f"{stem}-{n}" for n in range(2, 100))]
    return next(path for path in (runs_root() / name for name in candidates) if not path.exists())
