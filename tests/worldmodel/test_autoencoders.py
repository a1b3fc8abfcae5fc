"""Autoencoders of diffusers by name or path: each kind takes clips of any length and size, and damage is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from drivewm.errors import InputError
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.codec_form import CodecForm, form_of

WAN = {"base_dim": 8, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
KL = {
    "block_out_channels": (8, 8, 8),
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "shift_factor": 0.25,
}
DC = {
    "latent_channels": 4,
    **{f"{part}_block_out_channels": (8, 8, 8) for part in ("encoder", "decoder")},
    **{f"{part}_layers_per_block": (0, 1, 1) for part in ("encoder", "decoder")},
    **{f"{part}_qkv_multiscales": ((), (), ()) for part in ("encoder", "decoder")},
    "scaling_factor": 0.41407,
}
FOUR = {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "latent_channels": 4}
COSMOS = {
    "encoder_block_out_channels": (8, 8, 16, 16),
    "decode_block_out_channels": (8, 8, 16, 16),
    "num_layers": 1,
    "resolution": 64,
    "attention_resolutions": (8,),
}
LTX = {
    "decoder_block_out_channels": (8, 8, 8, 8),
    "decoder_layers_per_block": (1,) * 5,
    "timestep_conditioning": True,
}


def made(kind: str, settings: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    return getattr(diffusers, kind)(**settings).eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("autoencoders")
    kinds = {"AutoencoderKLWan": WAN, "AutoencoderKL": KL, "AutoencoderDC": DC}
    for kind, settings in kinds.items():
        made(kind, settings).save_pretrained(root / kind)
    return {kind: root / kind for kind in kinds}


def clip(frames: int, height: int = 65, width: int = 97) -> torch.Tensor:
    return torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("kind", "frames", "latent"),
    [
        ("AutoencoderKLWan", 1, (16, 1, 9, 13)),
        ("AutoencoderKLWan", 5, (16, 2, 9, 13)),
        ("AutoencoderKLWan", 6, (16, 3, 9, 13)),
        ("AutoencoderKL", 6, (4, 6, 17, 25)),
        ("AutoencoderDC", 6, (4, 6, 17, 25)),
    ],
)
@torch.no_grad()
def test_clips_of_any_length_and_size_come_back_as_they_were(
    folders: dict[str, Path], kind: str, frames: int, latent: tuple[int, ...]
) -> None:
    codec, images = FrameCodec.load(folders[kind], any_kind=True), clip(frames)
    encoded = codec.encode_clip(images)
    assert encoded.shape == latent
    back = codec.decode_clip(encoded, (frames, 65, 97))
    assert back.shape == images.shape and back.dtype == torch.uint8


@torch.no_grad()
def test_the_latent_of_a_first_frame_does_not_know_what_follows(folders: dict[str, Path]) -> None:
    codec, images = FrameCodec.load(folders["AutoencoderKLWan"], any_kind=True), clip(5)
    torch.testing.assert_close(codec.encode_clip(images)[:, :1], codec.encode_clip(images[:1]))


@pytest.mark.parametrize("kind", ["AutoencoderKLWan", "AutoencoderKL", "AutoencoderDC"])
@torch.no_grad()
def test_latents_are_standardised_as_the_config_says(folders: dict[str, Path], kind: str) -> None:
    autoencoder = getattr(diffusers, kind).from_pretrained(folders[kind])
    images = clip(1, 64, 96)
    pixels = images.movedim(-1, 1) / 127.5 - 1.0
    raw = autoencoder.encode(pixels[:, :, None] if kind == "AutoencoderKLWan" else pixels)[0]
    if kind == "AutoencoderKLWan":
        config = autoencoder.config
        expected = (raw.mean[0, :, 0].movedim(0, -1) - torch.tensor(config.latents_mean)) / torch.tensor(config.latents_std)
    elif kind == "AutoencoderKL":
        expected = (raw.mean[0].movedim(0, -1) - 0.25) * 0.18215
    else:
        expected = raw[0].movedim(0, -1) * 0.41407
    found = FrameCodec.load(folders[kind], any_kind=True).encode_clip(images)[:, 0].movedim(0, -1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings", "form"),
    [
        ("AutoencoderKLCosmos", COSMOS, CodecForm(16, 8, True, 1, 8)),
        ("AutoencoderKLLTXVideo", FOUR | LTX | {"layers_per_block": (1,) * 5}, CodecForm(4, 32, True, 1, 8)),
        ("AutoencoderKLHunyuanVideo", FOUR | {"norm_num_groups": 4}, CodecForm(4, 8, True, 1, 4)),
        ("AutoencoderTiny", {}, CodecForm(4, 8, False)),
    ],
)
def test_published_kinds_have_their_published_compression(kind: str, settings: dict[str, Any], form: CodecForm) -> None:
    assert form_of(made(kind, settings)) == form


@torch.no_grad()
def test_the_embedded_autoencoder_has_the_statistics_of_its_world() -> None:
    """Its latents were scaled to unit variance on procedural frames; a flat grey is far less varied, but in their range."""
    codec = FrameCodec.load("tiny")
    assert (codec.std_C != 1.0).all()
    latent = codec.encode_clip(torch.full((1, 64, 96, 3), 128, dtype=torch.uint8))
    assert latent.shape == (16, 1, 8, 12) and latent.abs().max() < 5


def test_a_pipeline_in_the_local_cache_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"somebody/video: .*local Hugging Face cache \(get it with: hf download somebody/video"):
        FrameCodec.load("somebody/video", any_kind=True)
    cached = tmp_path / "models--somebody--video"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("a" * 40)
    made("AutoencoderKL", KL).save_pretrained(cached / "snapshots" / ("a" * 40) / "vae")
    assert FrameCodec.load("somebody/video", any_kind=True).form == CodecForm(4, 4, False)


def test_a_world_model_refuses_what_does_not_stand_frame_by_frame(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="needs an AutoencoderDC as its autoencoder, this is an AutoencoderKLWan"):
        FrameCodec.load(folders["AutoencoderKLWan"])
    codec = FrameCodec.load(folders["AutoencoderDC"])
    assert codec.std_C[0] == pytest.approx(1 / 0.41407)
    with pytest.raises(InputError, match="pictures of 65x97 do not divide into the autoencoder's cells of 4 px"):
        codec.encode(clip(1))


def _config(**changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changed))

    return change


def _weights(folder: Path) -> Path:
    return folder / "diffusion_pytorch_model.safetensors"


def _other_weights(folder: Path) -> None:
    made("AutoencoderKL", KL | {"layers_per_block": 2}).save_pretrained(folder)
    _config(layers_per_block=3)(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no autoencoder here"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: does not say which autoencoder"),
        (_config(_class_name="AutoencoderKLVan"), r"'AutoencoderKLVan' is no autoencoder .*'AutoencoderKLWan'"),
        (_config(_class_name="UNet2DModel"), "'UNet2DModel' is no autoencoder"),
        (lambda folder: _weights(folder).unlink(), "unreadable autoencoder: .*safetensors"),
        (lambda folder: _weights(folder).write_bytes(_weights(folder).read_bytes()[:300]), "unreadable autoencoder"),
        (lambda folder: _weights(folder).rename(folder / "diffusion_pytorch_model.bin"), "unreadable autoencoder: .*safetensors"),
        (_config(latent_channels=8), "unreadable autoencoder"),
        (_other_weights, "unreadable autoencoder: .* are missing"),
        (_config(in_channels=4), "unreadable autoencoder"),
        (_config(latents_mean=[0.0, 1.0, 2.0], latents_std=[1.0, 1.0, 1.0]), "statistics"),
    ],
)
def test_a_damaged_folder_is_one_sentence(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    made("AutoencoderKL", KL).save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        FrameCodec.load(tmp_path, any_kind=True)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the sound autoencoder, in torch
def test_what_takes_no_pictures_and_a_wrong_name_are_one_sentence(tmp_path: Path) -> None:
    sound = {"encoder_hidden_size": 8, "downsampling_ratios": [2], "channel_multiples": [1], "decoder_channels": 8}
    made("AutoencoderOobleck", sound).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="pictures do not pass through this AutoencoderOobleck"):
        FrameCodec.load(tmp_path, any_kind=True)
    with pytest.raises(InputError, match=r"tinny: is neither .* \(did you mean 'tiny'\?\)"):
        FrameCodec.load("tinny", any_kind=True)
