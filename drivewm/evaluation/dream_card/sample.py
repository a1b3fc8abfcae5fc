"""What the questions of a card are asked of: held-out drives under several seeds, and how they are dreamed again, once each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivewm.data.marks import TrainedOn, marks_of
from drivewm.datatypes import Array, CameraRig, Scene
from drivewm.evaluation.dreaming import FREE, LAYOUT, Dreamed, Drives, Images, Regime, dream_drives, through_autoencoder
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.readers import Readers
from drivewm.store import atomic_write, content_hash
from drivewm.worldmodel.pipeline import DreamPipeline

RESAMPLES = 2000
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """The drives of a card: B windows, drive ``i`` dreamed with ``seeds[of_seed[i]]``. Dreams are kept in ``folder``."""

    pipeline: DreamPipeline
    readers: Readers
    rig: CameraRig
    drives: Drives
    seeds: tuple[int, ...]
    of_seed: NDArray[np.int64]  # [B], index into seeds
    folder: Path
    trained: TrainedOn | None = None  # what the world has learned from, as far as it says
    longer: Sample | None = None  # the same drives before they were cut

    @property
    def late(self) -> slice:
        """The frames after the context."""
        return slice(self.drives.context, None)

    def some(self, each: int, frames: int | None = None) -> Sample:
        """The first ``each`` drives of every seed, cut to ``frames`` (context included)."""
        keep = np.concatenate([np.flatnonzero(self.of_seed == index)[:each] for index in range(len(self.seeds))])
        told = {key: value[keep, :frames] for key, value in self.drives.told.items()}
        longer = (self.longer or self) if len(keep) == len(self.of_seed) else None
        return replace(self, drives=Drives(told, self.drives.context), of_seed=self.of_seed[keep], longer=longer)

    def new(self, scene: Scene) -> bool:
        """Whether the world has learned from no drive with a mark of this one."""
        return not (self.trained and self.trained.shares(marks_of(scene)))

    def dreamed(self, regime: Regime) -> Images:
        """The drives as dreamed in ``regime`` [B, T, V, H, W, 3]; a second call, also of a later process, reads them."""
        if self.longer and self._at_full_length(regime):
            return self.longer.dreamed(regime)[:, : self.drives.images.shape[1]]
        file = self._file(self._asked(regime))
        return self._kept(file, lambda: self._dream(regime, file))

    def doubt(self, regime: Regime) -> NDArray[np.float32]:
        """What the dream says itself of its frames after the context: squared doubt [B, F, V, h, w], none with a single step."""
        if self.longer and self._at_full_length(regime):
            return self.longer.doubt(regime)[:, : self.drives.images[:, self.late].shape[1]]
        file = self._file(self._asked(regime))
        if not _doubt_beside(file).is_file():
            self._dream(regime, file)
        return np.asarray(np.load(_doubt_beside(file)))

    def through_autoencoder(self) -> Images:
        """The floor: reference frames encoded and decoded."""
        if self.longer:
            return self.longer.through_autoencoder()[:, : self.drives.images.shape[1]]
        return self._kept(self._file(["autoencoder"]), lambda: through_autoencoder(self.pipeline, self.drives.images))

    def _at_full_length(self, regime: Regime) -> bool:
        """Whether some question asks for all of it, of which a shorter dream is the beginning, to the last bit."""
        return self._asked(regime) in [self._asked(one) for one in (LAYOUT, FREE)]

    def copied(self) -> Images:
        """The naive world: the last context frame for ever."""
        images = self.drives.images.copy()
        images[:, self.drives.context :] = images[:, self.drives.context - 1 : self.drives.context]
        return images

    def _dream(self, regime: Regime, file: Path) -> Images:
        """Dreams the drives; what it doubted is kept beside ``file``."""
        out, doubts = np.empty_like(self.drives.images), []
        for index, seed in enumerate(self.seeds):
            mine = np.flatnonzero(self.of_seed == index)
            told = {key: value[mine] for key, value in self.drives.told.items()}
            noted: list[Array] = []

            def note(dreamed: Dreamed, noted: list[Array] = noted) -> None:
                if dreamed.after.doubt is not None:
                    noted.append(dreamed.after.doubt.cpu().numpy())

            out[mine] = dream_drives(self.pipeline, Drives(told, self.drives.context), regime, seed, note)
            doubts += [np.stack(noted, 1)] if noted else []
        if doubts:
            order = np.argsort(np.concatenate([np.flatnonzero(self.of_seed == index) for index in range(len(self.seeds))]))
            _write(_doubt_beside(file), np.concatenate(doubts)[order])
        return out

    def _asked(self, regime: Regime) -> list[object]:
        """What of a regime decides its dream: not its name."""
        told = {field.name: getattr(regime, field.name) for field in fields(regime)}
        steps = regime.steps or self.pipeline.transformer.size.dream_steps
        return ["dreamed", told | {"name": "", "drop": sorted(regime.drop), "steps": steps}]

    def _file(self, what: list[object]) -> Path:
        told = {key: value.numpy() for key, value in self.drives.told.items() if key != "latent"}
        name = content_hash([*what, self.pipeline.identity(), self.seeds, self.of_seed, self.drives.context, told])[:16]
        return self.folder / "dreams" / f"{name}.npy"

    def _kept(self, file: Path, make: Callable[[], Images]) -> Images:
        if file.is_file():
            return np.asarray(np.load(file, mmap_mode="c"))
        images = make()
        _write(file, images)
        return images


def _doubt_beside(file: Path) -> Path:
    return file.with_suffix(".doubt.npy")


def _write(file: Path, values: Array) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as temporary, temporary.open("wb") as stream:
        np.save(stream, values, allow_pickle=False)


def mean_over(values: Array, sample: Sample) -> tuple[Estimate, tuple[float, ...]]:
    """Mean over drives of figures [B] (or [B, ...], averaged first) with its bootstrap over drives, and each seed's own mean."""
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    return ratio_over(np.nansum(flat, 1), np.isfinite(flat).sum(1), sample)


def ratio_over(numerator: Array, denominator: Array, sample: Sample) -> tuple[Estimate, tuple[float, ...]]:
    """Sum over drives of ``numerator`` [B] over that of ``denominator`` [B], as for an IoU, with its bootstrap over drives.

    NaN where nothing was there to be measured; draws of drives in which nothing was there say nothing and do not count.
    """
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)

    def figure(rows: Array) -> Array:
        there = below[rows].sum(-1)
        return np.where(there > 0.0, above[rows].sum(-1) / np.maximum(there, 1e-12), np.nan)

    return bootstrapped(figure, sample)


def bootstrapped(figure: Callable[[Array], Array], sample: Sample) -> tuple[Estimate, tuple[float, ...]]:
    """Any figure of drives: ``figure`` maps rows [..., n] of drives to values [...]; drives are drawn again within their seed.

    With a single drive of some seed they are drawn among all, or the interval would only seem to be narrow.
    """
    groups: Sequence[Array] = [np.flatnonzero(sample.of_seed == index) for index in range(len(sample.seeds))]
    every = np.concatenate(groups)
    rng = np.random.default_rng(np.random.SeedSequence([len(every), len(groups)]))
    pools = groups if min(map(len, groups)) > 1 else [every]
    drawn = np.concatenate([pool[rng.integers(0, len(pool), (RESAMPLES, len(pool)))] for pool in pools], 1)
    value, values = float(figure(every[None])[0]), figure(drawn)
    known = values[np.isfinite(values)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (value, value)
    estimate = Estimate(value, min(float(low), value), max(float(high), value), len(every))
    return estimate, tuple(float(figure(mine[None])[0]) for mine in groups)
