"""What the autoencoder costs: milliseconds to encode and to decode the pictures of all cameras, and how many values are left."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from drivewm.evaluation.bench.arithmetic import flops_of
from drivewm.evaluation.bench.clock import Effort, timed
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.precision import inference_autocast


@dataclass(frozen=True, slots=True)
class CodecRow:
    batch: int  # frames of all cameras at once
    encode_ms: float  # per frame, as below
    decode_ms: float
    encode_flop: float
    decode_flop: float
    flop_per_s: float  # of both together
    values_ratio: float  # values of a picture per value of its latent


@torch.no_grad()
def codec_row(codec: FrameCodec, shape_VHW: tuple[int, int, int], batch: int, effort: Effort) -> CodecRow:
    """Pictures are noise: a convolution takes as long for any picture."""
    device = codec.mean_C.device
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, *shape_VHW, 3), dtype=torch.uint8, generator=generator).to(device)
    with inference_autocast(device):
        latent = codec.encode(images)
        encode_s = timed(lambda _: codec.encode(images), device, effort).p50_s / batch
        decode_s = timed(lambda _: codec.decode(latent).cpu(), device, effort).p50_s / batch
        encode_flop, decode_flop = flops_of(lambda: codec.encode(images)) / batch, flops_of(lambda: codec.decode(latent)) / batch
    rate = (encode_flop + decode_flop) / (encode_s + decode_s)
    return CodecRow(batch, encode_s * 1e3, decode_s * 1e3, encode_flop, decode_flop, rate, images.numel() / latent.numel())
