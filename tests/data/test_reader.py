"""A clip says what happened: poses to the millimetre, boxes to the decimetre, pictures as rendered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from drivewm.data.arclines import arclines_from_polyline, polyline_from_arclines
from drivewm.data.assemble import RECORD, VERSION, load_drive
from drivewm.data.categories import conditions_from_words
from drivewm.data.index import index_root
from drivewm.data.motion import agents_at_frames
from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import Light, SemanticClass, Weather
from drivewm.errors import InputError
from drivewm.geometry import frenet_sd, wrap_angle_rad
from drivewm.sim.raster import layout, render


@pytest.fixture(scope="module")
def folder(small_set: Path) -> NuScenesFolder:
    return NuScenesFolder(small_set)


@pytest.fixture()
def shift(small_set: Path) -> np.ndarray:
    record = json.loads((small_set / VERSION / RECORD).read_text())
    return np.array([*record["scenes"]["scene-2000"]["shift_xy"], 0.0])


def test_ego_poses_speeds_and_actions_are_the_engines(folder: NuScenesFolder, small_set: Path, shift: np.ndarray) -> None:
    drive, clip = load_drive(small_set, "scene-2000"), folder.clip("scene-2000", states_only=True)
    truth = drive.states[drive.frame_steps]
    assert np.abs(clip.states.ego_xy_yaw_world - shift - truth.ego_xy_yaw_world).max() < 1e-3
    assert np.abs(clip.states.ego_speed_mps - truth.ego_speed_mps).max() < 1e-3
    executed = np.diff(drive.states.ego_speed_mps).reshape(-1, 2).mean(1) / drive.scene.dt_s
    assert np.abs(clip.actions[:-1, 0] - executed).max() < 1e-3
    turned = wrap_angle_rad(np.diff(clip.states.ego_xy_yaw_world[:, 2]))
    driven_m = 0.2 * 0.5 * (clip.states.ego_speed_mps[1:] + clip.states.ego_speed_mps[:-1])
    assert np.abs(clip.actions[:-1, 1] * driven_m - turned).max() < 0.01


def test_boxes_between_key_frames_are_where_the_agents_were(folder: NuScenesFolder, small_set: Path, shift: np.ndarray) -> None:
    drive, clip = load_drive(small_set, "scene-2000"), folder.clip("scene-2000", states_only=True)
    truth = drive.states.agents[drive.frame_steps]
    compared = 0
    for i, track in enumerate(clip.states.agents.track_id[0]):
        j = int(np.flatnonzero(truth.track_id[0] == track)[0])
        here = clip.states.agents.valid[:, i]
        gap = clip.states.agents.xy_yaw_world[here, i] - shift - truth.xy_yaw_world[here, j]
        assert np.hypot(gap[:, 0], gap[:, 1]).max() < 0.2
        assert np.abs(clip.states.agents.speed_mps[here, i] - truth.speed_mps[here, j]).max() < 1.5
        assert clip.states.agents.size_lwh_m[0, i] == pytest.approx(truth.size_lwh_m[0, j], abs=1e-3)
        assert clip.states.agents.category[0, i] == truth.category[0, j]
        compared += int(here.sum())
    assert compared > 20


def test_pictures_are_the_render_within_jpeg(folder: NuScenesFolder, small_set: Path) -> None:
    drive, clip = load_drive(small_set, "scene-2000"), folder.clip("scene-2000", 4, 3, stride=2)
    for k, frame in enumerate((4, 6, 8)):
        state = drive.states[frame * drive.frame_every]
        shown = render(drive.scene.road, state, drive.scene.conditions_at(float(state.t_s)), drive.rig, drive.scene.seed)
        error = np.mean((shown.images.astype(float) - clip.images[k]) ** 2)
        assert 10 * np.log10(255**2 / error) > 35
    assert clip.rig.rate_hz == 2.5 and clip.states.t_s == pytest.approx([0.8, 1.2, 1.6])


def test_the_layout_drawn_from_a_clip_fits_the_true_semantics(folder: NuScenesFolder, small_set: Path) -> None:
    """Map and boxes came back: the labels drawn from the clip agree with those drawn from the engine's own state."""
    drive, clip = load_drive(small_set, "scene-2000"), folder.clip("scene-2000", states_only=True)
    for frame in (1, 9, 20):
        own = layout(drive.scene.road, drive.states[frame * drive.frame_every], drive.rig).label
        read = layout(clip.road, clip.states[frame], clip.rig).label
        assert np.mean(own == read) > 0.97
        road = own == SemanticClass.ROAD
        assert np.mean(read[road] == SemanticClass.ROAD) > 0.97


