"""Candidate plans get the sub-scores that the situation forces on them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, Action, Agents, Array, Scene, WorldState
from drivewm.metrics.candidates import SUB_SCORES, CandidateScores, score_candidates
from drivewm.metrics.grounds import DrivableGrid, Grounds
from drivewm.sim.engine import Engine
from drivewm.sim.forecast import roll_forward
from eval.benchmarks.scorer_scene import STEPS, task
from tests.straight_road import Actor, light, scene, straight_road

T_S = 0.5 * np.arange(1, 9)
FRONT_M = 20.0 + EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m


def _plan(speed: float, accel: float = 0.0, offset_m: float = 0.0) -> Array:
    """Along +x from (20, 0) with an offset reached after 2 s."""
    stop_s = np.minimum(T_S, speed / -accel) if accel < 0 else T_S
    x = 20.0 + speed * stop_s + 0.5 * accel * stop_s**2
    share = np.clip(T_S / 2.0, 0.0, 1.0)
    y = offset_m * share**2 * (3 - 2 * share)
    slope = np.gradient(y, x) if offset_m else np.zeros(8)
    return np.stack([x, y, np.arctan(slope), speed + accel * stop_s], -1)


def _judge(place: Scene, *plans: Array) -> CandidateScores:
    engine = Engine([place])
    state = engine.start()
    return score_candidates(np.stack(plans)[None], T_S, roll_forward(engine, state, T_S), Grounds.of([place]), state.world)[0]


def test_on_a_free_road_the_plan_along_the_route_is_perfect() -> None:
    judged = _judge(scene(speed_mps=10.0), _plan(10.0), _plan(10.0, -2.0))
    assert judged.total[0] == pytest.approx(1.0) and judged.total[1] < 1.0
    assert judged.progress[1] == pytest.approx(24.0 / 40.0, abs=1e-6)
    assert judged.parts().shape == (2, len(SUB_SCORES))


def test_only_braking_avoids_a_standing_car() -> None:
    """23 m ahead at 10 m/s: in 4 s, 2 m/s^2 lead 24 m on, 3 m/s^2 stop after 17 m."""
    judged = _judge(scene([Actor(FRONT_M + 23.0 + 2.0)], speed_mps=10.0), _plan(10.0), _plan(10.0, -2.0), _plan(10.0, -3.0))
    assert judged.no_collision.tolist() == [0.0, 0.0, 1.0]
    assert judged.total.argmax() == 2


def test_a_fast_crossing_is_not_jumped_over() -> None:
    """Oncoming at 14 m/s each: 28 m/s close 14 m between two plan points."""
    place = scene([Actor(90.0, 14.0, oncoming=True)], speed_mps=14.0)
    assert _judge(place, _plan(14.0)).no_collision[0] == 0.0


def test_time_to_collision_of_a_plan_looks_one_second_beyond_it() -> None:
    """Constant 10 m/s towards a car whose rear is 45 m (49 m, 51 m) ahead: 40 m are driven, 0.5 s (0.9 s, 1.1 s) remain."""
    values = [_judge(scene([Actor(FRONT_M + gap + 2.0)], speed_mps=10.0), _plan(10.0)) for gap in (45.0, 49.0, 51.0)]
    assert [v.ttc[0] for v in values] == [0.0, 0.0, 1.0] and all(v.no_collision[0] == 1.0 for v in values)


def test_who_comes_from_behind_is_not_held_against_a_plan() -> None:
    judged = _judge(scene([Actor(8.0, 13.0)], speed_mps=8.0), _plan(8.0))
    assert judged.no_collision[0] == 1.0 and judged.ttc[0] == 1.0


@pytest.mark.parametrize(("until_s", "met"), [(1.0, False), (10.0, True)])
def test_who_is_recorded_to_be_gone_by_then_is_not_met(until_s: float, met: bool) -> None:
    """A car stands 30 m ahead of an ego at 10 m/s; in the recording it is seen for 1 s, or all the time."""
    place = scene([Actor(FRONT_M + 30.0 + 2.0)], speed_mps=10.0)
    log = np.full((1, 101), FRONT_M + 32.0)
    log[:, round(10 * until_s) + 1 :] = np.nan
    logged = replace(place, log_s_m=log, log_until_s=np.array([10.0]))
    assert _judge(logged, _plan(10.0)).no_collision.tolist() == [0.0 if met else 1.0]


def test_leaving_the_road_and_the_route_costs() -> None:
    judged = _judge(scene(speed_mps=10.0), _plan(10.0), _plan(10.0, 0.0, 1.0), _plan(10.0, 0.0, 3.4), _plan(10.0, 0.0, -2.0))
    assert judged.drivable.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert judged.route[0] == 1.0 and judged.route[0] > judged.route[1] > judged.route[2]


def test_a_red_light_forbids_what_crosses_its_line() -> None:
    place = scene(speed_mps=10.0, road=straight_road((light(FRONT_M + 25.0, (0.5, 1.0, 60.0)),)))
    assert _judge(place, _plan(10.0), _plan(10.0, -4.0)).red_light.tolist() == [0.0, 1.0]
    green = scene(speed_mps=10.0, road=straight_road((light(FRONT_M + 25.0, (60.0, 1.0, 60.0)),)))
    assert _judge(green, _plan(10.0)).red_light.tolist() == [1.0]


def test_comfort_fades_from_half_the_bound() -> None:
    judged = _judge(scene(speed_mps=10.0), _plan(10.0), _plan(10.0, -1.0), _plan(10.0, -1.6), _plan(10.0, -5.0))
    assert judged.comfort[0] == 1.0 and judged.comfort[2] == pytest.approx(2 - 2 * 3.2 / 4.13)  # jerk: 1.6 m/s^2 in 0.5 s
    assert judged.comfort[1] == 1.0 and judged.comfort[3] == 0.0


def test_a_batch_equals_its_scenes_judged_alone() -> None:
    places = [
        scene([Actor(60.0, 5.0)], speed_mps=10.0),
        scene([Actor(45.0), Actor(90.0, 9.0, y_m=3.5, oncoming=True)], speed_mps=10.0),
    ]
    plans = np.stack([_plan(10.0), _plan(10.0, -3.0), _plan(10.0, 0.0, 2.0)])
    engine = Engine(places)
    state = engine.step(engine.start(), Action(np.zeros(2), np.zeros(2)))
    futures, world = roll_forward(engine, state, T_S), state.world
    together = score_candidates(np.stack([plans, plans]), T_S, futures, Grounds.of(places), world)
    for b, place in enumerate(places):
        alone = score_candidates(plans[None], T_S, futures[b : b + 1], Grounds.of([place]), world[b : b + 1])
        np.testing.assert_allclose(together.parts()[b], alone.parts()[0], atol=1e-12)


def test_the_drivable_grid_is_right_to_a_quarter_metre() -> None:
    place = straight_road()
    grid = DrivableGrid.of(place, np.array([[20.0, 0.0], [380.0, 0.0]]))
    x = np.linspace(30, 370, 200)
    for y, inside in ((-1.7, True), (5.2, True), (-2.01, False), (5.51, False), (0.0, True)):
        assert np.all(grid.contains(np.stack([x, np.full_like(x, y)], -1)) == inside)
    assert not grid.contains(np.array([1e4, 0.0]))


@pytest.mark.parametrize(("agents", "step"), [(30, 1), (100, 5)])
def test_leaving_out_who_cannot_meet_changes_nothing(agents: int, step: int) -> None:
    """256 plans on a full motorway against what an exact look at every pair in reach gave (`candidates_every_pair.json`)."""
    expected = json.loads(Path(__file__).with_name("candidates_every_pair.json").read_text())[f"{agents} agents, {step / 10:g} s"]
    job = task(agents)
    plans = np.concatenate([job.ways.xy_yaw[:, step::step], job.ways.speed_mps[:, step::step, None]], -1)[None]
    futures, t_s = Agents.stack([job.agents[step : STEPS + 1 : step]]), 0.1 * step * np.arange(1, STEPS // step + 1)
    judged = score_candidates(plans, t_s, futures, Grounds.of([job.scene]), WorldState.stack([job.scene.start]))[0]
    for name in ("no_collision", "ttc"):
        assert "".join(f"{v:.0f}" for v in getattr(judged, name)) == expected[name], name
    np.testing.assert_allclose(judged.total, expected["total"], atol=1e-6)
