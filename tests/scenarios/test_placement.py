"""Where everybody starts: gaps between bumpers, and meetings that really happen when nobody changes speed."""

from pathlib import Path

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, Action, AgentClass, Scene, SignalState
from drivewm.geometry import frenet_sd, point_at_s
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.sim.engine import Engine

FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + EGO_SHAPE.length_m / 2


def scene_of(folder: Path, road: str, ego: str, actor: str, world: str = "{bystanders: none}", after: str = "9 s") -> Scene:
    file = folder / "one.yaml"
    head = f"name: a.b\nabout: A test.\nroad: {road}\nworld: {world}\nego: {ego}\n"
    file.write_text(f"{head}actors: {{other: {actor}}}\nend: {{after: {after}}}\n")
    return draw_scene(load_scenario(file), 0, 0)


def ego_s_m(scene: Scene) -> float:
    return float(frenet_sd(scene.route_xy, scene.start.ego_xy_yaw_world[:2])[0])


def closest(scene: Scene) -> tuple[float, float]:
    """Time and distance between centres at the closest approach, the ego keeping its speed along the route."""
    engine = Engine([scene])
    state, best = engine.start(), (0.0, np.inf)
    for step in range(scene.steps):
        s = ego_s_m(scene) + float(scene.start.ego_speed_mps) * step * scene.dt_s + EGO_SHAPE.rear_axle_to_centre_m
        gap = float(np.hypot(*(state.world.agents.xy_yaw_world[0, 0, :2] - point_at_s(scene.route_xy, s)[:2])))
        best = min(best, (step * scene.dt_s, gap), key=lambda pair: pair[1])
        state = engine.step(state, Action(np.zeros(1), np.zeros(1)))
    return best


def test_a_gap_is_from_bumper_to_bumper(tmp_path: Path) -> None:
    scene = scene_of(tmp_path, "{kind: straight}", "{speed: 36 km/h}", "{is: truck, lane: same, ahead: 20 m}")
    x, y, yaw = scene.start.agents.xy_yaw_world[0]
    length = scene.start.agents.size_lwh_m[0, 0]
    assert x - length / 2 - (scene.start.ego_xy_yaw_world[0] + FRONT_M) == pytest.approx(20.0, abs=1e-6)
    assert (y, yaw) == pytest.approx((scene.start.ego_xy_yaw_world[1], 0.0), abs=1e-6)
    assert length == pytest.approx(8.5, rel=0.05)


def test_a_gap_in_seconds_is_driven_by_the_ego(tmp_path: Path) -> None:
    by_time = scene_of(tmp_path, "{kind: straight}", "{speed: 36 km/h}", "{is: car, lane: same, behind: 2 s, speed: 36 km/h}")
    by_length = scene_of(tmp_path, "{kind: straight}", "{speed: 36 km/h}", "{is: car, lane: same, behind: 20 m, speed: 36 km/h}")
    assert np.allclose(by_time.start.agents.xy_yaw_world, by_length.start.agents.xy_yaw_world)
    assert by_time.start.agents.xy_yaw_world[0, 0] < by_time.start.ego_xy_yaw_world[0]


@pytest.mark.parametrize(("lane", "left_m"), [("left", 3.5), ("right", -3.5), ("oncoming", 7.0)])
def test_sides_are_those_of_the_ego(tmp_path: Path, lane: str, left_m: float) -> None:
    road = "{kind: straight, lanes: 3}"
    scene = scene_of(tmp_path, road, "{lane: 2, speed: 50 km/h}", f"{{is: car, lane: {lane}, ahead: 30 m, speed: 50 km/h}}")
    assert scene.start.agents.xy_yaw_world[0, 1] - scene.start.ego_xy_yaw_world[1] == pytest.approx(left_m)
    heading = scene.start.agents.xy_yaw_world[0, 2]
    assert np.cos(heading) == pytest.approx(-1.0 if lane == "oncoming" else 1.0)


