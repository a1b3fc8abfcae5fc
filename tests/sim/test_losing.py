"""A camera that is lost on the way, whatever else the scene has planned."""

from __future__ import annotations

from dataclasses import replace

from drivewm.datatypes import Conditions, Weather
from drivewm.sim.faults import losing
from drivewm.testing import straight_scene


def test_weather_changes_and_losses_do_not_forget_each_other() -> None:
    rain = Conditions(Weather.RAIN, lost_cameras=("CAM_BACK",))
    scene = losing(replace(straight_scene(), condition_changes=((2.0, rain),)), "CAM_FRONT", 1.0, 3.0)
    seen = {t_s: scene.conditions_at(t_s) for t_s in (0.0, 1.0, 2.5, 3.0)}
    assert [set(now.lost_cameras) for now in seen.values()] == [set(), {"CAM_FRONT"}, {"CAM_BACK", "CAM_FRONT"}, {"CAM_BACK"}]
    assert [now.weather for now in seen.values()] == [Weather.CLEAR, Weather.CLEAR, Weather.RAIN, Weather.RAIN]


def test_a_camera_can_be_lost_from_the_start_and_for_ever() -> None:
    scene = losing(straight_scene(), "CAM_FRONT", 0.0)
    assert scene.conditions.lost_cameras == scene.conditions_at(99.0).lost_cameras == ("CAM_FRONT",)
