"""How unsure a dream is: how far the network changed its mind between its first guess of a frame and its last.

Each denoising step guesses the clean frame. Where the first guess, made of noise and what is known, is the last one too, the
frame was decided by what is known; where they differ, by chance. The guesses are made anyway, so this costs next to nothing.
A frame that is dreamed on top of dreamed ones inherits part of their doubt; a given one has none, a lost camera all there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from drivewm.datatypes import Array, Provenance
from drivewm.store import load_record

# Share of the squared doubt that the next frame inherits. Of 0, 0.5, 0.7, 0.8 and 0.95 it ranks errors of told and of free
# dreams best together (eval/benchmarks/uncertainty.py).
CARRIED = 0.7
FILE = "uncertainty.json"  # beside the weights


class Guesses:
    """Passes a sampler's predictions on and keeps the first one."""

    def __init__(self, predict: Callable[[torch.Tensor, float, float], torch.Tensor]) -> None:
        self.predict, self.first = predict, torch.empty(0)

    def __call__(self, x: torch.Tensor, tau: float, step: float) -> torch.Tensor:
        guess = self.predict(x, tau, step)
        if tau == 0.0:
            self.first = guess
        return guess


def doubt_of(
    first: torch.Tensor,
    last: torch.Tensor,
    before: torch.Tensor | None,
    lost_BV: torch.Tensor,
    given_BV: torch.Tensor | None = None,
) -> torch.Tensor:
    """Squared doubt [B, V, h, w] of a dreamed frame: how far guesses [B, 1, V, C, h, w] are apart, mean over channels, and what
    is inherited of the doubt ``before``; none in views that are given."""
    doubt = (last.float() - first.float()).square().mean(3)[:, 0]
    if before is not None:
        doubt = doubt + CARRIED * before
    if given_BV is not None:
        doubt = torch.where(given_BV[..., None, None], torch.zeros_like(doubt), doubt)
    return _but_lost(doubt, lost_BV)


def doubt_of_given(latent: torch.Tensor, lost_BV: torch.Tensor) -> torch.Tensor:
    """Squared doubt [B, V, h, w] of a given frame (latents [B, 1, V, C, h, w]): none at all."""
    return _but_lost(torch.zeros_like(latent[:, 0, :, 0], dtype=torch.float32), lost_BV)


def _but_lost(doubt: torch.Tensor, lost_BV: torch.Tensor) -> torch.Tensor:
    """Of a lost camera nothing is known: its doubt is the variance of all latents, which is 1."""
    return torch.where(lost_BV[..., None, None], torch.ones_like(doubt), doubt)


@dataclass(frozen=True, slots=True)
class Curve:
    """What a doubt means, in one regime: the error to be expected, a monotone broken line through (0, 0).

    The error is the root mean square difference, in grey levels of 255, between a dreamed picture and the reference after the
    autoencoder; ``doubt`` and ``error`` are of whole cameras, ``cell_doubt`` and ``cell_error`` of single latent cells.
    """

    steps: int
    drop: tuple[str, ...]
    doubt: tuple[float, ...]
    error: tuple[float, ...]
    cell_doubt: tuple[float, ...]
    cell_error: tuple[float, ...]
    spearman: float  # between expected and true errors of cameras, on drives that the line was not laid through
    off_by: float  # median of |expected - true| / true, there

    def of_cameras(self, doubt_BVhw: Array) -> Array:
        """Expected error [B, V] for squared doubt [B, V, h, w]."""
        return np.asarray(np.interp(np.sqrt(doubt_BVhw.mean((-1, -2))), self.doubt, self.error))

    def of_cells(self, doubt_BVhw: Array) -> Array:
        """Expected error [B, V, h, w]."""
        return np.asarray(np.interp(np.sqrt(doubt_BVhw), self.cell_doubt, self.cell_error))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The curves of one world model, made by `drivewm calibrate`."""

    world: str  # of these weights and no others
    curves: tuple[Curve, ...]
    provenance: Provenance

    def curve(self, steps: int, drop: frozenset[str]) -> Curve | None:
        """The curve for this number of denoising steps with these conditions left out; None where none was laid."""
        return next((curve for curve in self.curves if curve.steps == steps and set(curve.drop) == drop - {"text"}), None)


def calibration_in(folder: Path, world: str) -> Calibration | None:
    """The calibration beside the weights in ``folder``; None when there is none or it is of other weights than ``world``."""
    file = folder / FILE
    found = load_record(Calibration, file) if file.is_file() else None
    return found if found is not None and found.world == world else None
