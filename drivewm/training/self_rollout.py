"""Fine-tune a world model on its own past: what it has dreamed, with its errors, is the context of what it learns next.

In training a network looks back at recorded frames, in a dream at its own, so small errors add up that it never saw (exposure
bias). Here it dreams the middle of a clip without gradient, through the session's cache and in few steps, and learns the frames
after that from data. After Huang et al. 2025 (self forcing), with the flow loss in place of a distillation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drivewm.errors import InputError
from drivewm.training.cache import FrameCache
from drivewm.training.loop import FitOptions, LossFn, OnLog, fit
from drivewm.training.shards import Tensors
from drivewm.training.worldmodel import CLIPS, EmbedAndDenoise, denoising_loss, draw_drops
from drivewm.worldmodel.backends import backend_named, set_backend
from drivewm.worldmodel.flow import FlowOptions
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.transformer import DriveTransformer


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    context: int = 2  # recorded frames at the start of a clip
    dreamed: int = 4  # frames that the model then dreams itself; what is left of the clip is learned
    steps: int = 1  # denoising steps of a dreamed frame
    share: float = 0.5  # of the batches; the others look back at recorded frames, as before


@torch.no_grad()
def with_own_past(
    network: DriveTransformer, batch: Tensors, drop: Tensors, rollout: RolloutOptions, generator: torch.Generator
) -> torch.Tensor:
    """Latents [B, T, V, C, h, w] of a batch whose frames ``context`` to ``context + dreamed`` are the network's own."""
    recorded, training = batch["latent"].float(), network.training
    session = Session(network, rollout.steps, drop)
    memory, shown = session.start(), []
    for t in range(rollout.context + rollout.dreamed):
        now, latent = {key: value[:, t : t + 1] for key, value in batch.items()}, recorded[:, t : t + 1]
        if t < rollout.context:
            memory = session.observe(memory, now, latent)
        else:
            noise = torch.randn(latent.shape, generator=generator, device=latent.device)
            latent, memory = session.dream(memory, now, noise)
        shown.append(latent)
    network.train(training)
    return torch.cat([*shown, recorded[:, rollout.context + rollout.dreamed :]], 1)


def rollout_loss(rollout: RolloutOptions) -> LossFn:
    """The flow loss, in ``share`` of the batches of the frames after the model's own past (then also logged as "own_past")."""
    after_own = FlowOptions(clean_share=0.0, context_noise=0.0, past_frames=rollout.context + rollout.dreamed)

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        latent, drop = batch["latent"].float(), draw_drops(CLIPS, batch, generator)
        own = bool(torch.rand((), generator=generator, device=latent.device) < rollout.share)
        if own:
            inner: Any = getattr(model, "module", model)  # within the wrapper of data-parallel training
            latent = with_own_past(inner.network, batch, drop, rollout, generator)
        losses = denoising_loss(model, batch, drop, latent, after_own if own else FlowOptions(), generator)
        return losses | ({"own_past": losses["loss"].detach()} if own else {})

    return loss_fn


def train_self_rollout(
    pipeline: DreamPipeline,
    cache: Path,
    out: Path,
    options: FitOptions,
    rollout: RolloutOptions,
    on_log: OnLog | None = None,
) -> DreamPipeline:
    """Train a copy of the world model on its own past and save it to ``out/world``. Resumes from ``out``.

    Raises InputError where the clip has no frame left to learn, and where the cache holds no latents of its autoencoder.
    """
    network, clips = copy.deepcopy(pipeline.transformer), FrameCache(cache, options.seed)
    size, past = network.size, rollout.context + rollout.dreamed
    if rollout.context < 1 or rollout.dreamed < 1 or past >= size.window:
        reason = f"{rollout.context} recorded and {rollout.dreamed} dreamed frames do not leave one of {size.window} to learn"
        raise InputError(reason, hint="at least one each, together fewer than the clip")
    clips.check_latents(pipeline.codec)
    set_backend(network, backend_named(head_width=size.width // size.heads, training=True))
    keys = tuple(key for key in clips.keys if key != "images")

    def batch_at(step: int) -> Tensors:
        return clips.batch(step, options.batch, size.window, keys)

    trained: Any = fit(EmbedAndDenoise(network), rollout_loss(rollout), batch_at, out, options, on_log)
    tuned = pipeline.with_transformer(trained.network.cpu())
    tuned.save(out / "world")
    return tuned
