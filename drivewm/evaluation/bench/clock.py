"""Seconds and bytes of work on a device: percentiles after a warm-up, and the most memory that was held meanwhile."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: ``most`` calls after the warm-up, fewer when they take over ``budget_s``, never below ``least``."""

    warm_up: int = 2
    least: int = 5
    most: int = 40
    budget_s: float = 10.0
    longest_s: float = 150.0  # what is foreseen to take longer is left out


@dataclass(frozen=True, slots=True)
class Timing:
    """Calls that were timed one by one."""

    calls: int
    p50_s: float
    p95_s: float
    memory_bytes: int  # most held: on a GPU by its tensors, on a processor by the whole process


def now_s(device: torch.device) -> float:
    """The time when everything asked of ``device`` so far is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(work: Callable[[int], object], device: torch.device, effort: Effort) -> Timing:
    """Time ``work(0)``, ``work(1)``, ...; the first ``warm_up`` calls do not count."""
    for index in range(effort.warm_up):
        work(index)
    forget_peak_memory(device)
    seconds: list[float] = []
    began = now_s(device)
    while len(seconds) < effort.most and (len(seconds) < effort.least or sum(seconds) < effort.budget_s):
        work(effort.warm_up + len(seconds))
        ended = now_s(device)
        seconds.append(ended - began)
        began = ended
    p50_s, p95_s = np.percentile(seconds, (50, 95))
    return Timing(len(seconds), float(p50_s), float(p95_s), peak_memory_bytes(device))


def forget_peak_memory(device: torch.device) -> None:
    """The peak counts from here. Where a processor's system cannot forget, it is the peak since the process began."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    found = _kibibytes("/proc/self/status", "VmHWM")
    if found is not None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def held_memory_bytes(device: torch.device) -> int:
    """What is held now, in the sense of `peak_memory_bytes`."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return _kibibytes("/proc/self/status", "VmRSS") or peak_memory_bytes(device)


def free_memory_bytes(device: torch.device) -> int:
    """What the device could still give: on a GPU also what torch keeps for later use."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + kept)
    return _kibibytes("/proc/meminfo", "MemAvailable") or 2**62


def _kibibytes(file: str, name: str) -> int | None:
    """A line "name: 123 kB" of one of the system's files, in bytes; None where there is none."""
    if not Path(file).exists():
        return None
    for line in Path(file).read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return None
