"""Views that are known before a frame is dreamed: the pictures someone gave, and the black of a camera that is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Predictor = Callable[[torch.Tensor, float, float], torch.Tensor]  # noisy latents, flow time, step size -> clean latents


@dataclass(frozen=True, slots=True)
class Given:
    """Latents of views that need no dreaming; the other views are dreamed to fit beside them.

    Noise and clean latents of a flow lie on a straight line. Where the prediction of a known view is put right at every denoising
    step, that view is at each of them its own latent at the noise level of its neighbours, and at the last one it is itself. This
    is the replacement of Lugmayr et al. 2022 (RePaint), without its going back and forth.
    """

    latent: torch.Tensor  # [B, 1, V, C, h, w], standardised
    known_BV: torch.Tensor  # bool

    def held(self, predict: Predictor) -> Predictor:
        """The same prediction of clean latents with the known views put right."""
        known = self.known_BV[:, None, :, None, None, None]

        def put_right(x: torch.Tensor, tau: float, step: float) -> torch.Tensor:
            predicted = predict(x, tau, step)
            return torch.where(known, self.latent.to(predicted.dtype), predicted)

        return put_right
