"""What a dream's doubt is worth: the curve from doubt to expected error, and measures of how well a doubt tells errors.

True errors need an exact reference, so drives are dreamed again under the states of held-out ones. An error is what the dream
adds to the autoencoder's own: a given frame has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata, spearmanr

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.evaluation.dreaming import FREE, LAYOUT, Dreamed, Drives, Images, Regime, dream_drives, through_autoencoder
from drivewm.store import provenance, save_record
from drivewm.training.cache import FrameCache
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.uncertainty import FILE, Calibration, Curve

KNOTS = 12
REGIMES = (LAYOUT, FREE)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    seconds: float = 4.0  # how long each drive is dreamed
    context: int = 4  # reference frames given before
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Errors:
    """Squared doubt and squared error (grey levels of 255) of dreamed frames, per latent cell [B, F, V, h, w]."""

    doubt: NDArray[np.float32]
    error: NDArray[np.float32]


def halves(cache: FrameCache, options: CalibrationOptions) -> tuple[Drives, Drives]:
    """A random window of every other scene, and of the others; drives that ended too early (in a collision) are left out.

    Raises InputError where not even two are long enough.
    """
    frames = options.context + round(options.seconds * cache.rig.rate_hz)
    scenes = [index for index, length in enumerate(cache.lengths) if length >= frames]
    if len(scenes) < 2:
        reason = f"{len(scenes)} of {len(cache.lengths)} scenes have {frames} frames, needed are one to learn from and one to try"
        raise InputError(reason, file=cache.folder, hint="choose fewer seconds or more drives")
    rng, half = np.random.default_rng(options.seed), []
    for chosen in (scenes[::2], scenes[1::2]):
        rows = [cache.read(i, int(rng.integers(cache.lengths[i] - frames + 1)), frames) for i in chosen]
        half.append(Drives({key: torch.stack([row[key] for row in rows]) for key in rows[0]}, options.context))
    return half[0], half[1]


def errors_of(pipeline: DreamPipeline, drives: Drives, regime: Regime, seed: int) -> Errors:
    """Dream the drives and hold each frame against the reference."""
    doubts: list[Array] = []

    def note(dreamed: Dreamed) -> None:
        if dreamed.after.doubt is None:
            raise InputError("with a single denoising step there is no second guess to compare", hint="choose 2 or more steps")
        doubts.append(dreamed.after.doubt.numpy())

    shown = dream_drives(pipeline, drives, regime, seed, note)
    late = slice(drives.context, None)
    exact = through_autoencoder(pipeline, drives.images[:, late])
    return Errors(np.stack(doubts, 1), squared_error(shown[:, late], exact, pipeline.transformer.size.downsampling))


def squared_error(shown: Images, exact: Images, cell_px: int) -> NDArray[np.float32]:
    """Mean squared difference per latent cell [..., h, w] of pictures uint8 [..., H, W, 3]."""
    apart = np.square(shown.astype(np.float32) - exact).mean(-1)
    *lead, height, width = apart.shape
    return np.asarray(apart.reshape(*lead, height // cell_px, cell_px, width // cell_px, cell_px).mean((-3, -1)), np.float32)


def calibrate(
    pipeline: DreamPipeline, cache: FrameCache, options: CalibrationOptions, progress: Progress | None = None
) -> Calibration:
    """Curves through one half of the cache's scenes, tried on the other half."""
    learned, others = halves(cache, options)
    curves = []
    for index, regime in enumerate(REGIMES):
        laid, tried = (errors_of(pipeline, half, regime, options.seed) for half in (learned, others))
        curves.append(_curve(regime, pipeline.transformer.size.dream_steps, laid, tried))
        if progress:
            progress(index + 1, len(REGIMES), regime.name)
    world = pipeline.identity()
    settings = {"scenes": len(learned.images) + len(others.images), "seconds": options.seconds, "context": options.context}
    return Calibration(world, tuple(curves), provenance(options.seed, settings, world=world))


def calibrate_folder(
    folder: Path, pipeline: DreamPipeline, cache: FrameCache, options: CalibrationOptions, progress: Progress | None = None
) -> Calibration:
    """Calibrate the world model in ``folder`` and leave the curves beside its weights, where `DreamWorld.load` finds them."""
    made = calibrate(pipeline, cache, options, progress)
    save_record(folder / FILE, made)
    return made


def _curve(regime: Regime, steps: int, laid: Errors, tried: Errors) -> Curve:
    def of_cameras(squared: Array) -> Array:
        return np.asarray(np.sqrt(squared.mean((-1, -2)))).ravel()

    camera = monotone(of_cameras(laid.doubt), of_cameras(laid.error))
    cell = monotone(np.sqrt(laid.doubt).ravel(), np.sqrt(laid.error).ravel())
    expected, true = np.interp(of_cameras(tried.doubt), *camera), of_cameras(tried.error)
    rank = float(spearmanr(of_cameras(tried.doubt), true).statistic)
    off_by = float(np.median(np.abs(expected - true) / np.maximum(true, 1.0)))
    return Curve(steps, tuple(sorted(regime.drop)), *camera, *cell, round(rank, 3), round(off_by, 3))


def monotone(doubt: Array, error: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots (doubts, errors) of a line from (0, 0): mean errors of equally full bins, made monotone by isotonic regression."""
    order = np.argsort(doubt)
    bins = [part for part in np.array_split(order, KNOTS) if len(part)]
    x = [float(doubt[part].mean()) for part in bins]
    y = isotonic_regression([float(error[part].mean()) for part in bins], weights=[len(part) for part in bins]).x
    return (0.0, *(round(v, 4) for v in x)), (0.0, *(round(float(v), 3) for v in y))


def auroc(score: Array, bad: Array) -> float | None:
    """Probability that a bad case has the higher score than a good one; None where all are bad or none."""
    bads, count = int(bad.sum()), bad.size
    if not 0 < bads < count:
        return None
    return float((rankdata(score.ravel())[bad.ravel()].sum() - bads * (bads + 1) / 2) / (bads * (count - bads)))


def risk_at(score: Array, error: Array, coverage: Array) -> Array:
    """Mean error of the surest share of cases (lowest score) for each ``coverage`` in (0, 1]."""
    mean = np.cumsum(error[np.argsort(score, kind="stable")]) / np.arange(1, error.size + 1)
    return np.asarray(mean[np.maximum(np.ceil(np.asarray(coverage) * error.size).astype(int), 1) - 1])


def risk_removed(score: Array, error: Array) -> float:
    """How much of the risk that an omniscient choice of what to trust removes is removed by this score: 1 all, 0 as by chance."""
    coverage = np.arange(1, 101) / 100
    ours, best = (float(risk_at(by, error, coverage).mean()) for by in (score, error))
    return (float(error.mean()) - ours) / max(float(error.mean()) - best, 1e-9)
