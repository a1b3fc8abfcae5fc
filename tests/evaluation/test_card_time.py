"""What the card says of time and trust: drives last, frozen and darkened ones do not; a doubt is worth what it foretells."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.datatypes import Array, CameraRig, Scene
from drivewm.evaluation.dream_card import exploits, training_worth
from drivewm.evaluation.dream_card.doubting import DOUBT, TRUTH, area, case_of
from drivewm.evaluation.dream_card.lasting import CAUSES, NEVER, lasting
from drivewm.evaluation.dream_card.sample import Sample, mean_over
from drivewm.evaluation.dream_card.signs import read_signs
from drivewm.evaluation.dream_card.stability import binned
from drivewm.evaluation.dreaming import LAYOUT, Drives, Images, Regime
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.readers import Readers
from drivewm.evaluation.suite import load_suite
from drivewm.evaluation.uncertainty import auroc
from drivewm.policies.load import load_policy
from drivewm.rollout import rollout
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import provenance, save_record
from drivewm.worldmodel.conditions import LIGHTS, FrameConditions, frame_conditions
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

CONTEXT, FRAMES = 2, 30


def driven(scene: Scene, rig: CameraRig) -> dict[str, torch.Tensor]:
    """Frames and what is told of them [T, ...]."""
    images: list[Images] = []
    world = RasterWorld(rig)
    done = rollout([scene], load_policy("expert"), world, seed=0, on_frame=lambda _, frame, state: images.append(frame[0]))[0]
    states = [done.states[done.plan_every * index] for index in range(FRAMES)]
    before = [None, *states[:-1]]
    told = [frame_conditions(scene.road, state, last, scene.conditions, rig) for state, last in zip(states, before, strict=True)]
    row = {f.name: torch.from_numpy(np.ascontiguousarray(getattr(FrameConditions.stack(told), f.name))) for f in fields(told[0])}
    return row | {"images": torch.from_numpy(np.stack(images[:FRAMES])), "time_s": torch.arange(FRAMES) / float(rig.rate_hz)}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Two drives of six seconds on a motorway, as the reference world shows them."""
    rig = nuscenes_rig()
    rows = [driven(scene, rig) for scene in load_suite("demo").scenes(0)[1:3]]
    drives = Drives({key: torch.stack([row[key] for row in rows]) for key in rows[0]}, CONTEXT)
    folder = tmp_path_factory.mktemp("card")
    return Sample(open_pipeline(EMBEDDED), Readers.load(), rig, drives, (0,), np.zeros(2, np.int64), folder)


def failed(sample: Sample, shown: Images) -> dict[str, Array]:
    """Seconds after the context at which each drive has failed, by cause."""
    last = lasting(read_signs(sample, shown), read_signs(sample, sample.drives.images), sample.rig.rate_hz)
    return {cause: np.where(at == NEVER, np.inf, at / last.rate_hz) for cause, at in zip(CAUSES, last.failed.T, strict=True)}


def test_the_reference_lasts_and_a_frozen_picture_does_not_move_as_told(sample: Sample) -> None:
    assert all(np.isinf(at).all() for at in failed(sample, sample.drives.images).values())
    frozen = failed(sample, sample.copied())
    assert (frozen["motion"] <= 3.0).all()
    assert np.isinf(frozen["sky"]).all()


def test_night_that_falls_untold_is_noticed_soon_after_it_falls(sample: Sample) -> None:
    fallen = sample.drives.images.copy()
    fallen[:, CONTEXT + 10 :] //= 6
    told = {LIGHTS[index] for index in sample.drives.told["light"].flatten().tolist()}
    assert "night" not in told
    seconds = failed(sample, fallen)["sky"]
    assert ((seconds > 2.0) & (seconds <= 5.0)).all()


