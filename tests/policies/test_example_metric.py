"""The metric that authors copy works, and `check_metric` finds what is wrong with others."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from drivewm import registry
from drivewm.datatypes import Rollout, Score
from drivewm.metrics.published.formula import Reference
from drivewm.policies.baselines import ConstantVelocity
from drivewm.rollout import rollout
from drivewm.testing import BlankWorld, check_metric, straight_scene

PLUGIN = Path(__file__).parents[2] / "policies" / "example_plugin"
Metric = Callable[[Rollout, Reference], Score]


@pytest.fixture
def gentle(monkeypatch: pytest.MonkeyPatch) -> Metric:
    """The metric as its entry point names it."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    declared = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]["drivewm.metrics"]
    points = [EntryPoint(name, value, "drivewm.metrics") for name, value in declared.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group, name=None: [p for p in points if name in (None, p.name)])
    found: Metric = registry.resolve("drivewm.metrics", "gentle_ride")
    return found


def test_who_keeps_his_speed_is_gentle_until_he_hits_somebody(gentle: Metric) -> None:
    check_metric(gentle)
    free, into = rollout([straight_scene(10.0), straight_scene(10.0, lead=(8.0, 0.0))], ConstantVelocity(), BlankWorld(), seed=0)
    assert gentle(free, Reference(60.0)).total == 1.0
    hit = gentle(into, Reference(60.0))
    assert hit.terms["gentle"] == 1.0 and hit.total == 0.0 and not hit.passed


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda score: replace(score, total=1.5), "outside"),
        (lambda score: replace(score, terms={"gentle": float("nan")}), "inapplicable"),
        (lambda score: replace(score, scene_id="another"), "another scene"),
        (lambda score: score.total, "not a float"),
        (lambda score: 1 / 0, "raised ZeroDivisionError on straight@"),
    ],
)
def test_what_a_metric_may_not_do_is_told(gentle: Metric, spoilt: Callable[[Score], Score], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_metric(lambda drive, reference: spoilt(gentle(drive, reference)))
