"""One scene as a safetensors file; every row of every tensor carries a checksum, so that what is read is verified, and only that.

A file is mapped, not loaded: opening costs its header, reading costs the rows.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.store import atomic_write

Tensors = dict[str, torch.Tensor]
_CHECKSUM = "crc32."  # before the name of a tensor [T, ...]: int64 [T]
_AGAIN = "delete it and run the same `drivewm data encode` again"


def write_shard(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Tensors with a common leading axis, whole or not at all. Raises InputError when the disk is full."""
    checksums = {_CHECKSUM + key: torch.from_numpy(_checksums(_rows(value))) for key, value in tensors.items()}
    with atomic_write(path) as temporary:
        save_file(tensors | checksums, str(temporary), metadata=dict(metadata))


def metadata_of(path: Path) -> dict[str, str]:
    """What a shard says of itself; empty for one that is not there or cannot be read."""
    try:
        with safe_open(str(path), "pt") as stored:
            return dict(stored.metadata() or {})
    except (SafetensorError, OSError):
        return {}


class Shard:
    """An open shard. Raises InputError naming file and scene for what is damaged, cut short or not ours."""

    def __init__(self, path: Path) -> None:
        self.path, self.scene = path, path.name.split(".")[0]
        try:
            with safe_open(str(path), "pt") as stored:
                self.metadata = dict(stored.metadata() or {})
                tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError) as error:
            raise self._error(f"unreadable shard: {error}") from None
        self._crc = {
            key.removeprefix(_CHECKSUM): value.numpy().copy() for key, value in tensors.items() if key.startswith(_CHECKSUM)
        }
        self.tensors = {key: value for key, value in tensors.items() if not key.startswith(_CHECKSUM)}
        lengths = {len(value) if value.dim() else 0 for value in tensors.values()}
        self.length = max(lengths, default=0)
        if set(self._crc) != set(self.tensors) or len(lengths) != 1 or not self.length:
            raise self._error("is no shard of ours: rows and their checksums do not fit together")
        self._bytes = {key: _rows(value) for key, value in self.tensors.items()}

    def copy_rows(self, key: str, start: int, into: torch.Tensor) -> None:
        """Copy rows from ``start`` on into a tensor [T, ...] of the tensor's kind, and verify what was copied."""
        if into.shape[1:] != self.tensors[key].shape[1:] or into.dtype != self.tensors[key].dtype:
            raise self._error(f"{key!r} differs in shape from the other scenes'")
        rows, stop = _rows(into), start + len(into)
        rows[:] = self._bytes[key][start:stop]
        wrong = np.flatnonzero(_checksums(rows) != self._crc[key][start:stop])
        if len(wrong):
            raise self._error(f"damaged: frame {start + int(wrong[0])} of {key!r} is not what was written")

    def digest(self, key: str) -> str:
        """Names the content of one tensor by its checksums."""
        return hashlib.sha256(self._crc[key].tobytes()).hexdigest()[:16]

    def _error(self, reason: str) -> InputError:
        return InputError(reason, file=self.path, place=f"scene {self.scene}", hint=_AGAIN)


def _rows(tensor: torch.Tensor) -> Array:
    """The bytes of each row, uint8 [T, bytes], sharing memory."""
    return tensor.reshape(-1).view(torch.uint8).numpy().reshape(len(tensor), -1)


def _checksums(rows: Array) -> Array:
    """CRC-32 of each row; zlib lets other threads run meanwhile."""
    return np.array([zlib.crc32(row) for row in rows], np.int64)
