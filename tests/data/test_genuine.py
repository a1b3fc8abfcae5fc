"""nuScenes as users have it: cameras that expose one after another, a test set without labels, blobs that were not fetched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivewm.data.assemble import RECORD, VERSION
from drivewm.data.categories import ATTRIBUTES
from drivewm.data.check import check_folder
from drivewm.data.reader import NuScenesFolder
from drivewm.data.tables import quaternion_of_yaw
from drivewm.datatypes import WorldState
from drivewm.errors import InputError
from drivewm.sim.raster import layout

Rows = list[dict[str, Any]]


@pytest.fixture()
def copy(small_set: Path, tmp_path: Path) -> Path:
    """The set without our own record, as another program would have written it."""
    shutil.copytree(small_set, tmp_path / "copy", ignore=shutil.ignore_patterns("drives", "units", RECORD))
    return tmp_path / "copy"


def _edit(copy: Path, table: str, change: Callable[[Rows], object]) -> None:
    file = copy / VERSION / f"{table}.json"
    rows = json.loads(file.read_text())
    change(rows)
    file.write_text(json.dumps(rows))


def _state_after(states: WorldState, seconds: float) -> WorldState:
    """The state that long after the first of ``states``, everybody at constant speed and turn."""
    ego = states.ego_xy_yaw_world[0]
    step = seconds * float(states.ego_speed_mps[0]) * np.array([np.cos(ego[2]), np.sin(ego[2]), states.ego_curvature_1pm[0]])
    agents, yaw = states.agents[0], states.agents.xy_yaw_world[0, :, 2]
    moved = agents.xy_yaw_world + seconds * agents.speed_mps[:, None] * np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], -1)
    return replace(states[0], ego_xy_yaw_world=ego + step, agents=replace(agents, xy_yaw_world=moved))


def test_each_camera_sees_the_scene_at_its_own_exposure(copy: Path) -> None:
    """The layout of a clip is the one of the state at each camera's exposure, not the one of the frame's time."""
    late_s = {"CAM_FRONT_LEFT": -0.04, "CAM_FRONT_RIGHT": 0.04, "CAM_BACK_LEFT": 0.06, "CAM_BACK": 0.05, "CAM_BACK_RIGHT": 0.03}
    before = NuScenesFolder(copy).clip("scene-2000", states_only=True)
    at = int(np.argmax(before.states.ego_speed_mps[:-1]))
    assert before.states.ego_speed_mps[at] > 5
    states = before.states[at : at + 1]
    poses: Rows = []

    def delay(rows: Rows) -> None:
        for row in rows:
            lag = late_s.get(row["filename"].split("__")[1], 0.0)
            row["timestamp"] += round(lag * 1e6)
            if lag and row["filename"].startswith("s") and row["timestamp"] - round(lag * 1e6) == times[at]:
                x, y, yaw = _state_after(states, lag).ego_xy_yaw_world
                token = f"pose-{row['token']}"
                poses.append(
                    {
                        "token": token,
                        "timestamp": row["timestamp"],
                        "translation": [x, y, 0.0],
                        "rotation": quaternion_of_yaw(yaw),
                    }
                )
                row["ego_pose_token"] = token

    times = NuScenesFolder(copy).index("scene-2000").time_us
    _edit(copy, "sample_data", delay)
    _edit(copy, "ego_pose", lambda rows: rows.extend(poses))
    clip = NuScenesFolder(copy).clip("scene-2000", at, 1, states_only=True)
    assert clip.exposure_s[0] == pytest.approx([late_s.get(name, 0.0) for name in clip.rig.names])
    told = layout(clip.road, clip.states[0], clip.rig_at(0), clip.exposure_s[0]).label
    at_once = layout(clip.road, clip.states[0], clip.rig).label
    for view, name in enumerate(clip.rig.names):
        true = layout(before.road, _state_after(states, late_s.get(name, 0.0)), clip.rig).label[view]
        assert np.mean(told[view] == true) > 0.995
        assert (np.mean(told[view] == true) > np.mean(at_once[view] == true)) or name == "CAM_FRONT"


def test_a_test_set_has_no_labels_and_is_read(copy: Path) -> None:
    for table in ("sample_annotation", "instance"):
        _edit(copy, table, lambda rows: rows.clear())
    clip = NuScenesFolder(copy).clip("scene-2000", states_only=True)
    assert clip.states.agents.valid.shape[1] == 0 and len(clip.states.t_s) == 21
    report = check_folder(copy, decode=False)
    assert report.ok and report.absent["annotations"] == ("scene-2000", "scene-2001")


def test_a_scene_whose_blob_was_not_fetched_is_named_and_the_others_are_read(copy: Path) -> None:
    for image in [*copy.glob("samples/*/scene-2001__*"), *copy.glob("sweeps/*/scene-2001__*")]:
        image.unlink()
    folder = NuScenesFolder(copy)
    assert [info.images_absent for info in folder.scenes()] == [0, 21 * 6] and folder.missing["images"] == {"scene-2001"}
    assert folder.clip("scene-2000", 0, 1).images.any() and len(folder.clip("scene-2001", states_only=True).states.t_s) == 21
    with pytest.raises(InputError, match="missing"):
        folder.clip("scene-2001", 0, 1)
    report = check_folder(copy)
    assert report.ok and report.absent == {"images": ("scene-2001",)} and report.counts["images"] == 126


def test_key_frames_alone_are_a_set_of_two_or_so_frames_a_second(copy: Path) -> None:
    shutil.rmtree(copy / "sweeps")
    assert check_folder(copy).absent == {"sweeps": ("scene-2000", "scene-2001")}
    all_frames, keys = NuScenesFolder(copy), NuScenesFolder(copy, sweeps=False)
    info = keys.scenes()[0]
    assert (info.frames, info.rate_hz, info.images_absent) == (11, 2.5, 0)
    clip, whole = keys.clip("scene-2000", 3, 2), all_frames.clip("scene-2000", 6, 2, stride=2, states_only=True)
    assert clip.images.any() and np.allclose(clip.states.ego_xy_yaw_world, whole.states.ego_xy_yaw_world)


def test_one_missing_image_of_many_is_an_error_not_an_absence(copy: Path) -> None:
    next(copy.glob("samples/CAM_BACK/scene-2000__*")).unlink()
    report = check_folder(copy, decode=False)
    assert not report.ok and report.problems[0].reason == "image is missing" and report.problems[0].place.startswith("token ")


def test_attributes_and_visibility_are_those_of_the_tables(small_set: Path) -> None:
    folder = NuScenesFolder(small_set)
    index, nusc = folder.index("scene-2000"), folder.devkit_of("scene-2000")
    told = {(a["instance_token"], nusc.get("sample", a["sample_token"])["timestamp"]): a for a in nusc.sample_annotation}
    checked = 0
    for k, time_us in enumerate(index.key_time_us):
        for i, instance in enumerate(index.instance_tokens):
            note = told.get((instance, int(time_us)))
            if note is None:
                assert index.visibility[k, i] == 0 and index.attribute[k, i] == -1
                continue
            assert str(index.visibility[k, i]) == note["visibility_token"]
            names = [nusc.get("attribute", token)["name"] for token in note["attribute_tokens"]]
            assert names == ([] if index.attribute[k, i] < 0 else [ATTRIBUTES[index.attribute[k, i]]])
            checked += 1
    assert checked > 30


def test_speeds_of_agents_agree_with_the_devkits_differences(small_set: Path) -> None:
    """The devkit takes the difference of the neighbouring key frames; without acceleration that is the speed between them."""
    folder, compared = NuScenesFolder(small_set), 0
    for scene in folder.scenes():
        index, nusc = folder.index(scene.name), folder.devkit_of(scene.name)
        agents = folder.clip(scene.name, states_only=True).states.agents
        at = {nusc.get("sample", row["token"])["token"]: row["timestamp"] for row in nusc.sample}
        for note in nusc.sample_annotation:
            if note["instance_token"] in index.instance_tokens and note["prev"] and note["next"]:
                i = index.instance_tokens.index(note["instance_token"])
                frame = int(np.flatnonzero(index.time_us == at[note["sample_token"]])[0])
                if np.abs(agents.accel_mps2[frame - 2 : frame + 3, i]).max() < 0.5:
                    speed = float(np.hypot(*nusc.box_velocity(note["token"])[:2]))
                    assert abs(agents.speed_mps[frame, i]) == pytest.approx(speed, abs=0.15)
                    compared += speed > 1
    assert compared > 5


@pytest.mark.parametrize(
    ("table", "link", "value"),
    [
        ("sample_annotation", "instance_token", "f" * 32),
        ("sample_annotation", "attribute_tokens", ["e" * 32]),
        ("sample_data", "sample_token", "d" * 32),
        ("sample_data", "ego_pose_token", ""),
    ],
)
def test_a_token_that_leads_nowhere_names_its_table_and_record(copy: Path, table: str, link: str, value: Any) -> None:
    _edit(copy, table, lambda rows: rows[4].update({link: value}))
    token = json.loads((copy / VERSION / f"{table}.json").read_text())[4]["token"]
    with pytest.raises(InputError, match=token):
        NuScenesFolder(copy)


def test_a_version_that_is_not_there_is_told_with_those_that_are(copy: Path) -> None:
    with pytest.raises(InputError, match=VERSION):
        NuScenesFolder(copy, "v1.0-trainval")
    shutil.copytree(copy / VERSION, copy / "v1.0-mini")
    with pytest.raises(InputError, match="several"):
        NuScenesFolder(copy)
    assert len(NuScenesFolder(copy, "v1.0-mini").scenes()) == 2
