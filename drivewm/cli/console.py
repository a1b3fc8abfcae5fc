"""What all commands share: how they print, count progress, and turn an error into one sentence."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from drivewm.errors import InputError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of standard output, nothing else.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write to; by default a folder below runs/.")]
Seed = Annotated[int, typer.Option("--seed", help="Everything random follows from it.", min=0)]
Workers = Annotated[int, typer.Option("--workers", "-j", help="Processes at work at once.", min=1)]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        "-p",
        help="A name (see `drivewm info`), an .onnx file, or .safetensors weights with card; also teacher:late-2.",
    ),
]
World = Annotated[
    str, typer.Option("--world", "-w", help="raster (exact), dream, free (dream without layout), a folder; also dream:K4.")
]

WorldModel = Annotated[str, typer.Option("--world", "-w", help="dream, or a folder written by `drivewm train worldmodel`.")]
NeverSeen = Annotated[
    Path | None, typer.Option(help="Packed drives the model never saw (`drivewm data encode`); by default some are made.")
]
SceneBatch = Annotated[int, typer.Option(help="Scenes driven at once.", min=1)]
PlanLimit = Annotated[float | None, typer.Option(help="Seconds for a plan; longer is a failure.", min=0.001)]

Report = Callable[..., None]  # (done, total) or (done, total, what)


def finish(as_json: bool, values: dict[str, Any], *shown: Any) -> None:
    """The end of a command: ``values`` as one JSON line, or what a person wants to see (text or rich renderables)."""
    if as_json:
        print(json.dumps({name: plain(value) for name, value in values.items()}, allow_nan=False), flush=True)
        return
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 160)
    for item in shown:
        console.print(item, markup=False) if isinstance(item, str) else console.print(item)


def plain(value: Any) -> Any:
    """Records, paths and numpy values as JSON values; a number that JSON lacks becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    from drivewm.datatypes import is_record

    if is_record(value):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return plain(value.tolist())


@contextmanager
def progress(label: str, as_json: bool = False) -> Iterator[Report]:
    """A progress bar on standard error, fed with (done, total[, what]); silent without a terminal and with ``--json``."""
    if as_json or not sys.stderr.isatty():
        yield lambda done, total, what="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("[dim]{task.fields[what]}"), console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=None, what="")

        def report(done: int, total: int, what: str = "") -> None:
            bars.update(task, completed=done, total=total, what=what)

        yield report


@contextmanager
def stages(as_json: bool = False) -> Iterator[Callable[[str], Report]]:
    """Progress of work in stages: a bar for each on a terminal, else one line when each begins; nothing with ``--json``."""
    with ExitStack() as bars:

        def stage(title: str) -> Report:
            bars.close()
            if not as_json and not sys.stderr.isatty():
                print(f"{title} ...", file=sys.stderr, flush=True)
            return bars.enter_context(progress(title, as_json))

        yield stage


def complain(text: str) -> None:
    print(f"drivewm: {text}", file=sys.stderr, flush=True)


def sentence(error: Exception) -> str | None:
    """What to tell the user about an error that their input or machine caused; None for a bug of ours."""
    usage: Any = typer.BadParameter.__mro__[1]  # click's UsageError; typer carries its own copy of click since 0.26
    if isinstance(error, usage):
        command = error.ctx.command_path if error.ctx else "drivewm"
        return f"{_one_line(error.format_message())} (see `{command} --help`)"
    if isinstance(error, InputError):
        return _one_line(str(error))
    if isinstance(error, OSError) and error.errno is not None:
        reasons = {
            errno.ENOENT: "does not exist",
            errno.EACCES: "may not be read or written",
            errno.EPERM: "may not be changed",
            errno.EROFS: "is on a disk that cannot be written",
            errno.ENOTDIR: "is not a folder",
            errno.EISDIR: "is a folder, not a file",
            errno.EEXIST: "already exists",
            errno.ENAMETOOLONG: "has a name that is too long",
        }
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or (error.filename is not None and error.errno in reasons):
            where = f"{os.fspath(error.filename)}: " if error.filename is not None else ""
            return where + ("no space left while writing" if full else reasons[error.errno])
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
