"""Batches made ahead: the same whoever makes them, none lost, errors as they are."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.errors import InputError
from drivewm.training.cache import FrameCache, PackOptions, pack
from drivewm.training.loading import prefetched


def test_batches_do_not_depend_on_how_many_threads_make_them_or_where_one_starts(tmp_path: Path) -> None:
    synth(tmp_path / "drives", SynthOptions(scenes=2, seconds=2.0, seed=1, workers=1))
    pack(NuScenesFolder(tmp_path / "drives"), tmp_path / "cache", PackOptions())
    clips = FrameCache(tmp_path / "cache", seed=4)
    alone = [clips.batch(step, 3, 4) for step in range(6)]
    assert not torch.equal(alone[0]["images"], alone[1]["images"])
    for threads in (1, 2, 5):
        for start in (0, 4):
            with prefetched(lambda step: clips.batch(step, 3, 4), range(start, 6), threads) as batches:
                made = list(batches)
            assert len(made) == 6 - start
            for got, wanted in zip(made, alone[start:], strict=True):
                assert got.keys() == wanted.keys() and all(torch.equal(got[key], wanted[key]) for key in got)


def test_slow_batches_do_not_overtake_and_no_more_are_made_than_asked_for() -> None:
    def batch_at(step: int) -> int:
        time.sleep(float(np.random.default_rng(step).uniform(0, 0.01)))
        asked.append(step)
        return step

    asked: list[int] = []
    with prefetched(batch_at, range(2, 40, 2), 4) as batches:
        assert list(batches) == list(range(2, 40, 2))
    assert sorted(asked) == list(range(2, 40, 2))
    asked.clear()
    with prefetched(batch_at, range(1000), 2) as batches:
        next(batches)
    assert len(asked) <= 5


def test_an_error_arrives_as_itself_at_its_turn_and_no_thread_is_left() -> None:
    wrong = InputError("damaged", file="x")

    def batch_at(step: int) -> int:
        if step == 3:
            raise wrong
        return step

    got = []
    with pytest.raises(InputError) as caught, prefetched(batch_at, range(10), 3) as batches:
        got.extend(batches)
    assert caught.value is wrong
    with pytest.raises(KeyboardInterrupt), prefetched(batch_at, range(3), 3) as batches:
        got.append(next(batches))
        raise KeyboardInterrupt
    assert got[-1] == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loading")]
