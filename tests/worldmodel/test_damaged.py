"""A world model that is damaged, or another one than it says, is one sentence with its file and exit code 2."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from drivewm.cli import run
from drivewm.errors import InputError
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.saved import CHECKSUMS, check_saved
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld, open_pipeline

SIZE = replace(SIZES["tiny"], width=32, depth=2, heads=2, autoencoder_channels=(8, 8, 8), autoencoder_layers=(1, 1, 1))
NETWORK, CODEC = (f"{part}/diffusion_pytorch_model.safetensors" for part in ("transformer", "autoencoder"))
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("worlds") / "world"
    DreamPipeline.of_parts(DriveTransformer.of_size(SIZE), FrameCodec.of_size(SIZE)).save(folder)
    return folder


def bytes_of(file: str, change: Callable[[bytes], bytes]) -> Damage:
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def stated(file: str, **changed: Any) -> Damage:
    def change(folder: Path) -> None:
        config = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(config | changed))

    return change


def sized(**changed: Any) -> Damage:
    def change(folder: Path) -> None:
        size = json.loads((folder / "transformer/config.json").read_text())["size"]
        stated("transformer/config.json", size=size | changed)(folder)

    return change


def weights_of_depth_four(folder: Path) -> None:
    DriveTransformer.of_size(replace(SIZE, depth=4)).half().save_pretrained(folder / "other")
    shutil.move(folder / "other/diffusion_pytorch_model.safetensors", folder / NETWORK)


def network_of_finer_cells(folder: Path) -> None:
    finer = replace(SIZE, autoencoder_channels=(8, 8), autoencoder_layers=(1, 1))
    DriveTransformer.of_size(finer).half().save_pretrained(folder / "transformer")
    (folder / CHECKSUMS).unlink()


def not_finite(folder: Path) -> None:
    weights = load_file(folder / NETWORK)
    weights["patch_in.bias"][3] = torch.nan
    save_file(weights, folder / NETWORK)
    (folder / CHECKSUMS).unlink()


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no weights": (lambda folder: (folder / NETWORK).unlink(), f"{NETWORK}: weights are missing"),
    "cut short": (bytes_of(NETWORK, lambda data: data[:-100]), f"{NETWORK}: is damaged or not a safetensors file"),
    "empty": (bytes_of(CODEC, lambda data: b""), f"{CODEC}: is damaged or not a safetensors file"),
    "huge header": (bytes_of(NETWORK, lambda data: struct.pack("<Q", 2**62) + data[8:]), "header too large"),
    "header of nonsense": (bytes_of(CODEC, lambda data: data[:8] + b"\xff" * 90 + data[98:]), f"{CODEC}: is damaged"),
    "one flipped bit": (bytes_of(NETWORK, flipped(-77)), f"{NETWORK}: is damaged: its bytes are not those that were saved"),
    "not finite": (not_finite, "patch_in.bias: holds weights that are not finite"),
    "another width": (sized(width=64), r"has the shape \[.*32\], not \[.*64\]: .*another network or size"),
    "a deeper network's config": (sized(depth=4), "blocks.2.* is missing: .*another network or size"),
    "a deeper network's weights": (weights_of_depth_four, "blocks.2.* has no place in the network"),
    "no heads": (sized(heads=0), "config.json: size.heads: must be between 1 and"),
    "depth of a tower": (sized(depth=10**9), "config.json: size.depth: must be between 1 and"),
    "odd heads": (sized(heads=3), "does not divide into 3 heads"),
    "words": (sized(width="wide"), "size.width: needs a whole number, has 'wide'"),
    "unknown field": (sized(widht=32), r"size.widht: WorldModelSize has no such field \(did you mean 'width'"),
    "another network": (stated("transformer/config.json", _class_name="UNet2DModel"), "'UNet2DModel', not DriveTransformer"),
    "another pipeline": (stated("model_index.json", _class_name="FluxPipeline"), "is 'FluxPipeline', not DreamPipeline"),
    "foreign code": (stated("model_index.json", transformer=["os", "system"]), "is no world model of ours"),
    "too few statistics": (stated("model_index.json", latent_mean=[0.0] * 3), "latent_mean: needs 16 numbers, one for each"),
    "no deviation": (stated("model_index.json", latent_std=[0.0] * 16), "latent_std: needs 16 numbers above 0"),
    "another autoencoder": (stated("autoencoder/config.json", _class_name="AutoencoderKL"), "needs an AutoencoderDC"),
    "finer cells in the config": (
        sized(autoencoder_channels=[8, 8], autoencoder_layers=[1, 1]),
        "canvas.* has the shape .*another",
    ),
    "other latents": (network_of_finer_cells, "in cells of 8 px, the .* cells of 4"),
    "deep autoencoder": (stated("autoencoder/config.json", encoder_layers_per_block=[10**9] * 4), "no lists of small whole"),
    "broken text": (bytes_of("transformer/config.json", lambda data: data[:40]), "config.json:.*is not JSON"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_world_model_is_one_sentence_with_its_file(saved: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "world"))
    break_it, said = DAMAGES[damage]
    break_it(folder)
    with pytest.raises(InputError, match=said) as caught:
        DreamWorld.load(str(folder))
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_a_flipped_bit_in_an_autoencoder_of_its_own_is_found(tmp_path: Path) -> None:
    codec = FrameCodec.of_size(SIZE)
    codec.save(tmp_path)
    bytes_of("diffusion_pytorch_model.safetensors", flipped(-77))(tmp_path)
    with pytest.raises(InputError, match=r"diffusion_pytorch_model\.safetensors: is damaged"):
        FrameCodec.load(tmp_path)


def test_the_program_says_it_and_exits_with_2(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "world"))
    bytes_of(NETWORK, lambda data: data[:5000])(folder)
    assert run(["dream", "cut_in.motorway", "--world", str(folder), "--out", str(tmp_path / "film")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{folder / NETWORK}: is damaged" in said
    assert not list(tmp_path.glob("film/*"))


def test_what_is_whole_opens_and_what_was_never_summed_opens_too(saved: Path, tmp_path: Path) -> None:
    """Folders written by diffusers itself have no checksums."""
    folder = Path(shutil.copytree(saved, tmp_path / "world"))
    (folder / CHECKSUMS).unlink()
    assert open_pipeline(folder).identity() == open_pipeline(saved).identity()


def test_no_flipped_byte_and_no_cut_passes_or_crashes(saved: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved, tmp_path / "world"))
    rng = np.random.default_rng(0)
    for _ in range(60):
        file = folder / (NETWORK, CODEC)[int(rng.integers(2))]
        whole = file.read_bytes()
        header = 8 + struct.unpack("<Q", whole[:8])[0]
        at = int(rng.integers(header if rng.random() < 0.5 else len(whole)))
        cut = rng.random() < 0.3
        file.write_bytes(whole[:at] if cut else flipped(at)(whole))
        with pytest.raises(InputError) as caught:
            check_saved(folder)
        assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
        file.write_bytes(whole)
    check_saved(folder)
