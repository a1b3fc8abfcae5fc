"""Frames to latents and back through an autoencoder of diffusers, with fixed latent statistics.

The world model's own is an AutoencoderDC: each frame stands alone (no temporal latency), so a closed loop can show a frame the
moment it is dreamed. Others, those of clips too, are read and run for comparison.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC

from drivewm.errors import InputError
from drivewm.store import atomic_write
from drivewm.worldmodel.codec_folder import folder_named, open_autoencoder, saved_statistics
from drivewm.worldmodel.codec_form import config_statistics, form_of, raw_decode, raw_encode
from drivewm.worldmodel.saved import seal
from drivewm.worldmodel.sizes import WorldModelSize


class FrameCodec(torch.nn.Module):
    """An autoencoder and the mean and deviation of its latents, so that a world model sees unit variance."""

    mean_C: torch.Tensor
    std_C: torch.Tensor

    def __init__(self, autoencoder: Any) -> None:
        super().__init__()
        self.autoencoder, self.form = autoencoder, form_of(autoencoder)
        self.register_buffer("mean_C", torch.zeros(self.form.latent_channels))
        self.register_buffer("std_C", torch.ones(self.form.latent_channels))

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
        return raw_encode(self.autoencoder, pixels_NCHW)

    def decode_pixels(self, latent_NCHW: torch.Tensor) -> torch.Tensor:
        """The inverse of `encode_pixels`, not clipped."""
        return raw_decode(self.autoencoder, latent_NCHW)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Images uint8 [..., H, W, 3] to standardised latents [..., C, h, w]; raises InputError where cells do not fill them."""
        height, width = images.shape[-3:-1]
        if height % self.form.cell_px or width % self.form.cell_px:
            raise InputError(f"pictures of {height}x{width} do not divide into the autoencoder's cells of {self.form.cell_px} px")
        flat = images.reshape(-1, *images.shape[-3:]).movedim(-1, 1)
        latent = self.encode_pixels(flat.to(self.mean_C.dtype) / 127.5 - 1.0)
        latent = (latent - self.mean_C[:, None, None]) / self.std_C[:, None, None]
        return latent.reshape(*images.shape[:-3], *latent.shape[1:])

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Standardised latents [..., C, h, w] to images uint8 [..., H, W, 3]."""
        flat = latent.reshape(-1, *latent.shape[-3:]).to(self.mean_C.dtype)
        pixels = self.decode_pixels(flat * self.std_C[:, None, None] + self.mean_C[:, None, None])
        images = _as_images(pixels.movedim(1, -1))
        return images.reshape(*latent.shape[:-3], *images.shape[1:])

    def encode_clip(self, images_THWC: torch.Tensor) -> torch.Tensor:
        """A clip uint8 [T, H, W, 3] of any length and size to standardised latents [C, t, h, w], by any kind of autoencoder.

        It is continued by its mirror image, in space and in time, to what the autoencoder takes.
        """
        pixels = images_THWC.movedim(-1, 0).to(self.mean_C.dtype) / 127.5 - 1.0
        for axis, length in enumerate(self.form.padded(*pixels.shape[1:]), start=1):
            pixels = _mirrored(pixels, axis, length)
        if self.form.takes_clips:
            latent = raw_encode(self.autoencoder, pixels[None])[0]
        else:  # one by one: a large picture fills the memory as it is
            latent = torch.cat([self.encode_pixels(frame[None]) for frame in pixels.unbind(1)]).movedim(0, 1)
        return (latent - self.mean_C[:, None, None, None]) / self.std_C[:, None, None, None]

    def decode_clip(self, latent_CTHW: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
        """The inverse of `encode_clip`: images uint8 [T, H, W, 3] of the clip's own ``shape`` (T, H, W)."""
        latent = latent_CTHW * self.std_C[:, None, None, None] + self.mean_C[:, None, None, None]
        if self.form.takes_clips:
            pixels = raw_decode(self.autoencoder, latent[None])[0]
        else:
            pixels = torch.cat([self.decode_pixels(frame[None]) for frame in latent.unbind(1)]).movedim(0, 1)
        frames, height, width = shape
        return _as_images(pixels[:, :frames, :height, :width].movedim(0, -1))

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
        seal(folder)
        with atomic_write(folder / "latent_statistics.json") as temporary:
            temporary.write_text(json.dumps({"mean": self.mean_C.tolist(), "std": self.std_C.tolist()}, indent=1) + "\n")

    @classmethod
    def load(cls, name: str | Path, *, any_kind: bool = False) -> FrameCodec:
        """The autoencoder with this name or in this folder, with the statistics saved beside it or stated in its config.

        A name is "tiny", the embedded one, or ``owner/name`` in the local cache of the Hugging Face hub; nothing is downloaded. A
        world model needs an AutoencoderDC with known statistics; ``any_kind`` takes everything that pictures pass through. Raises
        InputError when it is missing, damaged or of the wrong kind.
        """
        folder = folder_named(name)
        autoencoder = open_autoencoder(folder)
        if not (any_kind or isinstance(autoencoder, AutoencoderDC)):
            kind = type(autoencoder).__name__
            raise InputError(f"a world model needs an AutoencoderDC as its autoencoder, this is an {kind}", file=folder)
        try:
            codec = cls(autoencoder)
            channels = codec.form.latent_channels
            statistics = saved_statistics(folder, channels) or config_statistics(autoencoder, channels)
        except InputError as error:
            raise InputError(error.reason, file=error.file or folder) from None
        if statistics is not None:
            codec.mean_C.copy_(statistics[0])
            codec.std_C.copy_(statistics[1])
        elif not any_kind:
            hint = "train one with: drivewm train autoencoder"
            raise InputError("the mean and deviation of this autoencoder's latents are not known", file=folder, hint=hint)
        return codec.eval()


def _as_images(pixels: torch.Tensor) -> torch.Tensor:
    return ((pixels.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


def _mirrored(values: torch.Tensor, axis: int, length: int) -> torch.Tensor:
    """Continued along an axis to ``length`` by going to and fro, without repeating the turning points."""
    last = values.shape[axis] - 1
    places = torch.arange(length, device=values.device) % max(2 * last, 1)
    return values.index_select(axis, torch.where(places > last, 2 * last - places, places))
