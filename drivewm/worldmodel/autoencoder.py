"""Frames to latents and back: diffusers' AutoencoderDC, one frame at a time, with fixed latent statistics.

Each frame stands alone (no temporal latency), so a closed loop can show a frame the moment it is dreamed.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import torch
from diffusers import AutoencoderDC

from drivewm.errors import InputError
from drivewm.store import atomic_write
from drivewm.worldmodel.sizes import WorldModelSize


class FrameCodec(torch.nn.Module):
    """An autoencoder and the mean and deviation of its latents, so that a world model sees unit variance."""

    mean_C: torch.Tensor
    std_C: torch.Tensor

    def __init__(self, autoencoder: AutoencoderDC) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        channels = autoencoder.config.latent_channels
        self.register_buffer("mean_C", torch.zeros(channels))
        self.register_buffer("std_C", torch.ones(channels))

    @classmethod
    def of_size(cls, size: WorldModelSize) -> FrameCodec:
        """Fresh weights. The first stage is a strided one (no layers), so no convolution runs at full resolution."""
        channels = (size.autoencoder_channels[0], *size.autoencoder_channels)
        layers = (0, *size.autoencoder_layers)
        scales: tuple[tuple[int, ...], ...] = ((),) * len(channels)
        return cls(
            AutoencoderDC(
                latent_channels=size.latent_channels,
                encoder_block_out_channels=channels,
                decoder_block_out_channels=channels,
                encoder_layers_per_block=layers,
                decoder_layers_per_block=layers,
                encoder_qkv_multiscales=scales,
                decoder_qkv_multiscales=scales,
            )
        )

    def encode_pixels(self, pixels_NCHW: torch.Tensor) -> torch.Tensor:
        """Pixels [N, 3, H, W] in [-1, 1] to unstandardised latents [N, C, h, w]."""
        latent: torch.Tensor = self.autoencoder.encode(pixels_NCHW, return_dict=False)[0]
        return latent

    def decode_pixels(self, latent_NCHW: torch.Tensor) -> torch.Tensor:
        """The inverse of `encode_pixels`, not clipped."""
        pixels: torch.Tensor = self.autoencoder.decode(latent_NCHW, return_dict=False)[0]
        return pixels

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Images uint8 [..., H, W, 3] to standardised latents [..., C, h, w]."""
        flat = images.reshape(-1, *images.shape[-3:]).movedim(-1, 1)
        latent = self.encode_pixels(flat.to(self.mean_C.dtype) / 127.5 - 1.0)
        latent = (latent - self.mean_C[:, None, None]) / self.std_C[:, None, None]
        return latent.reshape(*images.shape[:-3], *latent.shape[1:])

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Standardised latents [..., C, h, w] to images uint8 [..., H, W, 3]."""
        flat = latent.reshape(-1, *latent.shape[-3:]).to(self.mean_C.dtype)
        pixels = self.decode_pixels(flat * self.std_C[:, None, None] + self.mean_C[:, None, None])
        images = ((pixels.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)
        return images.reshape(*latent.shape[:-3], *images.shape[1:])

    def fingerprint(self) -> str:
        """Names all weights (as saved, in half precision)."""
        return self._hashed("")

    def latents_fingerprint(self) -> str:
        """Names what decides the latents, the encoder and the statistics; files of latents carry it, so that none are mixed."""
        return self._hashed("autoencoder.decoder.")

    def _hashed(self, without: str) -> str:
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            if not (without and name.startswith(without)):
                digest.update(name.encode())
                digest.update(value.detach().half().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write weights (half precision) and statistics; the loaded codec stays as it is."""
        folder.mkdir(parents=True, exist_ok=True)
        copy.deepcopy(self.autoencoder).half().save_pretrained(folder)
        with atomic_write(folder / "latent_statistics.json") as temporary:
            temporary.write_text(json.dumps({"mean": self.mean_C.tolist(), "std": self.std_C.tolist()}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> FrameCodec:
        """Read a folder written by `save`; raises InputError when it is missing or damaged."""
        statistics_file = folder / "latent_statistics.json"
        if not statistics_file.is_file():
            raise InputError("no autoencoder here", file=folder, hint="train one with: drivewm train autoencoder")
        try:
            codec = cls(AutoencoderDC.from_pretrained(folder, local_files_only=True, dtype=torch.float32))
            statistics = json.loads(statistics_file.read_text())
            codec.mean_C.copy_(torch.tensor(statistics["mean"]))
            codec.std_C.copy_(torch.tensor(statistics["std"]))
        except Exception as error:  # diffusers and safetensors raise many kinds for damaged files
            raise InputError(f"unreadable autoencoder: {str(error).splitlines()[0]}", file=folder) from None
        return codec.eval()
