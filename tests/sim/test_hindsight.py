"""What led to a moment leads to it again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Conditions, SignalState, Weather
from drivewm.sim.bicycle import along_arc
from drivewm.sim.engine import Engine
from drivewm.sim.hindsight import moments_before
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from tests.straight_road import Actor, light, scene, straight_road


def test_everybody_arrives_where_they_are() -> None:
    where = scene([Actor(60.0, 7.0), Actor(200.0, 9.0, y_m=3.5, oncoming=True)], speed_mps=10.0)
    now = Engine([where]).start().world
    first, second = moments_before([where], now, 2, 0.2)
    np.testing.assert_allclose([first.t_s[0], second.t_s[0]], [-0.4, -0.2])
    np.testing.assert_allclose(first.ego_xy_yaw_world[0], [20.0 - 4.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(first.agents.xy_yaw_world[0, :, 0], [60.0 - 2.8, 200.0 + 3.6], atol=1e-9)


def test_a_car_in_a_bend_has_come_around_it() -> None:
    where = scene(speed_mps=10.0)
    now = Engine([where]).start().world
    bent = replace(now, ego_curvature_1pm=np.array([0.1]))
    (before,) = moments_before([where], bent, 1, 0.5)
    assert before.ego_xy_yaw_world[0, 2] < -0.4
    np.testing.assert_allclose(
        along_arc(before.ego_xy_yaw_world, np.array([5.0]), np.array([0.1])), bent.ego_xy_yaw_world, atol=1e-9
    )


def test_a_lamp_shows_what_it_showed() -> None:
    where = scene(road=straight_road((light(60.0, (10.0, 3.0, 10.0), offset_s=10.1),)))
    now = Engine([where]).start().world
    assert now.signal[0, 0] == SignalState.YELLOW
    assert moments_before([where], now, 1, 0.2)[0].signal[0, 0] == SignalState.GREEN


def test_rain_fell_before_the_scene_began() -> None:
    where = replace(scene(speed_mps=10.0), conditions=Conditions(Weather.RAIN))
    before = moments_before([where], Engine([where]).start().world, 2, 0.2)
    first, second = (RasterWorld(nuscenes_rig()).start([where], moment, 0)[0] for moment in before)
    assert (first != second).any()
