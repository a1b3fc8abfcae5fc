"""The four tests of a scenario: what they find in good ones and in bad ones, and that the catalogue passes a small version."""

from pathlib import Path

import numpy as np
import pytest

from drivewm.evaluation.cases import judged, progress_m
from drivewm.evaluation.selftest import SelfTest, idle_drive, self_test, silent_steps
from drivewm.policies.expert import ExpertPolicy
from drivewm.rollout import rollout
from drivewm.scenarios import catalogue
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import Rejections, draw_scene
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld

ROOT = Path(__file__).parents[2] / "scenarios"
FILES = catalogue.find(ROOT)
TEXT = """\
name: lead_vehicle.example
about: A car ahead.
vary: {gap: "[30 .. 60] m"}
road: {kind: straight}
ego: {speed: 50 km/h}
actors:
  other:
    is: car
    lane: same
    ahead: $gap
    steps: [STEP]
end: {after: 8 s}
"""


def outcome(folder: Path, text: str, name: str = "lead_vehicle.example") -> SelfTest:
    (folder / "one.yaml").write_text(text.replace("lead_vehicle.example", name))
    return self_test(load_scenario(folder / "one.yaml"), draws=6, driven=3)


def test_a_standing_car_is_a_good_scenario(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    (tmp_path / "one.yaml").write_text(TEXT.replace("[STEP]", "[]"))
    found = self_test(load_scenario(tmp_path / "one.yaml"), 6, 3, progress=lambda done, total: heard.append((done, total)))
    assert found.problems == () and (found.nothing_fails, found.expert_passes, found.driven) == (1.0, 1.0, 3)
    assert heard[-1] == (9, 9) and found.rejections.draws == 6


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    late = TEXT.replace("[STEP]", "[{when: {ttc: 0.01 s}, speed: 10 km/h}, {when: {after: 0 s}, speed: 20 km/h}]")
    assert "actors.other.steps[1] never happens" in outcome(tmp_path, late).problems
    easy = TEXT.replace("lane: same", "lane: oncoming").replace("[STEP]", "[]")
    assert outcome(tmp_path, easy).problems == ("doing nothing ends badly in only 0% of the draws",)
    assert outcome(tmp_path, easy, "calm.example").problems == ()
    hopeless = TEXT.replace('"[30 .. 60] m"', '"[3 .. 4] m"').replace("[STEP]", "[]")
    assert any(
        "the expert passes only 0% of the draws (draw 0: no_at_fault_collision" in p for p in outcome(tmp_path, hopeless).problems
    )
    assert any("calm scenario" in problem for problem in outcome(tmp_path, hopeless, "calm.example").problems)


def test_a_rule_that_refuses_nearly_everything_is_named() -> None:
    found = SelfTest("cut_in.x", Rejections(1000, 5, {"$gap > 1 m": 995}), 5, 1.0, 1.0, (), ())
    assert found.problems == ("'$gap > 1 m' turns 995 of 1000 draws away",)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}.{file.stem}")
def test_the_scripts_of_the_catalogue_play(file: Path) -> None:
    scenario = load_scenario(file)
    scenes = [draw_scene(scenario, index, 3) for index in range(3)]
    ends_badly, fired = idle_drive(scenes)
    assert silent_steps(scenario, scenes, fired) == ()
    assert ends_badly.any() == (scenario.family != "calm")


def test_the_expert_solves_one_of_each_family() -> None:
    first = {file.parent.name: file for file in reversed(FILES)}
    scenes = [draw_scene(load_scenario(file), 0, 3) for file in first.values()]
    drives = rollout(scenes, ExpertPolicy(), BlankWorld(nuscenes_rig(2, 2)), seed=0)
    passed = [judged(drive, progress_m(drive)).score.passed for drive in drives]
    assert np.mean(passed) > 0.95, [scene.id for scene, good in zip(scenes, passed, strict=True) if not good]
