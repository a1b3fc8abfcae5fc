"""A recorded drive as a scenario: replayed as it was, or with another speed or timing, somebody gone, traffic that reacts."""

from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from drivewm.data.recorded.recording import Recording
from drivewm.data.recorded.scene import recorded_scene
from drivewm.data.recorded.writing import write_recorded
from drivewm.datatypes import Action, AgentClass, Agents, Conditions, Light, Scene
from drivewm.errors import InputError
from drivewm.scenarios.catalogue import json_schema
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene, rejections
from drivewm.scenarios.source import read_source
from drivewm.sim.engine import Engine
from drivewm.store import load_record, save_record
from tests.straight_road import straight_road

T_S = np.arange(81) * 0.1
LEFT_TURN = 20.0  # radius in m


def recording() -> Recording:
    """8 s: the ego at 10 m/s behind a car at 9 m/s; a cyclist turns left; a parked van; a pedestrian from 2 to 5 s."""
    ego = np.stack([20.0 + 10.0 * T_S, 0 * T_S, 0 * T_S], -1)
    noise = np.random.default_rng(0).normal(0.0, 0.02, (4, len(T_S), 2))
    angle = 5.0 * T_S / LEFT_TURN
    poses = np.array(
        [
            np.stack([50.0 + 9.0 * T_S, 0 * T_S, 0 * T_S], -1),
            np.stack([80.0 + LEFT_TURN * np.sin(angle), LEFT_TURN * (1.0 - np.cos(angle)), angle], -1),
            np.stack([40.0 + 0 * T_S, -3.0 + 0 * T_S, 0 * T_S], -1),
            np.stack([100.0 + 0 * T_S, -6.0 + 1.5 * T_S, np.pi / 2 + 0 * T_S], -1),
        ]
    )
    poses[..., :2] += noise
    seen = np.ones((4, len(T_S)), bool)
    seen[3] = (T_S > 1.95) & (T_S < 5.05)
    kinds = [AgentClass.CAR, AgentClass.BICYCLE, AgentClass.TRUCK, AgentClass.PEDESTRIAN]
    agents = Agents(
        track_id=np.tile(np.arange(4, dtype=np.int32), (len(T_S), 1)),
        category=np.tile(np.array(kinds, np.int8), (len(T_S), 1)),
        xy_yaw_world=poses.swapaxes(0, 1),
        speed_mps=np.tile([9.0, 5.0, 0.0, 1.5], (len(T_S), 1)),
        accel_mps2=np.zeros((len(T_S), 4)),
        size_lwh_m=np.tile([[4.5, 1.8, 1.5], [1.8, 0.6, 1.7], [6.0, 2.0, 2.5], [0.6, 0.6, 1.7]], (len(T_S), 1, 1)),
        valid=seen.T.copy(),
    )
    names = ("lead", "cyclist", "van", "walker")
    return Recording(
        "morning", "a test", 0.1, ego, np.full(len(T_S), 10.0), agents, names, straight_road(), 50 / 3.6, Conditions()
    )


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    """The scenario that `from-log` writes, with texts replaced."""
    file = write_recorded(recording(), folder).scenario
    text = file.read_text()
    for old, new in changes:
        assert old in text, (old, text)
        text = text.replace(old, new)
    file.write_text(text)
    return file


def driven(scene: Scene, steps: int) -> Agents:
    """Agents [T + 1, N] while the ego keeps its speed."""
    engine = Engine([scene])
    states, idle = [engine.start()], Action(np.zeros(1), np.zeros(1))
    for _ in range(steps):
        states.append(engine.step(states[-1], idle))
    return Agents.stack([state.world.agents[0] for state in states])


def test_everybody_is_where_they_were() -> None:
    scene, left_out = recorded_scene(recording())
    truth, agents = recording().agents, driven(scene, 80)
    assert left_out == () and np.array_equal(agents.valid, truth.valid)
    away = np.hypot(*np.moveaxis(agents.xy_yaw_world[..., :2] - truth.xy_yaw_world[..., :2], -1, 0))
    assert np.quantile(away[truth.valid], 0.95) < 0.1 and away[truth.valid].max() < 0.2
    turned = agents.xy_yaw_world[:, 1, 2] - truth.xy_yaw_world[:, 1, 2]
    assert np.degrees(np.abs(turned[3:-3])).max() < 4.0
    assert np.ptp(agents.xy_yaw_world[:, 2, :2], axis=0).max() == 0.0, "who is parked does not tremble"
    assert scene.start.ego_speed_mps == 10.0 and scene.route_xy[0] == pytest.approx([20.0, 0.0], abs=0.1)
    assert abs(scene.route_xy[100] - [120.0, 0.0]).max() < 0.2


