"""The reference drivers against what is published about them, and in situations whose outcome can be computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import (
    EGO_SHAPE,
    AgentClass,
    Conditions,
    Lane,
    Light,
    ManoeuvreKind,
    RoadMap,
    Rollout,
    Scene,
    TriggerKind,
    Weather,
)
from drivewm.policies.reference import published
from drivewm.policies.reference.attentive import AttentivePolicy
from drivewm.policies.reference.r157 import R157Policy
from drivewm.policies.reference.sight import EYE_M, in_sight, sight_range_m
from drivewm.protocols import Policy
from drivewm.rollout import rollout
from drivewm.sim.engine import Engine
from drivewm.sim.rigs import nuscenes_rig
from drivewm.sim.traffic import smooth
from drivewm.testing import BlankWorld, check_policy
from tests.straight_road import LANE_M, Actor, scene, straight_line

FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
EGO_X_M = 20.0
FULL = 0.774 * 9.81
PERIOD_S = 0.2  # between two plans


def drive(
    policy: Policy, actors: list[Actor], speed_mps: float, weather: Weather = Weather.CLEAR, lit: Light = Light.DAY
) -> Rollout:
    return rollout([motorway(actors, speed_mps, weather, lit)], policy, BlankWorld(nuscenes_rig(2, 2)), seed=0)[0]


def motorway(actors: list[Actor], speed_mps: float, weather: Weather = Weather.CLEAR, lit: Light = Light.DAY) -> Scene:
    """Two lanes in the same direction, the ego in the right one."""
    lanes = (
        Lane("main.0", straight_line(), LANE_M, 36.0, left="main.1"),
        Lane("main.1", straight_line(LANE_M), LANE_M, 36.0, right="main.0"),
    )
    drivable = np.array([[0.0, -1.75], [400.0, -1.75], [400.0, 5.25], [0.0, 5.25]])
    made = scene(actors, speed_mps=speed_mps, ego_x_m=EGO_X_M, road=RoadMap(lanes=lanes, drivable=(drivable,)), horizon_s=12.0)
    return replace(made, speed_limit_mps=36.0, conditions=Conditions(weather=weather, light=lit))


def sideways(
    begin_s: float, offset_m: float, lasts_s: float
) -> tuple[tuple[TriggerKind, float, ManoeuvreKind, float, float], ...]:
    return ((TriggerKind.TIME, begin_s, ManoeuvreKind.OFFSET, offset_m, lasts_s),)


def at_gap(gap_m: float, speed_mps: float, **rest: object) -> Actor:
    """A car 4 m long whose rear is ``gap_m`` ahead of the ego's front bumper."""
    return Actor(EGO_X_M + FRONT_M + gap_m + 2.0, speed_mps, **rest)  # type: ignore[arg-type]


def onset_s(result: Rollout) -> float:
    """When the published trace began, from when 0.5 m/s were lost."""
    lost = result.states.ego_speed_mps[0] - result.states.ego_speed_mps
    return float(np.interp(0.5, lost, result.states.t_s)) - np.sqrt(2 * 0.5 / (FULL / 0.6))


