from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from drivewm.datatypes import RoadMap
from drivewm.metrics.published import epdms_v2, nuplan_cls, pdms_v1
from drivewm.metrics.published.formula import Reference
from tests.straight_road import Actor, drive, scene


@pytest.mark.parametrize("module", [pdms_v1, epdms_v2, nuplan_cls])
def test_a_drive_that_ends_at_once_has_a_score(module: ModuleType) -> None:
    """A policy that fails on the first frame leaves one state; a crash in the first second leaves too few to smooth."""
    for road, actors in ((None, []), (None, [Actor(60.0, 3.0)]), (RoadMap(), [])):
        full = drive(scene(actors, speed_mps=10.0, road=road), 0.0)
        for states in (1, 2, 4, 9):
            short = replace(full, states=full.states[:states], actions=full.actions[: states - 1])
            judged = module.score(short, Reference(100.0, full))
            assert 0.0 <= judged.total <= 1.0 and np.isfinite(list(judged.measures.values())).all()
