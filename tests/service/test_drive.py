"""A person's drive: the wheel, moments that can be taken up again, the sky, and what is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.datatypes import Action, Light, Weather
from drivewm.errors import InputError
from drivewm.evaluation.replay import replay
from drivewm.evaluation.video import video_frames
from drivewm.service.drive import Drive
from drivewm.service.recording import finished, store
from drivewm.service.ride import FREE, Ride
from drivewm.service.wheel import KEYS, Wheel, stop_1pm, wheel_deg
from drivewm.sim.engine import Engine
from drivewm.sim.raster import render
from drivewm.testing import straight_scene

LEFT, RIGHT, NONE = frozenset({"left"}), frozenset({"right"}), frozenset[str]()
Keys = frozenset[str]


def driven(ride: Ride, *keys: Keys, keep: bool = False) -> Drive:
    drive = Drive(ride, keep=keep)
    for held in keys:
        drive.advance(held)
    return drive


def test_no_speed_lets_the_wheel_ask_for_more_than_a_brisk_bend() -> None:
    for speed_mps in (0.5, 3.0, 8.0, 14.0, 36.0):
        wheel = Wheel()
        for _ in range(30):
            wheel = wheel.turned(LEFT, 0.1)
        curvature = float(wheel.action(LEFT, speed_mps).curvature_1pm[0])
        assert curvature == pytest.approx(stop_1pm(speed_mps)) and 0 < curvature * speed_mps**2 <= 3.0 + 1e-9
        assert 0 < wheel_deg(curvature) < 540, "the steering wheel of a car stops after one and a half turns"


def test_a_tap_is_a_small_turn_and_the_wheel_comes_back() -> None:
    """A key is held or not; the wheel moves like a hand moves it."""
    tapped = Wheel().turned(LEFT, 0.1)
    assert 0 < tapped.share < 0.25
    assert tapped.turned(NONE, 0.1).share == 0 == tapped.turned(KEYS, 0.1).share
    assert Wheel(1.0).turned(RIGHT, 0.1).share < Wheel(1.0).turned(NONE, 0.0).share


def test_full_brakes_stop_a_town_car_in_fifteen_metres() -> None:
    ride = Ride(straight_scene(13.9, horizon_s=4.0), {}, "exact")
    engine, wheel = Engine([ride.scene]), Wheel()
    state = first = engine.start()
    for _ in range(40):
        state = engine.step(state, wheel.action(frozenset({"brake", "up"}), float(state.world.ego_speed_mps[0])))
    moved_m = float(np.hypot(*(state.world.ego_xy_yaw_world - first.world.ego_xy_yaw_world)[0, :2]))
    assert state.world.ego_speed_mps[0] == 0 and 11.0 < moved_m < 15.0


def test_the_car_turns_the_way_the_wheel_turns(ride: Ride) -> None:
    start = Drive(ride).moment.now.ego_xy_yaw_world
    for keys, sign in ((LEFT, 1), (RIGHT, -1), (NONE, 0)):
        moment = driven(ride, *[keys] * 5).moment
        turned, aside = (moment.now.ego_xy_yaw_world - start)[[2, 1]]
        assert np.sign(round(turned, 6)) == np.sign(round(aside, 6)) == sign


def test_the_same_keys_from_the_same_moment_show_the_same_again(ride: Ride) -> None:
    """And other keys show another future; the moment that was left behind stays as it was."""
    drive = driven(ride, *[NONE] * 5, *[LEFT] * 15)
    seen, there = drive.moment.images, drive.moment.now.ego_xy_yaw_world
    drive.back(3.0)
    assert float(drive.moment.now.t_s) == pytest.approx(1.0)
    for keys, same in ((RIGHT, False), (LEFT, True)):
        for _ in range(15):
            drive.advance(keys)
        assert np.array_equal(drive.moment.images, seen) is same
        assert np.array_equal(drive.moment.now.ego_xy_yaw_world, there) is same
        drive.back(3.0)


def test_going_back_ends_at_the_oldest_moment(raster_ride: Ride) -> None:
    drive = driven(raster_ride, NONE, NONE)
    drive.back()
    assert float(drive.moment.now.t_s) == 0.0 and drive.back_s == 0.0
    for _ in range(60):
        drive.advance(frozenset({"brake"}))
    assert drive.back_s == pytest.approx(9.0) and len(drive.moments) == 46, "a long drive must not fill the memory"


def test_another_sky_comes_with_the_next_frame(raster_ride: Ride) -> None:
    drive = driven(raster_ride, NONE)
    before = drive.moment.images
    drive.change_sky(weather=Weather.SNOW)
    drive.change_sky(light=Light.NIGHT)
    assert drive.moment.images is before
    moment = drive.advance(NONE)
    sky = replace(raster_ride.scene.conditions, weather=Weather.SNOW, light=Light.NIGHT)
    assert moment.scene.conditions_at(0.2) == raster_ride.scene.conditions and moment.scene.conditions_at(0.4) == sky
    seed = int(np.random.SeedSequence([raster_ride.seed, raster_ride.scene.seed]).generate_state(1)[0])
    assert np.array_equal(moment.images, render(moment.scene.road, moment.now, sky, drive.rig, seed).images)
    drive.back(0.4)
    assert drive.advance(NONE).scene.conditions_at(0.4) == raster_ride.scene.conditions, "another branch has its own sky"


def test_the_free_regime_goes_on_from_the_same_past(dream_ride: Ride, raster_ride: Ride) -> None:
    told, untold = driven(dream_ride, NONE, NONE), driven(dream_ride, NONE, NONE)
    untold.change_regime()
    told.advance(LEFT)
    untold.advance(LEFT)
    assert ":free" in untold.world.id and not np.array_equal(told.moment.images, untold.moment.images)
    assert np.array_equal(told.moment.now.ego_xy_yaw_world, untold.moment.now.ego_xy_yaw_world)
    with pytest.raises(InputError, match="one regime"):
        Drive(raster_ride).change_regime()


def test_a_collision_ends_the_drive_unless_the_dream_decides_who_is_there(dream_ride: Ride) -> None:
    ahead = replace(dream_ride, scene=straight_scene(10.0, lead=(12.0, 0.0), horizon_s=4.0))
    crashed = driven(ahead, *[NONE] * 12)
    assert crashed.moment.ended == "collision" and crashed.touches() and 1.1 < float(crashed.moment.now.t_s) < 1.4
    t_s = float(crashed.moment.now.t_s)
    crashed.back(0.2)
    assert not crashed.moment.ended and not crashed.touches() and float(crashed.moment.now.t_s) < t_s
    free = driven(replace(ahead, regime=FREE), *[NONE] * 7)
    assert not free.moment.ended and free.touches()


def test_the_road_ends_where_the_map_says(raster_ride: Ride) -> None:
    drive = driven(raster_ride, NONE)
    assert not drive.off_road()
    for _ in range(10):
        drive.advance(RIGHT)
    assert drive.off_road()


def test_a_stored_drive_is_judged_again_and_driven_again(ride: Ride, tmp_path: Path) -> None:
    keys = [NONE, LEFT, LEFT, RIGHT, frozenset({"up"}), NONE, frozenset({"down", "left"})]
    drive = driven(ride, *keys, *[LEFT] * 5, keep=True)
    drive.back(1.0)
    done = finished(drive)
    assert done is not None
    rollout, images = done
    assert rollout.scene.horizon_s == pytest.approx(1.4) and len(images) == len(rollout.plans.t_s) == 7
    engine = Engine([rollout.scene])
    state = engine.start()
    for step in range(14):
        assert np.array_equal(state.world.ego_xy_yaw_world[0], rollout.states.ego_xy_yaw_world[step])
        state = engine.step(state, Action(rollout.actions.accel_mps2[step, None], rollout.actions.curvature_1pm[step, None]))
    stored = store(drive, tmp_path / "mine.mp4")
    assert stored is not None and video_frames(stored.film) == 7
    again = replay(stored.case)
    assert again.equal and again.now.rollout.provenance.ids["policy"] == "person"


def test_a_second_is_the_least_that_is_stored(raster_ride: Ride, tmp_path: Path) -> None:
    assert store(driven(raster_ride, *[NONE] * 4, keep=True), tmp_path / "short.mp4") is None and not any(tmp_path.iterdir())
