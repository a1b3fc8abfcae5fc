"""Recorded drives of three formats: what is read is what was there, and what cannot be read is a sentence."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from shapely import Point, Polygon, contains_xy, unary_union

from drivewm.data.reader import NuScenesFolder
from drivewm.data.recorded.reading import read_recording
from drivewm.data.recorded.recording import Recording
from drivewm.data.recorded.scene import recorded_scene
from drivewm.datatypes import Action, AgentClass, Agents
from drivewm.errors import InputError
from drivewm.geometry import wrap_angle_rad
from drivewm.sim.engine import Engine

SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real"
AV2, COMMONROAD = SAMPLES / "argoverse2" / "adcf7d18", SAMPLES / "commonroad"
needs_samples = pytest.mark.skipif(not AV2.is_dir(), reason=f"no recorded drives at {SAMPLES}")


def replayed(recording: Recording) -> tuple[Agents, Agents]:
    """What the engine makes of the recording [T, N], and the recording's own agents in the same order."""
    scene, _ = recorded_scene(recording)
    engine = Engine([scene])
    states, idle = [engine.start()], Action(np.zeros(1), np.zeros(1))
    for _ in range(len(recording.ego_speed_mps) - 1):
        states.append(engine.step(states[-1], idle))
    return Agents.stack([state.world.agents[0] for state in states]), recording.agents[:, scene.start.agents.track_id - 1]


def lanes_touch(recording: Recording) -> list[float]:
    """Gaps between the end of each lane and the start of what follows."""
    lanes = {lane.id: lane for lane in recording.road.lanes}
    return [
        float(np.hypot(*(lanes[ahead].centre_xy[0] - lane.centre_xy[-1]))) for lane in lanes.values() for ahead in lane.successors
    ]


@needs_samples
class TestArgoverse2:
    def test_the_ego_drives_on_the_road_at_the_speed_of_its_poses(self) -> None:
        drive = read_recording(AV2)
        ground = unary_union([Polygon(ring) for ring in drive.road.drivable])
        assert contains_xy(ground, *drive.ego_xy_yaw_world[:, :2].T).all()
        assert len(drive.ego_speed_mps) == 155 and drive.ego_xy_yaw_world[0, :2] == pytest.approx([0.0, 0.0])
        steps = np.hypot(*np.diff(drive.ego_xy_yaw_world[:, :2], axis=0).T) / 0.1
        assert abs(steps - 0.5 * (drive.ego_speed_mps[1:] + drive.ego_speed_mps[:-1])).max() < 0.3
        assert drive.ego_speed_mps[0] < 0.2 and drive.ego_speed_mps[-1] > 4.0, "it waits at a light and then drives on"

    def test_traffic_stands_and_drives_where_it_can(self) -> None:
        drive = read_recording(AV2)
        agents = drive.agents
        vehicles = np.isin(agents.category[0], [AgentClass.CAR, AgentClass.TRUCK, AgentClass.BUS])
        assert vehicles.sum() > 40 and (agents.category[0] == AgentClass.PEDESTRIAN).sum() > 20
        ground = unary_union([Polygon(ring) for ring in drive.road.drivable])
        moving = agents.valid & vehicles & (agents.speed_mps > 3.0)
        assert moving.sum() > 300 and contains_xy(ground, *agents.xy_yaw_world[moving][:, :2].T).mean() > 0.97
        assert max(lanes_touch(drive)) < 0.5

    def test_the_engine_replays_it_to_centimetres(self) -> None:
        played, truth = replayed(read_recording(AV2))
        assert np.array_equal(played.valid, truth.valid) and played.valid.shape[1] >= 125
        moving = truth.valid & (truth.speed_mps > 1.0)
        away = np.hypot(*np.moveaxis((played.xy_yaw_world - truth.xy_yaw_world)[..., :2], -1, 0))
        assert np.quantile(away[moving], 0.5) < 0.03 and np.quantile(away[moving], 0.95) < 0.1
        fast = moving & (truth.speed_mps > 3.0)
        turned = np.degrees(np.abs(wrap_angle_rad(played.xy_yaw_world[fast, 2] - truth.xy_yaw_world[fast, 2])))
        # In a tight bend the middle of a box does not move where the box looks; the engine turns it along its way.
        assert np.quantile(turned, 0.5) < 3.0 and np.quantile(turned, 0.95) < 12.0

    def test_a_part_of_it_begins_where_it_is_cut(self) -> None:
        whole, part = read_recording(AV2), read_recording(AV2, start_s=5.0, duration_s=4.0)
        assert len(part.ego_speed_mps) == 41
        shift = whole.ego_xy_yaw_world[50, :2]
        np.testing.assert_allclose(part.ego_xy_yaw_world[:, :2] + shift, whole.ego_xy_yaw_world[50:91, :2], atol=1e-6)

    @pytest.mark.parametrize(
        ("harm", "told"),
        [
            (lambda log: (log / "annotations.feather").write_bytes(b"no feather"), "annotations.feather: cannot be read"),
            (lambda log: (log / "city_SE3_egovehicle.feather").unlink(), "city_SE3_egovehicle.feather: does not exist"),
            (lambda log: shutil.rmtree(log / "map"), "has no map"),
            (lambda log: next((log / "map").glob("log_map*")).write_text("{"), "is no map of Argoverse 2"),
            (lambda log: next((log / "map").glob("log_map*")).write_text('{"lane_segments": 3}'), "is no map of Argoverse 2"),
        ],
    )
    def test_what_is_broken_is_named(self, tmp_path: Path, harm, told: str) -> None:  # type: ignore[no-untyped-def]
        log = tmp_path / "log"
        shutil.copytree(AV2, log, copy_function=shutil.copyfile)
        for path in (log, *log.rglob("*")):
            path.chmod(0o755)
        harm(log)
        with pytest.raises(InputError) as refused:
            read_recording(log)
        assert told in str(refused.value) and "\n" not in str(refused.value)


