"""Agents follow, stop, wait and fire their steps at the instants that arithmetic gives."""

import numpy as np
import pytest

from drivewm.datatypes import Action, ManoeuvreKind, SignalState, TriggerKind
from drivewm.sim.engine import Engine, EngineState
from drivewm.sim.leaders import IDM
from tests.straight_road import Actor, light, scene, straight_road

STAND = Action(np.zeros(1), np.zeros(1))


def _run(engine: Engine, seconds: float, action: Action = STAND) -> list[EngineState]:
    states = [engine.start()]
    for _ in range(round(seconds / engine.dt_s)):
        states.append(engine.step(states[-1], action))
    return states


def test_a_follower_settles_at_the_equilibrium_gap() -> None:
    """Gap s0 + v T behind a leader of equal speed, to 2 cm."""
    actors = [Actor(150.0, 8.0), Actor(60.0, 12.0, reactive=True, desired_mps=15.0)]
    agents = _run(Engine([scene(actors)]), 90.0)[-1].world.agents
    gap = agents.xy_yaw_world[0, 0, 0] - agents.xy_yaw_world[0, 1, 0] - 4.0
    assert agents.speed_mps[0, 1] == pytest.approx(8.0, abs=0.01)
    assert gap == pytest.approx(IDM.gap_m + 8.0 * IDM.time_gap_s, abs=0.02)


def test_a_follower_stops_behind_a_standing_ego_without_touching_it() -> None:
    states = _run(Engine([scene([Actor(20.0, 13.0, reactive=True)], ego_x_m=120.0)]), 30.0)
    rear_m = 120.0 - (0.5 * 4.084 - 1.386)
    gaps = np.array([rear_m - s.world.agents.xy_yaw_world[0, 0, 0] - 2.0 for s in states])
    assert gaps.min() > 1.0
    assert states[-1].world.agents.speed_mps[0, 0] < 0.05
    assert gaps[-1] == pytest.approx(IDM.gap_m, abs=0.2)


def test_a_free_agent_reaches_its_desired_speed_and_not_more() -> None:
    speed = np.array([s.world.agents.speed_mps[0, 0] for s in _run(Engine([scene([Actor(60.0, 2.0, reactive=True)])]), 40.0)])
    assert speed.max() <= 13.0 + 1e-9 and speed[-1] == pytest.approx(13.0, abs=0.05)


def test_traffic_beside_the_path_is_no_leader() -> None:
    actors = [
        Actor(60.0, 10.0, reactive=True, desired_mps=10.0),
        Actor(80.0, 0.0, y_m=3.5),
        Actor(90.0, 8.0, y_m=3.5, oncoming=True),
    ]
    assert _run(Engine([scene(actors)]), 6.0)[-1].world.agents.speed_mps[0, 0] == pytest.approx(10.0, abs=1e-9)


def test_a_braking_actor_stops_after_v2_over_2a() -> None:
    brake = (TriggerKind.TIME, 0.0, ManoeuvreKind.SPEED, 0.0, 4.0)
    agents = _run(Engine([scene([Actor(60.0, 12.0, steps=(brake,))])]), 5.0)[-1].world.agents
    assert agents.xy_yaw_world[0, 0, 0] - 60.0 == pytest.approx(12.0**2 / 8, abs=1e-9)
    assert agents.speed_mps[0, 0] == 0.0


def test_time_trigger_fires_in_the_step_that_begins_at_its_time() -> None:
    go = (TriggerKind.TIME, 2.0, ManoeuvreKind.SPEED, 5.0, 2.0)
    speed = [s.world.agents.speed_mps[0, 0] for s in _run(Engine([scene([Actor(60.0, steps=(go,))])]), 4.6)]
    assert speed[20] == 0.0 and speed[21] == pytest.approx(0.2)
    assert speed[45] == pytest.approx(5.0, abs=1e-9)


