"""Recordings of other fleets keep what they say: boxes on their objects, cars on their roads, straight lines straight."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from nuscenes import NuScenes
from nuscenes.map_expansion.map_api import NuScenesMap
from pyarrow import feather
from scipy.spatial.transform import Rotation
from shapely import Polygon, contains_xy, unary_union

from drivewm.data.categories import token
from drivewm.data.check import check_folder
from drivewm.data.formats.argoverse2 import read as read_argoverse2
from drivewm.data.formats.convert import SOURCES, VERSION, ConvertOptions, convert
from drivewm.data.formats.poses import at_times
from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import Array
from drivewm.errors import InputError

SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real"
DGP, LOG = SAMPLES / "dgp", SAMPLES / "argoverse2" / "adcf7d18"
needs_dgp = pytest.mark.skipif(not DGP.is_dir(), reason=f"DGP sample scene is not at {DGP}")
needs_log = pytest.mark.skipif(not LOG.is_dir(), reason=f"Argoverse 2 sample log is not at {LOG}")
PAGE = Path(__file__).parents[2] / "drivewm" / "data" / "formats" / "README.md"

START_US = 1_750_000_000_000_000
SIZES = {"wide": (96, 160), "portrait": (150, 100), "square": (120, 120)}  # height, width
RIG = {f"{kind}_{i}": SIZES[kind] for kind in SIZES for i in range(3)}
BENT = {"wide_0": ([-0.35, 0.12, 0.001, -0.002, 0.0], False), "square_1": ([0.2, -0.05, 0.01, 0.0], True)}


# A fleet that does not exist: what its car did and saw is known exactly.


def intrinsic(name: str) -> Array:
    height, width = RIG[name]
    return np.array([[0.7 * width, 0.0, 0.5 * width], [0.0, 0.7 * width, 0.5 * height], [0.0, 0.0, 1.0]])


def mounted(name: str) -> Array:
    """Ego from camera: nine directions around the car."""
    yaw = 2 * np.pi * list(RIG).index(name) / len(RIG)
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("z", yaw).as_matrix() @ [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    out[:3, 3] = [1.5 + 0.4 * np.cos(yaw), 0.4 * np.sin(yaw), 1.6]
    return out


def ego_at(t_s: float) -> Array:
    """10 m/s round a bend of 60 m, uphill, the body tilting."""
    out, yaw = np.eye(4), 0.3 + t_s * 10.0 / 60.0
    out[:3, :3] = Rotation.from_euler("ZYX", [yaw, -0.04, 0.03 * np.sin(t_s)]).as_matrix()
    out[:3, 3] = [500.0 + 60.0 * np.sin(yaw), -300.0 - 60.0 * np.cos(yaw), 20.0 + 0.4 * t_s]
    return out


def lorry_at(t_s: float) -> Array:
    out = np.eye(4)
    out[:3, :3] = Rotation.from_euler("ZYX", [0.5 + 0.1 * t_s, 0.08, -0.02]).as_matrix()
    out[:3, 3] = [520.0 + 7.0 * t_s, -360.0 + 2.0 * t_s, 22.5 + 0.3 * t_s]
    return out


def exposure_us(name: str) -> list[int]:
    """Each camera is 3 ms later than the one before it."""
    return [START_US + 200_000 * i + 3_000 * list(RIG).index(name) for i in range(20)]


def row_of(pose: Array) -> list[float]:
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    return [*pose[:3, 3], w, x, y, z]


def stripes(name: str) -> Array:
    """What a camera without distortion sees: upright white lines on black."""
    height, width = RIG[name]
    image = np.zeros((height, width), np.float32)
    for x in np.linspace(0.2, 0.8, 4) * width:
        image += np.exp(-0.5 * ((np.arange(width) - x) / 1.2) ** 2).astype(np.float32)[None]
    return image * 220


def through_lens(name: str, image: Array) -> Array:
    """The image as the camera's own lens bends it."""
    if name not in BENT:
        return image
    bent, fisheye = np.array(BENT[name][0]), BENT[name][1]
    height, width = image.shape
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 1, 2).astype(np.float64)
    undistort = cv2.fisheye.undistortPoints if fisheye else cv2.undistortPoints
    at = undistort(pixels, intrinsic(name), bent, P=intrinsic(name)).reshape(height, width, 2).astype(np.float32)
    return np.asarray(cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR))