def test_the_written_scenario_varies_speed_and_timing(tmp_path: Path) -> None:
    file = written(tmp_path)
    scenario = load_scenario(file)
    assert scenario.name == "recorded.morning" and set(scenario.parameters) == {"speed", "late"}
    one, other = (draw_scene(scenario, index, 0) for index in (0, 1))
    assert one.id == f"recorded.morning@{scenario.sha8}:0#0" and draw_scene(scenario, 0, 0).id == one.id
    assert one.start.ego_speed_mps == pytest.approx(10.0 * float(one.parameters["speed"]))
    assert one.start.ego_speed_mps != other.start.ego_speed_mps
    for validator in (jsonschema.Draft202012Validator, jsonschema.Draft7Validator):
        validator(json_schema()).validate(read_source(file).tree)


def test_a_late_car_is_a_second_of_its_way_behind(tmp_path: Path) -> None:
    """The car ahead at 9 m/s, 1 s late: 9 m farther back at every instant, before its first recorded position too."""
    plain = driven(recorded_scene(recording())[0], 80)
    file = written(tmp_path, ('  late: "[-0.5 .. 0.5] s"\n', ""), ("{late: $late}", "{late: 1 s}"))
    late = driven(draw_scene(load_scenario(file), 0, 0), 80)
    np.testing.assert_allclose((plain.xy_yaw_world - late.xy_yaw_world)[:, 0, 0], 9.0, atol=0.25)
    np.testing.assert_allclose(plain.xy_yaw_world[:, 1:], late.xy_yaw_world[:, 1:])


def test_somebody_can_be_gone_and_the_scene_shorter(tmp_path: Path) -> None:
    file = written(tmp_path, ("{late: $late}", "{late: $late}\n  track_3: {gone: true}"), ("after: 8 s", "after: 4 s"))
    scene = draw_scene(load_scenario(file), 0, 0)
    assert scene.start.agents.track_id.tolist() == [1, 2, 4] and scene.horizon_s == 4.0 and len(scene.log_s_m) == 3


def test_reactive_traffic_leaves_the_recording(tmp_path: Path) -> None:
    """The ego stands at the start of the road; a recorded follower would drive through it, one that reacts stops behind it."""
    base = recording()
    pose = base.agents.xy_yaw_world.copy()
    pose[:, 0] = np.stack([1.0 + 9.0 * T_S, 0 * T_S, 0 * T_S], -1)
    behind = replace(base, agents=replace(base.agents, xy_yaw_world=pose), ego_xy_yaw_world=base.ego_xy_yaw_world + [40.0, 0, 0])
    for after, hits in ((None, True), (1.0, False)):
        file = write_recorded(behind, tmp_path / str(after), after).scenario
        file.write_text(file.read_text().replace("speed_factor: $speed", "speed: 0 km/h").replace("  speed:", "  # speed:"))
        agents = driven(draw_scene(load_scenario(file), 0, 0), 80)
        assert (agents.xy_yaw_world[-1, 0, 0] > 60.0) == hits


def test_weather_constraints_and_demands_work_as_elsewhere(tmp_path: Path) -> None:
    more = "where: [$late > 0 s]\nscore: [$min_gap > 1 m]\nworld: {weather: rain, changes: [{at: 3 s, light: dusk}]}\nego: {"
    scenario = load_scenario(written(tmp_path, ("ego: {", more)))
    scene = draw_scene(scenario, 0, 0)
    assert (
        scene.conditions.weather == "rain" and scene.conditions_at(3.5).light == "dusk" and scene.demands == ("$min_gap > 1 m",)
    )
    assert all(float(draw_scene(scenario, index, 0).parameters["late"]) > 0 for index in range(5))
    found = rejections(scenario, 100)
    assert 25 < found.reasons["$late > 0 s"] < 75 and found.accepted + sum(found.reasons.values()) == 100


def test_what_a_document_does_not_say_about_the_sky_is_as_recorded(tmp_path: Path) -> None:
    night = replace(recording(), conditions=Conditions(light=Light.NIGHT, lost_cameras=("CAM_BACK",)))
    file = write_recorded(night, tmp_path).scenario
    file.write_text(file.read_text() + "world: {weather: rain}\n")
    conditions = draw_scene(load_scenario(file), 0, 0).conditions
    assert (conditions.weather, conditions.light, conditions.lost_cameras) == ("rain", "night", ("CAM_BACK",))


