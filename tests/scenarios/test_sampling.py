"""Drawing: repeatable, independent of order, within the ranges, and honest about what is refused."""

from pathlib import Path

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.scenarios.language import Scenario, draw_parameters, load_scenario
from drivewm.scenarios.quantities import LENGTH, Quantity
from drivewm.scenarios.sampling import draw_scene, rejections
from drivewm.store import content_hash

TEXT = """\
name: lead_vehicle.example
about: A car ahead.
vary:
  speed: "[50 .. 90] km/h"
  gap: "[0 .. 40] m"
  weather: {clear: 1, rain: 1}
where:
  - $gap > 20 m
road: {kind: straight}
world: {weather: $weather}
ego: {speed: $speed}
actors:
  other: {is: car, lane: same, ahead: $gap, speed: $speed}
end: {after: 8 s}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    file = tmp_path / "example.yaml"
    file.write_text(TEXT)
    return load_scenario(file)


def test_a_draw_is_repeatable_and_independent_of_others(scenario: Scenario) -> None:
    forwards = [content_hash(draw_scene(scenario, index, 7)) for index in range(4)]
    backwards = [content_hash(draw_scene(scenario, index, 7)) for index in reversed(range(4))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 4
    assert content_hash(draw_scene(scenario, 0, 8)) != forwards[0]


def test_the_id_names_scenario_content_draw_and_seed(scenario: Scenario) -> None:
    assert draw_scene(scenario, 3, 7).id == f"lead_vehicle.example@{scenario.sha8}:3#7"


def test_parameters_are_recorded_in_si(scenario: Scenario) -> None:
    scene = draw_scene(scenario, 0, 0)
    assert set(scene.parameters) == {"speed", "gap", "weather"}
    assert scene.start.ego_speed_mps == pytest.approx(scene.parameters["speed"])
    assert 50 / 3.6 <= float(scene.parameters["speed"]) <= 25.0
    assert scene.conditions.weather == scene.parameters["weather"]


def test_constraints_hold_and_refusals_are_counted(scenario: Scenario) -> None:
    assert all(float(draw_scene(scenario, index, 0).parameters["gap"]) > 20.0 for index in range(6))
    report = rejections(scenario, 80, seed=1)
    assert report.draws == 80
    assert report.accepted + sum(report.reasons.values()) == 80
    assert report.share == pytest.approx(0.5, abs=0.17)
    assert set(report.reasons) == {"$gap > 20 m"}


def test_draws_cover_the_range_evenly(scenario: Scenario) -> None:
    rng = np.random.default_rng(0)
    speeds = [draw_parameters(scenario, rng)["speed"].value * 3.6 for _ in range(400)]  # type: ignore[union-attr]
    counts = np.histogram(speeds, bins=4, range=(50.0, 90.0))[0]
    assert counts.sum() == 400 and counts.min() >= 75


def test_parameters_can_be_pinned(scenario: Scenario) -> None:
    pinned = {"gap": Quantity(25.0, LENGTH), "weather": "rain"}
    scenes = [draw_scene(scenario, index, 0, pinned) for index in range(5)]
    assert {scene.parameters["gap"] for scene in scenes} == {25.0}
    assert {scene.conditions.weather for scene in scenes} == {"rain"}
    assert len({scene.parameters["speed"] for scene in scenes}) == 5
    with pytest.raises(InputError, match=r"has no parameter 'gp'.*did you mean 'gap'"):
        draw_scene(scenario, 0, 0, {"gp": Quantity(25.0, LENGTH)})
    with pytest.raises(InputError, match="'where' leaves nothing"):
        draw_scene(scenario, 0, 0, {"gap": Quantity(5.0, LENGTH)})