class TestPublishedValues:
    def test_minimum_following_distance_is_the_table_of_the_regulation(self) -> None:
        speed = np.array([7.2, 10, 20, 30, 40, 50, 60]) / 3.6
        assert published.minimum_gap_m(speed).round(1).tolist() == [2.0, 3.1, 6.7, 10.8, 15.6, 20.8, 26.7]
        assert published.minimum_time_gap_s(np.array(15 / 3.6)) == pytest.approx(1.15)  # interpolated, as the text asks
        assert published.minimum_gap_m(np.array([0.0, 1.0, 1.9])).tolist() == [2.0, 2.0, 2.0]

    def test_cut_in_that_must_be_avoided(self) -> None:
        # 6 m/s faster: 6 / 12 + 0.35 = 0.85 s; 60 km/h against 20 km/h: 11.11 / 12 + 0.35 = 1.276 s
        assert published.must_avoid_cut_in([0.84, 0.86], 6.0).tolist() == [False, True]
        assert published.must_avoid_cut_in([1.27, 1.28], 40 / 3.6).tolist() == [False, True]

    def test_brake_trace_reaches_three_quarters_of_gravity_in_six_tenths(self) -> None:
        assert published.BRAKE_JERK_MPS3 == pytest.approx(12.65, abs=0.01)
        assert published.brake_mps2([-1.0, 0.0, 0.3, 0.6, 5.0]) == pytest.approx([0, 0, FULL / 2, FULL, FULL])
        # Snow: the same pedal, but the road gives no more than 0.35 g.
        assert published.brake_mps2(5.0, published.braking_limit_mps2(Weather.SNOW)) == pytest.approx(0.35 * 9.81)

    @pytest.mark.parametrize("speed_mps", [1.0, 60 / 3.6, 130 / 3.6])
    def test_braking_distance_is_the_integral_of_the_trace(self, speed_mps: float) -> None:
        t = np.linspace(0.0, 10.0, 200_001)
        speed = np.maximum(0.0, speed_mps - np.cumsum(published.brake_mps2(t)) * t[1])
        assert published.braking_distance_m(speed_mps) == pytest.approx(float(speed.sum() * t[1]), abs=2e-3)
        assert published.speed_lost_mps(0.9) == pytest.approx(0.5 * FULL * 0.6 + FULL * 0.3)

    def test_stopping_from_60_kmh(self) -> None:
        # 16.67 * 0.6 - 12.655 * 0.216 / 6 + (16.67 - 2.278)^2 / (2 * 7.593)
        assert published.braking_distance_m(60 / 3.6) == pytest.approx(23.18, abs=0.02)


CLOSING = 20 / 3.6


def cut_in(gap_when_judged_m: float) -> tuple[Actor, float]:
    """A car 20 km/h slower changes from the left lane; and when its risk is judged: 0.4 s after it is 0.375 m off its middle."""
    share = np.linspace(0.0, 1.0, 100_001)
    left_zone_s = 0.5 + 3.0 * float(np.interp(0.375 / LANE_M, smooth(share), share))
    judged_s = left_zone_s + 0.4
    gap = gap_when_judged_m + CLOSING * judged_s
    return at_gap(gap, 25.0 - CLOSING, y_m=LANE_M, steps=sideways(0.5, -LANE_M, 3.0)), judged_s