def test_nobody_is_moved_into_the_ego(tmp_path: Path) -> None:
    """The car ahead starts 30 m ahead at 9 m/s: 3 s later it would be where the ego starts. Such draws are thrown away."""
    file = written(tmp_path, ("[-0.5 .. 0.5] s", "[0 .. 3.3] s"))
    scenes = [draw_scene(load_scenario(file), index, 0) for index in range(12)]
    late = np.array([float(scene.parameters["late"]) for scene in scenes])
    nearest = np.array([scene.start.agents.xy_yaw_world[0, 0] - 21.386 for scene in scenes])
    assert late.max() < 2.9 and nearest.min() > 4.2
    assert "track_1 would start inside the ego" in rejections(load_scenario(file), 100).reasons
    with pytest.raises(InputError, match=r"actors\.track_1: cannot be placed: track_1 would start inside the ego"):
        draw_scene(
            load_scenario(written(tmp_path / "late", ('  late: "[-0.5 .. 0.5] s"\n', ""), ("{late: $late}", "{late: 3 s}"))), 0, 0
        )


def test_a_recorded_scene_can_be_asked_what_a_driver_prevents(tmp_path: Path) -> None:
    """Behind a car that drives on, the driver of R157 touches nobody."""
    file = written(tmp_path, ("ego: {", "where: [preventable(r157)]\nego: {"))
    assert draw_scene(load_scenario(file), 0, 0).start.ego_speed_mps > 8.0
    file.write_text(file.read_text().replace("preventable(r157)", "not preventable(r157)"))
    found = rejections(load_scenario(file), 3)
    assert found.accepted == 0 and found.reasons == {"not preventable(r157)": 3}


def test_what_an_author_wrote_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(InputError, match=r"morning\.yaml: already exists"):
        written(tmp_path)


def test_another_log_is_another_scenario(tmp_path: Path) -> None:
    first = load_scenario(written(tmp_path / "a")).sha8
    other = write_recorded(replace(recording(), speed_limit_mps=20.0), tmp_path / "b").scenario
    assert load_scenario(other).sha8 != first


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("track_1:", "track_99:", "has no 'track_99'"),
        ("morning.scene.safetensors", "evening.scene.safetensors", "does not exist"),
        ("log: morning.scene.safetensors", "log: {a: 1}", "does not name"),
        ("late: $late", "late: 2 m", "a time is needed"),
        ("ego: {", "ego: {lane: 2, ", "unknown key 'lane'"),
        ("after: 8 s", "after: 30 s", "the recording ends after 8 s"),
        ("speed_factor: $speed", "speed_factor: $speed, speed: 10 km/h", "one of them is enough"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=r"morning\.yaml:\d+") as refused:
        draw_scene(load_scenario(written(tmp_path, (old, new))), 0, 0)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_broken_log_is_one_sentence(tmp_path: Path) -> None:
    file = written(tmp_path)
    stored = tmp_path / "morning.scene.safetensors"
    for content in (b"", b"junk" * 100, stored.read_bytes()[:-100]):
        stored.write_bytes(content)
        with pytest.raises(InputError, match=r"morning\.scene\.safetensors"):
            load_scenario(file)


@pytest.mark.parametrize("part", ["path", "route", "sizes", "classes", "polygon", "duration", "steps"])
def test_a_log_whose_parts_do_not_fit_together_is_one_sentence(tmp_path: Path, part: str) -> None:
    file, stored = written(tmp_path), tmp_path / "morning.scene.safetensors"
    good = load_record(Scene, stored)
    agents, scripts = good.start.agents, good.scripts
    broken = {
        "path": replace(good, scripts=replace(scripts, path_xy=scripts.path_xy[:, :1])),
        "route": replace(good, route_xy=good.route_xy * np.nan),
        "sizes": replace(good, start=replace(good.start, agents=replace(agents, size_lwh_m=agents.size_lwh_m[:, :2]))),
        "classes": replace(good, start=replace(good.start, agents=replace(agents, category=np.full(4, 77, np.int8)))),
        "polygon": replace(good, road=replace(good.road, drivable=(np.zeros(3),))),
        "duration": replace(good, horizon_s=float("nan")),
        "steps": replace(good, scripts=replace(scripts, trigger_kind=scripts.trigger_kind[:, 0])),
    }
    save_record(stored, broken[part])
    with pytest.raises(InputError, match=r"morning\.scene\.safetensors: .* is damaged") as refused:
        load_scenario(file)
    assert "\n" not in str(refused.value)
