"""What one training step really takes, beside what `drivewm train worldmodel --dry-run` says: peak memory and speed on this CPU.

    python eval/benchmarks/training_scale.py tiny 8            # one row: size, clips of a step
    python eval/benchmarks/training_scale.py base 1 --checkpointing
    python eval/benchmarks/training_scale.py --page eval/results/worldmodel_scale.md   # all rows, and plans of the three sizes

Memory is the resident memory of this process (VmHWM of Linux, reset before) over what it was before the network was made, while
four true steps (`fit`, with optimiser and average; clips and single frames in turn) run on random data; a toy network has run
before, so libraries are loaded. The allocator is told to give every block of 64 kB and more back at once, or its reserves would
be measured. Time is processor time of a step of clips.
"""

from __future__ import annotations

import os
import sys

if "MALLOC_MMAP_THRESHOLD_" not in os.environ:  # it is read when a process starts
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    os.execv(sys.executable, [sys.executable, *sys.argv])

import argparse
import gc
import json
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import device_name, source_commit, write_text
from drivewm.training.loop import FitOptions, fit
from drivewm.training.scale import CAMERAS, Plan, estimate, hardware_named
from drivewm.training.worldmodel import EmbedAndDenoise, worldmodel_loss
from drivewm.worldmodel.sizes import SIZES, WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer


