"""The chain of training commands, from an empty folder to a world that dreams and the card that measures it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.cli import run
from drivewm.evaluation.dream_card.card import load_card
from drivewm.evaluation.readers import Readers
from drivewm.training.cache import FrameCache
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.world import DreamWorld, open_pipeline


def done(*words: str | Path) -> None:
    assert run([str(word) for word in words]) == 0, words


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two steps of each command leave."""
    root = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVEWM_RUNS", str(root / "runs"))
        done("data", "synth", "--out", root / "set", "--scenes", "3", "--seconds", "3", "--seed", "3")
        done("data", "encode", root / "set", "--out", root / "cache")
        small = ("--steps", "2", "--batch", "1")
        done("train", "autoencoder", "--cache", root / "cache", "--out", root / "ae", *small)
        done("data", "encode", root / "set", "--out", root / "cache", "--autoencoder", root / "ae/autoencoder")
        told = ("--cache", root / "cache", "--autoencoder")
        done("train", "decoder", *told, root / "ae/autoencoder", "--out", root / "decoder", *small)
        done("train", "worldmodel", *told, root / "decoder/autoencoder", "--out", root / "wm", *small)
        done("train", "readers", "--cache", root / "cache", "--out", root / "readers", *small)
        card = ("--cache", root / "cache", "--drives", "1", "--seconds", "1", "--only", "looks", "--out", root / "card")
        done("card", "--world", root / "wm/world", "--readers", root / "readers/readers", *card)
        done("calibrate", "--world", root / "wm/world", "--cache", root / "cache", "--seconds", "1")
    return root


def test_a_trained_decoder_reads_the_latents_made_before_it(made: Path) -> None:
    before, after = FrameCodec.load(made / "ae/autoencoder"), FrameCodec.load(made / "decoder/autoencoder")
    assert before.fingerprint() != after.fingerprint()
    assert before.latents_fingerprint() == after.latents_fingerprint()
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 64, 96, 3), np.uint8))
    with torch.no_grad():
        assert torch.equal(before.encode(images), after.encode(images))
    FrameCache(made / "cache").check_latents(after)


def test_the_world_is_decoded_by_the_decoder_it_was_given(made: Path) -> None:
    pipeline = open_pipeline(made / "wm/world")
    assert pipeline.codec.fingerprint() == FrameCodec.load(made / "decoder/autoencoder").fingerprint()
    assert all(torch.isfinite(value).all() for value in pipeline.transformer.state_dict().values())


def test_a_size_refuses_an_autoencoder_of_another_one(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["--cache", made / "cache", "--autoencoder", made / "ae/autoencoder", "--out", made / "large", "--size", "large"]
    assert run(["train", "worldmodel", *map(str, told)]) == 2
    assert "makes latents of 16 channels for 8 px, size large takes 32 channels for 16 px" in capsys.readouterr().err


def test_the_card_holds_the_dream_beside_floors_and_naive_rows(made: Path) -> None:
    card = load_card(made / "card")
    (looks,) = card.answers
    assert [row.kind for row in looks.tables[0].rows] == ["exact", "floor", "naive", "naive", "dream", "dream"]
    assert card.readers == Readers.load(made / "readers/readers").fingerprint()
    assert len(list((made / "card").glob("looks-*.jpg"))) == 3
    assert (made / "card/card.html").is_file()


def test_a_card_on_the_very_drives_of_the_training_says_so(made: Path) -> None:
    leaks = load_card(made / "card").controls[0]
    shared = {claim.name.split()[3]: claim for claim in leaks.claims if claim.name.startswith("held-out drives")}
    assert {name: claim.estimate.value for name, claim in shared.items() if claim.estimate} == {
        "town": 1,
        "seed": 1,
        "parameters": 1,
    }
    assert leaks.light == "missed"


def test_a_card_asks_for_as_many_drives_as_it_needs(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["card", "--cache", str(made / "cache"), "--drives", "2", "--seconds", "1", "--out", str(made / "more")]) == 2
    assert "holds 3 drives of 1 s and 4 frames, 6 are needed" in capsys.readouterr().err


def test_a_reader_that_learns_alone_leaves_the_others_as_they_were(made: Path) -> None:
    told = ("--cache", made / "cache", "--from", made / "readers/readers", "--only", "motion", "--out", made / "motion")
    done("train", "readers", *told, "--steps", "2", "--batch", "1")
    before, after = (Readers.load(made / name / "readers").state_dict() for name in ("readers", "motion"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("motion_net.") for name in changed)


def test_a_calibrated_world_knows_what_its_doubt_means_in_both_regimes(made: Path) -> None:
    world = DreamWorld.load(str(made / "wm/world"))
    assert world.calibration is not None and world.calibration.world == world.id
    assert [curve.drop for curve in world.calibration.curves] == [(), ("boxes", "layout", "polylines")]
    assert all(curve.error[0] == 0.0 < curve.error[-1] for curve in world.calibration.curves)
