"""Train the world model on encoded clips with shortcut forcing and dropped conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drivewm.errors import InputError
from drivewm.training.autoencoder import pixel_weight
from drivewm.training.cache import UNTOLD, FrameCache
from drivewm.training.loading import NamedBatches
from drivewm.training.loop import FitOptions, LossFn, OnLog, fit
from drivewm.training.processes import first_process, processes
from drivewm.training.shards import Tensors
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.flow import FlowOptions, flow_loss
from drivewm.worldmodel.parallel import cameras_shared
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer


@dataclass(frozen=True, slots=True)
class DropShares:
    """How often each condition is left out of a training clip. The layout raster makes the others redundant, so it goes often."""

    layout: float = 0.25
    boxes: float = 0.3
    polylines: float = 0.3
    motion: float = 0.1
    weather: float = 0.1
    light: float = 0.1
    text: float = 0.5
    free: float = 0.2  # of the clips lose layout, boxes and polylines together: only past, motion and sky remain


def draw_drops(shares: DropShares, told: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Which condition each clip of a batch goes without: group -> bool [B]. What its source does not tell is always left out."""
    batch, device = len(told["time_s"]), told["time_s"].device

    def chance(share: float) -> torch.Tensor:
        return torch.rand(batch, generator=generator, device=device) < share

    drop = {
        group: chance(getattr(shares, group)) for group in ("layout", "boxes", "polylines", "motion", "weather", "light", "text")
    }
    free = chance(shares.free)
    return drop | {group: drop[group] | free | told[UNTOLD + group][:, 0] for group in ("layout", "boxes", "polylines")}


def worldmodel_loss(size: WorldModelSize) -> LossFn:
    """Shortcut forcing on latents, agents' cells weighted up, conditions dropped by chance."""
    flow, shares = FlowOptions(), DropShares()

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        clean = batch["latent"].float()
        drop = draw_drops(shares, batch, generator)
        weight = torch.nn.functional.avg_pool2d(pixel_weight(batch["label"].flatten(0, 2))[:, None], size.downsampling)
        weight = weight.view(*clean.shape[:3], 1, *clean.shape[-2:])
        weight = weight / weight.mean()

        def predict(noisy: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, rows: slice) -> torch.Tensor:
            told = {key: value[rows] for key, value in batch.items()}
            return model(noisy, tau, step, told, {group: value[rows] for group, value in drop.items()})

        return flow_loss(predict, clean, weight, flow, generator)

    return loss_fn


def train_worldmodel(
    cache: Path,
    codec: FrameCodec,
    out: Path,
    size: WorldModelSize,
    options: FitOptions,
    on_log: OnLog | None = None,
) -> DreamPipeline:
    """Train on latents of ``codec`` and save the whole world model to ``out/world``. Resumes from ``out``.

    Raises InputError where the autoencoder's latents are not those of the size.
    """
    latent, needed = (codec.form.latent_channels, codec.form.cell_px), (size.latent_channels, size.downsampling)
    if latent != needed:
        reason = "the autoencoder makes latents of {} channels for {} px, size {} takes {} channels for {} px"
        raise InputError(reason.format(*latent, size.name, *needed), hint="choose another --size or another autoencoder")
    clips = FrameCache(cache, options.seed)
    clips.check_latents(codec)
    keys = tuple(key for key in clips.keys if key != "images")

    def shape_at(step: int) -> tuple[int, int]:
        """Clips and single frames in turn: as many frames, but of many more places, skies and lights."""
        single = step % 2 == 1
        return options.batch * (size.window if single else 1), 1 if single else size.window

    batches = NamedBatches(lambda step: clips.batch(step, *shape_at(step), keys), lambda step: clips.names(step, *shape_at(step)))

    torch.manual_seed(options.seed)
    model = EmbedAndDenoise(DriveTransformer.of_size(size))
    processes()  # the launcher's environment becomes a group before teams are made of it
    with cameras_shared(model, options.context):
        trained: Any = fit(model, worldmodel_loss(size), batches, out, options, on_log)
    pipeline = DreamPipeline.of_parts(trained.network.cpu(), codec)
    with first_process() as first:
        if first:
            pipeline.save(out / "world")
    return pipeline


class EmbedAndDenoise(torch.nn.Module):
    """Conditions and denoiser in one forward pass, so that data-parallel wrappers see a single call."""

    def __init__(self, network: DriveTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, noisy: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, told: Tensors, drop: Tensors) -> torch.Tensor:
        predicted: torch.Tensor = self.network(noisy, tau, step, self.network.embed(told, drop))
        return predicted