MEETINGS = {
    "on foot": ("{kind: straight}", "{speed: 40 km/h}", "{is: pedestrian, from: right, meet: {after: 4 s}, speed: 5 km/h}", 4.0),
    "in a bend": (
        "{kind: curve, radius: 80 m}",
        "{speed: 40 km/h, reaches: 1 s}",
        "{is: pedestrian, from: left, meet: {after: 4 s}, speed: 5 km/h}",
        4.0,
    ),
    "at a crosswalk": (
        "{kind: crosswalk}",
        "{speed: 40 km/h}",
        "{is: bicycle, from: left, meet: {after: 5 s}, speed: 15 km/h}",
        5.0,
    ),
    "from the side road": (
        "{kind: four_way}",
        "{speed: 50 km/h}",
        "{is: car, lane: from_right, meet: {after: 4 s}, speed: 30 km/h}",
        4.0,
    ),
    "joining from a ramp": (
        "{kind: merge, oncoming: 0}",
        "{speed: 80 km/h}",
        "{is: car, lane: from_right, meet: {after: 7 s}, speed: 60 km/h}",
        7.0,
    ),
    "turning left": (
        "{kind: four_way}",
        "{speed: 20 km/h, turn: left}",
        "{is: car, lane: oncoming, meet: {after: 5 s}, speed: 50 km/h}",
        5.0,
    ),
    "cut by a turner": (
        "{kind: t_junction, turn: right}",
        "{speed: 50 km/h}",
        "{is: car, lane: oncoming, turn: left, meet: {after: 4 s}, speed: 20 km/h}",
        4.0,
    ),
}


@pytest.mark.parametrize("name", list(MEETINGS))
def test_who_meets_is_there_at_the_same_time(tmp_path: Path, name: str) -> None:
    road, ego, actor, when = MEETINGS[name]
    scene = scene_of(tmp_path, road, ego, actor)
    time, gap = closest(scene)
    # Within one step of 0.1 s, and the distance that the two cover in half of it.
    assert time == pytest.approx(when, abs=0.25)
    speed = float(scene.start.ego_speed_mps + scene.start.agents.speed_mps[0])
    assert gap < 0.06 * speed + 0.3


def test_late_is_how_much_later_the_actor_gets_there(tmp_path: Path) -> None:
    actor = "{{is: car, lane: from_left, meet: {{after: 4 s, late: {late}}}, speed: 36 km/h}}"
    road, ego = "{kind: four_way}", "{speed: 36 km/h}"
    on_time, late = (scene_of(tmp_path, road, ego, actor.format(late=late)) for late in ("0 s", "1.5 s"))
    moved = late.start.agents.xy_yaw_world[0, :2] - on_time.start.agents.xy_yaw_world[0, :2]
    assert np.hypot(*moved) == pytest.approx(15.0, abs=1e-6)
    assert np.allclose(on_time.start.ego_xy_yaw_world, late.start.ego_xy_yaw_world)


def test_oncoming_cars_pass_side_by_side_at_the_meeting(tmp_path: Path) -> None:
    actor = "{is: car, lane: oncoming, meet: {after: 3 s}, speed: 54 km/h}"
    time, gap = closest(scene_of(tmp_path, "{kind: straight}", "{speed: 54 km/h}", actor))
    assert time == pytest.approx(3.0, abs=0.05)
    assert gap == pytest.approx(3.5, abs=1e-6)


@pytest.mark.parametrize("kind", ["four_way", "t_junction", "crosswalk", "roadworks", "merge", "exit", "roundabout", "curve"])
def test_the_ego_reaches_the_place_when_it_should(tmp_path: Path, kind: str) -> None:
    scene = scene_of(
        tmp_path, f"{{kind: {kind}, oncoming: 1}}", "{speed: 36 km/h, reaches: 4 s}", "{is: car, lane: same, behind: 30 m}"
    )
    front = point_at_s(scene.route_xy, ego_s_m(scene) + FRONT_M + 40.0)
    if kind in ("four_way", "t_junction", "roundabout"):
        assert np.allclose(front[:2], scene.road.lane("main.0").centre_xy[-1], atol=0.05)
    elif kind != "curve":
        assert front[0] == pytest.approx(0.0, abs=0.05)


def test_beside_the_road_means_off_the_lanes(tmp_path: Path) -> None:
    for side, sign in (("left", 1.0), ("right", -1.0)):
        actor = f"{{is: pedestrian, beside: {side}, ahead: 30 m, clear: 1 m, facing: road}}"
        scene = scene_of(tmp_path, "{kind: straight, lanes: 2, oncoming: 2}", "{lane: 1, speed: 50 km/h}", actor)
        _, y, yaw = scene.start.agents.xy_yaw_world[0]
        # Two lanes each way: the outermost edge is 7 m from the centre line; who faces the road has its chest to it.
        depth = scene.start.agents.size_lwh_m[0, 0]
        assert y * sign == pytest.approx(7.0 + 1.0 + depth / 2, abs=1e-6)
        assert np.sin(yaw) == pytest.approx(-sign)