def test_the_road_comes_back_from_the_expansion(folder: NuScenesFolder, small_set: Path, shift: np.ndarray) -> None:
    drive, clip = load_drive(small_set, "scene-2000"), folder.clip("scene-2000", states_only=True)
    own = {lane.id: lane for lane in drive.scene.road.lanes}
    assert len(clip.road.lanes) > 0
    for lane in clip.road.lanes:
        offset = frenet_sd(own[lane.id].centre_xy, lane.centre_xy - shift[:2])[1:-1, 1]
        assert np.abs(offset).max() < 0.05
        assert lane.width_m == own[lane.id].width_m and set(lane.successors) <= set(own[lane.id].successors)
    assert len(clip.road.signals) == len(drive.scene.road.signals)
    assert 0 < len(clip.road.building_xy_yaw) <= len(drive.scene.road.building_xy_yaw)


def test_conditions_follow_the_record(folder: NuScenesFolder, small_set: Path) -> None:
    for name in ("scene-2000", "scene-2001"):
        drive, clip = load_drive(small_set, name), folder.clip(name, states_only=True)
        assert list(clip.conditions) == [drive.scene.conditions_at(float(t)) for t in clip.states.t_s]


@pytest.mark.parametrize(
    ("words", "weather", "light"),
    [
        ("Parked truck, construction, intersection", Weather.CLEAR, Light.DAY),
        ("Night, after rain, many peds", Weather.CLEAR, Light.NIGHT),
        ("Heavy rain, bus, pedestrian crossing", Weather.RAIN, Light.DAY),
        ("Rain, night, later fog, day", Weather.RAIN, Light.NIGHT),
        ("Train station", Weather.CLEAR, Light.DAY),
    ],
)
def test_descriptions_tell_weather_and_light(words: str, weather: Weather, light: Light) -> None:
    told = conditions_from_words(words)
    assert (told.weather, told.light) == (weather, light)


def test_a_folder_without_map_and_can_bus_is_read_and_counted(small_set: Path, tmp_path: Path, folder: NuScenesFolder) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(small_set, bare, ignore=shutil.ignore_patterns("expansion", "can_bus", "drives", RECORD))
    reader = NuScenesFolder(bare)
    clip, full = reader.clip("scene-2000", states_only=True), folder.clip("scene-2000", states_only=True)
    assert reader.missing == {"images": set(), "map": {"scene-2000"}, "can_bus": {"scene-2000"}} and clip.road.lanes == ()
    assert np.abs(clip.states.ego_speed_mps - full.states.ego_speed_mps).max() < 0.8
    moving = full.states.ego_speed_mps > 1.5
    assert np.abs(clip.actions - full.actions)[moving, 1][:-1].max() < 1e-6


def test_images_are_resized_with_the_rig(folder: NuScenesFolder) -> None:
    clip = folder.clip("scene-2000", 0, 1, size_px=(32, 48))
    assert clip.images.shape == (1, 6, 32, 48, 3) and clip.rig.size_px == (32, 48)
    assert clip.rig.intrinsics[0, 0, 0] == pytest.approx(folder.rig("scene-2000").intrinsics[0, 0, 0] / 2)


