"""NeuroNCAP stars, AlpaSim scene score and severity of drives that can be judged by hand. Sources stand at each test."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, AgentClass
from drivewm.metrics.published import alpasim_scene, neuroncap, severity
from drivewm.metrics.published.formula import Reference
from drivewm.metrics.severity import DEATH, DEATH_PER_KMH, car_kg, occupant_risk, risk
from tests.straight_road import Actor, drive, scene, straight_road

WAY = Reference(100.0)
FRONT_M = 20.0 + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m


def test_stars_fall_with_the_speed_of_the_impact() -> None:
    """NeuroNCAP (Ljungbergh et al. 2024, evaluator.py): 5 stars, else 4 max(0, 1 - v / v_ref)."""
    free = neuroncap.score(drive(scene([Actor(200.0, 10.0)], speed_mps=10.0), 0.0), WAY)
    assert free.total == 1.0 and free.passed and free.measures["stars"] == 5.0
    unbraked = neuroncap.score(drive(scene([Actor(80.0)], speed_mps=10.0), 0.0), WAY)
    assert unbraked.total == 0.0 and not unbraked.passed
    assert unbraked.measures["impact_speed_mps"] == unbraked.measures["reference_speed_mps"] == pytest.approx(10.0)
    # Braked from 10 to 5 m/s before the contact: half of four stars. A lead at 2 m/s: 3 of 8 m/s are left, 2.5 stars.
    brake = np.concatenate([np.full(10, -5.0), np.zeros(90)])
    assert neuroncap.score(drive(scene([Actor(60.0)], speed_mps=10.0), brake), WAY).measures["stars"] == pytest.approx(2.0)
    moving = neuroncap.score(drive(scene([Actor(45.0, 2.0)], speed_mps=10.0), brake), WAY)
    assert moving.measures["stars"] == pytest.approx(2.5) and moving.events[0].track_id == 1
    # Who overlaps at the start is no collision.
    assert neuroncap.score(drive(scene([Actor(21.0)], speed_mps=1.0, horizon_s=1.0), 0.0), WAY).total == 1.0


def test_scene_score_of_alpasim() -> None:
    """AlpaSim (NVlabs/alpasim, scene_score.py and its tests): min(1, progress / 0.8); 0 at fault or off road; 1 below 5 m."""
    assert alpasim_scene.score(drive(scene(speed_mps=8.0), 0.0), WAY).total == pytest.approx(1.0)
    assert alpasim_scene.score(drive(scene(speed_mps=4.0), 0.0), WAY).total == pytest.approx(0.5)
    short = alpasim_scene.score(drive(scene(), 0.0), Reference(4.9))
    assert short.total == 1.0 and "progress" in short.inapplicable
    crash = alpasim_scene.score(drive(scene([Actor(80.0)], speed_mps=10.0), 0.0), WAY)
    assert crash.total == 0.0 and crash.gates["collision_at_fault"] == 0.0 and crash.measures["incident_at_fault"] == 1.0
    off = alpasim_scene.score(drive(scene(speed_mps=10.0), 0.0, -0.03), WAY)
    assert off.total == 0.0 and [event.kind for event in off.events] == ["offroad"]
    no_road = replace(straight_road(), drivable=())
    assert "offroad" in alpasim_scene.score(drive(scene(speed_mps=8.0, road=no_road), 0.0), WAY).inapplicable


def test_who_is_hit_at_the_rear_keeps_the_progress_until_then() -> None:
    """AlpaSim, processing.py: everything after the first incident is cut off; a contact at the rear is not at fault."""
    driven = drive(scene([Actor(5.0, 13.0)], speed_mps=5.0), 0.0)
    judged = alpasim_scene.score(driven, WAY)
    gap_m = 20.0 + EGO_SHAPE.rear_axle_to_centre_m - 0.5 * EGO_SHAPE.length_m - 7.0
    contact_s = np.ceil(gap_m / 8.0 / 0.1) * 0.1
    assert judged.gates["collision_at_fault"] == 1.0 and judged.measures["incident"] == 1.0
    assert judged.total == pytest.approx(5.0 * contact_s / 100 / 0.8)
    assert judged.measures["distance_m"] == pytest.approx(5.0 * contact_s)


def test_severity_of_a_rear_end_impact() -> None:
    """Geisslinger et al. 2023 (harm_parameters.json): half of 10 m/s for each of equal cars; -4.457 + 0.177 dv, rear -0.431."""
    twin = Actor(80.0, size_lw_m=(EGO_SHAPE.length_m, EGO_SHAPE.width_m))
    judged = severity.score(drive(scene([twin], speed_mps=10.0), 0.0), WAY)
    assert judged.measures["ego_delta_v_mps"] == judged.measures["other_delta_v_mps"] == pytest.approx(5.0)
    front, rear = 1 / (1 + np.exp(4.457 - 0.885)), 1 / (1 + np.exp(4.888 - 0.885))
    assert judged.total == pytest.approx((1 - front) * (1 - rear)) and not judged.passed
    assert severity.score(drive(scene([Actor(200.0, 10.0)], speed_mps=10.0), 0.0), WAY).total == 1.0


def test_severity_for_who_is_not_protected() -> None:
    """The same source: 75 kg on foot, log odds -3.164 + 0.288 dv; masses of cars from their area."""
    walker = Actor(80.0, category=AgentClass.PEDESTRIAN, size_lw_m=(0.5, 0.5))
    judged = severity.score(drive(scene([walker], speed_mps=10.0), 0.0), WAY)
    ego_kg = 526.9 * (EGO_SHAPE.length_m * EGO_SHAPE.width_m) ** 0.8 - 1333.5
    assert car_kg(EGO_SHAPE.length_m, EGO_SHAPE.width_m) == pytest.approx(ego_kg)
    dv = 10.0 * ego_kg / (ego_kg + 75.0)
    assert judged.gates["other"] == pytest.approx(1 - 1 / (1 + np.exp(3.164 - 0.288 * dv)))
    assert judged.measures["death_risk"] == pytest.approx(1 / (1 + np.exp(6.9 - 0.09 * 36.0)))
    cone = severity.score(drive(scene([Actor(80.0, category=AgentClass.TRAFFIC_CONE)], speed_mps=10.0), 0.0), WAY)
    assert set(cone.inapplicable) == {"occupants", "other"}


def test_published_facts_about_the_curves() -> None:
    """Rosén and Sander 2009, abstract: at 50 km/h more than twice the risk of 40 and over five times that of 30 km/h."""
    at = {kmh: risk(DEATH + DEATH_PER_KMH * kmh) for kmh in (30, 40, 50)}
    assert 2 < at[50] / at[40] < 3 and 5 < at[50] / at[30] < 6
    assert occupant_risk(10.0, np.pi / 2) > occupant_risk(10.0, 0.0) > occupant_risk(10.0, np.pi)
