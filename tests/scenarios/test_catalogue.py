"""The committed catalogue: complete, mapped to public names, current, and what checking and indexing a folder gives."""

import re
from functools import lru_cache
from pathlib import Path

import jsonschema
import pytest

from drivewm.errors import InputError
from drivewm.scenarios import catalogue
from drivewm.scenarios.language import Scenario, load_scenario
from drivewm.scenarios.roads import ROAD_KINDS
from drivewm.scenarios.sampling import draw_scene
from drivewm.scenarios.schema import Road
from drivewm.scenarios.source import read_source

ROOT = Path(__file__).parents[2] / "scenarios"
FILES = catalogue.find(ROOT)
FAMILIES = {
    "calm", "cut_in", "exit", "junction", "lead_vehicle", "merge", "obstacle", "oncoming", "roundabout", "sensor_fault",
    "vulnerable", "weather",
}  # fmt: skip
PROTOCOLS = ("Euro NCAP ", "UN R157 ", "CARLA ", "NHTSA ")


@lru_cache
def scenario(file: Path) -> Scenario:
    return load_scenario(file)


def test_there_are_enough_scenarios_in_all_families() -> None:
    families = {scenario(file).family for file in FILES}
    assert families == FAMILIES
    assert len(FILES) >= 64
    names = [scenario(file).name for file in FILES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}.{file.stem}")
class TestEveryScenario:
    def test_is_documented(self, file: Path) -> None:
        one = scenario(file)
        assert one.name == f"{file.parent.name}.{file.stem}"
        assert one.maps_to and one.parameters
        assert all(name.startswith(PROTOCOLS) and not re.search(r"\d\.\d", name) for name in one.maps_to)
        assert file.read_text().startswith(catalogue.SCHEMA_HEADER)
        assert len(file.read_text().splitlines()) <= 45

    def test_fits_the_schema_for_editors(self, file: Path) -> None:
        tree = read_source(file).tree
        for validator in (jsonschema.Draft202012Validator, jsonschema.Draft7Validator):
            validator(catalogue.json_schema()).validate(tree)


def test_generated_files_are_current() -> None:
    assert (ROOT / catalogue.SCHEMA_FILE).read_text() == catalogue.schema_text(), "run `drivewm scenario list --write`"
    assert (ROOT / catalogue.INDEX_FILE).read_text() == catalogue.index_text(ROOT), "run `drivewm scenario list --write`"


def test_the_examples_of_the_guide_can_be_drawn(tmp_path: Path) -> None:
    example, variant, _recorded = re.findall(r"^```yaml\n(.*?)^```", (ROOT / catalogue.INDEX_FILE).read_text(), re.M | re.S)
    (tmp_path / "guide.yaml").write_text(example)
    scene = draw_scene(load_scenario(tmp_path / "guide.yaml"), 0, 0)
    assert scene.conditions_at(5.0).weather == "fog" and len(scene.start.agents.valid) >= 1
    (tmp_path / "variant.yaml").write_text(variant)
    assert draw_scene(load_scenario(tmp_path / "variant.yaml"), 0, 0).conditions_at(2.0).weather == "rain"


def test_the_language_knows_every_road() -> None:
    assert set(Road.model_json_schema()["properties"]["kind"]["enum"]) == set(ROAD_KINDS)


def test_the_schema_is_valid_and_refuses_what_the_reader_refuses() -> None:
    schema = catalogue.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    good = scenario(FILES[0]).source.tree
    for bad in ({**good, "wolrd": {}}, {**good, "end": {}}, {**good, "road": {"kind": "stright"}}, {**good, "end": {"after": 8}}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(bad)


def test_a_list_is_narrowed_by_family_mapping_and_tag() -> None:
    everything = [scenario(file) for file in FILES]

    def names(**wanted: str) -> list[str]:
        return [one.name for one in catalogue.narrowed(everything, catalogue.Wanted(**wanted))]

    assert len(names()) == len(FILES)
    assert names(family="cut_in") == [one.name for one in everything if one.family == "cut_in"]
    assert "cut_in.motorway" in names(mapping="r157 CUT-IN") and "calm.parked_row" not in names(mapping="cut-in")
    assert set(names(tag="tunnel", family="calm")) == {"calm.tunnel"}
    with pytest.raises(InputError, match="did you mean 'cut_in'"):
        names(family="cutin")


def test_a_folder_is_checked_file_by_file(tmp_path: Path) -> None:
    good = FILES[0].read_text()
    (tmp_path / "a.yaml").write_text(good)
    (tmp_path / "b.yaml").write_text(good.replace("road:", "raod:"))
    first, second = catalogue.check(tmp_path, draws=2)
    assert first.error is None and first.scenario is not None and first.rejections is not None
    assert isinstance(second.error, InputError) and "b.yaml" in str(second.error)
    with pytest.raises(InputError, match="not a folder"):
        catalogue.find(tmp_path / "none")


def test_writing_the_index_keeps_what_people_wrote(tmp_path: Path) -> None:
    family = tmp_path / "calm"
    family.mkdir()
    (family / "green_light.yaml").write_text((ROOT / "calm" / "green_light.yaml").read_text())
    catalogue.write_index(tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("My own words.\n" + readme.read_text())
    catalogue.write_index(tmp_path)
    text = readme.read_text()
    assert text.startswith("My own words.") and text.count("[green_light](calm/green_light.yaml)") == 1
    readme.write_text("No place for a table.")
    with pytest.raises(InputError, match="has no place for the index"):
        catalogue.write_index(tmp_path)
