"""Cameras that look at one place show one thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.evaluation.overlap import overlap_difference
from drivewm.evaluation.suite import load_suite
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld
from drivewm.sim.raster.layout import layout
from drivewm.sim.rigs import level_camera, nuscenes_rig


def test_the_reference_agrees_with_itself_where_cameras_overlap() -> None:
    rig, scenes = nuscenes_rig(), load_suite("demo").scenes(0)[:3]
    for scene in scenes:
        state = Engine([scene]).start().world
        images, depth = RasterWorld(rig).start([scene], state, 0)[0][0], layout(scene.road, state[0], rig).log_depth
        found = overlap_difference(images, depth, rig)
        swapped = overlap_difference(np.roll(images, 1, 0), depth, rig)
        assert found is not None and swapped is not None and found < 0.6 * swapped


def test_a_brighter_camera_is_noticed_and_cameras_back_to_back_share_nothing() -> None:
    rig, (scene, *_) = nuscenes_rig(), load_suite("demo").scenes(0)
    twins = replace(rig, ego_from_camera=rig.ego_from_camera[[1, 1]], intrinsics=rig.intrinsics[[1, 1]], names=("A", "B"))
    state = Engine([scene]).start().world
    images = RasterWorld(twins).start([scene], state, 0)[0][0][[0, 0]]  # each camera has its own grain
    depth = layout(scene.road, state[0], twins).log_depth
    assert overlap_difference(images, depth, twins) == 0.0
    darker = np.stack([images[0], images[1] // 2])
    found = overlap_difference(darker, depth, twins)
    assert found is not None and found > 20.0
    apart = np.stack([level_camera((0.0, 0.0, 1.5), 0.0), level_camera((0.0, 0.0, 1.5), 180.0)])
    assert overlap_difference(images, depth, replace(twins, ego_from_camera=apart)) is None
