"""The cache between a data set and a training: made once, made again only where its source changed, verified when it is read."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.cli import run
from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.errors import InputError
from drivewm.training.cache import FRAMES, LATENTS, FrameCache, PackOptions, encode_latents, pack
from drivewm.training.shards import Shard
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.sizes import size_named


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drives")
    synth(folder, SynthOptions(scenes=3, seconds=3.0, seed=5, workers=1))
    return folder


@pytest.fixture(scope="module")
def packed(drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    pack(NuScenesFolder(drives), cache, PackOptions())
    return cache


def codec() -> FrameCodec:
    torch.manual_seed(0)
    return FrameCodec.of_size(size_named("tiny")).eval()


def written(cache: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in cache.glob("*.safetensors")}


def test_what_is_missing_or_changed_is_made_and_nothing_else(drives: Path, packed: Path, tmp_path: Path) -> None:
    source, cache = tmp_path / "drives", tmp_path / "cache"
    shutil.copytree(drives, source)  # keeps the times of the files, as rsync -a does
    shutil.copytree(packed, cache)
    names = [scene.name for scene in NuScenesFolder(source).scenes()]
    assert pack(NuScenesFolder(source), cache, PackOptions()).kept == tuple(names)
    files = NuScenesFolder(source).index(names[2]).files
    (source / files[1][0]).write_bytes((source / files[4][0]).read_bytes())
    assert pack(NuScenesFolder(source), cache, PackOptions()).made == (names[2],)
    images = Shard(cache / (names[2] + FRAMES)).tensors["images"]
    assert torch.equal(images[1, 0], images[4, 0])
    before = written(cache)
    (cache / (names[0] + FRAMES)).unlink()
    (cache / (names[1] + FRAMES)).write_bytes(b"\x08" + bytes(40))  # no whole file
    assert pack(NuScenesFolder(source), cache, PackOptions()).made == (names[0], names[1])
    assert written(cache)[names[2] + FRAMES] == before[names[2] + FRAMES]


def test_a_killed_run_goes_on_without_repeating_a_scene(drives: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from drivewm.data.reader import NuScenesFolder\n"
        "from drivewm.training.cache import PackOptions, pack\n"
        "pack(NuScenesFolder(sys.argv[1]), Path(sys.argv[2]), PackOptions(), lambda *_: os._exit(9))\n"
    )
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, drives, tmp_path / "cache"]
    assert subprocess.run(command, env=paths, timeout=120).returncode == 9
    before = written(tmp_path / "cache")
    done = pack(NuScenesFolder(drives), tmp_path / "cache", PackOptions())
    assert len(before) == len(done.kept) == 1 and len(done.made) == 2
    assert written(tmp_path / "cache").items() >= before.items()


def test_size_and_stride_are_part_of_what_a_clip_is(drives: Path, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "cache")
    options = PackOptions(size_px=(32, 48), stride=2)
    assert len(pack(NuScenesFolder(drives), tmp_path / "cache", options).made) == 3
    small, whole = FrameCache(tmp_path / "cache"), FrameCache(packed)
    assert small.rig.size_px == (32, 48) and small.rig.rate_hz == whole.rig.rate_hz / 2
    assert small.lengths == [(length + 1) // 2 for length in whole.lengths]
    assert torch.allclose(
        small.read(0, 0, 3, ("motion",))["motion"][:, :2], whole.read(0, 0, 5, ("motion",))["motion"][::2, :2]
    )  # speed and curvature are of the instant


def test_latents_are_made_again_exactly_where_images_are_new(drives: Path, packed: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(packed, cache)
    assert encode_latents(cache, codec()) == 3 and encode_latents(cache, codec()) == 0
    file = sorted(cache.glob("*" + FRAMES))[1]
    source = tmp_path / "drives"
    shutil.copytree(drives, source)
    scene = file.name.removesuffix(FRAMES)
    index = NuScenesFolder(source).index(scene)
    (source / index.files[0][0]).write_bytes((source / index.files[5][1]).read_bytes())
    pack(NuScenesFolder(source), cache, PackOptions())
    with pytest.raises(InputError, match=f"{scene}{LATENTS}.*no latents of this autoencoder"):
        FrameCache(cache).check_latents(codec())
    before = written(cache)
    assert encode_latents(cache, codec()) == 1
    assert {name for name, time in written(cache).items() if before[name] != time} == {scene + LATENTS}
    other = codec()
    other.std_C.fill_(2.0)
    assert encode_latents(cache, other) == 3
    assert FrameCache(cache).batch(0, 2, 3, ("latent",))["latent"].dtype == torch.bfloat16


@pytest.mark.parametrize("key", ["images", "label", "boxes", "crc32.images"])
def test_one_changed_byte_is_told_with_file_scene_and_frame(packed: Path, tmp_path: Path, key: str) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(packed, cache)
    file = sorted(cache.glob("*" + FRAMES))[1]
    data = bytearray(file.read_bytes())
    size = int.from_bytes(data[:8], "little")
    start, stop = json.loads(data[8 : 8 + size])[key]["data_offsets"]
    rows = FrameCache(cache).lengths[1]
    data[8 + size + start + (stop - start) * 3 // rows] ^= 0x10  # the first byte of frame 3
    file.write_bytes(data)
    scene, tensor = file.name.removesuffix(FRAMES), key.removeprefix("crc32.")
    told = re.escape(f"{file}: scene {scene}: damaged: frame 3 of '{tensor}'") + ".*run the same `drivewm data encode` again"
    clips = FrameCache(cache)
    with pytest.raises(InputError, match=told):
        clips.read(1, 2, 2)
    clips.read(1, 4, 2)  # what is whole can be read


@pytest.mark.parametrize("content", [b"", b"not a shard", bytes(100), None])
def test_a_file_that_is_no_whole_shard_is_one_sentence(packed: Path, tmp_path: Path, content: bytes | None) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(packed, cache)
    file = sorted(cache.glob("*" + FRAMES))[2]
    file.write_bytes(file.read_bytes()[:-1000] if content is None else content)
    with pytest.raises(InputError, match=re.escape(f"{file}: scene {file.name.split('.')[0]}: unreadable shard")):
        FrameCache(cache)
    codec().save(tmp_path / "ae")
    words = ("train", "autoencoder", "--cache", cache, "--out", tmp_path / "out", "--steps", "1")
    assert run([str(word) for word in words]) == 2


def test_a_foreign_tensor_file_is_no_shard(packed: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(packed, cache)
    codec().save(tmp_path / "ae")
    shutil.copy(next((tmp_path / "ae").glob("*.safetensors")), cache / ("scene-0000" + FRAMES))
    with pytest.raises(InputError, match=r"scene-0000.*is no shard of ours"):
        FrameCache(cache)


def test_a_full_disk_is_one_sentence_and_leaves_finished_clips_and_no_halves(drives: Path, packed: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    names = [scene.name for scene in NuScenesFolder(drives).scenes()]
    shutil.copy2(packed / (names[0] + FRAMES), cache)
    before = written(cache)
    limit = (packed / (names[1] + FRAMES)).stat().st_size // 2
    failed = subprocess.run(
        [
            sys.executable,
            "-c",
            "from drivewm.cli import main; main()",
            "data",
            "encode",
            drives,
            "--out",
            cache,
            "--workers",
            "1",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert failed.returncode == 2
    assert re.search(
        r"^drivewm: .*" + re.escape(FRAMES) + ": no space left while writing$", failed.stderr.strip().splitlines()[-1]
    )
    assert "Traceback" not in failed.stderr
    assert written(cache) == before and not list(cache.glob(".*"))


def test_scenes_without_any_image_are_left_out_by_name_and_a_half_scene_stops(
    drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "drives"
    shutil.copytree(drives, source)
    folder = NuScenesFolder(source)
    bare, half = (scene.name for scene in folder.scenes()[:2])
    for frame in folder.index(bare).files:
        for image in set(frame):
            (source / image).unlink(missing_ok=True)
    words = ["data", "encode", str(source), "--out", str(tmp_path / "cache"), "--workers", "1", "--json"]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["scenes"] == 2 and told["without_images"] == [bare]
    gone = source / folder.index(half).files[3][2]
    gone.unlink()
    assert run(words) == 2
    assert f"{gone}: token {folder.index(half).image_tokens[3][2]}: image is missing" in capsys.readouterr().err


def test_rows_come_back_as_the_clip_has_them(drives: Path, packed: Path) -> None:
    cache, folder = FrameCache(packed), NuScenesFolder(drives)
    scene = cache.files[0].name.removesuffix(FRAMES)
    clip = folder.clip(scene)
    assert np.array_equal(cache.read(0, 2, 4, ("images",))["images"].numpy(), clip.images[2:6])
    assert set(cache.read(0, 0, 1, ("weather", "time_s"))) == {"weather", "time_s"}
    with pytest.raises(InputError, match=f"scene {scene}: holds no 'speed'"):
        cache.read(0, 0, 1, ("speed",))
