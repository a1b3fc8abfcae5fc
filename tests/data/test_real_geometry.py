"""On real pixels: boxes, LiDAR, cameras and map of nuScenes scene-0061 lie on one another, and what is turned is found out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyquaternion import Quaternion

from drivewm.cli import run
from drivewm.data.check import check_folder
from drivewm.data.reader import NuScenesFolder
from drivewm.data.recorded.reading import read_recording
from drivewm.datatypes import AgentClass, SemanticClass
from drivewm.evaluation.geometry import Geometry, flat_corners, measure
from drivewm.sim.raster import layout
from eval.benchmarks.scene0061 import build

SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real"
SCENE = SAMPLES / "nuscenes_scene0061"
pytestmark = pytest.mark.skipif(not SCENE.is_dir(), reason=f"nuScenes sample scene is not at {SCENE}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(SCENE, tmp_path_factory.mktemp("nuscenes") / "mini")


@pytest.fixture(scope="module")
def found(root: Path) -> Geometry:
    folder = NuScenesFolder(root)
    measured = measure(folder, folder.devkit_of("scene-0061"), "scene-0061")
    assert measured is not None
    return measured


def test_boxes_hold_their_lidar_points_are_seen_and_the_car_is_on_the_road(found: Geometry) -> None:
    assert found.boxes == 68 and found.boxes_with_points == 65
    assert found.points_agree == 65 and found.boxes_seen == 65
    assert found.centre_on_road == 1.0
    assert found.shift_px is not None and np.abs(found.shift_px).max() <= 8  # of 1600: a third of a degree


def test_a_camera_that_is_turned_by_a_degree_is_found_out(found: Geometry, tmp_path: Path) -> None:
    """A rig turned to the left sees everything further right: by 22 px of a nuScenes camera."""
    turned = build(SCENE, tmp_path / "turned")
    file = turned / "v1.0-mini" / "calibrated_sensor.json"
    rows = json.loads(file.read_text())
    for row in rows:
        if row["camera_intrinsic"]:
            row["rotation"] = (Quaternion(axis=[0, 0, 1], degrees=1.0) * Quaternion(row["rotation"])).elements.tolist()
    file.write_text(json.dumps(rows))
    folder = NuScenesFolder(turned)
    skewed = measure(folder, folder.devkit_of("scene-0061"), "scene-0061")
    assert skewed is not None and skewed.shift_px is not None and found.shift_px is not None
    assert found.shift_px[0] - skewed.shift_px[0] == pytest.approx(22, abs=6)


def test_poses_of_the_cameras_agree_with_the_published_lidar_to_camera_transforms(root: Path) -> None:
    """The index of another project gives camera from LiDAR over both times; ours comes from tables, poses and exposures."""
    info = json.loads((SCENE / "index" / "sample.json").read_text())["data_list"][0]
    clip = NuScenesFolder(root).clip("scene-0061", 0, 1, states_only=True)
    folder = NuScenesFolder(root)
    nusc, index = folder.devkit_of("scene-0061"), folder.index("scene-0061")
    lidar = nusc.get("sample_data", nusc.sample[0]["data"]["LIDAR_TOP"])
    sensor, pose = nusc.get("calibrated_sensor", lidar["calibrated_sensor_token"]), nusc.get("ego_pose", lidar["ego_pose_token"])
    point = np.array([12.0, 5.0, -1.0])
    world = (
        Quaternion(pose["rotation"]).rotate(Quaternion(sensor["rotation"]).rotate(point) + sensor["translation"])
        + pose["translation"]
    )
    reference = nusc.get("ego_pose", nusc.get("sample_data", index.image_tokens[0][index.reference])["ego_pose_token"])
    ego = Quaternion(reference["rotation"]).inverse.rotate(world - np.array(reference["translation"]))
    rig = clip.rig_at(0)
    for view, name in enumerate(rig.names):
        camera = rig.ego_from_camera[view]
        ours = camera[:3, :3].T @ (ego - camera[:3, 3])
        theirs = (np.array(info["images"][name]["lidar2cam"]) @ [*point, 1.0])[:3]
        assert np.abs(ours - theirs).max() < 0.05


def test_boxes_on_level_ground_cover_the_true_boxes(found: Geometry) -> None:
    """A clip knows the plane only. Within 50 m that moves the middle of a box by less than half a pixel of a 96 x 160 image."""
    boxes = sum(camera.boxes for camera in found.cameras)
    weighted = sum(camera.boxes * camera.flat_px[0] for camera in found.cameras) / boxes
    assert boxes > 50 and weighted / 10 < 0.6


def test_the_drivable_area_ends_where_the_picture_of_the_road_does(root: Path) -> None:
    """Road is grey and even, what lies beside it here is green, brown or striped: labels of the map tell pixels apart."""
    folder = NuScenesFolder(root)
    clip = folder.clip("scene-0061", 0, 1, size_px=(225, 400))
    label = layout(clip.road, clip.states[0], clip.rig_at(0), clip.exposure_s[0]).label
    colourful = np.ptp(clip.images[0].astype(int), axis=-1)
    road, beside = colourful[label == SemanticClass.ROAD], colourful[label == SemanticClass.TERRAIN]
    assert road.mean() < 0.75 * beside.mean()


def test_agents_stand_where_their_boxes_are(root: Path) -> None:
    folder = NuScenesFolder(root)
    clip, nusc = folder.clip("scene-0061", 0, 1, states_only=True), folder.devkit_of("scene-0061")
    agents = clip.states.agents[0]
    cars = int((agents.valid & (agents.category == AgentClass.CAR)).sum())
    assert cars == sum(nusc.get("sample_annotation", token)["category_name"] == "vehicle.car" for token in nusc.sample[0]["anns"])
    corners = flat_corners(clip.rig_at(0), 1, clip, 0.0)
    assert corners.shape == (len(agents.valid), 8, 3) and np.isfinite(corners).all()


def test_what_is_absent_is_told_and_the_picture_is_drawn(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check_folder(root, decode=False)
    assert report.counts["bad:image"] == 38 * 6 and report.absent == {"can_bus": ("scene-0061",)}
    assert run(["data", "overlay", str(root), "--out", str(tmp_path / "picture.png"), "--json"]) == 0
    assert (tmp_path / "picture.png").stat().st_size > 500_000
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["geometry"]
    assert told["points_agree"] == 65 and np.abs(told["shift_px"]).max() <= 8


def test_the_recorded_drive_becomes_a_scenario_on_its_own_streets(root: Path) -> None:
    drive = read_recording(root)
    road = shapely.union_all([shapely.Polygon(xy) for xy in drive.road.drivable])
    assert shapely.contains_xy(road, drive.ego_xy_yaw_world[:, :2]).all()
    assert len(drive.ego_speed_mps) * drive.dt_s == pytest.approx(19.0, abs=0.6)
    assert len(drive.agent_names) > 150 and len(drive.road.lanes) > 50
