"""`drivewm bench worldmodel`: everything about a world model's speed in one report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from drivewm.errors import InputError
from drivewm.evaluation.bench.arithmetic import product_peaks
from drivewm.evaluation.bench.clock import Effort
from drivewm.evaluation.bench.codec import codec_row
from drivewm.evaluation.bench.dream import DreamRow, dream_rows, part_rows, reference_row
from drivewm.evaluation.bench.subjects import (
    parameter_count,
    random_world,
    refuse_what_does_not_fit,
    token_count,
    trained_world,
)
from drivewm.evaluation.bench.training import WARM_UP, training_row
from drivewm.sim.raster.world import RasterWorld
from drivewm.store import provenance
from drivewm.worldmodel.precision import multiplies_bf16
from drivewm.worldmodel.world import DreamWorld

Progress = Callable[[int, int, str], None]
Tell = Callable[[str], None]
BATCHES, QUICK_BATCHES = (1, 2, 4, 8, 16, 32, 64), (1, 8)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    worlds: tuple[str, ...] = ()  # trained ones, by name or folder
    sizes: tuple[str, ...] = ()  # with random weights
    steps: tuple[int, ...] = (1, 2, 4)  # denoising steps K
    most_at_once: int = 64
    training: bool = True
    training_batch: int = 8  # clips in a step
    quick: bool = False  # two batches, shorter timings
    seed: int = 0

    def batches(self) -> list[int]:
        some = [batch for batch in (QUICK_BATCHES if self.quick else BATCHES) if batch <= self.most_at_once]
        return some or [self.most_at_once]

    def product_s(self) -> float:
        """How long each shape of matrix product is tried."""
        return 0.1 if self.quick else 0.5


def bench_worldmodel(options: BenchOptions, progress: Progress | None = None) -> dict[str, Any]:
    """The report: machine and its peaks, then for each world model dream, parts, autoencoder and training step.

    The peak is measured before and after the rest, and the larger counts. Raises InputError for an unknown world or size, and for
    a size that does not fit into memory.
    """
    if not options.steps or min(options.steps) < 1 or min(options.most_at_once, options.training_batch) < 1:
        raise InputError("one denoising step, one car and one clip are the least")
    learned = [trained_world(name) for name in options.worlds]
    for name in options.sizes:
        refuse_what_does_not_fit(name)
    load = os.getloadavg()[0]
    tell = _counting(progress, 2 + (len(learned) + len(options.sizes)) * _pieces(options))
    tell("matrix products")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peaks = product_peaks(device, options.product_s())
    measured = [_measured(world, options, tell) for world in learned]
    for name in options.sizes:
        measured.append(_measured(random_world(name, options.seed), options, tell))
    tell("matrix products")
    peaks = {name: max(rate, peaks[name]) for name, rate in product_peaks(device, options.product_s()).items()}
    native = "bf16" if multiplies_bf16(device) else "fp32"
    return {
        "machine": {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "device": device.type,
            "precision": native,
            "peak_flop_per_s": peaks,
            "load_before": load,
        },
        "worldmodels": _with_shares(measured, peaks[native]),
        "provenance": asdict(provenance(options.seed, {"quick": options.quick})),
    }


def _measured(world: DreamWorld, options: BenchOptions, tell: Tell) -> dict[str, Any]:
    size, own_steps, shape = world.session.network.size, world.session.steps, (len(world.rig.names), *world.rig.size_px)
    effort = Effort(size.window, 5, 12, 2.0, 60.0) if options.quick else Effort(size.window, 8, 40, 12.0)
    rows, left_out = list[DreamRow](), list[str]()
    tell("reference world")
    rows.append(reference_row(RasterWorld(world.rig), min(8, options.most_at_once), effort))
    for steps in options.steps:
        world.session.steps = steps
        found, without = dream_rows(world, options.batches(), effort, tell)
        rows, left_out = rows + found, left_out + without
    world.session.steps = own_steps
    some = max(row.batch for row in rows[1:] if row.batch <= 8 or row.batch == options.batches()[0])
    tell("parts of a frame")
    parts = {str(batch): part_rows(world, batch, effort) for batch in dict.fromkeys((1, some))}
    tell("autoencoder")
    codecs = [codec_row(world.codec, shape, batch, effort) for batch in dict.fromkeys((1, some))]
    training = None
    if options.training:
        tell("training")
        with tempfile.TemporaryDirectory() as folder:
            trained = Effort(WARM_UP, 2, 4, 30.0) if options.quick else Effort(WARM_UP, 4, 12, 60.0)
            training, without = training_row(size, world.codec, Path(folder), options.training_batch, trained)
            left_out += without
    return {
        "id": world.id,
        "size": size.name,
        "size_px": list(world.rig.size_px),
        "cameras": len(world.rig.names),
        "parameters": parameter_count(size),
        "tokens": token_count(size, len(world.rig.names), world.rig.size_px),
        "steps": own_steps,
        "dream": rows,
        "parts": parts,
        "autoencoder": codecs,
        "training": training,
        "left_out": left_out,
    }


def _pieces(options: BenchOptions) -> int:
    """How often `_measured` tells what it is at."""
    return 3 + int(options.training) + len(options.steps) * len(options.batches())


def _counting(progress: Progress | None, total: int) -> Tell:
    told = iter(range(total))

    def tell(what: str) -> None:
        if progress:
            progress(next(told), total, what)

    return tell


def _with_shares(value: Any, peak_flops: float) -> Any:
    """Rows as dictionaries, each with its share of the peak."""
    if isinstance(value, dict):
        return {name: _with_shares(item, peak_flops) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_shares(item, peak_flops) for item in value]
    if not hasattr(value, "flop_per_s"):
        return value
    return asdict(value) | {"share_of_peak": None if value.flop_per_s is None else value.flop_per_s / peak_flops}
