"""CARLA driving scores of drives that can be judged by hand.

Sources: github.com/carla-simulator/leaderboard, branches leaderboard-2.0 and leaderboard-2.1, statistics_manager.py
(coefficients, formulas); scenario_runner, same branches, atomic_criteria.py (what counts).
"""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, AgentClass
from drivewm.metrics.published import carla_ds_2_0, carla_ds_2_1
from drivewm.metrics.published.formula import Reference
from tests.straight_road import Actor, drive, light, scene, straight_road

WAY = Reference(100.0)
FRONT_M = 20.0 + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
SIGNLESS = {"stop_sign", "scenario_timeout", "yield_to_emergency_vehicle"}


def test_a_lawful_drive_to_the_end_of_the_route_is_perfect() -> None:
    for version in (carla_ds_2_0, carla_ds_2_1):
        judged = version.score(drive(scene(speed_mps=10.0), 0.0), WAY)
        assert judged.total == 1.0 and judged.passed and judged.measures["driving_score"] == 100.0
        assert set(judged.inapplicable) == SIGNLESS | {"red_light", "min_speed"}
        half = version.score(drive(scene(speed_mps=5.0), 0.0), WAY)
        assert half.total == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("kind", "name", "factor", "summand"),
    [
        (AgentClass.PEDESTRIAN, "collision_pedestrian", 0.5, 1.0),
        (AgentClass.BICYCLE, "collision_vehicle", 0.6, 0.7),
        (AgentClass.TRAFFIC_CONE, "collision_static", 0.65, 0.6),
    ],
)
def test_a_collision_costs_what_its_kind_costs(kind: AgentClass, name: str, factor: float, summand: float) -> None:
    """Driven through as if CARLA's ego went on: one collision with each of two, 40 m apart."""
    driven = drive(scene([Actor(60.0, category=kind), Actor(100.0, category=kind)], speed_mps=10.0), 0.0)
    old, new = carla_ds_2_0.score(driven, WAY), carla_ds_2_1.score(driven, WAY)
    assert old.measures[name] == 2 and [event.kind for event in old.events] == [name, name]
    assert old.total == pytest.approx(factor**2) and not old.passed
    assert new.total == pytest.approx(1 / (1 + 2 * summand))


def test_collisions_that_carla_does_not_count() -> None:
    """Two that are hit within 5 m are one collision; who stands is not at fault."""
    pair = drive(scene([Actor(60.0, y_m=-0.5), Actor(62.0, y_m=0.5)], speed_mps=10.0), 0.0)
    assert carla_ds_2_0.score(pair, WAY).measures["collision_vehicle"] == 1
    hit_standing = drive(scene([Actor(80.0, 10.0, oncoming=True)]), 0.0)
    assert carla_ds_2_0.score(hit_standing, Reference(1.0)).total == 1.0


def test_a_red_light_costs_three_tenths() -> None:
    road = straight_road((light(FRONT_M + 30.05, (1.0, 1.0, 60.0)),))
    driven = drive(scene(speed_mps=10.0, road=road), 0.0)
    assert carla_ds_2_0.score(driven, WAY).total == pytest.approx(0.7)
    assert carla_ds_2_1.score(driven, WAY).total == pytest.approx(1 / 1.4)
    assert [event.t_s for event in carla_ds_2_1.score(driven, WAY).events] == pytest.approx([3.1])


def test_slower_than_the_traffic_costs_up_to_three_tenths_per_quarter() -> None:
    """At 8 among 10 m/s each of four quarters gives 1 - 0.3 * 0.2 (2.0), and 0.4 * 0.2 (2.1)."""
    driven = drive(scene([Actor(200.0, 10.0)], speed_mps=8.0, horizon_s=12.6), 0.0)
    assert carla_ds_2_0.score(driven, WAY).total == pytest.approx(0.94**4)
    assert carla_ds_2_1.score(driven, WAY).total == pytest.approx(1 / 1.32)
    named = replace(driven, scene=replace(driven.scene, names=("lead",)))
    assert "min_speed" in carla_ds_2_0.score(named, WAY).inapplicable and carla_ds_2_0.score(named, WAY).total == 1.0


def test_the_share_of_the_way_outside_the_lanes_is_taken_off() -> None:
    """A lane change of 2.4 s into oncoming traffic; once the middle of the body is over there, all metres are lost."""
    change = 0.038 * np.sin(2 * np.pi * (np.arange(24) + 0.5) / 24)
    driven = drive(scene(speed_mps=10.0), 0.0, np.concatenate([change, np.zeros(76)]))
    crossed = int(np.argmax(EGO_SHAPE.centre_xy_yaw(driven.states.ego_xy_yaw_world)[:, 1] > 1.75))
    for version in (carla_ds_2_0, carla_ds_2_1):
        judged = version.score(driven, WAY)
        assert judged.gates["outside_route_lanes"] == pytest.approx((crossed - 1) / 100, abs=0.011)
        assert judged.events[0].kind == "outside_route_lanes"


def test_nothing_applies_where_there_is_nothing() -> None:
    bare = replace(straight_road(), lanes=(), drivable=())
    judged = carla_ds_2_1.score(drive(scene(speed_mps=1.0, road=bare, horizon_s=1.0), 0.0), Reference(1.0))
    assert judged.total == 1.0
    assert set(judged.inapplicable) == SIGNLESS | {"red_light", "min_speed", "route_completion", "outside_route_lanes"}
