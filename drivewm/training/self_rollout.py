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

from drivewm.data.marks import write_trained_on
from drivewm.errors import InputError
from drivewm.training.cache import FrameCache
from drivewm.training.loop import FitOptions, LossFn, OnLog, fit, pieces_of_step
from drivewm.training.shards import Tensors
from drivewm.training.worldmodel import CLIPS, EmbedAndDenoise, denoising_loss, draw_drops
from drivewm.worldmodel.backends import backend_named, set_backend
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.flow import FlowOptions
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.transformer import DriveTransformer


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    context: int = 2  # recorded frames at the start of a clip
    dreamed: tuple[int, ...] = (0, 4, 12, 20)  # frames that the model dreams next, of one step after the other; 0: as in training
    learned: int = 3  # recorded frames after those
    steps: int = 2  # denoising steps of a dreamed frame where the clip is told what is where; without, always one, see below
    guidance: float = 1.5  # of agents, that the weights learn to do without being guided

    def dreamed_at(self, step: int) -> int:
        return self.dreamed[step % len(self.dreamed)]

    def frames_at(self, step: int, window: int) -> int:
        """Length of a step's clips; those of which a part is dreamed are longer than the window, and so are known."""
        dreamed = self.dreamed_at(step)
        return self.context + dreamed + self.learned if dreamed else window


@torch.no_grad()
def with_own_past(
    network: DriveTransformer, batch: Tensors, drop: Tensors, rollout: RolloutOptions, generator: torch.Generator
) -> torch.Tensor:
    """Latents [B, T, V, C, h, w] of a batch; between its first ``context`` and last ``learned`` frames the network's own.

    Clips that are told nothing of where things are dream in one step: what comes out is near the mean of all courses, and so the
    recorded frames follow from it. In more steps each takes a course of its own, and learning the recorded one after
    it taught to leave the course (speed error in free dreams 2.9 to 4.4 m/s).
    """
    shown, training = batch["latent"].float().clone(), network.training
    count = len(shown)
    groups = [drop.get(group, torch.zeros(count, dtype=torch.bool, device=shown.device)) for group in sorted(FREE_REGIME)]
    free = torch.stack(groups).all(0)
    for rows, steps in ((~free, rollout.steps), (free, 1)):
        if rows.any():
            session = Session(network, steps, {group: gone[rows] for group, gone in drop.items()})
            shown[rows] = _dreamed(session, {key: value[rows] for key, value in batch.items()}, rollout, generator)
    network.train(training)
    return shown


def _dreamed(session: Session, batch: Tensors, rollout: RolloutOptions, generator: torch.Generator) -> torch.Tensor:
    recorded = batch["latent"].float()
    memory, shown = session.start(), []
    for t in range(recorded.shape[1] - rollout.learned):
        now, latent = {key: value[:, t : t + 1] for key, value in batch.items()}, recorded[:, t : t + 1]
        if t < rollout.context:
            memory = session.observe(memory, now, latent)
        else:
            noise = torch.randn(latent.shape, generator=generator, device=latent.device)
            latent, memory = session.dream(memory, now, noise)
        shown.append(latent.float())
    return torch.cat([*shown, recorded[:, -rollout.learned :]], 1)


def rollout_loss(rollout: RolloutOptions) -> LossFn:
    """The flow loss; where clips are longer than the window, of the frames after the model's own past (then also "own_past")."""

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        latent = batch["latent"].float()
        inner: Any = getattr(model, "module", model)  # within the wrapper of data-parallel training
        window = inner.network.size.window
        drop = draw_drops(CLIPS, batch, generator)
        if latent.shape[1] <= window:
            return denoising_loss(model, batch, drop, latent, FlowOptions(guidance=rollout.guidance), generator)
        latent = with_own_past(inner.network, batch, drop, rollout, generator)[:, -window:]
        batch = {key: value[:, -window:] for key, value in batch.items()}
        after_own = FlowOptions(
            clean_share=0.0,
            context_noise=0.0,
            past_frames=window - rollout.learned,
            one_step_share=0.5,
            guidance=rollout.guidance,
        )
        losses = denoising_loss(model, batch, drop, latent, after_own, generator)
        return losses | {"own_past": losses["loss"].detach()}

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

    Raises InputError where so few frames are dreamed that the window would hold no more, and where the cache holds no latents
    of the world model's autoencoder.
    """
    network, clips = copy.deepcopy(pipeline.transformer), FrameCache(cache, options.seed)
    size = network.size
    short = size.window - rollout.context - rollout.learned
    if any(0 < dreamed <= short for dreamed in rollout.dreamed):
        reason = f"dreaming {min(filter(None, rollout.dreamed))} frames does not fill the {size.window} frames of a clip"
        raise InputError(reason, hint=f"0 (recorded frames only), or at least {short + 1}")
    clips.check_latents(pipeline.codec)
    set_backend(network, backend_named(head_width=size.width // size.heads, training=True))
    pieces = pieces_of_step(options, out / "checkpoint.safetensors")

    def batch_at(index: int) -> Tensors:
        step = index // pieces  # all pieces of a step are alike, so that no process waits for another
        keys = tuple(key for key in clips.keys if key != "images" or rollout.dreamed_at(step) == 0)
        return clips.batch(index, options.batch, rollout.frames_at(step, size.window), keys)

    trained: Any = fit(EmbedAndDenoise(network), rollout_loss(rollout), batch_at, out, options, on_log)
    tuned = pipeline.with_transformer(trained.network.cpu())
    tuned.save(out / "world")
    write_trained_on(out / "world", clips.trained_on())
    return tuned