class TestR157:
    def test_keeps_the_rules_of_a_policy(self) -> None:
        check_policy(R157Policy())

    def test_brakes_as_the_regulation_says(self) -> None:
        """1.15 s after the car left its zone. The pedal moves once per plan, so between plans the speed is a little off."""
        intruder, judged_s = cut_in(9.0)
        result = drive(R157Policy(), [intruder], 25.0)
        t_s, speed = result.states.t_s, result.states.ego_speed_mps
        braking = speed > 25.0 - CLOSING + 0.1
        expected = 25.0 - published.speed_lost_mps(t_s - judged_s - 0.75)
        assert speed[braking] == pytest.approx(expected[braking], abs=0.12)
        planned = braking & (np.arange(len(t_s)) % 2 == 0)
        assert speed[planned] == pytest.approx(expected[planned], abs=0.06)
        assert result.states.ego_accel_mps2[t_s > judged_s + 0.75 + 0.6 + PERIOD_S][0] == pytest.approx(-FULL, abs=0.01)
        assert result.states.ego_accel_mps2.min() >= -FULL - 0.01

    @pytest.mark.parametrize(("spare_m", "ends"), [(0.2, "horizon"), (-0.2, "collision")])
    def test_prevents_what_arithmetic_says_can_be_prevented(self, spare_m: float, ends: str) -> None:
        # While 20 km/h are shed the gap shrinks by 5.556 * 0.75 before and 2.878 + 0.707 m while braking: 7.75 m in all.
        shrinks = CLOSING * 0.75 + 2.878 + 0.707
        assert shrinks == pytest.approx(CLOSING * 0.75 + float(published.braking_distance_m(CLOSING)), abs=2e-3)
        assert drive(R157Policy(), [cut_in(shrinks + spare_m)[0]], 25.0).ended == ends

    @pytest.mark.parametrize(("offset_m", "brakes"), [(0.3, False), (0.5, True)])
    def test_a_car_may_wander_in_its_lane(self, offset_m: float, brakes: bool) -> None:
        wanderer = at_gap(14.0, 20.0, y_m=LANE_M, steps=sideways(0.5, -offset_m, 1.5))
        result = drive(R157Policy(), [wanderer], 25.0)
        assert (result.states.ego_accel_mps2.min() < -7.0) == brakes
        assert brakes or result.states.ego_accel_mps2.min() > -0.1

    @pytest.mark.parametrize(("ttc_s", "brakes"), [(2.6, True), (6.0, False)])
    def test_a_cut_in_is_a_danger_below_two_seconds(self, ttc_s: float, brakes: bool) -> None:
        intruder = at_gap(ttc_s * 5.0, 20.0, y_m=LANE_M, steps=sideways(0.0, -LANE_M, 2.0))
        result = drive(R157Policy(), [intruder], 25.0)
        assert result.ended == "horizon"
        assert (result.states.ego_accel_mps2.min() < -5.1) == brakes

    @pytest.mark.parametrize(("braking_mps2", "hard"), [(4.0, False), (7.0, True)])
    def test_a_lead_that_brakes_harder_than_five_is_a_danger(self, braking_mps2: float, hard: bool) -> None:
        lead = at_gap(2.0 * 20.0, 20.0, steps=((TriggerKind.TIME, 1.0, ManoeuvreKind.SPEED, 0.0, braking_mps2),))
        result = drive(R157Policy(), [lead], 20.0)
        assert result.ended == "horizon"
        assert (result.states.ego_accel_mps2.min() < -5.1) == hard
        if hard:
            assert onset_s(result) == pytest.approx(1.0 + 0.4 + 0.75, abs=PERIOD_S / 2)

    def test_sees_a_standing_car_only_when_the_lead_makes_way(self) -> None:
        share = np.linspace(0.0, 1.0, 100_001)
        free_s = 1.0 + 3.0 * float(np.interp(0.375 / LANE_M, smooth(share), share))
        lead = at_gap(2.0 * 20.0, 20.0, steps=sideways(1.0, LANE_M, 3.0))
        result = drive(R157Policy(), [lead, at_gap(95.0, 0.0)], 20.0)
        assert result.ended == "horizon"
        assert onset_s(result) == pytest.approx(free_s + 0.4 + 0.75, abs=PERIOD_S / 2)
        assert result.states.ego_accel_mps2.min() == pytest.approx(-FULL, abs=0.01)


def walker(x_m: float, y_m: float) -> Actor:
    return Actor(x_m, 0.0, y_m=y_m, category=AgentClass.PEDESTRIAN, size_lw_m=(0.6, 0.6))


def seen_from(x_m: float, actors: list[Actor], **kind: object) -> list[bool]:
    """Who is seen from an ego whose eyes are at ``x_m``."""
    where = motorway(actors, 10.0, **kind)  # type: ignore[arg-type]
    state = Engine([where]).start().world[0]
    pose = np.array([x_m - EYE_M[0], 0.0, 0.0])
    return [bool(seen) for seen in in_sight(where, replace(state, ego_xy_yaw_world=pose))]