def test_distance_trigger_fires_when_centres_are_that_near() -> None:
    """A standing actor 80 m ahead of the ego's centre at 10 m/s: 50 m are left after 3 s."""
    go = (TriggerKind.DISTANCE, 50.0, ManoeuvreKind.SPEED, 5.0, 2.0)
    actor = Actor(20.0 + 1.386 + 80.05, steps=(go,))
    speed = [s.world.agents.speed_mps[0, 0] for s in _run(Engine([scene([actor], speed_mps=10.0)]), 4.0)]
    assert speed[31] == 0.0 and speed[32] > 0


def test_ttc_trigger_fires_at_distance_over_closing_speed() -> None:
    """80.05 m at 10 m/s: 4 s are left after 4.005 s; an opening pair never fires."""
    go = (TriggerKind.TTC, 4.0, ManoeuvreKind.SPEED, 20.0, 2.0)
    actor = Actor(20.0 + 1.386 + 80.05, steps=(go,))
    speed = [s.world.agents.speed_mps[0, 0] for s in _run(Engine([scene([actor], speed_mps=10.0)]), 5.0)]
    assert speed[41] == 0.0 and speed[42] > 0
    opening = Actor(60.0, 12.0, steps=(go,))
    assert _run(Engine([scene([opening], speed_mps=10.0)]), 5.0)[-1].world.agents.speed_mps[0, 0] == 12.0


def test_steps_fire_one_after_another() -> None:
    steps = ((TriggerKind.TIME, 2.0, ManoeuvreKind.SPEED, 6.0, 3.0), (TriggerKind.TIME, 1.0, ManoeuvreKind.SPEED, 0.0, 3.0))
    speed = [s.world.agents.speed_mps[0, 0] for s in _run(Engine([scene([Actor(60.0, 3.0, steps=steps)])]), 4.0)]
    assert speed[20] == 3.0 and speed[21] == pytest.approx(3.3)
    assert speed[22] == pytest.approx(3.0) and speed[-1] == 0.0


def test_a_cut_in_moves_exactly_one_lane_and_heads_where_it_goes() -> None:
    cut_in = (TriggerKind.TIME, 1.0, ManoeuvreKind.OFFSET, -3.5, 3.0)
    states = _run(Engine([scene([Actor(60.0, 10.0, y_m=3.5, steps=(cut_in,))])]), 5.0)
    poses = np.array([s.world.agents.xy_yaw_world[0, 0] for s in states])
    assert np.all(poses[:11, 1] == 3.5) and np.allclose(poses[41:, 1], 0.0, atol=1e-9)
    assert poses[25, 1] == pytest.approx(1.75, abs=0.01)  # half-way in the middle of the manoeuvre
    heading = np.arctan2(np.gradient(poses[:, 1]), np.gradient(poses[:, 0]))
    np.testing.assert_allclose(poses[:, 2], heading, atol=0.01)


def test_a_standing_car_does_not_slide_sideways() -> None:
    aside = (TriggerKind.TIME, 0.0, ManoeuvreKind.OFFSET, 2.0, 2.0)
    poses = _run(Engine([scene([Actor(60.0, 0.0, steps=(aside,))])]), 3.0)[-1].world.agents.xy_yaw_world
    np.testing.assert_allclose(poses[0, 0], [60.0, 0.0, 0.0], atol=1e-9)


def test_red_light_stops_reactive_traffic_and_green_releases_it() -> None:
    """Green until 2 s, yellow to 5 s, red to 25 s, then green; the front rests within a metre before the line."""
    place = scene([Actor(60.0, 12.0, reactive=True)], road=straight_road((light(120.0, (2.0, 3.0, 20.0)),)))
    states = _run(Engine([place]), 40.0)
    signal = np.array([s.world.signal[0, 0] for s in states])
    assert np.all(signal[:20] == SignalState.GREEN) and np.all(signal[21:50] == SignalState.YELLOW)
    assert np.all(signal[51:250] == SignalState.RED) and np.all(signal[251:270] == SignalState.GREEN)
    front = np.array([s.world.agents.xy_yaw_world[0, 0, 0] + 2.0 for s in states])
    assert front[:250].max() < 120.0 and front[245] == pytest.approx(119.5, abs=0.5)
    assert front[-1] > 125.0
