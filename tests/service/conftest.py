from dataclasses import replace

import pytest
import torch

from drivewm.datatypes import Scene
from drivewm.service.ride import EXACT, FREE, LAYOUT, Ride
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer
from drivewm.worldmodel.world import DreamWorld

SIZE = replace(SIZES["tiny"], width=32, depth=1, heads=2, autoencoder_channels=(16, 32, 64), autoencoder_layers=(1, 1, 1))
RIG = nuscenes_rig(32, 48)


def exact(scene: Scene) -> Ride:
    return Ride(scene, {EXACT: RasterWorld(RIG)}, EXACT)


@pytest.fixture(scope="session")
def pipeline() -> DreamPipeline:
    """Networks that have learned nothing: what they show is noise, but it obeys the rules of every dream."""
    torch.manual_seed(0)
    return DreamPipeline.of_parts(DriveTransformer.of_size(SIZE), FrameCodec.of_size(SIZE))


@pytest.fixture()
def raster_ride() -> Ride:
    """At 10 m/s on a free straight road."""
    return exact(straight_scene(10.0, horizon_s=4.0))


@pytest.fixture()
def dream_ride(pipeline: DreamPipeline) -> Ride:
    worlds = {LAYOUT: DreamWorld(pipeline, RIG, steps=1), FREE: DreamWorld(pipeline, RIG, steps=1, drop=FREE_REGIME)}
    return Ride(straight_scene(10.0, horizon_s=4.0), worlds, LAYOUT)


@pytest.fixture(params=["raster", "dream"])
def ride(request: pytest.FixtureRequest) -> Ride:
    """The same ride in both kinds of world."""
    found: Ride = request.getfixturevalue(f"{request.param}_ride")
    return found
