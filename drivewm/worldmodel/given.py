"""Views that are known before a frame is dreamed: the pictures someone gave, and the black of a camera that is lost."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Given:
    """Latents of views that need no dreaming; the other views are dreamed to fit beside them.

    Noise and clean latents of a flow lie on a straight line. Where the prediction of a known view is put right at every denoising
    step, that view is at each of them its own latent at the noise level of its neighbours, and at the last one it is itself. This
    is the replacement of Lugmayr et al. 2022 (RePaint), without its going back and forth.
    """

    latent: torch.Tensor  # [B, 1, V, C, h, w], standardised
    known_BV: torch.Tensor  # bool

    def over(self, predicted: torch.Tensor) -> torch.Tensor:
        """A prediction of clean latents with the known views put right."""
        return torch.where(self.known_BV[:, None, :, None, None, None], self.latent.to(predicted.dtype), predicted)
