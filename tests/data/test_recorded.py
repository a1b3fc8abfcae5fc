"""Recorded drives are read as they happened: cars on lanes, the ego on the road, nobody inside anybody."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from pyarrow import feather
from shapely import Polygon, contains_xy, unary_union

from drivewm.data.reader import NuScenesFolder
from drivewm.data.recorded.reading import read_recording
from drivewm.data.recorded.recording import Recording
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array
from drivewm.errors import InputError
from drivewm.geometry import box_corners_xy, boxes_overlap, frenet_sd, point_at_s, polyline_s_m, wrap_angle_rad

SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real"
LOG = SAMPLES / "argoverse2" / "adcf7d18"
FILES = sorted((SAMPLES / "commonroad").glob("*.xml"))
needs_files = pytest.mark.skipif(not FILES, reason=f"CommonRoad sample files are not at {SAMPLES / 'commonroad'}")
needs_log = pytest.mark.skipif(not LOG.is_dir(), reason=f"Argoverse 2 sample log is not at {LOG}")


@pytest.fixture(scope="module")
def log() -> Recording:
    return read_recording(LOG)


def in_lane(drive: Recording, poses: Array) -> Array:
    """Whether each pose [P, 3] lies within some lane and heads roughly along it."""
    inside = np.zeros(len(poses), bool)
    for lane in drive.road.lanes:
        s, d = frenet_sd(lane.centre_xy, poses[:, :2]).T
        length = polyline_s_m(lane.centre_xy)[-1]
        along = point_at_s(lane.centre_xy, np.clip(s, 0, length))[:, 2]
        heading = np.abs(wrap_angle_rad(poses[:, 2] - along)) < 0.6
        inside |= (s > -1) & (s < length + 1) & (np.abs(d) < lane.width_m / 2) & heading
    return inside


def ego_touches(drive: Recording) -> Array:
    """Whether the ego's box overlaps each agent's [T, N]."""
    ego = box_corners_xy(EGO_SHAPE.centre_xy_yaw(drive.ego_xy_yaw_world), (EGO_SHAPE.length_m, EGO_SHAPE.width_m))
    others = box_corners_xy(drive.agents.xy_yaw_world, drive.agents.size_lwh_m[..., :2])
    return boxes_overlap(ego[:, None], others) & drive.agents.valid


def link_gaps_m(drive: Recording) -> Array:
    """How far the ends of lanes are from the starts of the lanes that follow."""
    lanes = {lane.id: lane for lane in drive.road.lanes}
    return np.array([np.hypot(*(a.centre_xy[-1] - lanes[b].centre_xy[0])) for a in lanes.values() for b in a.successors])


def on_the_road(drive: Recording, xy: Array) -> Array:
    return contains_xy(unary_union([Polygon(ring) for ring in drive.road.drivable]), xy[:, 0], xy[:, 1])


@needs_log
def test_a_log_is_the_drive_of_its_poses(log: Recording) -> None:
    """From a stand at a light, 15.4 s through a junction in the city: the ego stays on the road and touches nobody."""
    assert log.name == "av2_adcf7d18" and len(log.ego_speed_mps) == 155
    assert np.hypot(*log.ego_xy_yaw_world[0, :2]) < 1.0
    assert on_the_road(log, log.ego_xy_yaw_world[:, :2]).all()
    assert not ego_touches(log).any()
    assert np.abs(log.ego_speed_mps[:40]).max() < 0.05
    steps_m = np.hypot(*np.diff(log.ego_xy_yaw_world[:, :2], axis=0).T)
    assert np.abs(steps_m / 0.1 - 0.5 * (log.ego_speed_mps[1:] + log.ego_speed_mps[:-1])).max() < 0.1


@needs_log
def test_what_a_log_labels_is_there(log: Recording) -> None:
    table = feather.read_table(str(LOG / "annotations.feather")).to_pydict()
    tracks = dict(zip(table["track_uuid"], table["category"], strict=True))
    assert len(tracks) == 146 and set(log.agent_names) < set(tracks)
    assert len(log.agent_names) + sum(c == "SIGN" for c in tracks.values()) + 11 == len(tracks)  # 7 far away, 4 posts seen once
    assert any("SIGN" in sentence for sentence in log.left_out)
    kinds = log.agents.category[0]
    assert {AgentClass(int(kinds[i])) for i, t in enumerate(log.agent_names) if tracks[t] == "BUS"} == {AgentClass.BUS}
    assert log.agents.valid.any(0).all() and not log.agents.valid.all()


@needs_log
def test_cars_of_a_log_are_parked_or_on_their_lanes(log: Recording) -> None:
    cars = np.isin(log.agents.category, (AgentClass.CAR, AgentClass.TRUCK, AgentClass.BUS)) & log.agents.valid
    moving = cars & (log.agents.speed_mps > 2.0)
    assert moving.sum() > 1000
    assert in_lane(log, log.agents.xy_yaw_world[moving]).mean() > 0.88
    assert np.abs(log.agents.accel_mps2[moving]).max() < 8.0
    parked = [i for i in np.flatnonzero(cars.any(0)) if not log.agents.speed_mps[:, i].any()]
    assert len(parked) > 20
    for i in parked:
        assert not np.ptp(log.agents.xy_yaw_world[log.agents.valid[:, i], i], axis=0).any()


@needs_log
def test_lanes_of_a_log_lead_into_each_other(log: Recording) -> None:
    gaps = link_gaps_m(log)
    assert len(gaps) > 150 and gaps.max() < 0.5
    lanes = {lane.id: lane for lane in log.road.lanes}
    beside = [(lane, lanes[lane.left]) for lane in lanes.values() if lane.left]
    for lane, left in beside:
        middle = left.centre_xy[len(left.centre_xy) // 2]
        assert 1.0 < frenet_sd(lane.centre_xy, middle)[1] < 12.0
    assert len(beside) > 20
    assert all(Polygon(xy).exterior.is_ccw for xy in (*log.road.crosswalks, *log.road.drivable))


@needs_log
def test_part_of_a_log_is_the_same_drive(log: Recording) -> None:
    part = read_recording(LOG.parent, scene=LOG.name, start_s=5.0, duration_s=4.0)
    assert len(part.ego_speed_mps) == 41
    assert part.ego_speed_mps == pytest.approx(log.ego_speed_mps[50:91], abs=1e-6)
    move = part.ego_xy_yaw_world[:, :2] - log.ego_xy_yaw_world[50:91, :2]
    assert np.ptp(move, axis=0) == pytest.approx(0.0, abs=1e-6) and (move[0] == np.round(move[0])).all()


def _nan_pose(folder: Path) -> None:
    table = feather.read_table(str(folder / "city_SE3_egovehicle.feather"), memory_map=False)
    values = table.column("tx_m").to_numpy().copy()
    values[7] = np.nan
    i = table.column_names.index("tx_m")
    feather.write_feather(table.set_column(i, "tx_m", [values]), str(folder / "city_SE3_egovehicle.feather"))


def _half_the_map(folder: Path) -> None:
    file = next((folder / "map").glob("log_map*"))
    file.write_text(file.read_text()[:5000])


def _no_lanes(folder: Path) -> None:
    file = next((folder / "map").glob("log_map*"))
    file.write_text(json.dumps({"drivable_areas": {}, "pedestrian_crossings": {}}))


@needs_log
@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (
            lambda folder: (folder / "annotations.feather").write_bytes(b"ARROW1 but no more"),
            "annotations.feather: is no feather",
        ),
        (lambda folder: (folder / "annotations.feather").unlink(), "annotations.feather: is missing"),
        (lambda folder: shutil.rmtree(folder / "map"), "map: has no vector map"),
        (_nan_pose, "city_SE3_egovehicle.feather: column tx_m, row 7: is not a finite number"),
        (_half_the_map, ".json:1: column"),
        (_no_lanes, "is no Argoverse 2 map: 'lane_segments'"),
    ],
)
def test_a_damaged_log_is_named(damage: Callable[[Path], None], named: str, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(LOG, folder, copy_function=shutil.copyfile)
    for item in (folder, *folder.rglob("*")):
        item.chmod(0o755)
    damage(folder)
    with pytest.raises(InputError) as caught:
        read_recording(folder)
    assert named in str(caught.value) and str(tmp_path) in str(caught.value)


@needs_log
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"scene": "adcf7d19"}, "adcf7d18"),
        ({"start_s": 20.0}, "lasts 15.5 s"),
        ({"start_s": 10.0, "duration_s": 9.0}, "lasts 15.5 s"),
        ({"duration_s": 0.4}, "too short"),
        ({"ego": "364174e3"}, "the car that recorded"),
    ],
)
def test_what_a_log_does_not_have_is_said(asked: dict[str, str | float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_recording(LOG, **asked)  # type: ignore[arg-type]


def test_other_files_are_no_drives(tmp_path: Path) -> None:
    for name in ("nothing", "folder", "note.txt"):
        if name == "folder":
            (tmp_path / name).mkdir()
        elif name == "note.txt":
            (tmp_path / name).write_text("<commonRoad>")
        with pytest.raises(InputError, match=name):
            read_recording(tmp_path / name)


@needs_files
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_vehicles_of_a_commonroad_file_drive_on_its_lanelets(file: Path) -> None:
    drive = read_recording(file)
    moving = drive.agents.valid & (drive.agents.speed_mps > 2.0)
    assert in_lane(drive, drive.agents.xy_yaw_world[moving]).mean() > 0.98
    assert on_the_road(drive, drive.ego_xy_yaw_world[:, :2]).all()
    assert in_lane(drive, EGO_SHAPE.centre_xy_yaw(drive.ego_xy_yaw_world)).all()
    assert link_gaps_m(drive).max() < 0.5
    root = etree.parse(str(file)).getroot()
    assert len(drive.agent_names) == len(root.findall("obstacle"))
    assert len(drive.ego_speed_mps) == 1 + round(last_step(root) * float(root.get("timeStepSize")) / 0.1)
    stated = float(root.findtext("planningProblem/initialState/velocity/exact"))
    assert drive.ego_speed_mps == pytest.approx(stated, rel=0.01)


def last_step(root: etree._Element) -> int:
    return max(int(time.text) for time in root.iterfind("obstacle/trajectory/state/time/exact"))


@needs_files
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_speeds_of_a_commonroad_file_are_its_ways_by_time(file: Path) -> None:
    """A speed is how far the positions in the file are apart by their time; the speeds it states jump by some m/s."""
    drive, root = read_recording(file), etree.parse(str(file)).getroot()
    origin = drive.ego_xy_yaw_world[0, :2] - _start_of_rear_axle(root)
    step_s, compared = float(root.get("timeStepSize")), 0
    for obstacle in root.iterfind("obstacle"):
        i = drive.agent_names.index(obstacle.get("id"))
        xy = np.array([[float(next(s.iter(a)).text) for a in "xy"] for s in obstacle.iter("initialState", "state")])
        rows = np.round(np.arange(len(xy)) * step_s / 0.1).astype(int)
        assert drive.agents.valid[rows, i].all()
        if len(xy) < 4 or np.hypot(*(xy[-1] - xy[0])) < 2.0:
            continue
        assert np.abs(drive.agents.xy_yaw_world[rows, i, :2] - xy - origin).max() < 0.5
        speed = np.hypot(*(xy[2:] - xy[:-2]).T) / (2 * step_s)
        assert np.median(np.abs(drive.agents.speed_mps[rows[1:-1], i] - speed)) < 0.05 + 0.01 * speed.max()
        compared += 1
    assert compared > 5


def _start_of_rear_axle(root: etree._Element) -> Array:
    state = root.find("planningProblem/initialState")
    yaw = float(state.findtext("orientation/exact"))
    centre = np.array([float(state.findtext(f"position/point/{a}")) for a in "xy"])
    return np.asarray(centre - EGO_SHAPE.rear_axle_to_centre_m * np.array([np.cos(yaw), np.sin(yaw)]))


@needs_files
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_any_vehicle_of_a_commonroad_file_may_be_the_ego(file: Path) -> None:
    whole = read_recording(file)
    chosen = next(i for i in range(len(whole.agent_names)) if whole.agents.valid[:, i].all())
    name = whole.agent_names[chosen]
    drive = read_recording(file, ego=name)
    assert name not in drive.agent_names and len(drive.agent_names) == len(whole.agent_names) - 1
    centre = EGO_SHAPE.centre_xy_yaw(drive.ego_xy_yaw_world)[:, :2]
    move = centre - whole.agents.xy_yaw_world[:, chosen, :2]
    assert np.ptp(move, axis=0).max() < 0.05
    assert not ego_touches(drive).any()
    with pytest.raises(InputError, match=r"has no obstacle '9999999'"):
        read_recording(file, ego="9999999")


NEWER = """<?xml version="1.0"?>
<commonRoad timeStepSize="0.1" commonRoadVersion="2020a" benchmarkID="ZAM_Test-1_1_T-1">
 <lanelet id="1"><leftBound><point><x>0</x><y>4</y></point><point><x>200</x><y>4</y></point><lineMarking>dashed</lineMarking>
 </leftBound><rightBound><point><x>0</x><y>0</y></point><point><x>200</x><y>0</y></point><lineMarking>solid</lineMarking>
 </rightBound><adjacentLeft ref="2" drivingDir="opposite"/><laneletType>urban</laneletType></lanelet>
 <lanelet id="2"><leftBound><point><x>200</x><y>4</y></point><point><x>0</x><y>4</y></point><lineMarking>dashed</lineMarking>
 </leftBound><rightBound><point><x>200</x><y>8</y></point><point><x>0</x><y>8</y></point></rightBound>
 <adjacentLeft ref="1" drivingDir="opposite"/></lanelet>
 <lanelet id="3"><leftBound><point><x>0</x><y>0</y></point><point><x>200</x><y>0</y></point></leftBound><rightBound>
 <point><x>0</x><y>-2</y></point><point><x>200</x><y>-2</y></point></rightBound><laneletType>sidewalk</laneletType></lanelet>
 <staticObstacle id="30"><type>parkedVehicle</type><shape><rectangle><length>4</length><width>2</width></rectangle></shape>
 <initialState>@60,7,3.1416,0@</initialState></staticObstacle>
 <dynamicObstacle id="31"><type>bus</type><shape><circle><radius>1.5</radius></circle></shape>
 <initialState>@20,2,0,0@</initialState><trajectory>STATES</trajectory></dynamicObstacle>
 <dynamicObstacle id="32"><type>pillar</type><shape><circle><radius>1</radius></circle></shape>
 <initialState>@90,9,0,0@</initialState></dynamicObstacle>