class TestAttentive:
    def test_keeps_the_rules_of_a_policy(self) -> None:
        check_policy(AttentivePolicy())

    def test_stops_for_somebody_in_the_way(self) -> None:
        result = drive(AttentivePolicy(), [walker(90.0, 0.0)], 14.0)
        assert result.ended == "horizon"
        assert result.states.ego_speed_mps[-1] < 0.2
        assert result.states.ego_xy_yaw_world[-1, 0] + FRONT_M < 90.0 - 0.3

    def test_brakes_for_a_car_that_comes_over(self) -> None:
        result = drive(AttentivePolicy(), [cut_in(12.0)[0]], 25.0)
        assert result.ended == "horizon"

    def test_a_van_hides_until_the_line_of_sight_opens(self) -> None:
        # The van covers x 60 to 65 and y -3.5 to -1.5. Two corners of somebody at (67, -2.2) come into sight past its corner
        # (65, -1.5): (67.27, -1.93) from x = 55.1 on, (66.73, -1.93) from 57.5 on; the eyes are 0.37 m left of the middle.
        van = Actor(62.5, 0.0, y_m=-2.5, size_lw_m=(5.0, 2.0))
        assert seen_from(56.9, [van, walker(67.0, -2.2)]) == [True, False]
        assert seen_from(58.1, [van, walker(67.0, -2.2)]) == [True, True]

    def test_a_high_body_is_seen_over_a_low_one(self) -> None:
        low, high = Actor(60.0, 0.0), Actor(100.0, 0.0)
        where = motorway([low, high], 10.0)
        state = Engine([where]).start().world[0]
        size = state.agents.size_lwh_m.copy()
        assert in_sight(where, state).tolist() == [True, False]
        size[1, 2] = 3.5
        assert in_sight(where, replace(state, agents=replace(state.agents, size_lwh_m=size))).tolist() == [True, True]

    def test_darkness_hides_who_has_no_lamps_and_fog_everybody(self) -> None:
        walk, car = AgentClass.PEDESTRIAN, AgentClass.CAR
        night = sight_range_m(Conditions(light=Light.NIGHT), np.array([walk, car]))
        assert night[0] == pytest.approx(65.0) and night[1] > 1000.0
        fog = sight_range_m(Conditions(weather=Weather.FOG), np.array([walk, car]))
        assert fog == pytest.approx([77.9, 77.9], abs=0.1)  # 26 m haze length of the reference world times ln 20
        assert seen_from(30.0, [walker(110.0, 0.0)]) == [True]
        assert seen_from(30.0, [walker(110.0, 0.0)], weather=Weather.FOG) == [False]
        assert seen_from(30.0, [walker(110.0, 0.0)], lit=Light.NIGHT) == [False]

    def test_reacts_later_in_fog(self) -> None:
        def begins_s(weather: Weather) -> float:
            result = drive(AttentivePolicy(), [at_gap(140.0, 0.0)], 25.0, weather)
            return float(result.states.t_s[np.argmax(result.states.ego_accel_mps2 < -0.5)])

        assert begins_s(Weather.FOG) > begins_s(Weather.CLEAR) + 1.0

    def test_brakes_no_harder_than_the_road_allows(self) -> None:
        for weather, share in ((Weather.CLEAR, 0.774), (Weather.RAIN, 0.50), (Weather.SNOW, 0.35)):
            result = drive(AttentivePolicy(), [at_gap(45.0, 0.0)], 25.0, weather)
            assert result.states.ego_accel_mps2.min() == pytest.approx(-share * 9.81, abs=0.05)

    def test_surprise_takes_longer_than_what_is_expected(self) -> None:
        """A standing car straight ahead is seen at once: 1.25 s; one that is seen only when it is close: 1.5 s later."""
        result = drive(AttentivePolicy(), [at_gap(50.0, 0.0)], 25.0)
        full_s = result.states.t_s[np.argmax(result.states.ego_accel_mps2 < -5.0)]
        assert full_s == pytest.approx(1.25 + 0.5, abs=PERIOD_S)


def test_a_car_behind_a_crest_is_seen_when_its_roof_comes_over_the_top() -> None:
    """A parabola of 400 m radius: an eye 1.08 m high sees a roof 1.5 m high over sqrt(2 R) (sqrt(1.08) + sqrt(1.5)) = 64 m."""
    x = np.arange(-200.0, 201.0, 1.0)
    hill = np.stack([x + 200.0, np.maximum(0.0, 25.0 - x**2 / 800.0)], -1)  # its top is at x = 200 m
    for apart_m, seen in ((68.0, False), (60.0, True)):
        one = scene([Actor(200.0 + 0.54 * apart_m)], ego_x_m=200.0 - 0.46 * apart_m)
        road = replace(one.road, height_xz_m=hill)
        assert in_sight(one, one.start).tolist() == [True], "on a level road"
        assert in_sight(replace(one, road=road), one.start).tolist() == [seen], apart_m
