from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from drivewm.datatypes import Scene
from drivewm.distill.collect import CollectOptions, Visits, collect
from drivewm.distill.distil import DistilOptions, distil
from drivewm.distill.export import Bundle, ExportOptions, export
from drivewm.policies.onboard import OnboardConfig, OnboardNetwork, OnboardPolicy
from drivewm.policies.teacher import TeacherConfig, TeacherNetwork, TeacherPolicy
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene

RIG = nuscenes_rig(32, 48)


@pytest.fixture(scope="session")
def scenes() -> Sequence[Scene]:
    """A free road, and a car that stands 25 m ahead of an ego at 10 m/s."""
    return [straight_scene(8.0, horizon_s=2.4), straight_scene(10.0, lead=(25.0, 0.0), horizon_s=2.4)]


@pytest.fixture(scope="session")
def teacher() -> TeacherPolicy:
    torch.manual_seed(1)
    return TeacherPolicy(
        TeacherNetwork(TeacherConfig(RIG, stage_channels=(8, 16, 32), width=32, heads=2, encoder_layers=1, decoder_layers=1))
    )


@pytest.fixture(scope="session")
def student() -> OnboardPolicy:
    torch.manual_seed(2)
    return OnboardPolicy(
        OnboardNetwork(OnboardConfig(RIG, channels=(8, 8, 16, 16), width=32, heads=2, decoder_layers=1, seen_channels=8))
    )


@pytest.fixture(scope="session")
def world() -> RasterWorld:
    return RasterWorld(RIG)


@pytest.fixture(scope="session")
def visits(student: OnboardPolicy, teacher: TeacherPolicy, world: RasterWorld, scenes: Sequence[Scene]) -> list[Visits]:
    return collect(student, teacher, world, scenes, CollectOptions(teacher_share=0.0))


def clear_opinion(visits: list[Visits]) -> list[Visits]:
    """As if the large policy had liked the expert's plan and no other, whatever the cameras show."""
    best = [np.arange(128) == visit.expert_index[:, None] for visit in visits]
    return [replace(v, teacher_log_score=np.where(b, 0.0, -9.0).astype(np.float32)) for v, b in zip(visits, best, strict=True)]


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory, student: OnboardPolicy, visits: list[Visits]) -> OnboardPolicy:
    """A small policy that knows what it wants, so that small errors of arithmetic do not change its mind."""
    options = DistilOptions(steps=60, learning_rate=3e-3, batch=3, stretch=3)
    return OnboardPolicy(distil(student.network, clear_opinion(visits), tmp_path_factory.mktemp("taught"), options))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, taught: OnboardPolicy, visits: list[Visits]) -> Bundle:
    """A written bundle; tests that change it work on a copy."""
    out: Path = tmp_path_factory.mktemp("bundle") / "bundle"
    return export(taught.network, visits, out, ExportOptions(ids={"teacher": "teacher@12345678"}, latency_calls=20))