</commonRoad>"""


def newer_file(folder: Path, text: str = NEWER) -> Path:
    """A file of version 2020a: a bus drives 10 m/s towards a parked car."""
    text = text.replace("STATES", "".join(f"<state>@{20 + k},2,0,{k}@</state>" for k in range(1, 31)))
    pattern = (
        r"<position><point><x>\1</x><y>\2</y></point></position><orientation><exact>\3</exact></orientation>"
        r"<time><exact>\4</exact></time>"
    )
    file = folder / "newer.xml"
    file.write_text(re.sub(r"@([\d.]+),([\d.]+),([\d.]+),(\d+)@", pattern, text))
    return file


def test_the_newer_version_of_commonroad(tmp_path: Path) -> None:
    """Without a planning problem the bus is the ego, for it alone drives."""
    drive = read_recording(newer_file(tmp_path))
    assert drive.name == "zam_test_1_1_t_1" and drive.agent_names == ("30",)
    assert len(drive.ego_speed_mps) == 31 and drive.ego_speed_mps == pytest.approx(10.0)
    assert drive.agents.valid.all() and not drive.agents.speed_mps.any()
    assert drive.agents.xy_yaw_world[0, 0, :2] - drive.ego_xy_yaw_world[0, :2] == pytest.approx([40 + 1.386, 5])
    assert {lane.id: (lane.left, lane.width_m) for lane in drive.road.lanes} == {"1": (None, 4.0), "2": (None, 4.0)}
    assert sorted(marking.kind for marking in drive.road.markings) == ["dashed", "solid"]
    assert sum(Polygon(xy).area for xy in drive.road.drivable) == pytest.approx(8 * 133, rel=0.3)
    assert len(drive.road.sidewalks) == 1 and drive.speed_limit_mps == pytest.approx(40 / 3.6)
    assert any("pillar" in sentence for sentence in drive.left_out)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2020a", "2017a", "newer.xml:2: is version '2017a'"),
        ("<x>200</x><y>8</y>", "<x>far</x><y>8</y>", "newer.xml:7: point: 'far' is not a number"),
        ("<radius>1.5</radius>", "<radius>nan</radius>", "newer.xml:13: circle: 'nan' is not a number"),
        ("<initialState>@20,2,0,0@</initialState>", "<initialState><time/></initialState>", "has no position"),
        ("<lanelet ", "<lane ", "is not XML"),
        ("commonRoad", "roads", "begins with <roads>"),
    ],
)
def test_a_damaged_commonroad_file_is_named_with_its_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_recording(newer_file(tmp_path, NEWER.replace(old, new)))
    assert said in str(caught.value) and "newer.xml" in str(caught.value)


def test_a_nuscenes_scene_is_the_drive_of_its_clip(small_set: Path) -> None:
    folder = NuScenesFolder(small_set)
    for info in folder.scenes():
        drive, states = read_recording(small_set, scene=info.name), folder.clip(info.name, states_only=True).states
        keys_s = (folder.index(info.name).key_time_us - folder.index(info.name).time_us[0]) * 1e-6
        t_s = keys_s[0] + 0.1 * np.arange(len(drive.ego_speed_mps))
        assert keys_s[-1] - t_s[-1] < 0.11
        assert on_the_road(drive, drive.ego_xy_yaw_world[:, :2]).mean() > 0.95 and not ego_touches(drive).any()
        rows, frames = np.nonzero(np.abs(t_s[:, None] - states.t_s) < 1e-3)
        assert len(rows) > 15
        move = states.ego_xy_yaw_world[frames, :2] - drive.ego_xy_yaw_world[rows, :2]
        assert np.ptp(move, axis=0).max() < 1e-6
        assert np.abs(drive.ego_speed_mps[rows] - states.ego_speed_mps[frames])[1:-1].max() < 0.3
        names = folder.index(info.name).instance_tokens
        for i, name in enumerate(drive.agent_names):
            j = names.index(name)
            both = drive.agents.valid[rows, i] & states.agents.valid[frames, j]
            gap = states.agents.xy_yaw_world[frames[both], j, :2] - move[0] - drive.agents.xy_yaw_world[rows[both], i, :2]
            assert not len(gap) or np.abs(gap).max() < 1.0
    assert read_recording(small_set).name == folder.scenes()[0].name.replace("-", "_")


def test_a_nuscenes_folder_says_what_it_lacks(small_set: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scene-200"):
        read_recording(small_set, scene="scene-20000")
    root = tmp_path / "mapless"
    shutil.copytree(small_set, root, ignore=shutil.ignore_patterns("expansion", "*.jpg"))
    with pytest.raises(InputError, match="has no map"):
        read_recording(root)
    next(root.glob("v1.0-*/ego_pose.json")).write_text("[{")
    with pytest.raises(InputError, match=r"ego_pose.json:1: .*is not JSON"):
        read_recording(root)
