"""Facts about what pictures look like: light, weather, lamps, paint, and that nothing is left to chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import ActorScripts, AgentClass, Agents, Conditions, Light, Scene, SemanticClass, Weather, WorldState
from drivewm.scenarios.roads import ROAD_KINDS, RoadOptions, build_road, lane_path
from drivewm.sim.raster import PAINT_RGB, RasterWorld, paint_index, render
from drivewm.sim.rigs import nuscenes_rig

RIG = nuscenes_rig()
FRONT = RIG.names.index("CAM_FRONT")
ROAD = build_road("straight", RoadOptions(), np.random.default_rng(0))
TRACKS = (21, 22, 23)


def state_at(t_s: float = 0.0, accel_mps2: float = 0.0, ahead_m: float = 12.0) -> WorldState:
    """A car, an oncoming truck and a pedestrian ahead of the ego."""
    agents = Agents(
        track_id=np.array(TRACKS, np.int32),
        category=np.array([AgentClass.CAR, AgentClass.TRUCK, AgentClass.PEDESTRIAN], np.int8),
        xy_yaw_world=np.array([[100.0 + ahead_m, -1.75, 0.0], [130.0, 1.75, np.pi], [112.0, -5.0, 0.3]]),
        speed_mps=np.array([5.0, 8.0, 1.3]),
        accel_mps2=np.array([accel_mps2, 0.0, 0.0]),
        size_lwh_m=np.array([[4.5, 1.85, 1.55], [8.0, 2.5, 3.2], [0.6, 0.6, 1.75]]),
        valid=np.ones(3, bool),
    )
    zero = np.float64(0.0)
    return WorldState(np.float64(t_s), np.array([100.0, -1.75, 0.0]), zero, zero, zero, agents, np.zeros(0, np.int8))


def shown(weather: Weather = Weather.CLEAR, light: Light = Light.DAY, **more) -> np.ndarray:
    return render(ROAD, state_at(), Conditions(weather, light, **more), RIG, 5).images.astype(np.float64)


def test_the_same_input_gives_the_same_picture():
    state = state_at(1.2)
    for weather in Weather:
        a, b = (render(ROAD, state, Conditions(weather), nuscenes_rig(), 5) for _ in range(2))
        assert np.array_equal(a.images, b.images)
        assert np.array_equal(a.depth_m, b.depth_m)


def test_the_seed_moves_drops_and_nothing_else():
    state = state_at()
    for weather, moves in ((Weather.RAIN, True), (Weather.SNOW, True), (Weather.CLEAR, False), (Weather.FOG, False)):
        a, b = (render(ROAD, state, Conditions(weather), RIG, seed) for seed in (1, 2))
        assert np.array_equal(a.images, b.images) != moves
        assert np.array_equal(a.semantics, b.semantics)


def test_day_is_brighter_than_dusk_and_dusk_than_night():
    brightness = [shown(light=light).mean() for light in (Light.DAY, Light.DUSK, Light.NIGHT)]
    assert brightness[0] > 1.3 * brightness[1]
    assert brightness[1] > 1.3 * brightness[2]


def test_at_night_the_own_lamps_light_the_road_ahead_and_not_behind():
    night, day = shown(light=Light.NIGHT), shown(light=Light.DAY)
    rows = slice(52, 60)
    ahead, behind = RIG.names.index("CAM_FRONT"), RIG.names.index("CAM_BACK")
    share = [night[v, rows, 40:56].mean() / day[v, rows, 40:56].mean() for v in (ahead, behind)]
    assert share[0] > 1.5 * share[1]


def test_fog_hides_what_is_far_and_spares_what_is_near():
    clear, fog = shown(), shown(Weather.FOG)
    near = render(ROAD, state_at(), Conditions(), RIG, 0).depth_m
    far_things, near_things = (near > 70.0) & (near < 300.0), near < 8.0
    assert fog[far_things].std(axis=0).mean() < 0.35 * clear[far_things].std(axis=0).mean()
    assert fog[near_things].std(axis=0).mean() > 0.5 * clear[near_things].std(axis=0).mean()


def test_snow_whitens_the_ground_and_rain_darkens_the_road():
    label = render(ROAD, state_at(), Conditions(), RIG, 0).semantics
    clear, snow, rain = shown(), shown(Weather.SNOW), shown(Weather.RAIN)
    terrain, road = label == SemanticClass.TERRAIN, label == SemanticClass.ROAD
    assert snow[terrain].mean() > clear[terrain].mean() + 40
    assert rain[road].mean() < clear[road].mean() - 10


def test_a_low_sun_blinds_the_camera_that_looks_at_it():
    into, away = (shown(light=Light.LOW_SUN, sun_azimuth_rad=azimuth)[FRONT, 20:45].mean() for azimuth in (0.0, np.pi))
    assert into > away + 15


def test_every_pair_of_conditions_can_be_told_apart():
    pictures = [shown(weather, light) for weather in Weather for light in Light]
    for i in range(len(pictures)):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).mean() > 4.0


def test_exact_buffers_do_not_depend_on_weather_or_light():
    frames = [
        render(ROAD, state_at(), Conditions(w, li), RIG, 0) for w, li in ((Weather.CLEAR, Light.DAY), (Weather.SNOW, Light.NIGHT))
    ]
    assert np.array_equal(frames[0].semantics, frames[1].semantics)
    assert np.array_equal(frames[0].depth_m, frames[1].depth_m)


def test_brake_lights_come_on_below_minus_one():
    rolling, braking = (render(ROAD, state_at(accel_mps2=a), Conditions(), RIG, 0) for a in (-0.5, -3.0))
    car = rolling.instance[FRONT] == TRACKS[0]
    redness = [(f.images[FRONT][car].astype(float) @ [1.0, -0.5, -0.5]).max() for f in (rolling, braking)]
    assert redness[1] > redness[0] + 40


def test_a_car_shows_its_paint():
    state = state_at()
    for track in range(40, 60):
        painted = replace(state, agents=replace(state.agents, track_id=np.array([track, 22, 23], np.int32)))
        frame = render(ROAD, painted, Conditions(sun_azimuth_rad=np.pi), RIG, 0)
        pixels = frame.images[FRONT][frame.instance[FRONT] == track].astype(float)
        paint = PAINT_RGB[int(paint_index(np.array(track), np.array(0)))].astype(float)
        nearest = np.abs(pixels / max(paint.max(), 1) - paint / max(paint.max(), 1)).sum(1).min()
        assert nearest < 0.5


def test_legs_move_with_the_distance_walked_and_stand_when_standing():
    def legs(x: float, speed: float) -> np.ndarray:
        state = state_at()
        pose = state.agents.xy_yaw_world.copy()
        pose[2], ego = (x, -5.0, 0.0), np.array([x - 7.0, -1.75, 0.0])
        agents = replace(
            state.agents, xy_yaw_world=pose, speed_mps=np.array([0.0, 0.0, speed]), valid=np.array([False, False, True])
        )
        return render(ROAD, replace(state, agents=agents, ego_xy_yaw_world=ego), Conditions(), RIG, 0).instance == TRACKS[2]

    assert not np.array_equal(legs(112.0, 1.3), legs(112.375, 1.3))
    assert np.array_equal(legs(112.0, 0.0), legs(112.375, 0.0))


def test_a_lost_camera_is_black_and_the_others_are_not():
    images = shown(lost_cameras=("CAM_BACK",))
    assert images[RIG.names.index("CAM_BACK")].max() == 0
    assert images[FRONT].max() > 100


@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_every_road_kind_can_be_seen_from_the_ego_lane(kind):
    road = build_road(kind, RoadOptions(crosswalks=True, signals=True), np.random.default_rng(1))
    path = lane_path(road, "main.0")
    ego = np.array([*path[60], np.arctan2(*(path[61] - path[60])[::-1])])
    signal = np.array([s.state_at(0.0) for s in road.signals], np.int8)
    frame = render(road, replace(state_at(), ego_xy_yaw_world=ego, signal=signal), Conditions(), RIG, 0)
    labels = set(np.unique(frame.semantics))
    painted = set() if kind == "narrow" else {SemanticClass.MARKING}
    assert {SemanticClass.SKY, SemanticClass.ROAD, SemanticClass.BUILDING, SemanticClass.TREE, *painted} <= labels
    assert frame.semantics[FRONT, 60, 48] == SemanticClass.ROAD


def test_the_world_shows_each_scene_of_a_batch_as_it_is_rendered_alone():
    scene = Scene(
        id="test", family="test", road=ROAD, start=state_at(), scripts=ActorScripts.empty(3), conditions=Conditions(),
        route_xy=lane_path(ROAD, "main.0"), speed_limit_mps=13.9, horizon_s=4.0, seed=3,
        condition_changes=((1.0, Conditions(light=Light.NIGHT)),),
    )  # fmt: skip
    states = WorldState.stack([state_at(0.0), state_at(2.0, ahead_m=20.0)])
    alone, together = RasterWorld(RIG), RasterWorld(RIG, workers=2)
    images, memory = alone.start([scene, scene], states, seed=0)
    assert images.shape == (2, 6, 64, 96, 3)
    assert images.dtype == np.uint8
    assert images[0].mean() > 1.5 * images[1].mean()  # night falls at 1 s
    assert np.array_equal(images[0], render(ROAD, state_at(), Conditions(), RIG, 99).images)
    assert np.array_equal(together.start([scene, scene], states, seed=0)[0], images)
    again, _ = alone.step(memory, states, None)
    assert np.array_equal(again, images)
