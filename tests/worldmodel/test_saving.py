"""Weights survive the disk; damaged ones are one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.errors import InputError
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import SIZES, size_named
from drivewm.worldmodel.transformer import DriveTransformer

SIZE = replace(SIZES["tiny"], width=64, depth=2, heads=2, autoencoder_channels=(16, 32, 64), autoencoder_layers=(1, 1, 1))


@pytest.fixture(scope="module")
def codec() -> FrameCodec:
    torch.manual_seed(0)
    codec = FrameCodec.of_size(SIZE).eval()
    codec.mean_C.uniform_(-1, 1)
    codec.std_C.uniform_(0.5, 2)
    return codec


@torch.no_grad()
def test_latents_are_a_twelfth_of_the_pixels(codec: FrameCodec) -> None:
    images = torch.zeros(2, 6, 64, 96, 3, dtype=torch.uint8)
    latent = codec.encode(images)
    assert latent.shape == (2, 6, 16, 8, 12)
    assert images[0, 0].numel() / latent[0, 0].numel() == 12.0
    assert codec.decode(latent).shape == images.shape


@torch.no_grad()
def test_a_codec_comes_back_within_half_precision(codec: FrameCodec, tmp_path: Path) -> None:
    codec.save(tmp_path)
    loaded = FrameCodec.load(tmp_path)
    images = torch.randint(0, 255, (1, 64, 96, 3), dtype=torch.uint8)
    torch.testing.assert_close(loaded.encode(images), codec.encode(images), atol=2e-2, rtol=2e-2)
    assert loaded.fingerprint() == codec.fingerprint()


def test_latent_statistics_are_undone_on_the_way_back(codec: FrameCodec) -> None:
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        raw = codec.encode_pixels(pixels)
        standard = (raw - codec.mean_C[:, None, None]) / codec.std_C[:, None, None]
        direct = ((codec.decode_pixels(raw) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)
        assert (codec.decode(standard).int() - direct.int()).abs().max() <= 1


def test_a_pipeline_comes_back_through_diffusers(codec: FrameCodec, tmp_path: Path) -> None:
    pipeline = DreamPipeline.of_parts(DriveTransformer.of_size(SIZE), codec)
    pipeline.save(tmp_path / "world")
    loaded = DreamPipeline.from_pretrained(tmp_path / "world", local_files_only=True, dtype=torch.float32)
    assert loaded.transformer.size == SIZE
    np.testing.assert_allclose(loaded.codec.std_C.numpy(), codec.std_C.numpy(), rtol=1e-6)
    for a, b in zip(pipeline.transformer.state_dict().values(), loaded.transformer.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    assert not list((tmp_path / "world").rglob("*.bin"))


def test_saved_weights_tell_nothing_of_the_machine_they_were_made_on(codec: FrameCodec, tmp_path: Path) -> None:
    DreamPipeline.of_parts(DriveTransformer.of_size(SIZE), codec).save(tmp_path / "secret_place")
    loaded = DreamPipeline.from_pretrained(tmp_path / "secret_place", local_files_only=True)
    loaded.save(tmp_path / "given_away")
    for file in (tmp_path / "given_away").rglob("*"):
        assert file.is_dir() or b"secret_place" not in file.read_bytes(), file
        assert file.is_dir() or file.stat().st_mode & 0o044 == 0o044, file


@pytest.mark.parametrize("damage", ["missing", "truncated", "statistics"])
def test_a_damaged_autoencoder_is_one_sentence(codec: FrameCodec, tmp_path: Path, damage: str) -> None:
    codec.save(tmp_path)
    weights = next(tmp_path.glob("*.safetensors"))
    if damage == "missing":
        (tmp_path / "latent_statistics.json").unlink()
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:200])
    else:
        (tmp_path / "latent_statistics.json").write_text("{")
    with pytest.raises(InputError, match="autoencoder") as error:
        FrameCodec.load(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_size_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="tiny"):
        size_named("tinny")
