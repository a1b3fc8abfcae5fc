"""A recorded drive dreamed on from its own frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivewm.cli import run
from drivewm.data.reader import NuScenesFolder
from drivewm.errors import InputError
from drivewm.evaluation.resume import Stretch, as_recorded, driven_on
from drivewm.evaluation.video import read_video
from drivewm.evaluation.worlds import WorldOptions
from drivewm.policies.baselines import ConstantVelocity


def test_shown_frames_are_the_recordings_and_the_dream_goes_on_from_them(small_set: Path) -> None:
    made = as_recorded(small_set, Stretch(context=3, seconds=1.0), "dream", WorldOptions(), 0)
    assert made.recorded is not None and made.images.shape == made.recorded.shape and len(made.images) == 3 + 5
    figures = made.figures
    assert (figures["frames_shown"], figures["frames_dreamed"]) == (3, 5)
    shown = np.abs(made.images[:3].astype(int) - made.recorded[:3]).mean()
    later = np.abs(made.images[3:].astype(int) - made.recorded[3:]).mean()
    assert shown < later and figures["psnr_db_dream"] < figures["psnr_db_autoencoder"]
    clip = NuScenesFolder(small_set).clip(made.clip.token.split(":")[0], 0, 8, states_only=True)
    np.testing.assert_array_equal(made.clip.states.ego_xy_yaw_world, clip.states.ego_xy_yaw_world)


def test_one_camera_may_be_all_that_is_shown(small_set: Path) -> None:
    made = as_recorded(small_set, Stretch(context=1, seconds=0.2, cameras=("CAM_FRONT",)), "dream", WorldOptions(free=True), 0)
    assert made.recorded is not None and ":free:" in made.world
    error = np.abs(made.images[0].astype(int) - made.recorded[0]).mean((1, 2, 3))
    assert error.argmin() == made.clip.rig.names.index("CAM_FRONT")


def test_a_policy_takes_over_where_the_recording_stands(small_set: Path, tmp_path: Path) -> None:
    made = driven_on(
        small_set, Stretch(context=4, seconds=1.0), ("dream", WorldOptions()), ConstantVelocity(), tmp_path / "on.mp4", seed=0
    )
    drive = made.case.rollout
    clip = NuScenesFolder(small_set).clip(drive.scene.id.removeprefix("recorded.").replace("_", "-"), 3, 1, states_only=True)
    assert drive.states.ego_speed_mps[0] == pytest.approx(float(clip.states.ego_speed_mps[0]), abs=0.3)
    agents, ego = clip.states.agents[0], clip.states.ego_xy_yaw_world[0]
    distance = {
        int(i): float(np.hypot(*(xy[:2] - ego[:2])))
        for i, xy, there in zip(agents.track_id, agents.xy_yaw_world, agents.valid, strict=True)
        if there
    }
    start = drive.states[0]
    for i, xy, there in zip(start.agents.track_id, start.agents.xy_yaw_world, start.agents.valid, strict=True):
        if there:
            assert np.hypot(*(xy[:2] - start.ego_xy_yaw_world[:2])) == pytest.approx(distance[int(i)], abs=0.3)
    assert len(read_video(made.film)) == len(drive.plans.t_s)


@pytest.mark.parametrize(
    ("stretch", "world", "sentence"),
    [
        (Stretch(scene="scene-9999"), "dream", "has no scene 'scene-9999'"),
        (Stretch(frame=19), "dream", "2 of 21 frames from there on, 4 are to be shown"),
        (Stretch(frame=400), "dream", "0 of 21 frames"),
        (Stretch(cameras=("CAM_FRNT",)), "dream", "has no camera 'CAM_FRNT' .did you mean 'CAM_FRONT'"),
        (Stretch(), "raster", "the world 'raster' does not dream"),
    ],
)
def test_what_is_not_there_cannot_be_continued(small_set: Path, stretch: Stretch, world: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        as_recorded(small_set, stretch, world, WorldOptions(), 0)


def test_the_command_writes_a_film_and_its_figures(small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "continue",
        str(small_set),
        "--context",
        "2",
        "--seconds",
        "0.6",
        "--without",
        "boxes",
        "--out",
        str(tmp_path / "c"),
    ]
    assert run([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "without-boxes" in answer["world"] and answer["figures"]["frames_dreamed"] == 3
    assert len(read_video(answer["film"])) == 5