def write_csv(file: Path, names: tuple[str, ...], rows: list[list[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([names, *rows])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drive of 4 s. Tests must not change it."""
    folder = tmp_path_factory.mktemp("fleet") / "monday"
    pose = ("x", "y", "z", "qw", "qx", "qy", "qz")
    for name in RIG:
        (folder / "images" / name).mkdir(parents=True)
        encoded = cv2.imencode(".jpg", through_lens(name, stripes(name)), [cv2.IMWRITE_JPEG_QUALITY, 98])[1]
        for time_us in exposure_us(name):
            (folder / "images" / name / f"{time_us}.jpg").write_bytes(encoded.tobytes())
    times = range(START_US, START_US + 4_000_001, 10_000)
    write_csv(folder / "poses.csv", ("time_us", *pose), [[t, *row_of(ego_at((t - START_US) * 1e-6))] for t in times])
    labels = range(START_US + 130_000, START_US + 4_000_000, 250_000)
    boxes = [
        ["lorry 7", "lorry", t, *row_of(np.linalg.inv(ego_at(s)) @ lorry_at(s)), 8.0, 2.5, 3.0]
        for t, s in ((t, (t - START_US) * 1e-6) for t in labels)
    ]
    write_csv(folder / "boxes.csv", ("track", "kind", "time_us", *pose, "length", "width", "height"), boxes)
    calibration = {}
    for name, (height, width) in RIG.items():
        x, y, z, *quaternion = row_of(mounted(name))
        lens = {"distortion": BENT[name][0], "fisheye": BENT[name][1]} if name in BENT else {}
        calibration[name] = {"intrinsic": intrinsic(name).tolist(), "position": [x, y, z], "quaternion_wxyz": quaternion}
        calibration[name] |= {"height": height, "width": width, **lens}
    (folder / "calibration.json").write_text(json.dumps(calibration))
    return folder.parent


@pytest.fixture(scope="module")
def my_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The adapter as it stands on the page, installed as pip would with the entry point that stands there."""
    text = PAGE.read_text(encoding="utf-8")
    (code,), (project,) = (re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S) for kind in ("python", "toml"))
    folder = tmp_path_factory.mktemp("installed")
    (folder / "my_fleet.py").write_text(code)
    info = folder / "my_fleet-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-fleet\nVersion: 1.0\n")
    (point,) = re.findall(r'\[project.entry-points."drivewm.formats"\]\n(\w+) = "(.*?)"', project)
    (info / "entry_points.txt").write_text(f"[drivewm.formats]\n{point[0]} = {point[1]}\n")
    assert len(code.splitlines()) < 100, "the page promises an adapter of less than 100 lines"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield
    sys.modules.pop("my_fleet", None)


@pytest.fixture(scope="module")
def mine(fleet: Path, my_fleet: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mine") / "set"
    report = convert(fleet, "my_fleet", out, ConvertOptions())
    assert report.counts == {"images": 180, "key frames": 8, "boxes": 7} and not report.absent
    return out


def matrix(record: dict[str, Any]) -> Array:
    w, x, y, z = record["rotation"]
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = Rotation.from_quat([x, y, z, w]).as_matrix(), record["translation"]
    return out


def apart(a: Array, b: Array) -> tuple[float, float]:
    """Metres and radians between two poses."""
    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).magnitude()
    return float(np.linalg.norm(a[:3, 3] - b[:3, 3])), float(turn)


def test_every_image_has_the_pose_of_its_own_moment(mine: Path) -> None:
    nusc = NuScenes(VERSION, str(mine), verbose=False)
    for row in nusc.sample_data:
        metres, radians = apart(matrix(nusc.get("ego_pose", row["ego_pose_token"])), ego_at((row["timestamp"] - START_US) * 1e-6))
        assert metres < 1e-3 and radians < 1e-4
        metres, radians = apart(matrix(nusc.get("calibrated_sensor", row["calibrated_sensor_token"])), mounted(row["channel"]))
        assert metres < 1e-5 and radians < 1e-6
    assert {row["timestamp"] for row in nusc.sample_data} == {t for name in RIG for t in exposure_us(name)}


def test_boxes_stand_where_the_lorry_was_at_the_key_frame(mine: Path) -> None:
    """Labelled at 4 Hz, 130 ms off the key frames: interpolated to them with all six degrees of freedom."""
    nusc = NuScenes(VERSION, str(mine), verbose=False)
    assert len(nusc.sample_annotation) == 7
    for row in nusc.sample_annotation:
        t_s = (nusc.get("sample", row["sample_token"])["timestamp"] - START_US) * 1e-6
        metres, radians = apart(matrix(row), lorry_at(t_s))
        assert metres < 1e-3 and radians < 1e-4
        assert row["size"] == [2.5, 8.0, 3.0] and row["category_name"] == "vehicle.truck"


def test_a_rig_of_nine_cameras_and_three_sizes_stays_itself(mine: Path) -> None:
    report = check_folder(mine)
    assert report.ok, report.problems
    folder = NuScenesFolder(mine)
    rig = folder.rig("monday")
    assert set(rig.names) == set(RIG)
    nusc = folder.devkit()[0]
    for row in nusc.sample_data:
        image = cv2.imread(str(mine / row["filename"]))
        assert image.shape[:2] == RIG[row["channel"]] == (row["height"], row["width"])
    clip = folder.clip("monday", 0, 3)
    assert clip.images.shape[:2] == (3, 9)
    first = nusc.scene[0]["first_sample_token"]
    assert set(nusc.get("sample", first)["data"]) == set(RIG)


def bend_px(image: Array) -> float:
    """How far the brightest line near the left edge is from straight."""
    half = image[:, 2 : int(0.32 * image.shape[1])].astype(np.float64)
    rows = np.flatnonzero(half.max(1) > 100)
    light = np.where(half[rows] > 60, half[rows], 0)
    x = (light * np.arange(half.shape[1])).sum(1) / light.sum(1)
    return float(np.abs(x - np.polyval(np.polyfit(rows, x, 1), rows)).max())


@pytest.mark.parametrize("name", BENT)
def test_a_line_that_the_lens_bent_is_straight_again(name: str, fleet: Path, mine: Path) -> None:
    before = cv2.imread(str(next((fleet / "monday" / "images" / name).iterdir())), cv2.IMREAD_GRAYSCALE)
    after = cv2.imread(str(next((mine / "samples" / name).iterdir())), cv2.IMREAD_GRAYSCALE)
    assert bend_px(before) > 1.5
    assert bend_px(after) < 0.3


def test_images_without_distortion_are_the_same_bytes(fleet: Path, mine: Path, tmp_path: Path) -> None:
    convert(fleet, "my_fleet", tmp_path / "linked", ConvertOptions(camera_hz=2.0, link=True))
    for root in (mine, tmp_path / "linked"):
        for file in (root / "samples" / "portrait_0").iterdir():
            assert file.read_bytes() == (fleet / "monday/images/portrait_0" / f"{file.stem.split('__')[2]}.jpg").read_bytes()
    kept = [row["timestamp"] for row in json.loads((tmp_path / "linked" / VERSION / "sample_data.json").read_text())]
    assert len(kept) == 9 * 8  # every exposure of a key frame, and none between


def damaged(fleet: Path, folder: Path, file: str, old: str, new: str) -> Path:
    shutil.copytree(fleet, folder / "fleet")
    path = folder / "fleet" / "monday" / file
    if not old:
        path.unlink()
        return folder / "fleet"
    content, count = re.subn(old.encode(), new.encode(), path.read_bytes(), count=1)
    assert count
    path.write_bytes(content)
    return folder / "fleet"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("boxes.csv", "", "", "boxes.csv: is missing"),
        ("boxes.csv", "\nlorry 7,", "\n,", "boxes.csv:2: a box belongs to no track"),
        ("boxes.csv", r",8\.0,", ",0.0,", "drive monday: track lorry 7: size is not length, width and height above 0 m"),
        ("poses.csv", r"\n(\d+),[\d.]+,", r"\n\1,nan,", "drive monday: poses: number 0 is not finite"),
        ("poses.csv", r"(?s)\n1750000001.*?\n1750000003", "\n1750000003", "drive monday: poses are 2.0 s apart after pose 99"),
        ("calibration.json", '"wide_2"', '"wide_9"', "drive monday: camera wide_9: has a calibration but no exposures"),
        ("calibration.json", '"height": 96', '"height": 97', "is 96x160 pixels, the calibration of wide_0 is for 97x160"),
        ("calibration.json", '"intrinsic"', '"focal"', "adapter 'my_fleet' fails at my_fleet.py:"),
        ("calibration.json", r"0\.001, -0\.002, 0\.0", "0.001", "camera wide_0: distortion has 3 numbers, OpenCV takes 0 or 4"),
        ("images/wide_1/1750000000003000.jpg", "(?s)^.*$", "text", "1750000000003000.jpg: is no image"),
    ],
)
def test_bad_recordings_are_one_sentence_and_leave_nothing(
    file: str, old: str, new: str, said: str, fleet: Path, my_fleet: None, tmp_path: Path
) -> None:
    source = damaged(fleet, tmp_path, file, old, new)
    with pytest.raises(InputError) as caught:
        convert(source, "my_fleet", tmp_path / "set", ConvertOptions())
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["fleet"]


