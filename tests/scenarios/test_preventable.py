"""``preventable(driver)`` under ``where``: draws that a named driver gets through, or does not, and clear words for mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivewm.datatypes import Scene
from drivewm.errors import InputError
from drivewm.evaluation.preventable import preventable
from drivewm.policies.load import load_policy
from drivewm.rollout import rollout
from drivewm.scenarios.language import Scenario, load_scenario
from drivewm.scenarios.sampling import draw_scene, rejections
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld

TEXT = """\
name: lead_vehicle.example
about: A car stands ahead, often too close to stop.
vary: {gap: "[10 .. 90] m"}
where:
  - $gap > 20 m
  - WHERE
road: {kind: straight, speed_limit: 90 km/h}
ego: {speed: 80 km/h}
actors:
  other: {is: car, lane: same, ahead: $gap}
end: {after: 6 s}
"""


def scenario(folder: Path, where: str, text: str = TEXT) -> Scenario:
    (folder / "one.yaml").write_text(text.replace("WHERE", where))
    return load_scenario(folder / "one.yaml")


def ended(scene: Scene, driver: str) -> str:
    return rollout([scene], load_policy(driver), BlankWorld(nuscenes_rig(2, 2)), seed=0)[0].ended


@pytest.mark.parametrize(
    ("where", "outcome"), [("preventable(attentive)", "horizon"), ("not preventable(attentive)", "collision")]
)
def test_only_such_draws_are_left(tmp_path: Path, where: str, outcome: str) -> None:
    """80 km/h are stopped from within 22.2 * 1.25 + 22.2^2 / (2 * 7.59) + 6.4 m, about 67 m."""
    one = scenario(tmp_path, where)
    scenes = [draw_scene(one, index, 0) for index in range(4)]
    assert {ended(scene, "attentive") for scene in scenes} == {outcome}
    gaps = [float(scene.parameters["gap"]) for scene in scenes]
    assert min(gaps) > 55.0 if outcome == "horizon" else max(gaps) < 72.0
    assert all(gap > 20.0 for gap in gaps)


def test_the_same_draw_comes_again(tmp_path: Path) -> None:
    one = scenario(tmp_path, "preventable(attentive)")
    first, again = draw_scene(one, 3, 7), draw_scene(one, 3, 7)
    assert first.parameters == again.parameters and first.id == again.id


def test_it_goes_with_other_words_on_a_line(tmp_path: Path) -> None:
    one = scenario(tmp_path, "$gap < 40 m or (preventable(attentive) and not preventable(idm))")
    for index in range(3):
        scene = draw_scene(one, index, 0)
        short = float(scene.parameters["gap"]) < 40.0
        assert short or (preventable(scene, "attentive") and not preventable(scene, "idm"))


def test_what_it_turns_away_is_counted_under_its_own_text(tmp_path: Path) -> None:
    found = rejections(scenario(tmp_path, "preventable(attentive)"), draws=40)
    assert found.reasons["preventable(attentive)"] > 10
    assert found.reasons["$gap > 20 m"] > 0
    assert found.accepted == 40 - sum(found.reasons.values()) > 3


def test_a_variant_adds_its_own(tmp_path: Path) -> None:
    scenario(tmp_path, "$gap < 80 m")
    (tmp_path / "two.yaml").write_text(
        "name: weather.example\nabout: The same.\nbase: one.yaml\nwhere: [preventable(attentive)]\n"
    )
    two = load_scenario(tmp_path / "two.yaml")
    assert two.constraints == ("$gap > 20 m", "$gap < 80 m", "preventable(attentive)")
    assert preventable(draw_scene(two, 0, 0), "attentive")


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("preventable(atentive)", "there is no driver 'atentive' (did you mean 'attentive'?)"),
        ("preventible(r157)", "there is no question 'preventible' (did you mean 'preventable'?)"),
        ("preventable()", "needs one word in the brackets (for example preventable(expert))"),
        ("preventable(r157, idm)", "needs one word in the brackets"),
        ("preventable($gap)", "needs one word in the brackets"),
        ("preventable(r157) > 2", "compares a truth value with a plain number"),
        ("preventable(r157", "is not an expression"),
        ("r157.preventable(idm)", "is not an expression"),
    ],
)
def test_a_mistake_gets_a_sentence_with_its_line(tmp_path: Path, where: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        scenario(tmp_path, where)
    assert sentence in str(caught.value) and "one.yaml:6" in str(caught.value)


def test_it_stands_under_where_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="questions stand under 'where'"):
        scenario(tmp_path, "$gap > 1 m", TEXT.replace("ahead: $gap", "ahead: $gap, reacts: preventable($gap)"))


def test_a_driver_that_needs_cameras_cannot_judge(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one\.yaml:6: .*constant_velocity looks through cameras"):
        draw_scene(scenario(tmp_path, "preventable(constant_velocity)"), 0, 0)


def test_what_never_holds_is_said_after_some_scenes(tmp_path: Path) -> None:
    one = scenario(tmp_path, "preventable(attentive)", TEXT.replace("[10 .. 90]", "[21 .. 25]"))
    with pytest.raises(InputError, match=r"none of 60 scenes passes, 60 fail 'preventable\(attentive\)'"):
        draw_scene(one, 0, 0)
