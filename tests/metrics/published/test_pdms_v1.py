"""PDMS of NAVSIM v1.1 (Dauner et al., NeurIPS 2024; repository branch v1.1, scoring/pdm_scorer.py): gates for collisions
at fault and the drivable area, weights 5 progress, 5 time to collision, 2 comfort."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import AgentClass
from drivewm.metrics.published.formula import Reference
from drivewm.metrics.published.pdms_v1 import score
from tests.metrics.published.judging import at_10_mps, standing_car
from tests.straight_road import Actor, drive, scene


def test_perfect_behind_a_car_that_drives_as_fast() -> None:
    judged = score(at_10_mps([Actor(200.0, 10.0)]), Reference(100.0))
    assert judged.total == pytest.approx(1.0, abs=1e-9) and judged.passed and judged.events == ()
    assert judged.measures["progress_m"] == pytest.approx(100.0, abs=1e-6)


def test_driving_into_a_standing_car_is_zero_at_the_analytic_instant() -> None:
    """30.05 m at 10 m/s: touched in the state of 3.1 s. Moved on by 0.9 s the body touches from 30.05 - 9 = 21.05 m, 2.2 s on."""
    judged = score(at_10_mps([standing_car(30.05)]), Reference(100.0))
    assert judged.total == 0.0 and judged.gates["no_at_fault_collision"] == 0.0
    assert {e.kind: (round(e.t_s, 6), e.track_id) for e in judged.events} == {
        "ttc": (2.2, 1),
        "no_at_fault_collision": (3.1, 1),
    }


def test_half_as_far_as_the_reference_costs_half_of_five_twelfths() -> None:
    judged = score(drive(scene(speed_mps=5.0), 0.0), Reference(100.0))
    assert judged.terms["progress"] == pytest.approx(0.5, abs=1e-6)
    assert judged.total == pytest.approx(1 - 0.5 * 5 / 12, abs=1e-6)


def test_whoever_is_ahead_of_the_reference_is_the_measure() -> None:
    """pdm_scorer.py normalises with the largest progress of all ways, so more than the reference is 1, not more."""
    assert score(at_10_mps(), Reference(40.0)).terms["progress"] == 1.0


def test_progress_is_one_where_nobody_gets_five_metres() -> None:
    """Does not apply: progress_distance_threshold = 5 m. With a gate broken it is 0 there (v1 only)."""
    waiting = score(drive(scene(), 0.0), Reference(4.9))
    assert waiting.terms["progress"] == 1.0 and waiting.total == pytest.approx(1.0)
    assert score(drive(scene(), 0.0), Reference(5.1)).total == pytest.approx(7 / 12)


def test_a_thing_costs_half() -> None:
    """Objects are not of AGENT_TYPES: 0.5. Progress is halved too, for it is multiplied with the gates before it is compared."""
    cone = Actor(80.0, category=AgentClass.TRAFFIC_CONE, size_lw_m=(0.4, 0.4))
    judged = score(at_10_mps([cone]), Reference(100.0))
    assert judged.gates["no_at_fault_collision"] == 0.5 and judged.terms["ttc"] == 0.0
    assert judged.total == pytest.approx(0.5 * (5 * 0.5 + 2) / 12, abs=1e-6)


def test_who_is_hit_from_behind_or_while_standing_is_not_at_fault() -> None:
    """collision_utils.CollisionType: ACTIVE_REAR and STOPPED_EGO are excused."""
    for own_mps, other in ((8.0, Actor(5.0, 13.0)), (0.0, Actor(5.0, 10.0))):
        judged = score(drive(scene([other], speed_mps=own_mps), 0.0), Reference(20.0))
        assert judged.gates["no_at_fault_collision"] == 1.0


def test_sideways_contact_is_the_fault_of_who_is_on_two_lanes() -> None:
    """ACTIVE_LATERAL counts only while corners are in several lanes and no lane has all four."""
    steady = Actor(21.0, 10.0, y_m=3.5)
    leaves = drive(scene([steady], speed_mps=10.0), 0.0, np.concatenate([np.full(15, 0.01), np.zeros(85)]))
    assert score(leaves, Reference(100.0)).gates["no_at_fault_collision"] == 0.0
    leans = Actor(21.0, 10.0, y_m=1.7)  # 0.865 m and 0.9 m of half widths do not fit into 1.7 m
    assert score(at_10_mps([leans]), Reference(100.0)).gates["no_at_fault_collision"] == 1.0


def test_braking_harder_than_four_metres_per_second_squared_is_uncomfortable() -> None:
    """pdm_comfort_metrics.py: MIN_LON_ACCEL = -4.05. A constant is left as it is by the smoothing filter."""
    for accel, comfortable in ((-4.0, 1.0), (-4.1, 0.0)):
        rollout = drive(scene(speed_mps=60.0), accel)
        states = rollout.states
        constant = np.full_like(states.ego_accel_mps2, accel)
        judged = score(replace(rollout, states=replace(states, ego_accel_mps2=constant)), Reference(100.0))
        assert judged.terms["comfort"] == comfortable


def test_a_driver_without_a_plan_has_nothing() -> None:
    judged = score(drive(scene(speed_mps=10.0), 0.0, ended="policy_error"), Reference(100.0))
    assert judged.total == 0.0 and judged.gates["policy_ran"] == 0.0 and not judged.passed
