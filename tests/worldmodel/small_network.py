"""A world-model network of toy size with open gates, and random conditions and latents for it."""

from __future__ import annotations

from dataclasses import replace

import torch

from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.sizes import SIZES, WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer

SIZE = replace(SIZES["tiny"], width=64, depth=2, heads=2, window=6)
VIEWS, ROWS, COLUMNS = 6, 8, 12
RIG = nuscenes_rig()
Told = dict[str, torch.Tensor]


def told(batch: int, frames: int, seed: int = 0) -> Told:
    g = torch.Generator().manual_seed(seed)
    raster = (batch, frames, VIEWS, 64, 96)
    return {
        "label": torch.randint(0, 16, raster, dtype=torch.uint8, generator=g),
        "log_depth": torch.randint(0, 255, raster, dtype=torch.uint8, generator=g),
        "paint": torch.randint(0, 32, raster, dtype=torch.uint8, generator=g),
        "lost": torch.zeros(raster[:3], dtype=torch.bool),
        "motion": torch.randn(batch, frames, 6, generator=g),
        "weather": torch.randint(0, 4, (batch, frames), generator=g),
        "light": torch.randint(0, 4, (batch, frames), generator=g),
        "sun": torch.randn(batch, frames, 2, generator=g),
        "boxes": torch.cat([torch.randn(batch, frames, 16, 8, generator=g), torch.ones(batch, frames, 16, 1)], -1),
        "polylines": torch.ones(batch, frames, 16, 8, 3),
        "intrinsics": torch.from_numpy(RIG.intrinsics).float().expand(batch, frames, VIEWS, 3, 3),
        "ego_from_camera": torch.from_numpy(RIG.ego_from_camera).float().expand(batch, frames, VIEWS, 4, 4),
        "time_s": 0.2 * torch.arange(frames).float().expand(batch, frames),
    }


def small_network(size: WorldModelSize = SIZE) -> DriveTransformer:
    torch.manual_seed(0)
    net = DriveTransformer.of_size(size)
    for layer in (net.steer, net.steer_out, net.head.steer):  # as if trained: gates open
        torch.nn.init.normal_(layer.weight, std=0.2)
    return net.eval()


def latents(batch: int, frames: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, frames, VIEWS, SIZE.latent_channels, ROWS, COLUMNS, generator=torch.Generator().manual_seed(seed))
