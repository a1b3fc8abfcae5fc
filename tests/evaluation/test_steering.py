"""How a picture tells where a car was steered: the readers on exact frames, on roads that no training has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.data.marks import TrainedOn, marks_of
from drivewm.data.towns import draw_drive
from drivewm.evaluation.dream_card.commands import answer
from drivewm.evaluation.dream_card.deviation import Start, read_aside, roads_beside, shifted, starts, turned
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.dreaming import Drives
from drivewm.evaluation.readers import Readers
from drivewm.evaluation.steered import WanderOptions, photographed, wandering
from drivewm.geometry import relative_xy_yaw
from drivewm.sim.rigs import nuscenes_rig
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

RIG = nuscenes_rig(64, 96, 5.0)
CONTEXT = 4


@pytest.fixture(scope="module")
def readers() -> Readers:
    return Readers.load()


@pytest.fixture(scope="module")
def start(readers: Readers, tmp_path_factory: pytest.TempPathFactory) -> Start:
    return starts(_sample(readers, tmp_path_factory.mktemp("dreams")), seed=1, count=1, frames=14)[0]


def _sample(readers: Readers, folder: Path, trained: TrainedOn | None = None) -> Sample:
    nothing = Drives({}, CONTEXT)
    return Sample(open_pipeline(EMBEDDED), readers, RIG, nothing, (1,), np.zeros(1, np.int64), folder, trained)


def test_a_start_that_the_world_has_learned_from_is_passed_over(start: Start, readers: Readers, tmp_path: Path) -> None:
    learned = TrainedOn.of([marks_of(start.scene)])
    other = starts(_sample(readers, tmp_path, learned), seed=1, count=1, frames=14)[0]
    assert other.scene.id != start.scene.id and not learned.shares(marks_of(other.scene))


def test_a_start_lies_on_a_road_of_the_split_that_training_never_sees(start: Start) -> None:
    assert ":val." in start.scene.id and start.scene.id.endswith("#91002")
    assert draw_drive(0, "val", 91_002, seconds=8.0).choices.split() == "val"


def test_a_drive_told_to_go_aside_ends_there_and_one_told_to_turn_has_turned(start: Start) -> None:
    recorded = start.states.ego_xy_yaw_world
    aside = relative_xy_yaw(shifted(start, CONTEXT, 0.5, 1.6).ego_xy_yaw_world, recorded)
    assert np.allclose(aside[:CONTEXT], 0.0) and np.allclose(aside[-1], [0.0, 0.5, 0.0], atol=1e-9)
    left = turned(start, CONTEXT, 0.3).ego_xy_yaw_world
    assert np.allclose(left[:CONTEXT], recorded[:CONTEXT])
    assert relative_xy_yaw(left[-1], left[CONTEXT - 1])[2] == pytest.approx(0.3 * 0.2 * (len(left) - CONTEXT))


def test_an_exact_picture_says_within_a_decimetre_how_far_aside_it_was_taken(start: Start, readers: Readers) -> None:
    views = [RIG.names.index(name) for name in ("CAM_FRONT", "CAM_BACK")]
    rig = replace(RIG, names=("front", "back"), intrinsics=RIG.intrinsics[views], ego_from_camera=RIG.ego_from_camera[views])
    last = len(start.states.t_s) - 1
    roads = roads_beside(start, last, rig)
    for aside_m in (-0.5, 0.25):
        states = shifted(start, CONTEXT, aside_m, 1.6)
        images = photographed(start.scene, states[last:], rig)["images"].numpy()
        assert read_aside(readers.segment(images)[0], roads) == pytest.approx(aside_m, abs=0.1)


def test_sharp_turns_off_the_road_are_read_at_their_size(readers: Readers, tmp_path: Path) -> None:
    """Slope of read over made turns; the reader before it matched features gave 0.2 here."""
    drives = wandering(tmp_path, RIG, WanderOptions(2, 90_001, "val", seconds=3.0))
    made, read = [], []
    for index in range(2):
        told = drives.read(index, 0, drives.lengths[index], ("images", "motion"))
        read.append(readers.motion(told["images"].numpy())[:, 1])
        made.append(told["motion"].numpy()[1:, 4])
    turn, seen = np.concatenate(made), np.concatenate(read)
    assert np.abs(turn).max() > 0.08  # as sharp as 0.4 rad/s
    assert (turn * seen).sum() / (turn**2).sum() > 0.7 and np.corrcoef(turn, seen)[0, 1] > 0.9


def test_a_layout_driven_dream_moves_as_told_and_a_still_picture_does_not(start: Start, readers: Readers, tmp_path: Path) -> None:
    told = [photographed(start.scene, turned(start, CONTEXT, turn)[:7], RIG) for turn in (-0.3, 0.3)]
    drives = Drives({key: torch.stack([one[key] for one in told]) for key in told[0]}, CONTEXT)
    sample = Sample(open_pipeline(EMBEDDED), readers, RIG, drives, (3,), np.zeros(2, np.int64), tmp_path)
    answered = answer(sample, tmp_path)
    error = {row.name: row.cells[1] for row in answered.tables[0].rows}
    assert error["layout-driven"].value < 0.5 * error["copy last frame"].value  # type: ignore[union-attr]
    assert {claim.name for claim in answered.claims if claim.target == 1.3} == {
        "action-shuffle ratio of speed, free",
        "action-shuffle ratio of turn rate, free",
    }
    assert (tmp_path / answered.pictures[0][0]).stat().st_size < 150_000
