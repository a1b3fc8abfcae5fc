"""What one training step really takes, beside what `drivewm train worldmodel --dry-run` says: peak memory and speed on this CPU.

    python eval/benchmarks/training_scale.py tiny 8            # size, clips of a step
    python eval/benchmarks/training_scale.py base 1 --checkpointing

Memory is the resident memory of this process (VmHWM of Linux, reset before) over what it was before the network was made, while
two true steps (`fit`, with optimiser and average) run on random clips; a toy network has run before, so libraries are loaded. The
allocator is told to give every block of 64 kB and more back at once, or its reserves would be measured. Time is processor time.
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
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from drivewm.sim.rigs import nuscenes_rig
from drivewm.training.loop import FitOptions, fit
from drivewm.training.scale import CAMERAS, Plan, estimate, hardware_named
from drivewm.training.worldmodel import EmbedAndDenoise, worldmodel_loss
from drivewm.worldmodel.sizes import SIZES, WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer


def random_clips(size: WorldModelSize, clips: int) -> dict[str, torch.Tensor]:
    lead, rig = (clips, size.window), nuscenes_rig()
    raster = (*lead, CAMERAS, *size.size_px)
    latent = (*lead, CAMERAS, size.latent_channels, *(side // size.downsampling for side in size.size_px))
    points = (*lead, size.max_polylines, size.polyline_points)
    return {
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
        "time_s": 0.2 * torch.arange(size.window).float().repeat(clips, 1),
        "latent": torch.randn(latent).bfloat16(),
        **{f"untold_{group}": torch.zeros(lead, dtype=torch.bool) for group in ("layout", "boxes", "polylines")},
    }


def resident_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (most since it was reset)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def steps(size: WorldModelSize, options: FitOptions) -> tuple[int, float]:
    """Most resident memory over what was there before, and processor seconds of the last step."""
    gc.collect()
    before = resident_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    batch, seen = random_clips(size, options.batch), []

    def on_log(step: int, values: dict[str, float]) -> None:
        seen.append((resident_bytes("VmHWM"), time.process_time()))  # before the checkpoint, which copies

    with tempfile.TemporaryDirectory() as folder:
        fit(
            EmbedAndDenoise(DriveTransformer.of_size(size)), worldmodel_loss, lambda _: batch, Path(folder), options, on_log
        )
    return seen[-1][0] - before, seen[-1][1] - seen[-2][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=list(SIZES))
    parser.add_argument("clips", type=int)
    parser.add_argument("--checkpointing", action="store_true")
    asked = parser.parse_args()
    size, hardware = SIZES[asked.size], hardware_named("cpu")
    options = FitOptions(2, asked.clips, log_every=1, save_every=2, checkpointing=asked.checkpointing)
    steps(replace(SIZES["tiny"], width=32, depth=1, heads=2, window=2), replace(options, batch=2))
    peak, seconds = steps(size, options)
    told = estimate(Plan(size, options, 1, hardware))
    reached = told.flop_per_frame * told.frames_per_step / seconds * torch.get_num_threads()
    row = {
        "size": size.name,
        "clips": asked.clips,
        "checkpointing": asked.checkpointing,
        "estimated_mb": told.memory.total / 1e6,
        "measured_mb": peak / 1e6,
        "off_percent": 100 * (told.memory.total / peak - 1),
        "step_cpu_s": seconds,
        "gflop_per_frame": told.flop_per_frame / 1e9,
        "product_peak_gflops": hardware.peak_flops / 1e9,
        "share_of_peak": reached / hardware.peak_flops,
    }
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}))


if __name__ == "__main__":
    main()
