"""Shortcut forcing: the training objective and the few-step sampler.

Flow: ``x_tau = (1 - tau) * noise + tau * clean``; the network predicts ``clean`` and is told how large a step it will take.
At the smallest step it learns from data; at larger ones two half steps of its own are the target, so that one set of weights
samples in K = 1, 2, 4 ... steps. Every frame has its own tau (diffusion forcing). After Frans et al. 2024 (shortcut models),
Chen et al. 2024 (diffusion forcing) and Hafner et al. 2025 (Dreamer 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Predict = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor, slice], torch.Tensor
]  # noisy, tau, step, rows of the batch -> clean

Push = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # noisy, tau, step, predicted -> shift

SMALLEST_STEP = 1.0 / 16.0


@dataclass(frozen=True, slots=True)
class FlowOptions:
    bootstrap_share: float = 0.125  # of the rows; the others learn from data
    clean_share: float = 0.4  # of the frames are context, told clean
    past_frames: int = 0  # of a clip, its first ones, are context in any case
    one_step_share: float = 0.0  # of the rows learn from data what a single step from noise should give
    context_noise: float = 0.4  # largest deviation added to context frames that are still told clean
    guidance: float = 1.0  # of agents, for which `denoising_loss` makes the push, so that dreaming takes no second prediction


def noised(clean: torch.Tensor, noise: torch.Tensor, tau_BT: torch.Tensor) -> torch.Tensor:
    tau = tau_BT.view(*tau_BT.shape, *[1] * (clean.ndim - 2)).to(clean.dtype)
    return (1.0 - tau) * noise + tau * clean


def flow_loss(
    predict: Predict,
    clean: torch.Tensor,
    weight: torch.Tensor,
    options: FlowOptions,
    generator: torch.Generator,
    push: Push | None = None,
) -> dict[str, torch.Tensor]:
    """Losses for latents [B, T, V, C, h, w]; ``weight`` [B, T, V, 1, h, w] tells which cells matter more.

    ``push`` is added to what rows learn from data; the others' targets are predictions, which have learned it already.
    """
    batch, frames = clean.shape[:2]
    device = clean.device

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, device=device)

    told_clean = uniform(batch, frames) < options.clean_share
    told_clean[:, : options.past_frames] = True
    told_clean[:, -1] = False  # nothing would look back at it
    own = int(batch * options.bootstrap_share + float(uniform(1)))  # last rows; a small batch has one now and then
    level = torch.randint(1, 5, (own,), generator=generator, device=device)
    step = torch.full((batch,), SMALLEST_STEP, device=device)
    step[batch - own :] = SMALLEST_STEP * 2.0**level
    tau = torch.floor(uniform(batch, frames) ** 2 / step[:, None]) * step[:, None]  # often near pure noise: most is decided there
    if options.one_step_share:
        one_step = uniform(batch) < options.one_step_share
        one_step[batch - own :] = False
        step, tau = torch.where(one_step, 1.0, step), torch.where(one_step[:, None], 0.0, tau)
    tau = torch.where(told_clean, torch.ones_like(tau), tau)
    noise = torch.randn(clean.shape, generator=generator, device=device)
    noisy = noised(clean, noise, tau)
    dirt = options.context_noise * uniform(batch, frames) * told_clean
    noisy = noisy + dirt.view(batch, frames, 1, 1, 1, 1) * noise
    target = clean
    if own:
        rows = slice(batch - own, batch)
        with torch.no_grad():
            bootstrapped = _two_half_steps(predict, noisy[rows], tau[rows], step[rows], rows)
        target = torch.cat([clean[: batch - own], bootstrapped.to(clean.dtype)])
    predicted = predict(noisy, tau, step, slice(0, batch)).float()
    if push is not None:
        by_data = (torch.arange(batch, device=device) < batch - own).view(batch, 1, 1, 1, 1, 1)
        target = target + by_data * push(noisy, tau, step, predicted.detach())
    error = ((predicted - target) ** 2 * weight).mean((2, 3, 4, 5)) * ~told_clean
    count = (~told_clean).float().sum(1).clamp(min=1.0)
    per_row = error.sum(1) / count
    losses = {"loss": per_row.mean()}
    if own < batch:
        losses["flow"] = per_row[: batch - own].mean().detach()
    if own:
        losses["shortcut"] = per_row[batch - own :].mean().detach()
    return losses


def _two_half_steps(predict: Predict, noisy: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, rows: slice) -> torch.Tensor:
    """The clean latents that one full step should aim at, so that it lands where two half steps land."""
    half = step / 2.0
    wide = (slice(None), slice(None), None, None, None, None)
    left = (1.0 - tau).clamp(min=SMALLEST_STEP / 2)[wide]
    first = (predict(noisy, tau, half, rows).float() - noisy) / left
    middle = noisy + first * half.view(-1, 1, 1, 1, 1, 1)
    tau_middle = (tau + half[:, None]).clamp(max=1.0)
    left_middle = (1.0 - tau_middle).clamp(min=SMALLEST_STEP / 2)[wide]
    second = (predict(middle, tau_middle, half, rows).float() - middle) / left_middle
    return noisy + left * (first + second) / 2.0


@torch.no_grad()
def sample(predict: Callable[[torch.Tensor, float, float], torch.Tensor], noise: torch.Tensor, steps: int) -> torch.Tensor:
    """Clean latents from ``noise`` in ``steps`` equal Euler steps; ``predict(x, tau, step)`` gives clean latents."""
    x, step = noise, 1.0 / steps
    for index in range(steps):
        tau = index * step
        clean = predict(x, tau, step).float()
        x = x + step * (clean - x) / (1.0 - tau)
    return x
