"""Pictures through an autoencoder and back: figures that can be derived by hand, real pictures, and what is refused."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan
from transformers import ResNetConfig, ResNetModel, ViTConfig, ViTModel

from drivewm.cli import run
from drivewm.errors import InputError
from drivewm.evaluation.likeness import FeatureNetwork, backbone_network, psnr_db, reader_network, ssim
from drivewm.evaluation.reconstruction import ReconstructOptions, reconstruct
from drivewm.evaluation.sources import open_sources
from drivewm.evaluation.video import write_video

SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real"
REAL = {
    "nuscenes": SAMPLES / "nuscenes_scene0061" / "images",
    "dgp": SAMPLES / "dgp" / "scene_02" / "rgb",
    "kitti": SAMPLES / "kitti_odometry" / "seq_1" / "image_l",
    "carnd": SAMPLES / "carnd_lane_video" / "solidWhiteRight.mp4",
}


def flat(value: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_psnr_of_a_known_error() -> None:
    assert psnr_db(flat(100), flat(101)) == pytest.approx(20 * math.log10(255))
    half = flat(100)
    half[:16] = 110  # a mean square of 50
    assert psnr_db(flat(100), half) == pytest.approx(10 * math.log10(255**2 / 50))
    assert psnr_db(half, half) == math.inf


def test_ssim_of_flat_pictures_is_its_term_of_brightness() -> None:
    c1 = (0.01 * 255) ** 2
    assert ssim(flat(100), flat(150)) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-6)
    assert ssim(flat(100), flat(100)) == 1.0


def test_features_differ_by_direction_and_not_by_length() -> None:
    def layers(images: torch.Tensor) -> list[torch.Tensor]:
        colour = images.movedim(-1, 1).float()
        return [colour[:, :2], colour[:, 2:].repeat(1, 2, 1, 1)]

    network = FeatureNetwork("colour", layers)
    red, dark_red, green = (np.full((4, 4, 3), colour, np.uint8) for colour in ((200, 0, 9), (90, 0, 9), (0, 200, 9)))
    assert network.distance(red, dark_red) == 0.0
    assert network.distance(red, green) == pytest.approx(
        (2.0 + 0.0) / 2
    )  # at right angles in the first layer, alike in the second


def test_the_more_a_picture_is_blurred_the_further_its_features() -> None:
    rng = np.random.default_rng(0)
    picture = cv2.resize(rng.integers(0, 256, (16, 24, 3), dtype=np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
    network = reader_network()
    distances = [network.distance(picture, np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))) for sigma in (0.5, 1.0, 2.0)]
    assert network.distance(picture, picture) == 0.0
    assert 0.0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_vision_model_on_disk_gives_features(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    if kind == "vit":
        small = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=32)
        ViTModel(small).save_pretrained(tmp_path)
    else:
        ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).save_pretrained(tmp_path)
    network = backbone_network(tmp_path)
    assert network.name == f"feature distance ({kind} in {tmp_path.name})"
    noisy = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    assert network.distance(noisy, noisy) < 1e-9 < network.distance(noisy, flat(128, 64, 96))


def test_a_vision_model_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    small = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
    ResNetModel(small).save_pretrained(tmp_path)
    small.depths = [1, 2]
    small.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="weights are missing"):
        backbone_network(tmp_path)


def test_clips_are_spread_evenly_and_stay_within_a_camera(tmp_path: Path) -> None:
    for camera in range(2):
        for frame in range(10):
            path = tmp_path / f"camera{camera}" / f"{frame:03d}.png"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), flat(100 * camera + 10 * frame))
    (tmp_path / "notes.txt").write_text("no image")
    (source,) = open_sources([tmp_path])
    shown = [clip[:, 0, 0, 0].tolist() for clip in source.clips(9, 3)]
    assert shown[0] == [0, 10, 20] and shown[-1] == [160, 170, 180] and len(shown) == 3
    assert all(np.diff(values).tolist() == [10, 10] for values in shown)
    assert [int(clip[0, 0, 0, 0]) for clip in source.clips(2, 1)] == [0, 190]
    with pytest.raises(InputError, match="has no 11 frames in a row, 10 at most"):
        source.clips(24, 11)


def test_frames_of_a_video_are_its_own_and_large_ones_shrink(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", [flat(20 * t, 480, 1280) for t in range(10)], rate_hz=5.0)
    (source,) = open_sources([film])
    assert source.name == f"{tmp_path.name}/film.mp4" and source.lengths == (10,)
    clips = source.clips(3, 1)
    assert [clip.shape for clip in clips] == [(1, 288, 768, 3)] * 3
    assert np.abs([clip.mean() for clip in clips] - np.array([0, 80, 180])).max() < 4
    assert source.clips(3, 1, (64, 96))[0].shape == (1, 64, 96, 3)


@pytest.mark.parametrize("name", REAL)
def test_real_pictures_keep_more_than_a_blur_leaves_and_less_than_jpeg(name: str, tmp_path: Path) -> None:
    """The embedded autoencoder learned procedural frames of 64x96 only."""
    if not REAL[name].exists():
        pytest.skip(f"real pictures of {name} are not at {REAL[name]}")
    report = reconstruct([REAL[name]], "tiny", tmp_path / "out", ReconstructOptions((64, 96), frames=4))
    rows = report["sources"][0]["rows"]
    for way, better in (("psnr_db", 1), ("ssim", 1), ("feature distance (readers)", -1)):
        figures = {row: better * rows[row][way]["mean"] for row in ("blur 2 px", "autoencoder")}
        assert figures["blur 2 px"] < figures["autoencoder"]
    assert rows["autoencoder"]["psnr_db"]["mean"] < rows["JPEG quality 30"]["psnr_db"]["mean"]
    assert rows["identity"]["psnr_db"]["mean"] is None and rows["identity"]["ssim"]["worst"] == 1.0


def test_the_command_writes_a_report_and_a_sheet_for_each_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for frame in range(3):
            cv2.imwrite(str(tmp_path / name / f"{frame}.jpg"), flat(90 + 20 * frame, 65, 97))
    arguments = ["data", "reconstruct", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]
    assert run([*arguments, "--clip", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert answer["sources"] == report["sources"] and report["provenance"]["ids"].keys() == {"autoencoder", "readers"}
    for entry in report["sources"]:
        picture = cv2.imread(str(tmp_path / "out" / entry["sheet"]))
        assert picture.shape[0] == 3 * 160 + 2 * 4 and entry["frames"] == 2
        assert entry["compression"] == pytest.approx(65 * 97 * 3 / (9 * 13 * 16))
    assert run([*arguments]) == 2
    assert "already exists" in capsys.readouterr().err


def test_an_autoencoder_of_video_from_diffusers_goes_the_same_way(tmp_path: Path) -> None:
    torch.manual_seed(0)
    AutoencoderKLWan(base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1).save_pretrained(tmp_path / "wan")
    film = write_video(tmp_path / "film.mp4", [flat(20 * t, 66, 98) for t in range(12)], rate_hz=5.0)
    report = reconstruct([film], tmp_path / "wan", tmp_path / "out", ReconstructOptions(frames=12, clip=6))
    (entry,) = report["sources"]
    assert report["autoencoder"]["class"] == "AutoencoderKLWan" and entry["frames"] == 12
    assert entry["compression"] == pytest.approx(6 * 66 * 98 * 3 / (3 * 9 * 13 * 16))  # six frames go in as nine: 1 + 4 + 4
    assert len(entry["rows"]["autoencoder"]["ssim"]["each"]) == 12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: does not exist"),
        (["."], "holds no images"),
        (["picture.jpg"], "picture.jpg: image is cut short"),
        (["film.mp4"], "film.mp4: not a readable video"),
        (["notes.txt"], "notes.txt: is neither an image nor a video"),
        (["good.png", "--size", "64"], "'64' is no size"),
        (["good.png", "--size", "4x96"], r"\(4, 96\) px is too small"),
        (["good.png", "--clip", "2"], "has no 2 frames in a row"),
        (["good.png", "--autoencoder", "tinny"], "did you mean 'tiny'"),
        (["good.png", "--features", "."], "no vision model here"),
        (["small.png"], r"small.png: a picture of \(8, 8\) px is too small"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments != ["."]:
        Path("picture.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
        Path("film.mp4").write_bytes(b"no film")
        Path("notes.txt").write_text("notes")
        cv2.imwrite("good.png", flat(100))
        cv2.imwrite("small.png", flat(100, 8, 8))
    assert run(["data", "reconstruct", *arguments, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not Path("out").exists()
    assert re.search(said, error), error