def test_what_freezes_halfway_drifts_and_what_is_exact_does_not(sample: Sample) -> None:
    """Over the whole bin of five seconds the reference reads its speed; frozen frames are off by all of it."""
    half = sample.drives.images.copy()
    half[:, 15:] = half[:, 14:15]
    exact, frozen = (read_signs(sample, shown).parts("speed")[0][0] for shown in (sample.drives.images, half))
    np.testing.assert_allclose(frozen[: 14 - CONTEXT], exact[: 14 - CONTEXT])
    assert frozen[15 - CONTEXT :].mean() > 3.0 * exact[15 - CONTEXT :].mean()
    bins = binned(sample, read_signs(sample, half), "speed")
    assert bins.of.shape == (2, 1) and bins.drift(sample) is None


def test_the_surest_sign_of_an_error_is_the_error_and_a_doubt_is_told_of_all_but_single_steps(sample: Sample) -> None:
    short = sample.some(2, CONTEXT + 4)
    case = case_of(short, LAYOUT)
    bad, asked = case.bad["worst tenth"]
    known, doubted = area(case.scores[TRUTH], bad, asked, short), area(case.scores[DOUBT], bad, asked, short)
    assert known is not None and doubted is not None
    assert known[0].value == 1.0
    assert doubted[0].value == pytest.approx(auroc(case.scores[DOUBT], bad))
    kept = len(list(short.folder.glob("dreams/*.npy")))
    short.dreamed(Regime("by another name", steps=short.pipeline.transformer.size.dream_steps))
    assert len(list(short.folder.glob("dreams/*.npy"))) == kept
    single = Regime("one step", steps=1)
    assert short.dreamed(single).shape == short.drives.images.shape
    assert len(list(short.folder.glob("dreams/*.doubt.npy"))) == 1


def test_results_of_other_weights_are_not_quoted(sample: Sample, tmp_path: Path) -> None:
    pipeline = sample.pipeline.with_transformer(sample.pipeline.transformer)
    elsewhere = replace(sample, pipeline=pipeline)
    pipeline.register_to_config(_name_or_path=str(tmp_path))
    assert "no training_worth.json" in training_worth.answer(elsewhere, tmp_path).claims[0].note
    gain = Estimate(0.7, 0.5, 0.9, 40)
    made = training_worth.TrainingWorth("dream-tiny@00000000", "500 steps", gain, gain, gain, provenance(0))
    save_record(tmp_path / training_worth.FILE, made)
    assert "of other weights" in training_worth.answer(elsewhere, tmp_path).claims[0].note
    save_record(tmp_path / training_worth.FILE, replace(made, world=pipeline.identity()))
    lights = [claim.light for claim in training_worth.answer(elsewhere, tmp_path).claims]
    assert lights == ["reached", "missed", "reached"]
    assert exploits.answer(elsewhere, tmp_path).light == "not measured"


def test_an_interval_over_one_drive_of_each_seed_is_no_point(sample: Sample) -> None:
    drives = replace(sample, seeds=(0, 1, 2), of_seed=np.arange(3))
    estimate, by_seed = mean_over(np.array([0.0, 1.0, 5.0]), drives)
    assert by_seed == (0.0, 1.0, 5.0)
    assert estimate.value == 2.0 and estimate.low < 1.0 and estimate.high > 3.0


def test_a_shorter_dream_is_the_beginning_of_the_longer_one(sample: Sample, tmp_path: Path) -> None:
    whole = replace(sample.some(1, CONTEXT + 3), folder=tmp_path / "whole")
    whole = replace(whole, longer=None)
    cut = whole.some(1, CONTEXT + 2)
    alone = replace(cut, longer=None, folder=tmp_path / "alone")
    assert cut.longer is whole
    np.testing.assert_array_equal(cut.dreamed(LAYOUT), alone.dreamed(LAYOUT))
    np.testing.assert_array_equal(cut.doubt(LAYOUT), alone.doubt(LAYOUT))
    np.testing.assert_array_equal(cut.through_autoencoder(), alone.through_autoencoder())