def test_splits_and_wrong_requests(folder: NuScenesFolder, tmp_path: Path) -> None:
    assert [info.name for info in folder.scenes("val")] == ["scene-2001"] and len(folder.scenes()) == 2
    for call in (
        lambda: folder.scenes("vla"),
        lambda: folder.clip("scene-9999"),
        lambda: folder.clip("scene-2000", 15, 10),
        lambda: NuScenesFolder(tmp_path),
        lambda: NuScenesFolder(tmp_path / "none"),
    ):
        with pytest.raises(InputError):
            call()


@pytest.mark.parametrize("table", ["ego_pose", "sample_data", "scene"])
def test_a_missing_or_broken_table_is_one_sentence(small_set: Path, tmp_path: Path, table: str) -> None:
    copy = _tables_only(small_set, tmp_path)
    file = copy / VERSION / f"{table}.json"
    file.write_text(file.read_text()[:-40])
    with pytest.raises(InputError, match=f"{table}.json"):
        NuScenesFolder(copy)
    file.unlink()
    with pytest.raises(InputError, match=f"{table}.json.*missing"):
        NuScenesFolder(copy)


def test_a_nan_pose_and_a_dangling_token_name_their_token(small_set: Path, tmp_path: Path) -> None:
    copy = _tables_only(small_set, tmp_path)
    file = copy / VERSION / "ego_pose.json"
    rows = json.loads(file.read_text())
    rows[3]["translation"][0] = float("nan")
    file.write_text(json.dumps(rows))
    with pytest.raises(InputError, match=rows[3]["token"]):
        NuScenesFolder(copy)
    file.write_text(json.dumps(rows[:3] + rows[4:]))
    with pytest.raises(InputError, match=rows[3]["token"]):
        NuScenesFolder(copy)


def _tables_only(small_set: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(small_set, copy, ignore=shutil.ignore_patterns("samples", "sweeps", "drives", "can_bus", "expansion"))
    return copy


def test_twelve_hertz_sweeps_of_six_unsynchronised_cameras(small_set: Path, tmp_path: Path) -> None:
    """As nuScenes records: every camera at its own instant; frames are those of the front camera, key frames stay key frames."""
    copy = _tables_only(small_set, tmp_path)
    (copy / VERSION / RECORD).unlink()
    rows = json.loads((copy / VERSION / "sample_data.json").read_text())
    order = {name: i for i, name in enumerate(sorted({row["filename"].split("__")[1] for row in rows}))}
    for row in rows:
        row["timestamp"] += 7_000 * order[row["filename"].split("__")[1]]
    (copy / VERSION / "sample_data.json").write_text(json.dumps(rows))
    for index in index_root(copy, VERSION):
        assert len(index.files) == 21 and all(len(files) == 6 for files in index.files)
        stamps = [[int(Path(file).stem.split("__")[2]) for file in files] for files in index.files]
        assert all(len(set(row)) == 1 for row in stamps)
        assert agents_at_frames(index).valid.any()


def test_arc_lines_stay_on_the_centre_line() -> None:
    turn = np.linspace(0, 2.4, 90)
    bend = np.column_stack([40 + 20 * np.sin(turn), 20 - 20 * np.cos(turn)])
    path = np.concatenate([np.column_stack([np.arange(40.0), np.zeros(40)]), bend])
    for xy in (path, path * [1, -1]):
        back = polyline_from_arclines(arclines_from_polyline(xy))
        assert np.abs(frenet_sd(xy, back)[:, 1]).max() < 0.03
        assert np.hypot(*(back[[0, -1]] - xy[[0, -1]]).T).max() < 1e-6


def test_an_unreadable_image_is_named(small_set: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_set, copy, ignore=shutil.ignore_patterns("drives"))
    folder = NuScenesFolder(copy)
    image = next((copy / "samples" / "CAM_FRONT").glob("scene-2000*"))
    whole = image.read_bytes()
    for content in (whole[: len(whole) // 2], b"not an image", b""):
        image.write_bytes(content)
        with pytest.raises(InputError, match=image.name):
            folder.clip("scene-2000")
    image.unlink()
    with pytest.raises(InputError, match="missing"):
        folder.clip("scene-2000")
