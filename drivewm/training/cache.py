"""What training reads: every clip of a data set once decoded, its conditions computed, its latents encoded.

One safetensors file per scene holds frames and conditions, a second one the latents of one encoder. A scene that is already
there is not done again, so a killed `drivewm data encode` goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import CameraRig, Clip
from drivewm.errors import InputError
from drivewm.store import atomic_write, load_record, save_record
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import FrameConditions, frame_conditions
from drivewm.worldmodel.precision import inference_autocast

Progress = Callable[[int, int, str], None]  # done, total, what
Tensors = dict[str, torch.Tensor]
FRAMES, LATENTS = ".frames.safetensors", ".latents.safetensors"


def clip_tensors(clip: Clip) -> Tensors:
    """Images, times and `FrameConditions` of a clip [T, ...]."""
    rows = []
    for t in range(len(clip.images)):
        previous = clip.states[t - 1] if t else None
        exposed = (clip.rig_at(t), clip.exposure_s[t])
        rows.append(frame_conditions(clip.road, clip.states[t], previous, clip.conditions[t], *exposed))
    stacked = FrameConditions.stack(rows)
    out = {field.name: torch.from_numpy(np.ascontiguousarray(getattr(stacked, field.name))) for field in fields(stacked)}
    out["images"] = torch.from_numpy(np.ascontiguousarray(clip.images))
    out["time_s"] = torch.from_numpy(np.asarray(clip.states.t_s - clip.states.t_s[0], np.float32))
    return out


def pack(folder: NuScenesFolder, out: Path, split: str | None, workers: int = 1, progress: Progress | None = None) -> int:
    """Write the frames and conditions of every scene of ``split``; returns how many scenes lie there now."""
    scenes = [scene.name for scene in folder.scenes(split)]
    if not scenes:
        raise InputError(f"no scene in split {split!r}", file=folder.root)
    save_record(out / "rig.json", folder.rig(scenes[0]))
    missing = [scene for scene in scenes if not (out / (scene + FRAMES)).exists()]
    done = len(scenes) - len(missing)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for scene in pool.map(partial(_pack_one, str(folder.root), out), missing, chunksize=4):
            done += 1
            if progress:
                progress(done, len(scenes), scene)
    return done


_OPEN: dict[str, NuScenesFolder] = {}  # one reader per worker process: opening the tables takes seconds


def _pack_one(root: str, out: Path, scene: str) -> str:
    torch.set_num_threads(1)  # the workers share the machine
    if root not in _OPEN:
        _OPEN[root] = NuScenesFolder(root)
    with atomic_write(out / (scene + FRAMES)) as temporary:
        save_file(clip_tensors(_OPEN[root].clip(scene)), str(temporary))
    return scene


@torch.no_grad()
def encode_latents(cache: Path, codec: FrameCodec, progress: Progress | None = None) -> None:
    """Add the latents (bf16) of every packed scene; those of another autoencoder are replaced."""
    files, name = sorted(cache.glob("*" + FRAMES)), codec.latents_fingerprint()
    for index, file in enumerate(files):
        target = latents_of(file)
        if _encoded_by(target) != name:
            with safe_open(str(file), "pt") as stored:
                images = stored.get_tensor("images")
            with inference_autocast(codec.mean_C.device), atomic_write(target) as temporary:
                latent = torch.cat([codec.encode(part) for part in images.split(8)])
                save_file({"latent": latent.bfloat16()}, str(temporary), metadata={"autoencoder": name})
        if progress:
            progress(index + 1, len(files), target.name)


def latents_of(frames_file: Path) -> Path:
    return frames_file.with_name(frames_file.name.removesuffix(FRAMES) + LATENTS)


def _encoded_by(file: Path) -> str | None:
    """Fingerprint of the autoencoder that made a latents file; None when there is no readable one."""
    try:
        with safe_open(str(file), "pt") as stored:
            return str((stored.metadata() or {}).get("autoencoder"))
    except (SafetensorError, OSError):
        return None


class FrameCache:
    """Random windows out of packed scenes, the same for the same step on every machine."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        self.files = sorted(folder.glob("*" + FRAMES))
        if not self.files:
            raise InputError("no packed clips", file=folder, hint="make them with: drivewm data encode")
        self.rig = load_record(CameraRig, folder / "rig.json")
        self.lengths = [self._length(file) for file in self.files]

    @staticmethod
    def _length(file: Path) -> int:
        try:
            with safe_open(str(file), "pt") as stored:
                return int(stored.get_slice("time_s").get_shape()[0])
        except (SafetensorError, OSError) as error:
            raise InputError(f"unreadable shard: {error}", file=file, hint="delete it and encode again") from None

    def read(self, index: int, start: int, frames: int, keys: tuple[str, ...] | None = None) -> Tensors:
        """A window of one scene; with latents when they are there and asked for (or everything is)."""
        file, rows = self.files[index], slice(start, start + frames)
        out: Tensors = {}
        with safe_open(str(file), "pt") as stored:
            for key in stored.keys() if keys is None else set(keys) & set(stored.keys()):
                out[key] = stored.get_slice(key)[rows]
        latents = latents_of(file)
        if (keys is None or "latent" in keys) and latents.exists():
            with safe_open(str(latents), "pt") as stored:
                out["latent"] = stored.get_slice("latent")[rows]
        return out

    def check_latents(self, codec: FrameCodec) -> None:
        """Raises InputError unless every scene has latents of this very autoencoder."""
        name = codec.latents_fingerprint()
        for file in self.files:
            if _encoded_by(latents_of(file)) != name:
                raise InputError(
                    "no latents of this autoencoder", file=latents_of(file), hint="run: drivewm data encode --autoencoder DIR"
                )

    def batch(self, step: int, size: int, frames: int, keys: tuple[str, ...] | None = None) -> Tensors:
        """``size`` random windows of ``frames`` frames [B, T, ...], a pure function of seed and step."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, step]))
        long_enough = [i for i, length in enumerate(self.lengths) if length >= frames]
        if not long_enough:
            raise InputError(f"no scene has {frames} frames", file=self.folder)
        picks = [long_enough[i] for i in rng.integers(len(long_enough), size=size)]
        windows = [self.read(i, int(rng.integers(self.lengths[i] - frames + 1)), frames, keys) for i in picks]
        return {key: torch.stack([window[key] for window in windows]) for key in windows[0]}
