"""``base:``: what a file says is laid over another one; places keep the file and line they come from."""

from pathlib import Path

import jsonschema
import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.scenarios import catalogue
from drivewm.scenarios.language import Scenario, load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.scenarios.source import read_source

BASE = """\
name: lead_vehicle.first
about: A car ahead.
maps_to: [A, B]
tags: [first]
vary:
  speed: "[50 .. 90] km/h"
  gap: "[5 .. 40] m"
where:
  - $gap > 10 m
road: {kind: straight, speed_limit: 80 km/h}
ego: {speed: $speed}
actors:
  other: {is: car, lane: same, ahead: $gap, speed: $speed}
  follower: {is: car, lane: same, behind: 20 m, speed: $speed}
end: {after: 8 s}
"""
HEAD = "name: lead_vehicle.second\nabout: Differently.\nbase: first\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lead_vehicle").mkdir()
    (tmp_path / "lead_vehicle" / "first.yaml").write_text(BASE)
    return tmp_path / "lead_vehicle"


def variant(folder: Path, rest: str, head: str = HEAD) -> Scenario:
    (folder / "second.yaml").write_text(head + rest)
    return load_scenario(folder / "second.yaml")


def test_a_variant_of_the_weather_has_the_same_traffic(folder: Path) -> None:
    rainy = variant(folder, "world: {changes: [{at: 4 s, weather: rain}]}\n")
    for index in range(3):
        dry, wet = (draw_scene(one, index, 5) for one in (load_scenario(folder / "first.yaml"), rainy))
        assert dry.parameters == wet.parameters and dry.id != wet.id
        assert np.array_equal(dry.start.agents.xy_yaw_world, wet.start.agents.xy_yaw_world)
        assert np.array_equal(dry.road.building_xy_yaw, wet.road.building_xy_yaw)
        assert [wet.conditions_at(t).weather for t in (3.9, 4.0)] == ["clear", "rain"]


def test_words_are_laid_over_key_by_key(folder: Path) -> None:
    one = variant(folder, "road: {lanes: 2}\nactors:\n  follower:\n  other: {is: truck}\nwhere: [$gap > 20 m]\n")
    tree = one.source.tree
    assert tree["road"] == {"kind": "straight", "speed_limit": "80 km/h", "lanes": 2}
    assert list(tree["actors"]) == ["other"] and tree["actors"]["other"]["ahead"] == "$gap"
    assert one.constraints == ("$gap > 10 m", "$gap > 20 m")
    assert one.maps_to == ("A", "B") and one.tags == ()
    assert "base" not in tree and one.name == "lead_vehicle.second" and one.origin == "lead_vehicle.first"


def test_what_varies_is_replaced_as_a_whole(folder: Path) -> None:
    (folder / "first.yaml").write_text(BASE.replace('"[5 .. 40] m"', "{20 m: 1, 30 m: 2}"))
    assert str(variant(folder, "vary: {gap: {25 m: 1}}\n").parameters["gap"]) == "25 m"


def test_the_content_of_the_base_takes_part_in_the_identity(folder: Path) -> None:
    before = variant(folder, "world: {weather: rain}\n").id
    (folder / "first.yaml").write_text(BASE.replace("[5 .. 40]", "[5 .. 45]"))
    assert load_scenario(folder / "second.yaml").id != before


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("road: {lanes: many}\n", "second.yaml:4: road.lanes: 'many' does not fit"),
        ("vary: {gap: 8 s}\n", "first.yaml:9: where[0]: '$gap > 10 m' compares a time with a length"),
        ("where: [$gap > 20 s]\n", "second.yaml:4: where[1]: '$gap > 20 s' compares a length with a time"),
        ("ego: {speed: 50 m}\n", "second.yaml:4: ego.speed: '50 m' is a length"),
        ("end:\n", "key 'end' is missing"),
        ("wolrd: {}\n", "second.yaml:4: wolrd: unknown key 'wolrd' (did you mean 'world'"),
        ("actors:\n  other: {ahead: 20 m}\nwhere:\n", "first.yaml:7: vary.gap: parameter $gap is never used (write 'gap:' under"),
    ],
)
def test_complaints_name_the_file_that_is_wrong(folder: Path, rest: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        variant(folder, rest)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("frist", "there is no scenario 'frist' to start from (did you mean 'first'"),
        ("../nothing/here.yaml", "does not exist (the path starts at this file's folder)"),
        ("second", "leads back to this file"),
        ("[first]", "does not name a scenario"),
        ("", "second.yaml:3: base: key 'base' has no value"),
    ],
)
def test_a_base_that_is_none(folder: Path, base: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        variant(folder, "", HEAD.replace("base: first", f"base: {base}"))
    assert says in str(caught.value)


def test_a_base_by_path_or_by_full_name(folder: Path) -> None:
    first = variant(folder, "", HEAD).sha8
    for base in ("first.yaml", "../lead_vehicle/first.yaml", "lead_vehicle.first"):
        assert variant(folder, "", HEAD.replace("first", base)).sha8 == first


@pytest.mark.parametrize("validator", [jsonschema.Draft7Validator, jsonschema.Draft202012Validator])
class TestSchema:
    def test_is_a_schema(self, validator: type[jsonschema.Draft7Validator]) -> None:
        validator.check_schema(catalogue.json_schema())

    def test_knows_variants(self, folder: Path, validator: type[jsonschema.Draft7Validator]) -> None:
        (folder / "second.yaml").write_text(HEAD + "actors: {follower: }\nroad: {lanes: 2}\n")
        tree = read_source(folder / "second.yaml").tree
        check = validator(catalogue.json_schema())
        check.validate(tree)
        assert check.is_valid(read_source(folder / "first.yaml").tree)
        assert not check.is_valid({key: value for key, value in tree.items() if key != "base"})
        assert not check.is_valid({**tree, "road": {"lane": 2}})
