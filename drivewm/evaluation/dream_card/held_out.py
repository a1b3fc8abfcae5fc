"""The drives a card is asked of: their towns, seeds and combinations of kinds are none that the world learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from drivewm.data.marks import Marks, TrainedOn
from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, scenes_made, synth
from drivewm.datatypes import CameraRig
from drivewm.errors import InputError
from drivewm.evaluation.dreaming import Drives
from drivewm.store import content_hash
from drivewm.training.cache import FrameCache, PackOptions, pack
from drivewm.training.shards import Tensors

Stage = Callable[[str], Callable[..., None]]  # title -> progress(done, total, what)

HELD_OUT_SEED = 90_001  # training sets are made with small seeds; the val split differs from train in roads as well
CONTEXT = 4  # reference frames given before the dream begins
SEEDS = 3
_MOST_TRIES = 4


def held_out_cache(
    folder: Path, drives: int, stage: Stage, seed: int = HELD_OUT_SEED, size_px: tuple[int, int] = (64, 96), seconds: float = 12.0
) -> Path:
    """Drives that no training has seen, made and packed below ``folder``; more of them are added to those that lie there."""
    shares = (0.0, 1.0, 0.0)
    drives = max(drives, scenes_made(folder / "drives"))
    wanted = SynthOptions(drives, seconds, height=size_px[0], width=size_px[1], seed=seed, split_shares=shares)
    synth(folder / "drives", wanted, stage("driving held-out roads"))
    pack(NuScenesFolder(folder / "drives"), folder / "cache", PackOptions("val", workers=2), stage("packing"))
    return folder / "cache"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """B drives of `SEEDS` sets, cut to one length."""

    drives: Drives
    rig: CameraRig
    of_seed: NDArray[np.int64]  # [B]
    marks: tuple[Marks | None, ...]  # [B]
    passed_over: int  # drives not taken because a training drive has a mark of theirs


@dataclass(frozen=True, slots=True)
class Wanted:
    """``each`` drives of every seed, ``seconds`` long after the context."""

    each: int
    seconds: float
    size_px: tuple[int, int]
    seed: int = 0

    def frames(self, rate_hz: float) -> int:
        return CONTEXT + round(self.seconds * rate_hz)


def made(folder: Path, wanted: Wanted, trained: TrainedOn | None, stage: Stage) -> HeldOut:
    """Drives made below ``folder``, one set for each seed, without those that share a mark with what the world learned from.

    Raises InputError when too few are left.
    """
    parts: list[Tensors] = []
    marks: list[Marks | None] = []
    passed_over = 0
    for index in range(SEEDS):
        place, seed = folder / f"{index}", HELD_OUT_SEED + SEEDS * wanted.seed + index
        count, length_s = wanted.each, wanted.seconds + 1.0
        for _ in range(_MOST_TRIES):
            cache = FrameCache(held_out_cache(place, count, stage, seed, wanted.size_px, length_s))
            fresh = [one is not None and not (trained and trained.shares(one)) for one in cache.marks]
            frames = wanted.frames(cache.rig.rate_hz)
            chosen = [i for i, length in enumerate(cache.lengths) if fresh[i] and length >= frames][: wanted.each]
            if len(chosen) == wanted.each:
                break
            count += 2 * (wanted.each - len(chosen))
        else:
            reason = f"only {len(chosen)} of {count} held-out drives are new to the world and last {wanted.seconds:g} s"
            raise InputError(reason, hint="ask for fewer or shorter drives")
        parts += [cache.read(i, 0, frames) for i in chosen]
        marks += [cache.marks[i] for i in chosen]
        passed_over += fresh.count(False)
    of_seed = np.repeat(np.arange(SEEDS), wanted.each)
    told = {key: torch.stack([part[key] for part in parts]) for key in parts[0]}
    return HeldOut(Drives(told, CONTEXT), cache.rig, of_seed, tuple(marks), passed_over)


def packed(folder: Path, wanted: Wanted, views: int) -> HeldOut:
    """Drives of a cache, dealt out among the seeds. Raises InputError for another rig or too few drives."""
    cache = FrameCache(folder)
    here, frames = cache.rig, wanted.frames(cache.rig.rate_hz)
    if len(here.names) != views or here.size_px != wanted.size_px:
        seen = "{} cameras of {} x {} px".format(len(here.names), *here.size_px)
        usual = "{} of {} x {} px".format(views, *wanted.size_px)
        raise InputError(f"holds pictures of {seen}; world and readers look through {usual}", file=folder)
    long_enough = [i for i, length in enumerate(cache.lengths) if length >= frames]
    if len(long_enough) < SEEDS * wanted.each:
        reason = f"holds {len(long_enough)} drives of {wanted.seconds:g} s and {CONTEXT} frames, {SEEDS * wanted.each} are needed"
        raise InputError(reason, file=folder, hint=f"{SEEDS} seeds with as many drives each as --drives says")
    chosen = long_enough[: SEEDS * wanted.each]
    parts: Sequence[Tensors] = [cache.read(i, 0, frames) for i in chosen]
    told = {key: torch.stack([part[key] for part in parts]) for key in parts[0]}
    of_seed = np.arange(len(chosen)) % SEEDS
    return HeldOut(Drives(told, CONTEXT), here, of_seed, tuple(cache.marks[i] for i in chosen), 0)


def name_of(held_out: HeldOut) -> str:
    """Equal drives, equal name."""
    images = held_out.drives.told["images"][:, :CONTEXT].numpy()
    return content_hash([images, held_out.drives.told["motion"].numpy(), held_out.of_seed])[:12]
