"""Numbers of nuPlan's own tests (motional/nuplan-devkit at e924167, planning/metrics/evaluation_metrics/common/test/json).

Their car is a Pacifica (vehicle_parameters.py: 1.127 m behind the rear axle, 4.049 m before it, 2.297 m wide), so is ours here.
Their map is not part of the numbers: what depends on lanes is asked both ways.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivewm.datatypes import AgentClass, Agents, Lane, RoadMap, VehicleShape
from drivewm.metrics.published.nuplan_parts import Contacts, times_to_collision_s
from drivewm.metrics.published.pdm import Setting
from drivewm.metrics.published.places import Places
from drivewm.metrics.published.ride import felt
from drivewm.metrics.published.ways import Ways, at_fault
from drivewm.metrics.routes import Routes
from tests.straight_road import scene

NUMBERS = json.loads(Path(__file__).with_name("nuplan.json").read_text())
PACIFICA = VehicleShape(length_m=5.176, width_m=2.297, wheelbase_m=3.089, rear_axle_to_centre_m=1.461)
QUANTITY = {
    "ego_acceleration": "accel_mps2",  # nothing pulls sideways in these drives, so the magnitude is what acts along
    "ego_lon_acceleration": "accel_mps2",
    "ego_lat_acceleration": "lateral_accel_mps2",
    "ego_jerk": "jerk_mps3",
    "ego_lon_jerk": "jerk_lon_mps3",
    "ego_yaw_rate": "yaw_rate_radps",
    "ego_yaw_acceleration": "yaw_accel_radps2",
}
# Whether the ego is to blame while it keeps a lane, and while it is between two lanes, as it is where it changes lanes.
FAULTS = {
    "no_collision": ([], []),
    "active_front_collision": ([True], [True]),
    "active_lateral_collision": ([False], [True]),
    "active_rear_collision": ([False], [False]),
    "stopped_track_collision": ([True], [True]),
    "stopped_ego_collision": ([False], [False]),
    "multiple_collisions": ([False, True, True], [True, True, True]),
}
CHANGES_LANE = "active_lateral_collision"


@pytest.fixture
def pacifica(monkeypatch: pytest.MonkeyPatch) -> None:
    half_m = 0.5 * np.array([PACIFICA.length_m, PACIFICA.width_m])
    for name, module in list(sys.modules.items()):
        if name.startswith("drivewm.metrics"):
            for constant, value in (("EGO_SHAPE", PACIFICA), ("HALF_EGO_M", half_m)):
                if hasattr(module, constant):
                    monkeypatch.setattr(module, constant, value)


@pytest.mark.parametrize("name", QUANTITY)
def test_how_a_ride_feels(name: str) -> None:
    """Time series of the smoothed quantities, printed there to two decimals; a second lies between the states."""
    given = NUMBERS["felt"][name]
    yaw, speed, accel = (np.array([given[key]], float) for key in ("yaw_rad", "speed_mps", "accel_mps2"))
    pose = np.stack([np.zeros_like(yaw), np.zeros_like(yaw), yaw], -1)
    values = felt(Ways(pose, speed, accel, np.zeros_like(yaw)), 1.0, at_centre=True)[QUANTITY[name]][0]
    assert values == pytest.approx(given["values"], abs=0.005 + 1e-6)


def drawn(given: dict[str, Any]) -> tuple[Ways, Setting]:
    """One way and its agents; the ego keeps a lane of 8 m that looks where it looks."""
    ego = np.array(given["ego"])
    speed = ego[None, :, 3]
    ways = Ways(ego[None, :, :3], speed, np.zeros_like(speed), np.zeros_like(speed))
    rows = sorted({row[0] for instant in given["agents"] for row in instant})
    table = np.array([[row[2:] for row in instant] for instant in given["agents"]], float)
    kinds = [AgentClass[row[1].upper()] for row in given["agents"][0]]
    shape = table.shape[:2]
    agents = Agents(
        track_id=np.tile(np.array(rows, np.int32), (shape[0], 1)),
        category=np.tile(np.array(kinds, np.int8), (shape[0], 1)),
        xy_yaw_world=table[..., :3],
        speed_mps=table[..., 5],
        accel_mps2=np.zeros(shape),
        size_lwh_m=np.concatenate([table[..., 3:5], np.full((*shape, 1), 1.5)], -1),
        valid=np.ones(shape, bool),
    )
    heading = np.array([np.cos(ego[0, 2]), np.sin(ego[0, 2])])
    road = RoadMap(lanes=(Lane("only", ego[0, :2] + np.linspace(-60, 60, 121)[:, None] * heading, 8.0, 20.0),))
    where = replace(scene(road=road), route_xy=road.lanes[0].centre_xy)
    return ways, Setting(agents, Places.of(where), Routes.of([where]), road, np.arange(shape[0]) * 1.0, 1.0)


@pytest.mark.parametrize("name", FAULTS)
def test_who_is_hit_and_whose_fault_it_is(name: str, pacifica: None) -> None:
    given = NUMBERS["contacts"][name]
    ways, at = drawn(given)
    meetings = Contacts.of(ways, at).meetings
    order = np.lexsort((meetings.agent, meetings.step))
    found = [at_fault(ways, at.agents, meetings, np.full(len(order), spread))[order].tolist() for spread in (False, True)]
    assert found == list(FAULTS[name])
    assert sum(found[name == CHANGES_LANE]) == given["at_fault"]


@pytest.mark.parametrize("name", NUMBERS["ttc_s"])
def test_time_to_collision(name: str, pacifica: None) -> None:
    given = NUMBERS["ttc_s"][name]
    ways, at = drawn(given)
    values = times_to_collision_s(ways, at, Contacts.of(ways, at)).min(1)
    assert values == pytest.approx([np.inf if value is None else value for value in given["values"]], abs=1e-9)
