"""What holds for every score, whatever it measures: on drives that leave little to judge, and on crowded ones."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import AgentClass, Trajectory
from drivewm.metrics.published.formula import Reference
from drivewm.registry import names, resolve
from tests.straight_road import Actor, drive, scene

PUBLISHED = [name for name in names("drivewm.metrics") if name != "drive"]
CROWD = [Actor(30.0 + 3.0 * i, 1.0 * (i % 9), y_m=(i % 3) - 1.0, category=AgentClass(i % 17)) for i in range(60)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_score_is_a_number_and_the_same_twice(name: str) -> None:
    metric = resolve("drivewm.metrics", name)
    plan = Trajectory(np.full((1, 8), 0.5).cumsum(1), np.zeros((1, 8, 3)), np.zeros((1, 8)))
    for where, ended in (
        (scene(horizon_s=0.0), "policy_error"),
        (scene(speed_mps=9.0, horizon_s=5.0), "horizon"),
        (scene(CROWD, speed_mps=9.0), "horizon"),
    ):
        driven = drive(where, 0.0, ended=ended)
        driven = replace(driven, plans=plan)
        judged = metric(driven, Reference(50.0, driven))
        assert 0.0 <= judged.total <= 1.0 and judged == metric(driven, Reference(50.0, driven))
        assert all(0.0 <= value <= 1.0 for value in (*judged.gates.values(), *judged.terms.values()))
        assert np.isfinite(list(judged.measures.values())).all()
        assert judged.total == 0.0 or ended != "policy_error"
        assert not judged.passed or all(value == 1.0 for value in judged.gates.values())
