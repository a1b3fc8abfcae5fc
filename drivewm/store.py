"""Files: written whole or not at all, records that come back bit for bit, and where a result comes from.

One file holds one record: ``.json`` for people (every array keeps its dtype and shape) or ``.safetensors`` for size (the same
JSON in the header, with arrays replaced by the name of a tensor).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from drivewm import __version__
from drivewm.datatypes import Provenance
from drivewm.errors import InputError
from drivewm.records import Json, RecordT, Tensors, content_hash, decode_record, encode_record

__all__ = [
    "atomic_folder",
    "atomic_write",
    "content_hash",
    "decode_record",
    "device_name",
    "encode_record",
    "file_hash",
    "load_record",
    "provenance",
    "read_json",
    "save_record",
    "source_commit",
    "write_json",
    "write_text",
]

_UMASK = os.umask(0)  # it can only be read by setting it
os.umask(_UMASK)
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path with the same folder and suffix; it becomes ``path`` when the block ends well, else it is removed.

    Creates missing parent folders. Raises InputError when the disk is full or the place cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:40]}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        with _disk_errors(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.chmod(0o666 & ~_UMASK)  # some libraries create files that only their owner may read
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``path``; it becomes ``path`` when the block ends well, else it is removed.

    A folder that already holds something is an InputError, unless ``replace`` asks for it to be exchanged.
    """
    path = Path(path)
    if path.is_file() or (path.is_dir() and any(path.iterdir()) and not replace):
        raise InputError("already exists", file=path, hint="choose another folder or remove it first")
    temporary, old = (path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:8]}.{kind}") for kind in ("tmp", "old"))
    try:
        with _disk_errors(path, temporary):
            temporary.mkdir(parents=True)
            yield temporary
            if path.is_dir():
                path.rename(old)
            temporary.rename(path)
            _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _disk_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Turns what goes wrong on the way to ``path`` into one sentence; libraries may wrap a full disk in errors of their own."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL_DISK:
            raise InputError("no space left while writing", file=path) from error
        ours = str(error.filename or "").startswith((str(path), str(temporary))) or error.filename == str(path.parent)
        if ours and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise InputError("may not be written", file=path, hint="check the permissions of its folder") from error
        if ours and error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG):
            raise InputError(f"cannot be written: {os.strerror(error.errno).lower()}", file=path) from error
        raise
    except Exception as error:  # safetensors, torch and sqlite each have their own
        if any(os.strerror(code) in str(error) for code in _FULL_DISK):
            raise InputError("no space left while writing", file=path) from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Json) -> None:
    """Plain JSON, indented; NaN and infinity are a ValueError because other programs cannot read them."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Json:
    """The content of a JSON file; raises InputError that names the file, and the line when the text is broken."""
    path = Path(path)
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error.msg}", file=path, line=error.lineno, place=f"column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise InputError("is not JSON: the text is not UTF-8", file=path) from error
    except RecursionError as error:
        raise InputError("is not JSON we read: nested too deeply", file=path) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    known = {errno.ENOENT: "does not exist", errno.EISDIR: "is a folder, not a file", errno.EACCES: "may not be read"}
    return InputError(known.get(error.errno or 0, f"cannot be read: {os.strerror(error.errno or errno.EIO).lower()}"), file=path)


def save_record(path: str | Path, record: object) -> None:
    """Writes a record to ``path``, whose suffix (.json or .safetensors) chooses the form."""
    path, kind = Path(path), type(record).__name__
    if path.suffix == ".json":
        write_text(path, json.dumps({"record": kind, "value": encode_record(record)}, allow_nan=False) + "\n")
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        tensors: Tensors = {}
        text = json.dumps(encode_record(record, tensors), allow_nan=False)
        with atomic_write(path) as temporary:
            save_file(tensors, temporary, metadata={"record": kind, "value": text})
    else:
        raise InputError("a record is stored as .json or .safetensors", file=path)


def load_record(cls: type[RecordT], path: str | Path) -> RecordT:
    """The record in ``path``, every array with its own dtype; raises InputError naming the file and the place in it."""
    path = Path(path)
    tensors: Tensors = {}
    if path.suffix == ".json":
        document = read_json(path)
        if not isinstance(document, dict) or set(document) != {"record", "value"}:
            raise InputError(f"is not a stored {cls.__name__}", file=path)
        kind, value = document["record"], document["value"]
    elif path.suffix == ".safetensors":
        kind, value = _read_safetensors(path, tensors)
    else:
        raise InputError("a record is stored as .json or .safetensors", file=path)
    if kind != cls.__name__:
        raise InputError(f"holds {kind!r:.40}, not a {cls.__name__}", file=path)
    return decode_record(cls, value, file=path, tensors=tensors)


def _read_safetensors(path: Path, tensors: Tensors) -> tuple[str, Json]:
    """Fills ``tensors``; returns the kind of record and its JSON."""
    from safetensors import SafetensorError, safe_open

    try:
        path.open("rb").close()  # its errors carry an errno, those of safetensors do not
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors.update({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118 (this is no dict)
        return metadata["record"], json.loads(metadata["value"])
    except SafetensorError as error:
        raise InputError("is damaged or not a safetensors file", file=path) from error
    except (KeyError, json.JSONDecodeError) as error:
        raise InputError("holds tensors but no record", file=path) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def file_hash(path: str | Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def provenance(seed: int, settings: Mapping[str, str | float | int | bool] | None = None, /, **ids: str) -> Provenance:
    """Version, commit, time and machine of this moment; ``ids`` name what took part (policy="...", world="...")."""
    return Provenance(
        version=__version__,
        commit=source_commit(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        device=device_name(),
        ids=dict(ids),
        settings=dict(settings or {}),
    )


@lru_cache(maxsize=1)
def source_commit() -> str:
    """The commit of the source tree this runs from, "+" appended when files differ from it; "release" when installed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # a user's own repository around site-packages is not ours
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return "release"


def device_name() -> str:
    """The GPU when torch is loaded and sees one, else the CPU's model name."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return _cpu_name()


@lru_cache(maxsize=1)
def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
