"""What training reads: every clip of a data set once decoded, its conditions computed, its latents encoded.

One safetensors file per scene holds frames and conditions, a second one the latents of one encoder. Each says what it was made
from; what is there and made from the same is not done again, so a killed `drivewm data encode` goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from drivewm.data.marks import Marks, TrainedOn, drive_marks, marks_in
from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import CameraRig, Clip
from drivewm.errors import InputError
from drivewm.store import load_record, save_record
from drivewm.training.shards import Shard, Tensors, metadata_of, write_shard
from drivewm.training.sources import source_hash
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import clip_conditions, untold
from drivewm.worldmodel.precision import inference_autocast

Progress = Callable[[int, int, str], None]  # done, total, what
UNTOLD = "untold_"  # before the name of a group of conditions
ENCODED_FRAMES = 8  # at once, of all cameras
FRAMES, LATENTS = ".frames.safetensors", ".latents.safetensors"


def clip_tensors(clip: Clip) -> Tensors:
    """Images, times and `FrameConditions` of a clip [T, ...], and which groups of conditions its source does not tell."""
    stacked = clip_conditions(clip)
    out = {field.name: torch.from_numpy(np.ascontiguousarray(getattr(stacked, field.name))) for field in fields(stacked)}
    out["images"] = torch.from_numpy(np.ascontiguousarray(clip.images))
    out |= {UNTOLD + group: torch.full((len(clip.images),), group in untold(clip)) for group in ("layout", "boxes", "polylines")}
    out["time_s"] = torch.from_numpy(np.asarray(clip.states.t_s - clip.states.t_s[0], np.float32))
    return out


@dataclass(frozen=True, slots=True)
class PackOptions:
    split: str | None = None
    size_px: tuple[int, int] | None = None  # height, width; None: as the images are
    stride: int = 1  # every how many-th frame is taken
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """Scenes of a cache, by name."""

    made: tuple[str, ...]  # now
    kept: tuple[str, ...]  # from before, still made from the same
    without_images: tuple[str, ...]  # left out: not one of their images is there


def pack(folder: NuScenesFolder, out: Path, options: PackOptions, progress: Progress | None = None) -> Packed:
    """Write frames and conditions of every scene, unless they lie there made from the same images, tables, map, size and stride.

    Scenes none of whose images are there are left out and named; one with some of them is an InputError, like a broken image.
    """
    scenes = folder.scenes(options.split)
    bare = tuple(s.name for s in scenes if s.images_absent == s.frames * len(folder.rig(s.name).names))
    names = [scene.name for scene in scenes if scene.name not in bare]
    if not names:
        reason = f"none of the {len(bare)} scenes has images" if bare else f"no scene in split {options.split!r}"
        raise InputError(reason, file=folder.root)
    rig = folder.rig(names[0])
    rig = rig if options.size_px is None else rig.resized(*options.size_px)
    save_record(out / "rig.json", replace(rig, rate_hz=rig.rate_hz / options.stride))
    made_from = {name: source_hash(folder, name, options.size_px, options.stride) for name in names}
    missing = [name for name in names if metadata_of(out / (name + FRAMES)).get("made_from") != made_from[name]]
    done = len(names) - len(missing)
    for name in _packed((folder, out, options), missing, made_from):
        done += 1
        if progress:
            progress(done, len(names), name)
    return Packed(tuple(missing), tuple(name for name in names if name not in missing), bare)


_Job = tuple[NuScenesFolder, Path, PackOptions]
_JOB: list[_Job] = []  # of a worker process, which is told once


def _packed(job: _Job, scenes: list[str], made_from: dict[str, str]) -> Iterator[str]:
    """Packs scenes, in this process or in others, and gives the name of each that is done."""
    _, out, options = job
    if options.workers == 1 or not scenes:
        yield from (_pack_one(scene, made_from[scene], job) for scene in scenes)
        return
    with ProcessPoolExecutor(min(options.workers, len(scenes)), get_context("spawn"), _start, job) as pool:
        try:
            yield from pool.map(_pack_one, scenes, [made_from[scene] for scene in scenes])
        except BrokenProcessPool:
            hint = "often memory: use fewer --workers; finished scenes stay"
            raise InputError("a process that packed was killed", file=out, hint=hint) from None


def _start(folder: NuScenesFolder, out: Path, options: PackOptions) -> None:
    torch.set_num_threads(1)  # the workers share the machine
    _JOB[:] = [(folder, out, options)]


def _pack_one(scene: str, made_from: str, job: _Job | None = None) -> str:
    folder, out, options = job or _JOB[0]
    clip = folder.clip(scene, stride=options.stride, size_px=options.size_px)
    marks = asdict(drive_marks(folder, scene))
    write_shard(out / (scene + FRAMES), clip_tensors(clip), {"made_from": made_from, **marks})
    return scene


@torch.no_grad()
def encode_latents(cache: Path, codec: FrameCodec, progress: Progress | None = None) -> int:
    """Add the latents (bf16) of every packed scene; returns how many were made, because autoencoder or images are new."""
    files, name, made = sorted(cache.glob("*" + FRAMES)), codec.latents_fingerprint(), 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    codec = codec.to(device)
    for index, file in enumerate(files):
        target, shard = latents_of(file), Shard(file)
        made_from = _latents_from(name, shard)
        if metadata_of(target).get("made_from") != made_from:
            parts = []
            with inference_autocast(device):
                for start in range(0, shard.length, ENCODED_FRAMES):
                    like = shard.tensors["images"][start : start + ENCODED_FRAMES]
                    shard.copy_rows("images", start, images := torch.empty_like(like))
                    parts.append(codec.encode(images.to(device)).bfloat16().cpu())
            write_shard(target, {"latent": torch.cat(parts)}, {"made_from": made_from})
            made += 1
        if progress:
            progress(index + 1, len(files), target.name)
    return made


def latents_of(frames_file: Path) -> Path:
    return frames_file.with_name(frames_file.name.removesuffix(FRAMES) + LATENTS)


def _latents_from(autoencoder: str, frames: Shard) -> str:
    return f"{autoencoder} {frames.digest('images')}"


class FrameCache:
    """Random windows out of packed scenes, the same for the same step on every machine; what is read is verified."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        self.files = sorted(folder.glob("*" + FRAMES))
        if not self.files:
            raise InputError("no packed clips", file=folder, hint="make them with: drivewm data encode")
        self.rig = load_record(CameraRig, folder / "rig.json")
        self._frames = [Shard(file) for file in self.files]
        self._latents: dict[int, Shard] = {}
        self.lengths = [shard.length for shard in self._frames]
        self.keys = (*self._frames[0].tensors, *(("latent",) if latents_of(self.files[0]).exists() else ()))

    @property
    def marks(self) -> list[Marks | None]:
        """What tells each scene from others; None for one packed before scenes had marks."""
        return [marks_in(shard.metadata) for shard in self._frames]

    def trained_on(self) -> TrainedOn:
        """What weights that learn from here have to keep beside them."""
        return TrainedOn.of(self.marks)

    def read(self, index: int, start: int, frames: int, keys: tuple[str, ...] | None = None) -> Tensors:
        """A window of one scene; with latents when they are there and asked for (or everything is)."""
        return {key: value[0] for key, value in self._read([(index, start)], frames, keys).items()}

    def check_latents(self, codec: FrameCodec) -> None:
        """Raises InputError unless every scene has latents of its very images by this very autoencoder."""
        name = codec.latents_fingerprint()
        for file, shard in zip(self.files, self._frames, strict=True):
            if metadata_of(latents_of(file)).get("made_from") != _latents_from(name, shard):
                raise InputError(
                    "no latents of this autoencoder", file=latents_of(file), hint="run: drivewm data encode --autoencoder DIR"
                )

    def batch(self, step: int, size: int, frames: int, keys: tuple[str, ...] | None = None) -> Tensors:
        """``size`` random windows of ``frames`` frames [B, T, ...], a pure function of seed and step."""
        return self._read(self._windows(step, size, frames), frames, keys)

    def names(self, step: int, size: int, frames: int) -> list[str]:
        """What a batch is made of, one name per window."""
        return [f"{self._frames[i].scene} from frame {start}" for i, start in self._windows(step, size, frames)]

    def _windows(self, step: int, size: int, frames: int) -> list[tuple[int, int]]:
        """Scene and first frame of each window of a batch."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, step]))
        long_enough = [i for i, length in enumerate(self.lengths) if length >= frames]
        if not long_enough:
            raise InputError(f"no scene has {frames} frames", file=self.folder)
        picks = [long_enough[i] for i in rng.integers(len(long_enough), size=size)]
        return [(i, int(rng.integers(self.lengths[i] - frames + 1))) for i in picks]

    def _read(self, windows: list[tuple[int, int]], frames: int, keys: tuple[str, ...] | None) -> Tensors:
        """Windows (scene, first frame), each row copied once, to its place in the batch."""
        first = windows[0][0]
        out: Tensors = {}
        for key in self.keys if keys is None else keys:
            like = self._of(first, key).tensors[key]
            out[key] = torch.empty((len(windows), frames, *like.shape[1:]), dtype=like.dtype)
            for (index, start), into in zip(windows, out[key], strict=True):
                self._of(index, key).copy_rows(key, start, into)
        return out

    def _of(self, index: int, key: str) -> Shard:
        """The shard that holds a tensor of a scene."""
        shard = self._frames[index]
        if key == "latent":
            if index not in self._latents:
                self._latents[index] = Shard(latents_of(self.files[index]))
            shard = self._latents[index]
        if key not in shard.tensors:
            raise InputError(f"holds no {key!r}", file=shard.path, place=f"scene {shard.scene}", hint="encode into a new folder")
        return shard
