"""A scene written as OpenSCENARIO comes back as it was, and other readers can read it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scenariogeneration
from lxml import etree
from scenariogeneration import xosc

from drivewm.datatypes import TriggerKind
from drivewm.errors import InputError
from drivewm.evaluation.roundtrip import CLOSE_M, round_trip
from drivewm.scenarios.catalogue import find
from drivewm.scenarios.export.scene import export_scene
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.scenarios.openscenario.imported import draw_imported, load_openscenario
from tests.scenarios.test_recorded import written

ROOT = Path(__file__).parents[2] / "scenarios"
SCHEMAS = Path(scenariogeneration.__file__).parents[1] / "schemas"
SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "openscenario"
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
    assert trip.on_ground and trip.drivable_iou > 0.95


@pytest.mark.parametrize("name", ["cut_in/parked_car_leaves", "oncoming/overtaker"])
@pytest.mark.parametrize(
    ("kind", "value", "met"),
    [(TriggerKind.DISTANCE, 30.0, True), (TriggerKind.TTC, 2.0, True), (TriggerKind.TTC, 0.01, False)],
)
def test_what_waits_for_the_ego_still_waits_for_the_same(
    tmp_path: Path, name: str, kind: TriggerKind, value: float, met: bool
) -> None:
    """Then it does the same for every ego, also where one that keeps its speed never sets it off."""
    scene = draw(open_scenario(ROOT / f"{name}.yaml"), 0, 0)
    kinds, values = scene.scripts.trigger_kind.copy(), scene.scripts.trigger_value.copy()
    row = int(np.argmax(kinds[:, 0] != TriggerKind.NEVER))
    kinds[row, 0], values[row, 0] = kind, value
    scene = replace(scene, scripts=replace(scene.scripts, trigger_kind=kinds, trigger_value=values))
    made = export_scene(scene, tmp_path, "scene")
    trip, read = round_trip(scene, made.scenario), draw_imported(load_openscenario(made.scenario), 0, 0).scripts
    assert (trip.fired > 0) == met and trip.fired_otherwise == 0 and trip.farthest_m <= CLOSE_M
    before = scene.scripts
    assert read.trigger_kind.tolist() == before.trigger_kind.tolist()
    assert read.manoeuvre_kind.tolist() == before.manoeuvre_kind.tolist()
    assert read.trigger_value == pytest.approx(before.trigger_value, abs=2e-6)
    assert read.manoeuvre_rate == pytest.approx(before.manoeuvre_rate, abs=1e-6)


def test_lights_show_the_same_to_the_same_lanes(tmp_path: Path) -> None:
    scene = draw(open_scenario(ROOT / "junction/red_light.yaml"), 0, 0)
    again = draw_imported(load_openscenario(export_scene(scene, tmp_path, "scene").scenario), 0, 0)
    times = np.arange(0.0, 10.0, 0.1)
    lines = {tuple(np.round(light.stop_line_xy.mean(0), 3) + 0.0): light for light in again.road.signals}
    assert len(lines) == len(scene.road.signals) == 4
    for light in scene.road.signals:
        same = lines[tuple(np.round(light.stop_line_xy.mean(0), 3) + 0.0)]
        assert same.state_at(times).tolist() == light.state_at(times).tolist()
    assert again.conditions.weather == scene.conditions.weather and again.conditions.light == scene.conditions.light
    assert (again.horizon_s, again.speed_limit_mps) == (scene.horizon_s, scene.speed_limit_mps)
    assert len(again.road.crosswalks) == len(scene.road.crosswalks)


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the schemas that come with scenariogeneration are not at hand")
def test_the_files_keep_to_the_schemas_of_the_standards(tmp_path: Path) -> None:
    scenario, road = (etree.XMLSchema(etree.parse(SCHEMAS / f"{name}.xsd")) for name in ("OpenSCENARIO_1_2", "opendrive_17_core"))
    for name in SOME:
        made = export_scene(draw(open_scenario(ROOT / f"{name}.yaml"), 0, 0), tmp_path, "scene")
        scenario.assertValid(etree.parse(made.scenario))
        road.assertValid(etree.parse(made.road))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the OpenSCENARIO samples are not at hand")
@pytest.mark.parametrize(
    "pattern",
    [
        "alks/**/alks_scenario_4_1_2_*_variation.xosc",  # four lane offsets in a bend
        "alks/**/alks_scenario_4_4_1_*_template.xosc",  # a cut-in that waits for the ego
        "alks/**/alks_scenario_4_2_3_*_template.xosc",  # somebody walks over the road
        "euro_ncap_2023/**/NCAP_AEB_C2C_CCFtap_Variation_2023.xosc",  # the ego turns off the lanes
    ],
)
def test_files_of_others_come_back_too(tmp_path: Path, pattern: str) -> None:
    scene = draw(open_scenario(next(SAMPLES.glob(pattern))), 0, 0)
    trip = round_trip(scene, export_scene(scene, tmp_path, "scene").scenario)
    assert trip.agents and trip.farthest_m <= CLOSE_M and trip.fired_otherwise == 0 and trip.ego_m <= 0.05


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
