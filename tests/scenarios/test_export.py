"""A scene written as OpenSCENARIO comes back as it was, and other readers can read it."""

import json
from pathlib import Path

import pytest
from scenariogeneration import xosc

from drivewm.errors import InputError
from drivewm.evaluation.roundtrip import CLOSE_M, round_trip
from drivewm.scenarios.catalogue import find
from drivewm.scenarios.export.scene import export_scene
from drivewm.scenarios.opening import draw, open_scenario
from tests.scenarios.test_recorded import written

ROOT = Path(__file__).parents[2] / "scenarios"
# Of everything that can be different: roads, triggers, manoeuvres, lights, reactions, weather that changes.
SOME = [
    "cut_in/motorway", "junction/left_turn_across", "junction/red_light", "lead_vehicle/stop_and_go", "merge/joiner_brakes",
    "oncoming/cuts_the_bend", "roundabout/lead_hesitates", "vulnerable/cyclist_swerves", "weather/rain_begins", "calm/parked_row",
]  # fmt: skip


@pytest.mark.parametrize("name", SOME)
def test_a_scene_comes_back_to_a_centimetre(tmp_path: Path, name: str) -> None:
    scene = draw(open_scenario(ROOT / f"{name}.yaml"), 1, 0)
    made = export_scene(scene, tmp_path, "scene")
    trip = round_trip(scene, made.scenario)
    assert trip.farthest_m <= CLOSE_M and trip.turned_rad < 0.001 and trip.fired_otherwise == 0
    assert trip.ego_m <= 0.02, "the ego's route is cut anew from the lanes, so in turns it moves by a centimetre or two"
    assert trip.on_lane and trip.drivable_iou > 0.95


def test_the_library_of_the_format_reads_what_is_written(tmp_path: Path) -> None:
    for name in SOME[:4]:
        made = export_scene(draw(open_scenario(ROOT / f"{name}.yaml"), 0, 0), tmp_path, name.replace("/", "."))
        read = xosc.ParseOpenScenario(str(made.scenario))
        assert isinstance(read, xosc.Scenario) and read.header.description
        assert {entity.name for entity in read.entities.scenario_objects} >= {"Ego"}
        assert read.roadnetwork.road_file == made.road.name
        assert made.scenario.read_text().count('revMinor="2"') == 1


def test_equal_scenes_make_equal_files(tmp_path: Path) -> None:
    scene = draw(open_scenario(ROOT / "cut_in/motorway.yaml"), 0, 0)
    first, again = (export_scene(scene, tmp_path / folder, "scene") for folder in "ab")
    assert first.scenario.read_bytes() == again.scenario.read_bytes() and first.road.read_bytes() == again.road.read_bytes()


def test_what_the_format_has_no_words_for_is_told(tmp_path: Path) -> None:
    def told(name: str) -> str:
        return "; ".join(export_scene(draw(open_scenario(ROOT / f"{name}.yaml"), 0, 0), tmp_path, "scene").notes)

    assert "height of the ground" in told("calm/crest") and "tunnel" in told("calm/tunnel")
    assert "faults of cameras" in told("sensor_fault/side_lost") and "keep to" in told("calm/waiting_pedestrian")


def test_a_recorded_drive_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a recorded drive"):
        export_scene(draw(open_scenario(written(tmp_path)), 0, 0), tmp_path / "out", "scene")
    assert not (tmp_path / "out").exists()


def test_the_catalogue_can_be_listed_with_its_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from drivewm.cli import run

    table = tmp_path / "table.md"
    assert len(find(ROOT / "exit")) == 3
    assert run(["scenario", "export", str(ROOT / "exit"), "--out", str(tmp_path / "out"), "--table", str(table), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(shown["files"]) == 3 and all(Path(one["scenario"]).is_file() for one in shown["files"])
    assert "3 of 3 scenes stay within 1 cm" in table.read_text()
