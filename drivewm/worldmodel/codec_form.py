"""What an autoencoder of diffusers takes and gives: frames or clips, how large a cell is, how many frames it takes at once.

Its classes say this in a dozen ways, or not at all, so it is found by trying: a small clip must come back in its own size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from itertools import product
from typing import Any

import torch
from diffusers import AutoencoderDC

from drivewm.errors import InputError

_TRIED_PX = (64, 96)  # two and three cells of 32 px, so that an odd number of cells is tried too
_PERIODS = (1, 2, 4, 6, 8, 12, 16)


@dataclass(frozen=True, slots=True)
class CodecForm:
    """Clips of ``first + n * period`` frames come back as long as they were; ``first`` is 1 where time is causal, else 0."""

    latent_channels: int
    cell_px: int  # pixels along the side of a latent cell
    takes_clips: bool  # [N, 3, T, H, W]; else frames [N, 3, H, W]
    first: int = 1
    period: int = 1

    def padded(self, frames: int, height: int, width: int) -> tuple[int, int, int]:
        """The smallest clip that holds this one and comes back in its own size."""
        periods = max(-(-(frames - self.first) // self.period), 1 - self.first)
        rows, columns = (-(-side // self.cell_px) * self.cell_px for side in (height, width))
        return self.first + periods * self.period, rows, columns


def form_of(autoencoder: Any) -> CodecForm:
    """The form of an autoencoder; raises InputError when pictures do not come back from it."""
    if isinstance(autoencoder, AutoencoderDC):  # the world model's own kind says it all
        return CodecForm(autoencoder.config.latent_channels, autoencoder.spatial_compression_ratio, takes_clips=False)
    encoder = getattr(autoencoder, "encoder", autoencoder)
    clips = any(isinstance(module, torch.nn.Conv3d) for module in encoder.modules())
    problems = []

    @lru_cache
    def tried(frames: int) -> torch.Size | None:
        """Shape of the latent of a clip that comes back in its own size, None for one that does not."""
        pixels = torch.zeros(1, 3, *([frames] if clips else []), *_TRIED_PX, dtype=autoencoder.dtype, device=autoencoder.device)
        try:
            with torch.no_grad():
                latent = raw_encode(autoencoder, pixels)
                back = raw_decode(autoencoder, latent)
        except Exception as error:  # networks raise anything for a shape that they do not take
            problems.append((str(error) or type(error).__name__).splitlines()[0])
            return None
        problems.append(f"pictures {list(pixels.shape)} come back as {list(back.shape)}")
        return latent.shape if back.shape == pixels.shape else None

    for first, period in product((1, 0), _PERIODS if clips else (1,)):
        shape = None
        for n in range(1 - first, 3):
            if (shape := tried(first + n * period)) is None:
                break
        if shape is not None:
            return CodecForm(shape[1], _TRIED_PX[0] // shape[-2], clips, first, period)
    raise InputError(f"pictures do not pass through this {type(autoencoder).__name__}: {problems[0]}")


def raw_encode(autoencoder: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels in [-1, 1] to latents; where an encoder gives a distribution, its mode."""
    _forget(autoencoder)
    encoded = autoencoder.encode(pixels)[0]
    latent: torch.Tensor = encoded if isinstance(encoded, torch.Tensor) else encoded.mode()
    return latent


def raw_decode(autoencoder: Any, latent: torch.Tensor) -> torch.Tensor:
    """The inverse of `raw_encode`, not clipped."""
    _forget(autoencoder)
    more: dict[str, Any] = {}
    if "num_frames" in signature(autoencoder.decode).parameters:  # it smooths over so many frames; ours stand alone
        more["num_frames"] = 1
    if autoencoder.config.get("timestep_conditioning"):  # it can denoise as well, and there is no noise left
        more["temb"] = torch.zeros(len(latent), dtype=latent.dtype, device=latent.device)
    decoded = autoencoder.decode(latent, **more)
    pixels: torch.Tensor = decoded if isinstance(decoded, torch.Tensor) else decoded[0]
    return pixels


def _forget(autoencoder: Any) -> None:
    """Some keep the end of the last clip for the next one, which is another clip here."""
    if hasattr(autoencoder, "_clear_conv_cache"):
        autoencoder._clear_conv_cache()


def config_statistics(autoencoder: Any, channels: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Mean and deviation of latents per channel [C] as the config or the weights state them, None where neither does.

    Where they are stated per place in time too (Cosmos), those of the first are meant.
    """
    stated = dict(autoencoder.named_buffers()) | {name: value for name, value in autoencoder.config.items() if value is not None}
    try:
        scale, shift = float(stated.get("scaling_factor", 1.0)), float(stated.get("shift_factor", 0.0))
        mean_C, std_C = torch.full((channels,), shift), torch.full((channels,), 1.0 / scale)
        if "latents_mean" in stated and "latents_std" in stated:
            mean_C, std_C = (
                torch.as_tensor(stated[name]).float().reshape(channels, -1)[:, 0] for name in ("latents_mean", "latents_std")
            )
            return mean_C, std_C / scale
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise InputError(f"states no usable statistics of its latents: {str(error).splitlines()[0]}") from None
    return None if (scale, shift) == (1.0, 0.0) else (mean_C, std_C)
