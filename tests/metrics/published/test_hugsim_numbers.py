"""What HUGSIM's own score_calculator.py (github.com/hyzhou404/HUGSIM at 62c690d) says of the plans of twelve drives.

It publishes no numbers of its own; these are its output, written by `eval/benchmarks/scorer_hugsim.py`, for 180 plans. Its ground
is points 5 cm apart, ours the area.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivewm.metrics.published import hd_score
from drivewm.metrics.published.formula import Reference
from tests.metrics.published.judging import planned_drives

NUMBERS = json.loads(Path(__file__).with_name("hugsim.json").read_text())


@pytest.mark.parametrize("part", ["no_collision", "drivable_area", "ttc", "comfort", "pdms"])
def test_every_part_is_the_same(part: str) -> None:
    judged = [hd_score.score(driven, Reference(1.0)) for driven in planned_drives()]
    ours = [{**one.gates, **one.terms, **one.measures}[part] for one in judged]
    theirs = [row[part] for row in NUMBERS]
    assert len(set(theirs)) > 2, "the numbers tell nothing"
    assert np.mean(theirs) < 0.98 and ours == pytest.approx(theirs, abs=1e-6)
