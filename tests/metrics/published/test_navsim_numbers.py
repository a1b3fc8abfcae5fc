"""What NAVSIM v2.2's own PDMScorer says of 256 ways beside 30 agents (github.com/autonomousvision/navsim, main at 2025-09-29).

The numbers are its output, written by `eval/benchmarks/scorer.py --vectors`; comfort is its `ego_is_comfortable` with our car.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from drivewm.metrics.published.pdm import Setting, parts_v2
from drivewm.metrics.published.places import Places
from drivewm.metrics.routes import Routes
from eval.benchmarks.scorer_scene import STEPS, task

NUMBERS = json.loads(Path(__file__).with_name("navsim_v2.json").read_text())


def test_every_sub_score_is_the_same() -> None:
    job = task()
    at = Setting(job.agents, Places.of(job.scene), Routes.of([job.scene]), job.scene.road, 0.1 * np.arange(STEPS + 1), 0.1)
    ours = parts_v2(job.ways, at)
    for name, part in ours.found.items():
        assert "".join(f"{2 * v:.0f}" for v in part.value) == NUMBERS[name], name
        assert len(set(NUMBERS[name])) > 1 or name == "traffic_lights", f"{name} never falls: the numbers tell nothing"
    progress = np.minimum(1.0, ours.progress_m / (ours.progress_m * ours.gate()).max())
    assert progress == pytest.approx(NUMBERS["progress"], abs=1e-6)
