"""What is measured: a trained world by name, or a size with random weights, which is as fast."""

from __future__ import annotations

import torch

from drivewm.errors import InputError
from drivewm.evaluation.bench.clock import free_memory_bytes
from drivewm.evaluation.worlds import load_world
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.attention import TemporalAttention
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import WorldModelSize, size_named
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld

FULL_BYTES = 4  # of a value in full precision


def trained_world(name: str) -> DreamWorld:
    """Raises InputError for a world that was not learned."""
    world = load_world(name)
    if not isinstance(world, DreamWorld):
        raise InputError(f"{name} is not a learned world", hint="dream, free, or a folder made by `drivewm train worldmodel`")
    return world


def refuse_what_does_not_fit(name: str) -> None:
    """Raises InputError for a size whose dream the device has not the memory for."""
    size, rig = size_named(name), nuscenes_rig()
    needed, free = dream_bytes(size, len(rig.names)), free_memory_bytes(_device())
    if needed > free:
        reason = f"a dream of size {name} takes at least {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of memory are free"
        raise InputError(reason, hint="choose a smaller --size")


def random_world(name: str, seed: int) -> DreamWorld:
    """Raises InputError where `refuse_what_does_not_fit` does."""
    refuse_what_does_not_fit(name)
    size = size_named(name)
    torch.manual_seed(seed)
    pipeline = DreamPipeline.of_parts(DriveTransformer.of_size(size), FrameCodec.of_size(size)).to(_device())
    return DreamWorld(pipeline, nuscenes_rig(*size.size_px))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def parameter_count(size: WorldModelSize) -> int:
    """Of the transformer, without making its weights."""
    with torch.device("meta"):
        return sum(value.numel() for value in DriveTransformer.of_size(size).parameters())


def token_count(size: WorldModelSize, views: int, raster: tuple[int, int]) -> int:
    """Picture tokens of a frame; registers and condition tokens come on top."""
    cell = size.downsampling * size.patch
    return views * (raster[0] // cell) * (raster[1] // cell)


def dream_bytes(size: WorldModelSize, views: int) -> int:
    """The least that dreaming one frame after another takes: weights, and keys and values of the past, old and new."""
    with torch.device("meta"):
        network, codec = DriveTransformer.of_size(size), FrameCodec.of_size(size)
    weights = sum(value.numel() for module in (network, codec) for value in module.parameters())
    layers = sum(isinstance(module, TemporalAttention) for module in network.modules())
    tokens = token_count(size, views, size.size_px) + size.registers
    past = 2 * layers * (size.window - 1) * tokens * size.width
    return FULL_BYTES * (weights + 2 * past)