@needs_samples
class TestCommonRoad:
    @pytest.mark.parametrize("name", ["USA_Lanker-1_1_T-1", "USA_US101-3_3_T-1", "DEU_A9-3_1_T-1"])
    def test_vehicles_drive_on_the_lanelets(self, name: str) -> None:
        drive = read_recording(COMMONROAD / f"{name}.xml")
        ground = unary_union([Polygon(ring) for ring in drive.road.drivable]).buffer(0.3)
        agents = drive.agents
        assert agents.valid.shape[1] >= 9 and contains_xy(ground, *agents.xy_yaw_world[agents.valid][:, :2].T).mean() > 0.95
        assert max(lanes_touch(drive)) < 0.5
        played, truth = replayed(drive)
        away = np.hypot(*np.moveaxis((played.xy_yaw_world - truth.xy_yaw_world)[..., :2], -1, 0))
        assert np.quantile(away[truth.valid], 0.95) < 0.3

    def test_an_obstacle_can_be_the_ego(self) -> None:
        file = COMMONROAD / "USA_US101-3_3_T-1.xml"
        whole = read_recording(file)
        name = whole.agent_names[int(whole.agents.valid.sum(0).argmax())]
        drive = read_recording(file, ego=name)
        assert name not in drive.agent_names and len(drive.agent_names) <= len(whole.agent_names)
        with pytest.raises(InputError, match="has no obstacle 'nobody'"):
            read_recording(file, ego="nobody")

    def test_broken_files_are_a_sentence(self, tmp_path: Path) -> None:
        text = (COMMONROAD / "USA_US101-3_3_T-1.xml").read_text()
        broken = {
            text[: len(text) // 2]: "is not XML",
            text.replace("commonRoad", "road"): "begins with <road>",
            text.replace("<exact>", "<exact>x", 1): "is not a number",
            text.replace('timeStepSize="0.1"', 'timeStepSize="soon"'): "is not a number",
            '<!DOCTYPE x [<!ENTITY a "b">]>' + text.partition("?>")[2]: "entities are refused",
            '<commonRoad timeStepSize="0.1"/>': "has no lanelet",
        }
        for content, told in broken.items():
            (tmp_path / "drive.xml").write_text(content)
            with pytest.raises(InputError, match=r"drive\.xml") as refused:
                read_recording(tmp_path / "drive.xml")
            assert told in str(refused.value)


def test_a_nuscenes_scene_is_what_the_clip_reader_says(small_set: Path) -> None:
    folder = NuScenesFolder(small_set)
    for info in folder.scenes():
        clip, drive = folder.clip(info.token, states_only=True), read_recording(small_set, scene=info.name)
        shift = clip.states.ego_xy_yaw_world[0, :2]
        last = clip.states.t_s[-1]
        assert len(drive.ego_speed_mps) == int(last / 0.1 + 1e-6) + 1
        at = np.interp(last / 2, clip.states.t_s, clip.states.ego_xy_yaw_world[:, 0]) - shift[0]
        assert np.interp(last / 2, 0.1 * np.arange(len(drive.ego_speed_mps)), drive.ego_xy_yaw_world[:, 0]) == pytest.approx(at)
        speed = np.interp(0.1 * np.arange(len(drive.ego_speed_mps)), clip.states.t_s, clip.states.ego_speed_mps)
        assert np.abs(drive.ego_speed_mps - speed).mean() < 0.4
        ground = unary_union([Polygon(ring) for ring in drive.road.drivable])
        assert ground.buffer(1.0).contains(Point(drive.ego_xy_yaw_world[0, :2])) and drive.conditions == clip.conditions[0]
        scene, _ = recorded_scene(drive)
        assert len(scene.start.agents.valid) <= clip.states.agents.valid.shape[1] and scene.horizon_s == pytest.approx(
            last, abs=0.11
        )


def test_what_is_no_drive_is_refused(tmp_path: Path, small_set: Path) -> None:
    (tmp_path / "text.xml").write_text("hello")
    cases = {
        tmp_path / "nothing": "does not exist",
        tmp_path: "is no recorded drive",
        tmp_path / "text.xml": "is not XML",
    }
    for path, told in cases.items():
        with pytest.raises(InputError, match=told):
            read_recording(path)
    for wrong, told in ({"scene": "nobody"}, "has no scene"), ({"start_s": 99.0}, "is left"), ({"ego": "3"}, "means nothing"):
        with pytest.raises(InputError, match=told):
            read_recording(small_set, **wrong)  # type: ignore[arg-type]