def test_what_cannot_be_converted_is_named(fleet: Path, mine: Path, my_fleet: None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown format 'argovers2' \(did you mean 'argoverse2'\?\)"):
        convert(fleet, "argovers2", tmp_path / "set", ConvertOptions())
    with pytest.raises(InputError, match="already exists"):
        convert(fleet, "my_fleet", mine, ConvertOptions())
    with pytest.raises(InputError, match="holds no DGP scene"):
        convert(fleet, "dgp", tmp_path / "set", ConvertOptions())
    with pytest.raises(InputError, match="holds no Argoverse 2 log"):
        convert(fleet, "argoverse2", tmp_path / "set", ConvertOptions())
    with pytest.raises(InputError, match="holds no drive"):
        convert(tmp_path, "my_fleet", tmp_path / "set", ConvertOptions())
    with pytest.raises(InputError, match="key_hz must be above 0"):
        convert(fleet, "my_fleet", tmp_path / "set", ConvertOptions(key_hz=0.0))


# Real recordings.


@pytest.fixture(scope="module")
def dgp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dgp") / "set"
    report = convert(DGP, "dgp", out, ConvertOptions())
    assert report.counts == {"images": 18, "sweeps": 3, "key frames": 3, "boxes": 39}
    return out


def drawn_boxes() -> dict[tuple[str, int, str], Array]:
    """The labelled rectangles of the DGP scene by camera, time and instance token: left, top, right, bottom."""
    folder = DGP / "scene_02"
    out = {}
    for record in json.loads(next(folder.glob("scene_*.json")).read_text())["data"]:
        image = record["datum"].get("image")
        for note in json.loads((folder / image["annotations"]["0"]).read_text())["annotations"] if image else ():
            box = note["box"]
            instance = token("dgp_scene_02", "instance", str(note["instance_id"]))
            time_us = int(Path(image["filename"]).stem[:16])
            edges = np.array([box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"]])
            out[record["id"]["name"], time_us, instance] = edges
    return out


@needs_dgp
def test_dgp_boxes_cover_the_rectangles_that_people_drew(dgp: Path) -> None:
    """Corners of the converted boxes through the converted cameras: intersection over union with the labels in the images."""
    nusc, labels = NuScenes(VERSION, str(dgp), verbose=False), drawn_boxes()
    overlap = {}
    for row in nusc.sample_data:
        if row["sensor_modality"] != "camera":
            continue
        _, boxes, camera = nusc.get_sample_data(row["token"])
        for box in boxes:
            key = (row["channel"], row["timestamp"], nusc.get("sample_annotation", box.token)["instance_token"])
            if key in labels:
                corners = camera @ box.corners()
                xy = np.clip(corners[:2] / corners[2], 0, np.array([[row["width"]], [row["height"]]]))
                overlap[key] = iou(np.array([*xy.min(1), *xy.max(1)]), labels[key])
    assert len(overlap) == len(labels) == 39
    large = [value for key, value in overlap.items() if min(labels[key][2:] - labels[key][:2]) >= 20]
    assert min(large) > 0.87 and np.median(list(overlap.values())) > 0.94
    assert min(overlap.values()) > 0.75  # of a car 140 m behind, 15 x 12 px


def iou(a: Array, b: Array) -> float:
    both = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(both / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both))


@needs_dgp
def test_dgp_sweeps_fill_the_boxes_in_which_points_were_counted(dgp: Path) -> None:
    """The sweep that was published holds about a fifth of the points that the labels count, in every box."""
    nusc = NuScenes(VERSION, str(dgp), verbose=False)
    labelled = {}
    for file in (DGP / "scene_02/bounding_box_3d/LIDAR").iterdir():
        for note in json.loads(file.read_text())["annotations"]:
            instance = token("dgp_scene_02", "instance", str(note["instance_id"]))
            labelled[int(file.stem[:16]), instance] = note["num_points"]
    counts = np.array(
        [
            (row["num_lidar_pts"], labelled[nusc.get("sample", row["sample_token"])["timestamp"], row["instance_token"]])
            for row in nusc.sample_annotation
        ]
    )
    assert len(counts) == 39
    many = counts[counts[:, 1] >= 100]
    share = many[:, 0] / many[:, 1]
    assert len(many) == 9 and share.min() > 0.1 and share.max() < 0.25, share
    assert (counts[:, 0] <= counts[:, 1]).all()


@needs_dgp
def test_the_dgp_car_drives_forwards_over_the_ground(dgp: Path) -> None:
    """The vehicle frame is ours: it moves along its x, and the road around it lies near z = 0."""
    clip = NuScenesFolder(dgp).clip("dgp_scene_02")
    assert check_folder(dgp).ok and clip.images.shape[:2] == (3, 6)
    assert clip.states.ego_speed_mps == pytest.approx(12.65, abs=0.3)
    moved = np.diff(clip.states.ego_xy_yaw_world[:, :2], axis=0)
    yaw = clip.states.ego_xy_yaw_world[:-1, 2]
    assert np.abs(moved @ [[1], [0]] * -np.sin(yaw)[:, None] + moved @ [[0], [1]] * np.cos(yaw)[:, None]).max() < 0.05
    for file in (dgp / "samples" / "LIDAR_TOP").iterdir():
        points = np.fromfile(file, np.float32).reshape(-1, 5)
        ahead = points[(np.abs(points[:, 1]) < 3) & (np.abs(np.abs(points[:, 0]) - 8) < 4)]
        assert 0.0 < np.median(ahead[ahead[:, 2] < 0.6, 2]) < 0.15


@pytest.fixture(scope="module")
def av2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample log with nine cameras, two images of the one at the rear left, and the first sweep: 50 points in one box."""
    log = tmp_path_factory.mktemp("av2") / LOG.name
    shutil.copytree(LOG, log, copy_function=shutil.copyfile)
    log.chmod(0o755)
    (log / "calibration").mkdir()
    ring = {"ring_front_center": 0, "ring_front_left": 45, "ring_front_right": -45, "ring_side_left": 99, "ring_side_right": -99}
    ring |= {"ring_rear_left": 153, "ring_rear_right": -153, "stereo_front_left": 0, "stereo_front_right": 0}
    size = {name: (2048, 1550) if name == "ring_front_center" else (1550, 2048) for name in ring}
    turns = [
        Rotation.from_euler("z", yaw, degrees=True) * Rotation.from_euler("yzx", [90, 0, -90], degrees=True)
        for yaw in ring.values()
    ]
    quaternion = np.array([turn.as_quat() for turn in turns])
    lens = {"fx_px": [1685.0] * 9, "fy_px": [1685.0] * 9, "k1": [-0.25] * 9, "k2": [-0.13] * 9, "k3": [0.2] * 9}
    lens |= {"cx_px": [w / 2 for _, w in size.values()], "cy_px": [h / 2 for h, _ in size.values()]}
    lens |= {"height_px": [h for h, _ in size.values()], "width_px": [w for _, w in size.values()]}
    feather.write_feather(pa.table({"sensor_name": list(ring), **lens}), str(log / "calibration/intrinsics.feather"))
    place = {"tx_m": [1.6] * 9, "ty_m": [0.1 * i for i in range(9)], "tz_m": [1.4] * 9}
    place |= {axis: quaternion[:, i] for i, axis in enumerate(("qx", "qy", "qz", "qw"))}
    feather.write_feather(pa.table({"sensor_name": list(ring), **place}), str(log / "calibration/egovehicle_SE3_sensor.feather"))
    labels = feather.read_table(str(LOG / "annotations.feather")).to_pydict()
    sweeps_ns = sorted(set(labels["timestamp_ns"]))
    row = labels["timestamp_ns"].index(sweeps_ns[0])
    points = {axis: [labels[f"t{axis}_m"][row]] * 50 + [500.0] * 7 for axis in "xyz"} | {"intensity": [9] * 57}
    (log / "sensors/lidar").mkdir(parents=True)
    feather.write_feather(pa.table(points), str(log / f"sensors/lidar/{sweeps_ns[0]}.feather"))
    (log / "sensors/cameras/ring_rear_left").mkdir(parents=True)
    for t in sweeps_ns[50:52]:
        cv2.imwrite(str(log / f"sensors/cameras/ring_rear_left/{t + 7_654_321}.jpg"), np.full((1550, 2048, 3), 90, np.uint8))
    out = log.parent / "set"
    report = convert(log, "argoverse2", out, ConvertOptions())
    assert report.absent == {"images": 8 * 156, "sweeps": 155, "tracks between key frames": 3}
    assert report.counts["key frames"] == 31 and report.counts["images"] == 2
    return out


@needs_log
def test_argoverse_files_are_exposures_at_their_own_stamps(av2: Path) -> None:
    nusc = NuScenes(VERSION, str(av2), verbose=False)
    rows = [row for row in nusc.sample_data if row["channel"] == "ring_rear_left"]
    sweeps = sorted({t // 1000 for t in feather.read_table(str(LOG / "annotations.feather"))["timestamp_ns"].to_pylist()})
    assert [row["timestamp"] - t for row, t in zip(rows, sweeps[50:52], strict=True)] == pytest.approx([7654, 7654], abs=1)
    assert all((av2 / row["filename"]).is_file() for row in rows)
    assert {problem.reason for problem in check_folder(av2).problems} == {"image is missing"}
    ego = [nusc.get("ego_pose", row["ego_pose_token"])["translation"] for row in rows]
    at_sweep = {row["timestamp"]: nusc.get("ego_pose", row["ego_pose_token"])["translation"] for row in nusc.sample_data}
    before, after = (np.array(at_sweep[t]) for t in sweeps[50:52])
    assert np.abs(ego[0] - (before + 0.0765 * (after - before))).max() < 0.02
    first = {row["num_lidar_pts"] for row in nusc.sample_annotation if row["sample_token"] == nusc.sample[0]["token"]}
    assert first == {0, 50}


@needs_log
def test_the_argoverse_car_stays_on_the_drivable_area(av2: Path) -> None:
    folder = NuScenesFolder(av2)
    (info,) = folder.scenes()
    assert info.frames == 156 and info.images_absent >= 8 * 156
    clip = folder.clip(info.name, states_only=True)
    area = unary_union([Polygon(xy) for xy in clip.road.drivable])
    xy = clip.states.ego_xy_yaw_world[:, :2]
    assert contains_xy(area, xy[:, 0], xy[:, 1]).all()
    nusc = folder.devkit()[0]
    place = NuScenesMap(dataroot=str(av2), map_name=nusc.log[0]["location"])
    assert place.layers_on_point(*xy[0])["drivable_area"] and len(place.lane) > 100
    assert nusc.map[0]["mask"].is_on_mask(xy[:, 0], xy[:, 1]).all()
    cars = clip.states.agents.xy_yaw_world[clip.states.agents.valid & (clip.states.agents.category == 0)]
    assert contains_xy(area, cars[:, 0], cars[:, 1]).mean() > 0.6  # the others are parked beside it


@needs_log
def test_argoverse_boxes_are_those_of_the_log(av2: Path) -> None:
    """Key frames are sweeps, so their boxes are the labels themselves, moved into the world and onto the map."""
    nusc = NuScenes(VERSION, str(av2), verbose=False)
    shift = json.loads((av2 / VERSION / SOURCES).read_text())[nusc.scene[0]["name"]]["shift_xy"]
    table = feather.read_table(str(LOG / "annotations.feather")).to_pydict()
    poses = feather.read_table(str(LOG / "city_SE3_egovehicle.feather")).to_pydict()
    pose_at = {t: i for i, t in enumerate(poses["timestamp_ns"])}
    found = {(row["instance_token"], nusc.get("sample", row["sample_token"])["timestamp"]): row for row in nusc.sample_annotation}
    compared = 0
    for i, (t, track) in enumerate(zip(table["timestamp_ns"], table["track_uuid"], strict=True)):
        row = found.get((token(nusc.scene[0]["name"], "instance", track), t // 1000))
        if row is None:
            continue
        p = pose_at[t]
        ego_turn = Rotation.from_quat([poses[q][p] for q in ("qx", "qy", "qz", "qw")])
        centre = ego_turn.apply([table[a][i] for a in ("tx_m", "ty_m", "tz_m")]) + [poses[a][p] for a in ("tx_m", "ty_m", "tz_m")]
        assert np.abs(centre + [*shift, 0.0] - row["translation"]).max() < 1e-3
        turn = ego_turn * Rotation.from_quat([table[q][i] for q in ("qx", "qy", "qz", "qw")])
        w, x, y, z = row["rotation"]
        assert (turn.inv() * Rotation.from_quat([x, y, z, w])).magnitude() < 1e-4
        assert row["num_lidar_pts"] == table["num_interior_pts"][i] or row["sample_token"] == nusc.sample[0]["token"]
        compared += 1
    assert compared == len(nusc.sample_annotation) > 2000
    front = next(row for row in nusc.sample_data if row["channel"] == "ring_front_center")
    assert (front["height"], front["width"]) == (2048, 1550)


@needs_log
def test_cars_beside_the_argoverse_car_stand_on_the_ground_of_its_frame() -> None:
    """The frame of the source lies in the rear axle; without the shift to the ground these bottoms were 0.31 m lower."""
    drive = next(read_argoverse2(LOG))
    heights = []
    for track in (track for track in drive.boxes if track.category == "vehicle.car"):
        ego = at_times(drive.time_us, drive.world_from_ego, track.time_us)
        box = np.linalg.inv(ego) @ track.world_from_box
        near = np.hypot(box[:, 0, 3], box[:, 1, 3]) < 8.0
        heights += (box[:, 2, 3] - track.size_lwh_m[:, 2] / 2)[near].tolist()
    assert len(heights) > 50 and abs(np.median(heights)) < 0.1
