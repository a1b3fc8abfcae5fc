"""What a training of the world model will take, before it is started: memory, speed, hours, and how each was derived."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace

import torch

from drivewm.errors import InputError, did_you_mean
from drivewm.training.loop import FitOptions
from drivewm.training.scale_count import FP32, Counted, Piece, count
from drivewm.worldmodel.precision import multiplies_bf16
from drivewm.worldmodel.sizes import WorldModelSize

CAMERAS = 6  # of the rig that the figures are for


@dataclass(frozen=True, slots=True)
class Hardware:
    name: str
    memory_bytes: float  # of one processor
    peak_flops: float  # matrix products per second in the precision that training uses
    share: float  # of the peak that a training step is taken to reach
    source: str
    bf16: bool = True


_GPU = "peak of dense bf16 products from the maker's data sheet; 40 % of it is this project's aim and not yet measured there"
GPUS = {
    gpu.name: gpu
    for gpu in (
        Hardware("a100", 80e9, 312e12, 0.4, _GPU),
        Hardware("h100", 80e9, 989e12, 0.4, _GPU),
        Hardware("h200", 141e9, 989e12, 0.4, _GPU),
    )
}
CPU_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    size: WorldModelSize
    options: FitOptions  # pieces 0: as many as there are processors or teams of them
    processors: int
    hardware: Hardware

    @property
    def pieces(self) -> int:
        return self.options.pieces or self.processors // self.options.context

    @property
    def pieces_each(self) -> int:
        """Pieces that a processor works on in one step."""
        count, over = divmod(self.processors, self.options.context)
        if over:
            raise InputError(f"{self.processors} processors do not make teams of {self.options.context}", hint="change --gpus")
        if CAMERAS % self.options.context:
            raise InputError(f"{CAMERAS} cameras cannot be shared by {self.options.context}", hint="--context 1, 2, 3 or 6")
        if self.pieces % count:
            raise InputError(f"{count} teams cannot share {self.pieces} pieces of a step evenly", hint=f"--pieces {count}")
        return self.pieces // count


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one processor."""

    weights: float
    gradients: float
    optimizer: float
    average: float
    activations: float  # with the batch, and with bf16 copies of the weights
    total: float  # most at once: gradients come while activations go


@dataclass(frozen=True, slots=True)
class Estimate:
    parameters: int
    tokens_per_frame: int
    flop_per_frame: float
    frames_per_step: int
    frames: int
    memory: Memory  # as planned
    memory_other: Memory  # with checkpointing where the plan has none, and without where it has
    seconds_per_step: float
    frames_per_s: float
    tokens_per_s: float
    hours: float


def hardware_named(name: str) -> Hardware:
    """Known GPUs, or ``cpu``: this machine, whose peak is measured now."""
    if name == "cpu":
        return _this_machine()
    if name not in GPUS:
        known = [*GPUS, "cpu"]
        raise InputError(f"unknown hardware {name!r}", hint=did_you_mean(name, known) or "known: " + ", ".join(known))
    return GPUS[name]


def estimate(plan: Plan) -> Estimate:
    """Counts one step (`scale_count`) and multiplies. Raises InputError where the work cannot be shared out evenly.

    Time is operations by peak and assumed share of it; waiting for the disk and for other nodes is not in it.
    """
    each, size, options = plan.pieces_each, plan.size, plan.options
    piece = Piece(size, options.batch, CAMERAS, options.context, options.checkpointing, plan.hardware.bf16)
    counted, other = count(piece), count(replace(piece, checkpointing=not piece.checkpointing))
    frames_per_piece = options.batch * size.window
    frames_per_step = plan.pieces * frames_per_piece
    seconds = each * counted.flop / (plan.hardware.peak_flops * plan.hardware.share)
    cells = size.size_px[0] * size.size_px[1] // (size.downsampling * size.patch) ** 2
    return Estimate(
        parameters=counted.parameters,
        tokens_per_frame=CAMERAS * cells,
        flop_per_frame=counted.flop * options.context / frames_per_piece,
        frames_per_step=frames_per_step,
        frames=options.steps * frames_per_step,
        memory=_memory(counted, plan),
        memory_other=_memory(other, plan),
        seconds_per_step=seconds,
        frames_per_s=frames_per_step / seconds,
        tokens_per_s=frames_per_step / seconds * CAMERAS * cells,
        hours=options.steps * seconds / 3600.0,
    )


def _memory(counted: Counted, plan: Plan) -> Memory:
    """Weights and average are fp32, the optimiser keeps two moments; FSDP2 spreads these and gradients over all processors."""
    sharded = plan.options.shard and plan.processors > 1
    one = FP32 * counted.parameters / (plan.processors if sharded else 1)
    buffers = one if plan.processors > 1 and not sharded else 0.0  # in which gradients travel
    kept = 4 * one + buffers
    at_once = counted.peak_bytes if plan.pieces_each == 1 and not sharded else one + counted.activation_bytes
    return Memory(one, one + buffers, 2 * one, one, counted.activation_bytes, kept + at_once)


def _this_machine(side: int = 1024, seconds: float = 0.5) -> Hardware:
    """Measures what matrix products of ``side`` reach here, in time of the processor and not of the clock."""
    bf16, threads = multiplies_bf16(torch.device("cpu")), torch.get_num_threads()
    a, b = (torch.randn(side, side).to(torch.bfloat16 if bf16 else torch.float32) for _ in range(2))
    a @ b
    began, products = time.process_time(), 0
    while time.process_time() - began < seconds:
        a @ b
        products += 1
    peak = threads * products * 2.0 * side**3 / (time.process_time() - began)
    memory = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    source = f"peak of {'bf16' if bf16 else 'fp32'} products measured now on {threads} threads; {CPU_SHARE:.0%} is the aim"
    return Hardware("cpu", memory, peak, CPU_SHARE, source, bf16)
