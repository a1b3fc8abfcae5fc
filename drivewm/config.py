"""Where things are in a workspace: content folders that are read, run folders that are written."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from drivewm import __version__, registry
from drivewm.errors import InputError
from drivewm.store import device_name, source_commit

RUNS_VARIABLE = "DRIVEWM_RUNS"
ATTENTION_VARIABLE = "DRIVEWM_ATTENTION"  # which attention kernels networks run on, see `drivewm doctor`
CONTENT = ("scenarios", "policies", "eval")


def content_folder(kind: str) -> Path:
    """The folder of "scenarios", "policies" or "eval": that of the workspace (the current folder), else the shipped one."""
    own = Path.cwd() / kind
    return own if kind in CONTENT and own.is_dir() else shipped_content(kind)


def shipped_content(kind: str) -> Path:
    """The content that came with drivewm: an installed one carries it in the package, a source tree beside it."""
    if kind not in CONTENT:
        raise ValueError(f"content is one of {', '.join(CONTENT)}, not {kind!r}")
    package = Path(__file__).parent
    for folder in (package / "_catalog" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise InputError(f"this installation carries no {kind}", file=package, hint="install drivewm again")


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


def score_folder(suite: str, policy: str, world: str) -> Path:
    """Where the drives of a policy through a suite are kept, so that all commands find them again."""
    words = [re.sub(r"[^A-Za-z0-9_.]+", "-", Path(text).name) for text in (policy, world)]
    return runs_root() / "-".join(["score", suite, *(word or "policy" for word in words)])


def installation() -> dict[str, str | list[str]]:
    """What is installed, by name: versions, plug-ins included, and where things are."""
    versions = [f"{name} {version(name)}" for name in ("torch", "diffusers", "onnxruntime", "nuscenes-devkit", "mlflow")]
    return {
        "drivewm": f"{__version__} ({source_commit()})",
        "python": platform.python_version(),
        "libraries": versions,
        "device": device_name(),
        "policies": registry.names("drivewm.policies"),
        "worlds": registry.names("drivewm.worlds"),
        "formats": registry.names("drivewm.formats"),
        "scenarios": str(content_folder("scenarios")),
        "suites": sorted(file.stem for file in (content_folder("eval") / "suites").glob("*.yaml")),
        "runs": str(runs_root()),
    }
