"""The plug-in that authors copy works, and is found under its name once it is installed."""

from __future__ import annotations

import importlib.util
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from drivewm import registry
from drivewm.policies.load import load_policy
from drivewm.rollout import rollout
from drivewm.testing import BlankWorld, check_policy, straight_scene

PLUGIN = Path(__file__).parents[2] / "policies" / "example_plugin"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PLUGIN))
    spec = importlib.util.find_spec("careful_cruise")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_it_keeps_the_promises_and_follows_the_route(module: ModuleType) -> None:
    check_policy(module.CarefulCruise())
    result = rollout([straight_scene(8.0, horizon_s=4.0)], module.CarefulCruise(), BlankWorld(), seed=0)[0]
    assert result.ended == "horizon"
    assert result.states.ego_speed_mps[-1] > 12.0
    assert abs(result.states.ego_xy_yaw_world[-1, 1]) < 0.05


def test_its_entry_point_makes_it_loadable_by_name(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]["drivewm.policies"]
    points = [EntryPoint(name, value, "drivewm.policies") for name, value in declared.items()]

    def found(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in points if point.group == group and name in (None, point.name)]

    monkeypatch.setattr(registry, "entry_points", found)
    assert load_policy("careful_cruise").spec.id == "careful_cruise"
