"""The generated set is what nuScenes' own devkit reads, and it is what the engine and the cameras produced."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nuscenes import NuScenes
from nuscenes.can_bus.can_bus_api import NuScenesCanBus
from nuscenes.map_expansion.map_api import NuScenesMap
from nuscenes.utils.splits import get_scenes_of_split

from drivewm.data.assemble import VERSION, load_drive
from drivewm.data.synth import SynthOptions, film_scene, synth
from drivewm.errors import InputError
from drivewm.geometry import wrap_angle_rad
from drivewm.sim.engine import Engine
from tests.data.conftest import OPTIONS


@pytest.fixture(scope="module")
def nusc(small_set: Path) -> NuScenes:
    return NuScenes(version=VERSION, dataroot=str(small_set), verbose=False)


def test_the_devkit_lists_scenes_and_finds_every_image(
    nusc: NuScenes, small_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nusc.list_scenes()
    assert "scene-2000" in capsys.readouterr().out
    assert len(nusc.scene) == 2 and len(nusc.sample) == 22 and len(nusc.sample_data) == 252
    assert all((small_set / row["filename"]).is_file() for row in nusc.sample_data)
    assert {row["channel"] for row in nusc.sample_data} == set(nusc.sample[0]["data"])


def test_annotations_are_boxes_around_what_the_cameras_saw(nusc: NuScenes) -> None:
    """A box of visibility v80-100 in the front camera lies in front of it; boxes stand on the ground."""
    seen = 0
    for sample in nusc.sample:
        for token in sample["anns"]:
            row = nusc.get("sample_annotation", token)
            assert row["translation"][2] == pytest.approx(row["size"][2] / 2, abs=1e-3)
            assert row["category_name"].split(".")[0] in ("vehicle", "human", "movable_object")
        _, boxes, _ = nusc.get_sample_data(sample["data"]["CAM_FRONT"])
        assert all(box.center[2] > 0 for box in boxes)
        seen += len(boxes)
    assert seen > 0


def test_samples_and_sweeps_form_chains(nusc: NuScenes) -> None:
    for scene in nusc.scene:
        token, count, last = scene["first_sample_token"], 0, 0
        while token:
            sample = nusc.get("sample", token)
            assert sample["timestamp"] > last
            token, count, last = sample["next"], count + 1, sample["timestamp"]
        assert count == scene["nbr_samples"] == 11


def test_the_map_expansion_opens_and_the_ego_starts_on_the_road(nusc: NuScenes, small_set: Path) -> None:
    for scene in nusc.scene:
        location = nusc.get("log", scene["log_token"])["location"]
        place = NuScenesMap(dataroot=str(small_set), map_name=location)
        for layer in place.non_geometric_layers:
            assert isinstance(getattr(place, layer), list)
        data = nusc.get("sample_data", nusc.get("sample", scene["first_sample_token"])["data"]["CAM_FRONT"])
        x, y, _ = nusc.get("ego_pose", data["ego_pose_token"])["translation"]
        assert place.layers_on_point(x, y)["drivable_area"]
        lane = place.get_closest_lane(x, y, radius=3)
        points = np.array(place.discretize_lanes([lane], 0.5)[lane])
        assert np.hypot(*(points[:, :2] - [x, y]).T).min() < 1.0
        mask = nusc.get("map", nusc.get("log", scene["log_token"])["map_token"])["mask"]
        assert mask.is_on_mask(x, y)[0] and not mask.is_on_mask(1.0, 1.0)[0]


def test_can_bus_messages_tell_what_the_engine_did(small_set: Path) -> None:
    bus, drive = NuScenesCanBus(dataroot=str(small_set)), load_drive(small_set, "scene-2000")
    for message in bus.can_messages + bus.derived_messages:
        assert len(bus.get_messages("scene-2000", message)) > 0
    speed = np.array([row["vel"][0] for row in bus.get_messages("scene-2000", "pose")])
    assert np.abs(speed - drive.states.ego_speed_mps).max() < 1e-5
    monitor = np.array([row["vehicle_speed"] for row in bus.get_messages("scene-2000", "vehicle_monitor")])
    assert np.abs(monitor / 3.6 - speed).max() < 1e-5


@pytest.mark.parametrize(("name", "traffic"), [("scene-2000", "left"), ("scene-2001", "right")])
def test_a_stored_drive_is_what_the_engine_gives_again(small_set: Path, name: str, traffic: str) -> None:
    drive = load_drive(small_set, name)
    assert drive.scene.parameters["traffic"] == traffic
    engine = Engine([drive.scene])
    state = engine.start()
    for step in range(len(drive.actions.accel_mps2)):
        state = engine.step(state, drive.actions[step : step + 1])
    assert np.abs(state.world.ego_xy_yaw_world[0] - drive.states.ego_xy_yaw_world[-1]).max() < 1e-9
    if traffic == "right":
        assert np.array_equal(state.world.agents.xy_yaw_world[0], drive.states.agents.xy_yaw_world[-1])
    gap = state.world.agents.xy_yaw_world[0] - drive.states.agents.xy_yaw_world[-1]
    assert np.abs(gap[:, :2]).max() < 1e-9 and np.abs(wrap_angle_rad(gap[:, 2])).max() < 1e-9  # a mirrored pi is minus pi


def test_splits_are_named_so_that_the_devkit_finds_them(nusc: NuScenes) -> None:
    assert get_scenes_of_split("synth_train", nusc) == ["scene-2000"]
    assert get_scenes_of_split("synth_val", nusc) == ["scene-2001"]


def test_a_killed_run_goes_on_and_gives_the_same_tables(small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, filmed = tmp_path / "copy", []

    def die(payload: dict[str, object]) -> dict[str, object]:
        if filmed:
            raise KeyboardInterrupt
        filmed.append(payload["name"])
        return film_scene(payload)

    monkeypatch.setattr("drivewm.data.synth.film_scene", die)
    with pytest.raises(KeyboardInterrupt):
        synth(copy, OPTIONS)
    assert not (copy / VERSION).exists()

    def work(payload: dict[str, object]) -> dict[str, object]:
        filmed.append(payload["name"])
        return film_scene(payload)

    monkeypatch.setattr("drivewm.data.synth.film_scene", work)
    synth(copy, OPTIONS)
    synth(copy, OPTIONS)
    assert filmed == ["scene-2000", "scene-2001"]
    assert _hashes(copy) == _hashes(small_set)


def _hashes(root: Path) -> dict[str, str]:
    parts = (VERSION, "maps", "can_bus", "samples", "sweeps")
    files = [path for part in parts for path in (root / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_folder_with_something_else_in_it_is_refused(small_set: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"exists and is no data set"):
        synth(tmp_path, OPTIONS)
    with pytest.raises(InputError, match=r"other seed"):
        synth(small_set, replace(OPTIONS, seed=12))
    with pytest.raises(InputError, match=r"can only grow"):
        synth(small_set, replace(OPTIONS, scenes=1))


@pytest.mark.parametrize(
    "options",
    [
        SynthOptions(0),
        SynthOptions(1, seconds=0.1),
        SynthOptions(1, camera_hz=12.0),
        SynthOptions(1, split_shares=(0.5, 0.1, 0.1)),
    ],
)
def test_options_that_cannot_be_met_are_refused(options: SynthOptions, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        synth(tmp_path / "new", options)
    assert not (tmp_path / "new").exists()


def test_more_scenes_than_a_root_holds_become_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drivewm.data.reader import NuScenesFolder

    for module in ("assemble", "synth"):
        monkeypatch.setattr(f"drivewm.data.{module}.PART_SCENES", 1)
    options = SynthOptions(scenes=2, seconds=1.0, seed=3, workers=1, height=24, width=32)
    report = synth(tmp_path / "big", options)
    assert [root.name for root in report.roots] == ["part-00", "part-01"]
    folder = NuScenesFolder(tmp_path / "big")
    assert [info.name for info in folder.scenes()] == ["scene-2000", "scene-2001"]
    assert folder.clip("scene-2001").images.shape == (5, 6, 24, 32, 3)
    shutil.rmtree(tmp_path / "big")


def test_the_devkits_own_pictures_of_samples_and_maps_can_be_drawn(
    nusc: NuScenes, small_set: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people do first with nuScenes: list scenes, render a sample with its boxes, look at the map and the CAN bus."""
    import matplotlib as mpl

    mpl.use("Agg", force=True)
    from matplotlib import pyplot as plt

    monkeypatch.setattr(plt, "show", lambda *_, **__: None)
    nusc.list_scenes()
    assert "scene-2000" in capsys.readouterr().out
    sample = nusc.get("sample", nusc.scene[0]["first_sample_token"])
    nusc.render_sample(sample["token"], verbose=False)
    figure = plt.gcf()
    assert len([axis for axis in figure.axes if axis.images]) == 6
    plt.close("all")
    location = nusc.get("log", nusc.scene[0]["log_token"])["location"]
    places = NuScenesMap(dataroot=str(small_set), map_name=location)
    pose = nusc.get("ego_pose", nusc.get("sample_data", sample["data"]["CAM_FRONT"])["ego_pose_token"])["translation"]
    patch = (pose[0] - 40, pose[1] - 40, pose[0] + 40, pose[1] + 40)
    assert places.get_records_in_patch(patch, ["lane", "drivable_area"])["lane"]
    mask = places.get_map_mask((pose[0], pose[1], 80, 80), 0.0, ["drivable_area", "lane"], (80, 80))
    assert mask.shape == (2, 80, 80) and mask[0].any()
    lane = places.get_closest_lane(pose[0], pose[1], radius=10)
    assert lane and places.discretize_lanes([lane], 1.0)[lane]
    speeds = NuScenesCanBus(dataroot=str(small_set)).get_messages(nusc.scene[0]["name"], "vehicle_monitor")
    assert len(speeds) > 30 and all(row["vehicle_speed"] >= 0 for row in speeds)
