"""One dial: what a world model of a given size is made of."""

from __future__ import annotations

from dataclasses import dataclass

from drivewm.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True)
class WorldModelSize:
    """Shape of autoencoder and transformer; the rig (how many cameras) is free, the raster is what it is trained at."""

    name: str
    size_px: tuple[int, int]  # height, width of one camera
    autoencoder_channels: tuple[int, ...]  # one entry per halving; the first at half resolution
    autoencoder_layers: tuple[int, ...]  # residual blocks at each of them
    latent_channels: int
    width: int  # D
    depth: int
    heads: int
    window: int  # frames in a training clip; the cache keeps window - 1 past frames
    cell_width: int  # features per latent cell in the convolutional head
    steer_width: int = 64  # what flow time, ego motion and sky are squeezed into before they steer the norms
    dream_steps: int = 4  # denoising steps of one dreamed frame, unless asked otherwise
    patch: int = 2  # latent cells per token side
    time_every: int = 2  # every how many-th block looks back in time
    registers: int = 4
    max_agents: int = 16
    max_polylines: int = 16
    polyline_points: int = 8
    text_width: int | None = None

    @property
    def downsampling(self) -> int:
        return int(2 ** len(self.autoencoder_channels))


SIZES = {
    size.name: size
    for size in (
        WorldModelSize(
            "tiny", (64, 96), (32, 64, 128), (1, 2, 2), 16, width=256, depth=4, heads=4, window=8, cell_width=128, dream_steps=2
        ),
        WorldModelSize(
            "base",
            (96, 160),
            (64, 128, 256),
            (2, 3, 3),
            16,
            width=512,
            depth=10,
            heads=8,
            window=16,
            cell_width=192,
            steer_width=128,
        ),
        WorldModelSize(
            "large",
            (448, 960),
            (128, 256, 512, 512),
            (2, 3, 3, 3),
            32,
            width=2048,
            depth=22,
            heads=16,
            window=24,
            cell_width=384,
            steer_width=512,
        ),
    )
}


def size_named(name: str) -> WorldModelSize:
    if name not in SIZES:
        raise InputError(f"unknown size {name!r}", hint=did_you_mean(name, list(SIZES)) or "known: " + ", ".join(SIZES))
    return SIZES[name]
