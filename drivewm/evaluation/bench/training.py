"""The world model's training step as `drivewm train worldmodel` does it: data, losses, backward pass, optimiser, average."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.evaluation.bench.arithmetic import counter
from drivewm.evaluation.bench.clock import Effort, forget_peak_memory, free_memory_bytes, held_memory_bytes, peak_memory_bytes
from drivewm.evaluation.bench.subjects import parameter_count
from drivewm.training.cache import PackOptions, encode_latents, pack
from drivewm.training.loop import FitOptions
from drivewm.training.worldmodel import train_worldmodel
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.sizes import WorldModelSize

WARM_UP = 2  # a step of clips and a step of single frames
CAMERA_HZ = 5.0
KEPT_BYTES = 20  # of each parameter, in full precision: itself, its gradient, two moments, its average
# Of each parameter and step: AdamW 13, the norm of the gradient and its clipping 3, the average 3.
OPTIMIZER_FLOP = 19


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Steps of clips and of single frames in turn, equally many of each."""

    batch: int  # clips in a step
    steps: int
    frames_per_s: float
    step_ms: float
    flop_per_step: float  # forward, backward and optimiser
    flop_per_s: float  # over the peak it is the model FLOP utilisation
    memory_bytes: int


def training_cache(folder: Path, codec: FrameCodec, size: WorldModelSize) -> Path:
    """One procedural drive, packed and encoded, long enough for a clip."""
    seconds = (size.window + 4) / CAMERA_HZ
    made = synth(folder / "set", SynthOptions(1, seconds, CAMERA_HZ, *size.size_px, seed=0, workers=1))
    pack(NuScenesFolder(made.roots[0]), folder / "cache", PackOptions())
    encode_latents(folder / "cache", codec)
    return folder / "cache"


def training_row(
    size: WorldModelSize, codec: FrameCodec, folder: Path, batch: int, effort: Effort
) -> tuple[TrainingRow, list[str]]:
    """The step at ``batch`` clips, or at as many as there is memory for, with a sentence about it. Works in ``folder``.

    ``effort`` is of steps; its warm-up is a step of clips and a step of single frames, and so on.
    """
    device, codec = codec.mean_C.device, copy.deepcopy(codec).cpu()
    cache, said = training_cache(folder, codec, size), list[str]()

    def readings(name: str, options: FitOptions, read: Callable[[], float]) -> list[float]:
        """What ``read`` says after each step of a training from its beginning."""
        seen: list[float] = []
        options = replace(options, log_every=1, save_every=options.steps)
        train_worldmodel(cache, codec, folder / name, size, options, lambda step, losses: seen.append(read()))
        return seen

    parameters = parameter_count(size)
    fixed, before = KEPT_BYTES * parameters, held_memory_bytes(device)
    forget_peak_memory(device)
    first_s, second_s = readings("one", FitOptions(WARM_UP, 1), time.perf_counter)
    of_a_clip = max(1, peak_memory_bytes(device) - before - fixed)
    fits = max(1, min(batch, (free_memory_bytes(device) - fixed) // of_a_clip))
    if fits < batch:
        needed = (fixed + batch * of_a_clip) / 2**30
        said.append(f"training: {batch} clips at once would take about {needed:.1f} GiB, so {fits} were taken")
    in_budget = int(effort.budget_s / ((second_s - first_s) * fits))
    timed_steps = min(effort.most, max(effort.least, in_budget)) // 2 * 2
    options = FitOptions(WARM_UP + timed_steps, fits)
    forget_peak_memory(device)
    seconds = readings("timed", options, time.perf_counter)
    memory = peak_memory_bytes(device)
    with counter() as counted:
        flops = readings("counted", options, lambda: float(counted.get_total_flops()))
    took_s = seconds[-1] - seconds[WARM_UP - 1]
    flop = flops[-1] - flops[WARM_UP - 1] + timed_steps * OPTIMIZER_FLOP * parameters
    row = TrainingRow(
        batch=fits,
        steps=timed_steps,
        frames_per_s=timed_steps * fits * size.window / took_s,
        step_ms=took_s / timed_steps * 1e3,
        flop_per_step=flop / timed_steps,
        flop_per_s=flop / took_s,
        memory_bytes=memory,
    )
    return row, said