def test_at_the_stop_line_and_in_a_row(tmp_path: Path) -> None:
    actor = "{is: car, lane: from_right, before: 1 m, count: 3, every: 7 m}"
    scene = scene_of(tmp_path, "{kind: four_way}", "{speed: 50 km/h, reaches: 4 s}", actor)
    centre, line = scene.start.agents.xy_yaw_world[:, 1], scene.road.lane("from_right.0").centre_xy[-1, 1]
    length = scene.start.agents.size_lwh_m[:, 0]
    assert np.allclose(line - (centre + length / 2), [1.0, 8.0, 15.0], atol=0.2)
    assert np.allclose(np.diff(centre), -7.0, atol=0.3)
    assert len(set(scene.start.agents.track_id.tolist())) == 3


@pytest.mark.parametrize(
    ("plan", "ego_sees"),
    [
        ("{shows: green}", [(0, "GREEN"), (9, "GREEN")]),
        ("{shows: red}", [(0, "RED"), (9, "RED")]),
        ("{shows: green, until: 3 s}", [(0, "GREEN"), (2.9, "GREEN"), (3.1, "YELLOW"), (6.1, "RED"), (9, "RED")]),
        ("{shows: red, until: 3 s}", [(0, "RED"), (2.9, "RED"), (3.1, "GREEN"), (9, "GREEN")]),
        ("{shows: red, until: 7 s}", [(0, "RED"), (6.9, "RED"), (7.1, "GREEN")]),
    ],
)
def test_lights_follow_the_plan_and_crossing_streets_never_have_green_too(
    tmp_path: Path, plan: str, ego_sees: list[tuple[float, str]]
) -> None:
    road = f"{{kind: four_way, signal: {plan}}}"
    scene = scene_of(tmp_path, road, "{speed: 50 km/h, reaches: 4 s}", "{is: car, lane: from_left, before: 2 m}")
    own = next(signal for signal in scene.road.signals if "main.0" in signal.lane_ids)
    cross = next(signal for signal in scene.road.signals if "from_left.0" in signal.lane_ids)
    for t_s, colour in ego_sees:
        assert own.state_at(t_s) == SignalState[colour]
    for t_s in np.arange(0.0, 30.0, 0.5):
        assert own.state_at(t_s) == SignalState.RED or cross.state_at(t_s) == SignalState.RED


def test_steps_become_manoeuvres(tmp_path: Path) -> None:
    steps = "[{when: {after: 1 s}, change_lane: right, within: 2 s}, {when: {after: 4 s}, speed: 0 km/h, rate: 5 m/s2}]"
    actor = f"{{is: car, lane: left, ahead: 20 m, speed: 72 km/h, steps: {steps}}}"
    scene = scene_of(tmp_path, "{kind: straight, lanes: 2, oncoming: 0}", "{lane: 1, speed: 72 km/h}", actor)
    engine = Engine([scene])
    state = engine.start()
    lateral, speed = [], []
    for _ in range(scene.steps):
        lateral.append(float(state.world.agents.xy_yaw_world[0, 0, 1] - scene.start.ego_xy_yaw_world[1]))
        speed.append(float(state.world.agents.speed_mps[0, 0]))
        state = engine.step(state, Action(np.zeros(1), np.zeros(1)))
    assert lateral[10] == pytest.approx(3.5, abs=0.01) and lateral[31] == pytest.approx(0.0, abs=0.01)
    assert speed[40] == pytest.approx(20.0) and speed[81] == pytest.approx(0.0, abs=0.01)


def test_changes_of_weather_keep_what_they_do_not_name(tmp_path: Path) -> None:
    world = "{light: night, sun: 90 deg, bystanders: none, changes: [{at: 4 s, weather: rain, lost_cameras: [CAM_BACK]}]}"
    scene = scene_of(tmp_path, "{kind: straight}", "{speed: 50 km/h}", "{is: car, lane: same, ahead: 60 m}", world)
    before, after = scene.conditions_at(3.9), scene.conditions_at(4.0)
    assert (before.weather, after.weather) == ("clear", "rain")
    assert before.light == after.light == "night"
    assert (before.lost_cameras, after.lost_cameras) == ((), ("CAM_BACK",))
    assert before.sun_azimuth_rad == pytest.approx(np.pi / 2)


def test_bystanders_stay_off_the_ego_s_lanes(tmp_path: Path) -> None:
    for kind in ("straight", "four_way", "crosswalk"):
        scene = scene_of(
            tmp_path, f"{{kind: {kind}}}", "{speed: 50 km/h}", "{is: car, lane: same, ahead: 90 m}", "{bystanders: many}"
        )
        people = np.arange(len(scene.start.agents.valid)) > 0
        lateral = np.abs(frenet_sd(scene.route_xy, scene.start.agents.xy_yaw_world[people, :2])[:, 1])
        assert (lateral > 1.75 + 0.3).all()
        walkers = scene.start.agents.category[people] == AgentClass.PEDESTRIAN
        assert (scene.start.agents.speed_mps[people][walkers] < 2.0).all()
