"""Batches made ahead of the training that wants them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

BatchAt = Callable[[int], Any]  # step -> batch of CPU tensors
Batches = Generator[Any, None, None]


@dataclass(frozen=True, slots=True)
class NamedBatches:
    """Batches that can say what is in them, for the case that one of them ruins a training."""

    at: BatchAt
    names: Callable[[int], list[str]]  # step -> one name per clip

    def __call__(self, step: int) -> Any:
        return self.at(step)


def loading_threads() -> int:
    """Two where there are cores for them, so that one reads while the other waits for the disk. More get in each other's way."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return 2 if cores >= 4 else 1


def prefetched(batch_at: BatchAt, steps: Iterable[int], threads: int, *, pin: bool = False) -> closing[Batches]:
    """The batches of ``steps`` in order, two per thread kept ready; in pinned memory if asked. Use it in a ``with`` block.

    Threads, not processes: copies and checksums let Python go on, and a batch need not travel. What a batch raises is raised
    here when its turn comes. Leaving the block waits for the batches in the making and drops the others.
    """
    return closing(_prefetched(batch_at, iter(steps), threads, pin))


def _prefetched(batch_at: BatchAt, steps: Iterator[int], threads: int, pin: bool) -> Batches:
    def ready(step: int) -> Any:
        batch = batch_at(step)
        return _pinned(batch) if pin else batch

    pool = ThreadPoolExecutor(threads, thread_name_prefix="loading")
    try:
        waiting: deque[Future[Any]] = deque(pool.submit(ready, step) for step in islice(steps, 2 * threads))
        while waiting:
            batch = waiting.popleft().result()
            waiting.extend(pool.submit(ready, step) for step in islice(steps, 1))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def _pinned(batch: Any) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return {key: _pinned(value) for key, value in batch.items()}
    return batch
