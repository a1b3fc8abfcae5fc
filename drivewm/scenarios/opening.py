"""Scenarios of every kind behind one door: files in the project's own language and OpenSCENARIO files."""

from __future__ import annotations

from pathlib import Path

from drivewm.datatypes import Scene
from drivewm.scenarios.language import Scenario, load_scenario
from drivewm.scenarios.openscenario.imported import ImportedScenario, draw_imported, load_openscenario
from drivewm.scenarios.sampling import draw_scene

AnyScenario = Scenario | ImportedScenario


def open_scenario(path: str | Path) -> AnyScenario:
    """Reads a .yaml or .xosc file; `InputError` names file, line and what would be right."""
    return load_openscenario(path) if Path(path).suffix.lower() == ".xosc" else load_scenario(path)


def draw(scenario: AnyScenario, index: int, seed: int) -> Scene:
    """Draw number ``index`` of a scenario; depends on scenario, index and seed alone."""
    return draw_imported(scenario, index, seed) if isinstance(scenario, ImportedScenario) else draw_scene(scenario, index, seed)