def random_clips(size: WorldModelSize, clips: int, single: bool) -> dict[str, torch.Tensor]:
    """Clips, or as many single frames, which bring their images."""
    lead, rig = (clips * size.window, 1) if single else (clips, size.window), nuscenes_rig()
    raster = (*lead, CAMERAS, *size.size_px)
    latent = (*lead, CAMERAS, size.latent_channels, *(side // size.downsampling for side in size.size_px))
    points = (*lead, size.max_polylines, size.polyline_points)
    images = {"images": torch.randint(0, 255, (*raster, 3), dtype=torch.uint8)} if single else {}
    return images | {
        "label": torch.randint(0, 16, raster, dtype=torch.uint8),
        "log_depth": torch.randint(0, 255, raster, dtype=torch.uint8),
        "paint": torch.randint(0, 32, raster, dtype=torch.uint8),
        "lost": torch.zeros(raster[:3], dtype=torch.bool),
        "motion": torch.randn(*lead, 6),
        "weather": torch.randint(0, 4, lead),
        "light": torch.randint(0, 4, lead),
        "sun": torch.randn(*lead, 2),
        "boxes": torch.cat([torch.randn(*lead, size.max_agents, 8), torch.ones(*lead, size.max_agents, 1)], -1),
        "polylines": torch.cat([torch.randn(*points, 2), torch.ones(*points, 1)], -1),
        "intrinsics": torch.from_numpy(rig.intrinsics).float().expand(*lead, CAMERAS, 3, 3).contiguous(),
        "ego_from_camera": torch.from_numpy(rig.ego_from_camera).float().expand(*lead, CAMERAS, 4, 4).contiguous(),
        "time_s": 0.2 * torch.arange(lead[1]).float().repeat(lead[0], 1),
        "latent": torch.randn(latent).bfloat16(),
        **{f"untold_{group}": torch.zeros(lead, dtype=torch.bool) for group in ("layout", "boxes", "polylines")},
    }


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (most since it was reset)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def steps(size: WorldModelSize, options: FitOptions) -> tuple[int, float]:
    """Most resident memory over what was there before, and processor seconds of the last step of clips."""
    gc.collect()
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    batches, seen = [random_clips(size, options.batch, single) for single in (False, True)], []

    def on_log(step: int, values: dict[str, float]) -> None:
        seen.append((resident_bytes("VmHWM"), time.process_time()))  # before the checkpoint, which copies

    network = DriveTransformer.of_size(size)
    with tempfile.TemporaryDirectory() as folder:
        fit(EmbedAndDenoise(network), worldmodel_loss, lambda step: batches[step % 2], Path(folder), options, on_log)
    return seen[-1][0] - before, seen[2][1] - seen[1][1]


def measured(size: WorldModelSize, clips: int, checkpointing: bool) -> dict[str, Any]:
    """One row: what a step takes, and what it was told to take."""
    options = FitOptions(4, clips, log_every=1, save_every=4, checkpointing=checkpointing)
    steps(replace(SIZES["tiny"], width=32, depth=2, heads=2, window=2), replace(options, batch=2))
    peak, seconds = steps(size, options)
    hardware = hardware_named("cpu")
    told = estimate(Plan(size, options, 1, hardware))
    reached = told.flop_per_frame * told.frames_per_step / seconds * torch.get_num_threads()
    row = {
        "size": size.name,
        "clips": clips,
        "checkpointing": checkpointing,
        "estimated_mb": told.memory.total / 1e6,
        "measured_mb": peak / 1e6,
        "off_percent": 100 * (told.memory.total / peak - 1),
        "step_cpu_s": seconds,
        "gflop_per_frame": told.flop_per_frame / 1e9,
        "product_peak_gflops": hardware.peak_flops / 1e9,
        "share_of_peak": reached / hardware.peak_flops,
    }
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}


#: size, steps, clips of a piece, GPUs; what `drivewm train worldmodel --dry-run` is asked for each size
PLANS = (("tiny", 20_000, 8, 1), ("base", 50_000, 8, 8), ("large", 200_000, 1, 64))


def plans() -> list[tuple[str, ...]]:
    """Rows of the table of sizes, on H100."""
    rows: list[tuple[str, ...]] = []
    for name, count, clips, gpus in PLANS:
        heavy = name == "large"
        options = FitOptions(count, clips, shard=heavy, checkpointing=heavy)
        told = estimate(Plan(SIZES[name], options, gpus, hardware_named("h100")))
        memory, other = told.memory, told.memory_other
        kept, again = (other, memory) if heavy else (memory, other)
        columns = (
            name,
            f"{told.parameters / 1e6:.1f} M",
            f"{told.tokens_per_frame}",
            f"{told.flop_per_frame / 1e9:.0f}",
            f"{clips} on each of {gpus}",
            f"{(memory.weights + memory.gradients + memory.optimizer + memory.average) / 1e9:.2f}",
            f"{kept.activations / 1e9:.2f} / {again.activations / 1e9:.2f}",
            f"{memory.total / 1e9:.1f}",
            f"{told.tokens_per_s:,.0f}",
            f"{told.frames / 1e6:.1f} M",
            f"{told.hours:.1f}",
        )
        rows.append(columns)
    return rows


PAGE = """# Training at scale: what was measured

Generated by `python eval/benchmarks/training_scale.py --page eval/results/worldmodel_scale.md` at commit {commit} on {device}.

## Memory of a step, told and measured

The estimate is that of `drivewm train worldmodel --dry-run`: all storages alive at once in a step that runs on tensors without
contents. Measured is resident memory (VmHWM) over what the process held before the network was made, through four true steps of
`fit`; see the head of the benchmark. Time is processor time, so neighbours on the machine count little.

{rows}

## Plans of the three sizes on H100

From the same estimate: operations are counted, 40 % of the peak is assumed (not yet measured there), disk and network are left
out. "Fixed" memory is weights, gradients, moments and average; activations are those of blocks kept / recomputed.

{plans}

## Two processes and one

`python -m pytest tests/training/test_scale.py`: two processes through gloo take the steps of one (losses to 1e-5, weights to
2e-5) data-parallel, with FSDP2, and with cameras shared, FSDP2 and recomputed blocks together; a training goes on from one
process to two and back.
"""
ROWS = ("size", "clips", "blocks", "told, MB", "measured, MB", "off", "s per step", "GFLOP per frame", "share of product peak")
SIZES_TABLE = ("size", "parameters", "tokens per frame", "GFLOP per frame", "clips", "fixed, GB", "activations, GB", "most, GB")
SIZES_TABLE += ("tokens/s", "frames", "hours")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def page(path: Path) -> None:
    """Every row in a process of its own, for memory that was taken once stays taken."""
    rows: list[tuple[str, ...]] = []
    for size, clips, extra in (
        ("tiny", 8, []),
        ("tiny", 8, ["--checkpointing"]),
        ("base", 1, []),
        ("base", 1, ["--checkpointing"]),
    ):
        words = [sys.executable, __file__, size, str(clips), *extra]
        row = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        columns = (row["size"], str(row["clips"]), "recomputed" if row["checkpointing"] else "kept", f"{row['estimated_mb']:.0f}")
        columns += (f"{row['measured_mb']:.0f}", f"{row['off_percent']:+.1f} %", f"{row['step_cpu_s']:.1f}")
        columns += (f"{row['gflop_per_frame']:.1f}", f"{row['share_of_peak']:.0%}")
        rows.append(columns)
        print(*columns, flush=True)
    tables = {"rows": table(ROWS, rows), "plans": table(SIZES_TABLE, plans())}
    write_text(path, PAGE.format(commit=source_commit(), device=device_name(), **tables))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=list(SIZES), nargs="?")
    parser.add_argument("clips", type=int, nargs="?", default=1)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    if asked.page:
        page(asked.page)
    else:
        print(json.dumps(measured(SIZES[asked.size or "tiny"], asked.clips, asked.checkpointing)))


if __name__ == "__main__":
    main()
