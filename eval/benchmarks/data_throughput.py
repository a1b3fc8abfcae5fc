"""How fast a training gets its batches: six-camera frames/s from JPEG and from the cache, beside a plain copy of the same bytes.

    python eval/benchmarks/data_throughput.py [--scenes 12] [--seconds 3] [--drives FOLDER] [--json]

Drives of 96x160 are made (or taken from --drives), packed at the size of `tiny` and `base`, and encoded by an autoencoder with
random weights (its speed and its latents' size are those of a trained one). `jpeg` is `NuScenesFolder.clip` of random windows;
`jpeg + conditions` adds what the cache holds besides, which a training without cache would have to draw. `cache` is the loader of
`fit` with the tensors of `train worldmodel`, checksums verified, windows and batches of the size; 0 threads means that the
training makes its batches itself. `processes` is torch's DataLoader over the same batches. The copy is one thread, memory to
memory, of a frame's bytes. `cold` reads each frame once after the system was told to forget the files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.store import device_name, source_commit
from drivewm.training.cache import FrameCache, PackOptions, clip_tensors, encode_latents, pack
from drivewm.training.loading import prefetched
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.sizes import WorldModelSize, size_named

CLIPS = 8  # in a batch


def per_second(batches: Iterator[int], seconds: float) -> float:
    """Frames per second of an endless stream that tells frames; the first batch is not counted."""
    next(batches)
    began, frames = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        frames += next(batches)
    return frames / (time.perf_counter() - began)


def from_jpeg(folder: NuScenesFolder, size: WorldModelSize, seconds: float, conditions: bool) -> float:
    scenes = folder.scenes()

    def clips() -> Iterator[int]:
        for step in count():
            rng = np.random.default_rng(step)
            scene = scenes[int(rng.integers(len(scenes)))]
            start = int(rng.integers(scene.frames - size.window + 1))
            clip = folder.clip(scene.token, start, size.window, size_px=size.size_px)
            if conditions:
                clip_tensors(clip)
            yield size.window

    for scene in scenes:  # the reader keeps what it has read of maps and boxes
        folder.clip(scene.token, 0, 1, states_only=True)
    return per_second(clips(), seconds)


class _Steps(torch.utils.data.Dataset[Any]):
    def __init__(self, batch_at: Callable[[int], Any]) -> None:
        self.batch_at = batch_at

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, step: int) -> Any:
        return self.batch_at(step)


def from_cache(cache: Path, size: WorldModelSize, seconds: float, workers: list[int]) -> dict[str, Any]:
    clips = FrameCache(cache)
    keys = tuple(key for key in clips.keys if key != "images")

    def windows(step: int) -> Any:
        return clips.batch(step, CLIPS, size.window, keys)

    def singles(step: int) -> Any:
        return clips.batch(step, CLIPS * size.window, 1, keys)

    frames = CLIPS * size.window
    nbytes = sum(value.nbytes for value in windows(0).values()) // frames
    out: dict[str, Any] = {"bytes_per_frame": nbytes, "threads": {}, "threads_single_frames": {}, "processes": {}}
    for threads in workers:
        for name, batch_at in (("threads", windows), ("threads_single_frames", singles)):
            if threads == 0:
                out[name][0] = per_second((len(batch_at(step)) and frames for step in count()), seconds)
                continue
            with prefetched(batch_at, count(), threads) as batches:
                out[name][threads] = per_second((frames for _ in batches), seconds)
        if threads:
            told = {"batch_size": None, "num_workers": threads, "multiprocessing_context": "fork"}
            loader: Any = torch.utils.data.DataLoader(_Steps(windows), **told)
            out["processes"][threads] = per_second((frames for _ in loader), seconds)
    for what, checked in (("copy", False), ("copy_and_crc", True)):
        out[f"{what}_frames_per_s"] = copied(frames, nbytes, checked)
        out[f"share_of_{what}"] = out["threads"][0] / out[f"{what}_frames_per_s"]
    return out


def copied(frames: int, nbytes: int, checked: bool) -> float:
    """Frames per second of copying rows of bytes in memory, with one CRC-32 per frame or without."""
    rows = np.random.default_rng(0).integers(0, 255, (frames, nbytes), np.uint8)
    into, copies, began = np.empty_like(rows), 0, time.perf_counter()
    while time.perf_counter() - began < 1.0:
        into[:] = rows
        if checked:
            for row in into:
                zlib.crc32(row)
        copies += 1
    return copies * frames / (time.perf_counter() - began)


def cold(cache: Path) -> float:
    """Frames per second of reading all frames once, in order, from the disk; it may have a cache of its own below."""
    os.sync()
    for file in cache.glob("*.safetensors"):
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began, clips = time.perf_counter(), FrameCache(cache)
    keys = tuple(key for key in clips.keys if key != "images")
    for index, length in enumerate(clips.lengths):
        clips.read(index, 0, length, keys)
    return sum(clips.lengths) / (time.perf_counter() - began)


def measure(drives: Path, work: Path, seconds: float) -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0))
    out: dict[str, Any] = {"commit": source_commit(), "cpu": device_name(), "cores": cores}
    for name in ("tiny", "base"):
        size, cache, folder = size_named(name), work / name, NuScenesFolder(drives)
        began = time.perf_counter()
        pack(folder, cache, PackOptions(size_px=size.size_px, workers=cores))
        packing = time.perf_counter() - began
        torch.manual_seed(0)
        began = time.perf_counter()
        encode_latents(cache, FrameCodec.of_size(size).eval())
        total = sum(FrameCache(cache).lengths)
        out[name] = {
            "window": size.window,
            "pack_frames_per_s": total / packing,
            "encode_frames_per_s": total / (time.perf_counter() - began),
            "jpeg": from_jpeg(folder, size, seconds, conditions=False),
            "jpeg_and_conditions": from_jpeg(folder, size, seconds, conditions=True),
            "cache_cold": cold(cache),
            "cache": from_cache(cache, size, seconds, [n for n in (0, 1, 2, 4, 8, 16) if n <= cores]),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--drives", type=Path, help="a data set that exists")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="throughput-"))
    try:
        drives = asked.drives or work / "drives"
        if asked.drives is None:
            synth(drives, SynthOptions(asked.scenes, height=96, width=160))
        found = measure(drives, work, asked.seconds)
    finally:
        shutil.rmtree(work)
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['cpu']}, {found['cores']} cores, commit {found['commit']}; six-camera frames/s (clips/s)")
    for name in ("tiny", "base"):
        row = found[name]
        for what in ("pack_frames_per_s", "encode_frames_per_s", "jpeg", "jpeg_and_conditions", "cache_cold"):
            print(f"{name:5s} {what.removesuffix('_frames_per_s'):22s} {row[what]:9.0f} ({row[what] / row['window']:.1f})")
        for what in ("threads", "threads_single_frames", "processes"):
            for number, rate in row["cache"][what].items():
                print(f"{name:5s} cache, {number} {what:22s} {rate:9.0f} ({rate / row['window']:.1f})")
        cached = row["cache"]
        for what in ("copy", "copy_and_crc"):
            shown = f"{what} of {cached['bytes_per_frame'] / 1e3:.0f} kB"
            print(
                f"{name:5s} {shown:22s} {cached[f'{what}_frames_per_s']:9.0f}; 0 threads: {cached[f'share_of_{what}']:.0%} of it"
            )


if __name__ == "__main__":
    main()
