"""Dirt and delay between camera and computer: the same over every world, and only where and when the scene says."""

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Conditions
from drivewm.policies.baselines import ConstantVelocity
from drivewm.rollout import rollout
from drivewm.sim.faults import CameraFaults, dirt
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene

RIG = nuscenes_rig(16, 24)


def frames(count: int) -> list[np.ndarray]:
    return [np.full((1, 6, 16, 24, 3), 10 * (k + 1), np.uint8) for k in range(count)]


def test_a_delayed_camera_shows_what_was() -> None:
    scene = replace(straight_scene(), conditions=Conditions(delayed_cameras=("CAM_FRONT",), camera_delay_s=0.4))
    faults = CameraFaults([scene], RIG)
    seen = [faults.seen(image, np.array([0.2 * k])) for k, image in enumerate(frames(6))]
    front = [int(image[0, 1, 0, 0, 0]) for image in seen]
    assert front == [10, 10, 10, 20, 30, 40], "two frames late, and the first one until there is an older one"
    assert [int(image[0, 0, 0, 0, 0]) for image in seen] == [10, 20, 30, 40, 50, 60], "the other cameras are in time"


def test_dirt_takes_light_in_spots_that_stay() -> None:
    scene = replace(straight_scene(), conditions=Conditions(dirty_cameras=("CAM_BACK",)))
    faults = CameraFaults([scene], RIG)
    bright = np.full((1, 6, 16, 24, 3), 220, np.uint8)
    first, later = faults.seen(bright, np.array([0.0])), faults.seen(bright, np.array([0.2]))
    assert (first[0, [0, 1, 2, 3, 5]] == 220).all() and np.array_equal(first, later)
    covered = (first[0, 4, ..., 0] < 150).mean()
    assert 0.05 < covered < 0.9
    shares = [float(dirt((64, 96), np.random.default_rng(seed)).mean()) for seed in range(20)]
    assert 0.05 < min(shares) and max(shares) < 0.75


def test_a_clean_scene_is_passed_through() -> None:
    image = frames(1)[0]
    assert CameraFaults([straight_scene()], RIG).seen(image, np.zeros(1)) is image


def test_a_policy_sees_the_fault_from_when_it_begins() -> None:
    clean = straight_scene(10.0, lead=(30.0, 5.0), horizon_s=2.0)
    dirty = replace(clean, condition_changes=((1.0, Conditions(dirty_cameras=("CAM_FRONT",))),))
    shown: list[np.ndarray] = []
    rollout([clean, dirty], ConstantVelocity(), RasterWorld(RIG), seed=0, on_frame=lambda k, images, state: shown.append(images))
    same = [np.array_equal(images[0, 1], images[1, 1]) for images in shown]
    assert same == [True] * 5 + [False] * 5
