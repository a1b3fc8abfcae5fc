"""A tunnel as the cameras see it: dark, roofed, without weather, with daylight at its mouth."""

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Array, Conditions, SemanticClass, Weather
from drivewm.scenarios.roads import RoadOptions, build_road
from drivewm.sim.raster.render import Frame, render
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene

ROAD = build_road("tunnel", RoadOptions(lanes=2, oncoming=0, surroundings="motorway", length_m=500.0), np.random.default_rng(0))
FRONT = 1


def frame_at(x_m: float, weather: Weather = Weather.CLEAR) -> Frame:
    state = replace(straight_scene().start, ego_xy_yaw_world=np.array([x_m, -5.25, 0.0]))
    return render(ROAD, state, Conditions(weather), nuscenes_rig(), seed=0)


def brightness(image: Array) -> float:
    return float(image.mean())


def test_inside_it_is_dark_and_roofed() -> None:
    outside, inside, beyond = (frame_at(x) for x in (-60.0, 40.0, 200.0))
    assert brightness(inside.images) < 0.5 * brightness(outside.images)
    assert brightness(beyond.images) > 1.7 * brightness(inside.images)
    sky = [float((frame.semantics[FRONT] == SemanticClass.SKY).mean()) for frame in (outside, inside, beyond)]
    assert sky[1] < 0.05 < min(sky[0], sky[2])
    upper = inside.semantics[FRONT, :20]
    assert (upper == SemanticClass.BUILDING).mean() > 0.95


def test_the_mouth_is_as_bright_as_the_day() -> None:
    inside = frame_at(90.0)
    mouth = inside.semantics[FRONT] == SemanticClass.SKY
    assert mouth.any()
    assert inside.images[FRONT][mouth].mean() > 2.5 * inside.images[FRONT][~mouth].mean()


def test_it_neither_rains_nor_snows_inside() -> None:
    dry, snowy = frame_at(40.0), frame_at(40.0, Weather.SNOW)
    ground = dry.semantics[FRONT] == SemanticClass.ROAD
    assert np.array_equal(dry.images[FRONT][ground], snowy.images[FRONT][ground])
