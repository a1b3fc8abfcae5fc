"""Train the frame autoencoder on packed frames: absolute error in colour and in edges, agents' pixels weighted up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from drivewm.datatypes import SemanticClass
from drivewm.training.cache import FrameCache
from drivewm.training.loop import FitOptions, OnLog, fit
from drivewm.training.processes import first_process
from drivewm.training.shards import Tensors
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.sizes import WorldModelSize

AGENT_WEIGHT, MARKING_WEIGHT, EDGE_WEIGHT = 4.0, 2.0, 1.0
LATENT_NOISE = 0.5  # in deviations of a latent; dreams of tiny are off by 0.3 to 0.5


def pixel_weight(label: torch.Tensor) -> torch.Tensor:
    """How much each pixel matters [..., H, W] for labels uint8 [..., H, W]: agents and lamps most, then paint on the road."""
    table = torch.ones(len(SemanticClass), device=label.device)
    for kind in (
        SemanticClass.TWO_WHEELER,
        SemanticClass.PEDESTRIAN,
        SemanticClass.SIGNAL_RED,
        SemanticClass.SIGNAL_YELLOW,
        SemanticClass.SIGNAL_GREEN,
    ):
        table[kind] = 2 * AGENT_WEIGHT
    for kind in (SemanticClass.VEHICLE, SemanticClass.OBSTACLE):
        table[kind] = AGENT_WEIGHT
    for kind in (SemanticClass.MARKING, SemanticClass.CROSSWALK):
        table[kind] = MARKING_WEIGHT
    return table[label.int()]


def reconstruction_loss(pixels: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted L1 of pixels and of their differences to the right and downward neighbours.

    Images are [N, 3, H, W], the weight is [N, H, W].
    """
    error = pixels.float() - target
    w = weight[:, None]
    loss = (error.abs() * w).mean()
    across, down = error.diff(dim=-1).abs() * w[..., 1:], error.diff(dim=-2).abs() * w[..., 1:, :]
    return loss + EDGE_WEIGHT * (across.mean() + down.mean()) / 2.0


class _PixelRoundTrip(torch.nn.Module):
    """Encode and decode in one forward pass, so that data-parallel wrappers see a single call."""

    def __init__(self, codec: FrameCodec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.codec.decode_pixels(self.codec.encode_pixels(pixels))


def train_autoencoder(
    cache: Path, out: Path, fresh: WorldModelSize | FrameCodec, options: FitOptions, on_log: OnLog | None = None
) -> FrameCodec:
    """Train a new one of a size, or a given one further; measure the latents' mean and deviation, save to ``out/autoencoder``.

    Resumes from ``out``.
    """
    frames = FrameCache(cache, options.seed)

    def batch_at(step: int) -> Tensors:
        return frames.batch(step, options.batch, 1, ("images", "label"))

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        target = batch["images"].flatten(0, 2).movedim(-1, 1).float() / 127.5 - 1.0
        flip = torch.rand((), generator=generator, device=target.device) < 0.5
        weight = pixel_weight(batch["label"].flatten(0, 2))
        if flip:
            target, weight = target.flip(-1), weight.flip(-1)
        pixels = model(target)
        with torch.no_grad():
            psnr = -10.0 * torch.log10(((pixels.float() - target) ** 2).mean() / 4.0)
        return {"loss": reconstruction_loss(pixels, target, weight), "psnr_db": psnr}

    torch.manual_seed(options.seed)
    codec = fresh if isinstance(fresh, FrameCodec) else FrameCodec.of_size(fresh)
    trained: Any = fit(_PixelRoundTrip(codec), loss_fn, batch_at, out, options, on_log)
    codec = trained.codec.cpu()
    measure_latents(codec, frames)
    with first_process() as first:
        if first:
            codec.save(out / "autoencoder")
    return codec


class _Decoder(torch.nn.Module):
    """The decoder alone, on standardised latents [N, C, h, w]."""

    mean_C: torch.Tensor
    std_C: torch.Tensor

    def __init__(self, codec: FrameCodec) -> None:
        super().__init__()
        self.decoder = codec.autoencoder.decoder
        self.register_buffer("mean_C", codec.mean_C.clone(), persistent=False)
        self.register_buffer("std_C", codec.std_C.clone(), persistent=False)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = self.decoder(latent * self.std_C[:, None, None] + self.mean_C[:, None, None])
        return pixels


def train_decoder(cache: Path, codec: FrameCodec, out: Path, options: FitOptions, on_log: OnLog | None = None) -> FrameCodec:
    """Train the decoder on from where it is, on latents with noise up to `LATENT_NOISE`, and save to ``out/autoencoder``.

    A dream's latents are never exact; a decoder that has only seen exact ones turns every error into grain. The encoder stays as
    it is, so latents made with it stay valid. Resumes from ``out``. Raises InputError when the cache holds other latents.
    """
    frames = FrameCache(cache, options.seed)
    frames.check_latents(codec)

    def batch_at(step: int) -> Tensors:
        return frames.batch(step, options.batch, 1, ("images", "label", "latent"))

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        target = batch["images"].flatten(0, 2).movedim(-1, 1).float() / 127.5 - 1.0
        clean = batch["latent"].flatten(0, 2).float()
        noise = torch.randn(clean.shape, generator=generator, device=clean.device)
        share = torch.rand(len(clean), 1, 1, 1, generator=generator, device=clean.device)
        pixels = model(clean + LATENT_NOISE * share * noise)
        return {"loss": reconstruction_loss(pixels, target, pixel_weight(batch["label"].flatten(0, 2)))}

    fit(_Decoder(codec), loss_fn, batch_at, out, options, on_log)
    codec = codec.cpu()
    with first_process() as first:
        if first:
            codec.save(out / "autoencoder")
    return codec


@torch.no_grad()
def measure_latents(codec: FrameCodec, frames: FrameCache, batches: int = 8) -> None:
    """Set the codec's latent mean and deviation per channel from random frames."""
    images = torch.cat([frames.batch(1_000_000 + i, 8, 1, ("images",))["images"].flatten(0, 2) for i in range(batches)])
    codec.mean_C.zero_()
    codec.std_C.fill_(1.0)
    latent = torch.cat([codec.encode(part) for part in images.split(64)])
    codec.mean_C.copy_(latent.mean((0, 2, 3)))
    codec.std_C.copy_(latent.std((0, 2, 3)))
