"""Train the world model on encoded clips with shortcut forcing and dropped conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drivewm.data.marks import write_trained_on
from drivewm.errors import InputError
from drivewm.training.autoencoder import pixel_weight
from drivewm.training.cache import UNTOLD, FrameCache
from drivewm.training.loading import NamedBatches
from drivewm.training.loop import FitOptions, OnLog, fit
from drivewm.training.processes import first_process, processes
from drivewm.training.shards import Tensors
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.backends import backend_named, set_backend
from drivewm.worldmodel.flow import FlowOptions, Push, flow_loss
from drivewm.worldmodel.guidance import RegionGuidance
from drivewm.worldmodel.parallel import cameras_shared
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.reprojection import CANVAS_PX, Canvas
from drivewm.worldmodel.sizes import WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer

CANVAS_WEIGHT = 0.5  # of the error of unfolded pictures, beside the error of latents


@dataclass(frozen=True, slots=True)
class DropShares:
    """How often each condition is left out. The layout raster makes the others redundant, so it goes often."""

    layout: float = 0.15
    boxes: float = 0.3
    polylines: float = 0.3
    motion: float = 0.1
    weather: float = 0.1
    light: float = 0.1
    text: float = 0.5
    free: float = 0.35  # lose layout, boxes and polylines together: only past, motion and sky remain


CLIPS, SINGLE_FRAMES = DropShares(), DropShares(layout=0.25, free=0.05)  # without a past and a layout there is little to learn


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


def denoising_loss(
    model: torch.nn.Module, batch: Tensors, drop: Tensors, clean: torch.Tensor, flow: FlowOptions, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """The flow loss of an `EmbedAndDenoise` on latents [B, T, V, C, h, w] under a batch's conditions, and its canvas' error."""
    cell_px = batch["label"].shape[-1] // clean.shape[-1]
    weight = torch.nn.functional.avg_pool2d(pixel_weight(batch["label"].flatten(0, 2))[:, None], cell_px)
    weight = weight.view(*clean.shape[:3], 1, *clean.shape[-2:])
    weight = weight / weight.mean()
    canvas = torch.zeros(())

    def predict(noisy: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, rows: slice) -> torch.Tensor:
        nonlocal canvas
        told = {key: value[rows] for key, value in batch.items()}
        predicted, canvas = model(noisy, tau, step, told, {group: value[rows] for group, value in drop.items()})
        return predicted

    push = _guiding(model, batch, drop, flow.guidance) if flow.guidance != 1.0 else None
    losses = flow_loss(predict, clean, weight, flow, generator, push)  # its last prediction is that of the whole batch
    return losses | {"loss": losses["loss"] + CANVAS_WEIGHT * canvas, "canvas": canvas.detach()}


def _guiding(model: torch.nn.Module, batch: Tensors, drop: Tensors, scale: float) -> Push:
    """What moves targets so that weights which fit them predict as if guided by ``scale`` where agents are.

    The fixed point of ``clean + c * (told - untold)`` is ``untold + (clean - untold) / (1 - c)``. After Tang et al. 2025
    (model guidance).
    """
    guidance = RegionGuidance(scale)
    within = guidance.cells(batch, batch["label"].shape[-1] // batch["latent"].shape[-1])
    rows = ~torch.stack([drop[group] for group in sorted(guidance.drop)]).all(0)  # the others are not told anything as it is
    conditions = {key: value[rows] for key, value in batch.items() if key != "images"}
    untold_drop = {group: torch.ones_like(gone[rows]) if group in guidance.drop else gone[rows] for group, gone in drop.items()}
    alone: Any = getattr(model, "module", model)  # within data-parallel training not all processes may have such rows

    @torch.no_grad()
    def push(noisy: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        shift = torch.zeros_like(told)
        if rows.any():
            untold, _ = alone(noisy[rows], tau[rows], step[rows], conditions, untold_drop)
            shift[rows] = (1.0 - 1.0 / scale) * (told[rows] - untold.float()) * within[rows]
        return shift

    return push


def worldmodel_loss(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Shortcut forcing on latents, agents' cells weighted up, conditions dropped by chance."""
    clean = batch["latent"].float()
    drop = draw_drops(CLIPS if clean.shape[1] > 1 else SINGLE_FRAMES, batch, generator)
    return denoising_loss(model, batch, drop, clean, FlowOptions(), generator)


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

    def shape_at(step: int) -> tuple[int, int]:
        """Clips and single frames in turn: as many frames, but of many more places, skies and lights."""
        single = step % 2 == 1
        return options.batch * (size.window if single else 1), 1 if single else size.window

    def batch_at(step: int) -> Tensors:
        keys = clips.keys if step % 2 == 1 else tuple(key for key in clips.keys if key != "images")
        return clips.batch(step, *shape_at(step), keys)

    torch.manual_seed(options.seed)
    network = DriveTransformer.of_size(size)
    set_backend(network, backend_named(head_width=size.width // size.heads, training=True))
    model, batches = EmbedAndDenoise(network), NamedBatches(batch_at, lambda step: clips.names(step, *shape_at(step)))
    processes()  # the launcher's environment becomes a group before teams are made of it
    with cameras_shared(model, options.context):
        trained: Any = fit(model, worldmodel_loss, batches, out, options, on_log)
    pipeline = DreamPipeline.of_parts(trained.network.cpu(), codec)
    with first_process() as first:
        if first:
            pipeline.save(out / "world")
            write_trained_on(out / "world", clips.trained_on())
    return pipeline


class EmbedAndDenoise(torch.nn.Module):
    """Conditions, denoiser and canvas in one forward pass, so that data-parallel wrappers see a single call."""

    def __init__(self, network: DriveTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, noisy: torch.Tensor, tau: torch.Tensor, step: torch.Tensor, told: Tensors, drop: Tensors
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clean latents, and how far the unfolded pictures are from the true ones, 0 where the batch brings no images."""
        predicted: torch.Tensor = self.network(noisy, tau, step, self.network.embed(told, drop))
        error = canvas_error(self.network.canvas, told) if "images" in told else predicted.new_zeros(())
        return predicted, error


def canvas_error(canvas: Canvas, told: Tensors) -> torch.Tensor:
    """Mean absolute error of colours (-1..1) and log-depths (0..1) of unfolded latents; depth only where its source tells it."""
    picture = canvas.picture(told["latent"].float()).float()
    images = told["images"].flatten(0, 2).movedim(-1, 1).float() / 127.5 - 1.0
    colour = torch.nn.functional.avg_pool2d(images, CANVAS_PX).view_as(picture[:, :, :, :3])
    half = CANVAS_PX // 2
    depth = told["log_depth"][..., half::CANVAS_PX, half::CANVAS_PX].float() / 255.0
    known = ~told[UNTOLD + "layout"][..., None, None, None]
    wrong = (picture[:, :, :, 3] - depth).abs() * known
    return (picture[:, :, :, :3] - colour).abs().mean() + wrong.mean()
