"""What a data set does not tell is left out of training, not taken for emptiness."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from drivewm.cli import run
from drivewm.data.assemble import RECORD, VERSION
from drivewm.data.formats.convert import ConvertOptions, convert
from drivewm.data.reader import NuScenesFolder
from drivewm.data.synth import SynthOptions, synth
from drivewm.datatypes import SemanticClass
from drivewm.training.cache import FrameCache, PackOptions, clip_tensors, pack
from drivewm.training.worldmodel import DropShares, draw_drops

DGP = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real" / "dgp"
NEVER = DropShares(layout=0, boxes=0, polylines=0, motion=0, weather=0, light=0, text=0, free=0)
GROUPS = ("layout", "boxes", "polylines")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set as others would have made it, without map and CAN bus."""
    whole, root = tmp_path_factory.mktemp("untold") / "whole", tmp_path_factory.mktemp("untold") / "bare"
    synth(whole, SynthOptions(scenes=2, seconds=3.0, seed=14, workers=1, split_shares=(1.0, 0.0, 0.0)))
    shutil.copytree(whole, root, ignore=shutil.ignore_patterns("expansion", "can_bus", "drives", "units", RECORD))
    return root


def dropped(root: Path) -> set[str]:
    told = {name: value[None] for name, value in clip_tensors(NuScenesFolder(root).clip("scene-2000", 0, 2)).items()}
    drop = draw_drops(NEVER, told, torch.Generator().manual_seed(0))
    return {group for group, rows in drop.items() if bool(rows.any())}


def test_a_set_without_map_trains_without_layout_and_lines(bare: Path) -> None:
    assert NuScenesFolder(bare).clip("scene-2000", 0, 1).unknown == {"map"}
    assert dropped(bare) == {"layout", "polylines"}


def test_a_set_without_labels_trains_without_boxes_too(bare: Path, tmp_path: Path) -> None:
    shutil.copytree(bare, tmp_path / "test")
    for table in ("sample_annotation", "instance"):
        (tmp_path / "test" / VERSION / f"{table}.json").write_text("[]")
    assert dropped(tmp_path / "test") == set(GROUPS)


def test_an_empty_simulated_road_is_told_to_be_empty(bare: Path, tmp_path: Path) -> None:
    root = tmp_path / "whole"
    synth(root, SynthOptions(scenes=1, seconds=2.0, seed=14, workers=1, split_shares=(1.0, 0.0, 0.0)))
    for table in ("sample_annotation", "instance"):
        (root / VERSION / f"{table}.json").write_text("[]")
    assert NuScenesFolder(root).clip("scene-2000", 0, 1).unknown == frozenset()


def test_the_world_model_trains_on_it_and_the_readers_refuse(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIVEWM_RUNS", str(tmp_path / "runs"))

    def answer(*words: str | Path) -> int:
        return run([str(word) for word in words])

    cache, small = tmp_path / "cache", ("--steps", "1", "--batch", "1", "--json")
    assert answer("data", "encode", bare, "--out", cache) == 0
    assert answer("train", "autoencoder", "--cache", cache, "--out", tmp_path / "ae", *small) == 0
    codec = tmp_path / "ae" / "autoencoder"
    assert answer("data", "encode", bare, "--out", cache, "--autoencoder", codec) == 0
    capsys.readouterr()
    assert answer("train", "worldmodel", "--cache", cache, "--autoencoder", codec, "--out", tmp_path / "wm", *small) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])
    assert FrameCache(cache).batch(0, 2, 2)["untold_layout"].all()
    assert answer("train", "readers", "--cache", cache, "--out", tmp_path / "readers", *small) == 2
    assert "labels" in capsys.readouterr().err


@pytest.mark.skipif(not DGP.is_dir(), reason=f"DGP sample scene is not at {DGP}")
def test_six_cameras_of_another_fleet_are_packed_with_their_own_calibration(tmp_path: Path) -> None:
    convert(DGP, "dgp", tmp_path / "set", ConvertOptions())
    packed = pack(NuScenesFolder(tmp_path / "set"), tmp_path / "cache", PackOptions(size_px=(64, 96)))
    assert packed.made == ("dgp_scene_02",) and packed.without_images == ()
    clip = FrameCache(tmp_path / "cache").batch(0, 1, 3)
    assert clip["images"].shape == (1, 3, 6, 64, 96, 3) and clip["untold_polylines"].all() and not clip["untold_boxes"].any()
    focal = clip["intrinsics"][0, 0, :, 0, 0]
    assert ((focal > 30) & (focal < 200)).all() and len(focal.unique()) == 6
    assert (clip["label"] == SemanticClass.VEHICLE).any()
