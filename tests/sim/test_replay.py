"""Recorded motion: an agent is where the log says when the log says, comes and goes with it, and then drives on by itself."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import Action, Scene
from drivewm.sim.engine import Engine, EngineState
from drivewm.sim.forecast import roll_forward
from tests.straight_road import Actor, scene

INSTANTS = 101


def logged(one: Scene, s_m: np.ndarray, until_s: float = 10.0) -> Scene:
    return replace(one, log_s_m=np.atleast_2d(s_m), log_until_s=np.full(len(np.atleast_2d(s_m)), until_s))


def drive(engine: Engine, steps: int) -> list[EngineState]:
    states, idle = [engine.start()], Action(np.zeros(len(engine.scenes)), np.zeros(len(engine.scenes)))
    for _ in range(steps):
        states.append(engine.step(states[-1], idle))
    return states


def test_an_agent_is_where_its_log_says() -> None:
    """A car that speeds up and brakes again, 30 + 8 t + 2 sin t."""
    t_s = np.arange(INSTANTS) * 0.1
    states = drive(Engine([logged(scene([Actor(30.0, 8.0)], speed_mps=0.0), 30.0 + 8.0 * t_s + 2.0 * np.sin(t_s))]), 100)
    x = np.array([state.world.agents.xy_yaw_world[0, 0, 0] for state in states])
    np.testing.assert_allclose(x, 30.0 + 8.0 * t_s + 2.0 * np.sin(t_s), atol=1e-9)
    speed = np.array([state.world.agents.speed_mps[0, 0] for state in states])
    np.testing.assert_allclose(speed[1:-1], (8.0 + 2.0 * np.cos(t_s))[1:-1], atol=0.01)


def test_agents_come_and_go_with_their_logs() -> None:
    s_m = np.full(INSTANTS, np.nan)
    s_m[20:61] = 50.0 + np.arange(41)
    states = drive(Engine([logged(scene([Actor(50.0, 10.0)], speed_mps=0.0), s_m)]), 100)
    there = [bool(state.world.agents.valid[0, 0]) for state in states]
    assert there == [20 <= i <= 60 for i in range(101)]


def test_scenes_with_and_without_a_log_share_a_batch() -> None:
    plain = scene([Actor(60.0, 8.0), Actor(90.0, 7.0, reactive=True)], speed_mps=5.0)
    with_log = logged(scene([Actor(30.0, 8.0)], speed_mps=0.0), 30.0 + 0.5 * np.arange(INSTANTS))
    together, alone = drive(Engine([plain, with_log]), 50)[-1], drive(Engine([plain]), 50)[-1]
    assert np.array_equal(together.world.agents.xy_yaw_world[0], alone.world.agents.xy_yaw_world[0])
    assert together.world.agents.valid.tolist() == [[True, True], [True, False]]
    assert together.world.agents.xy_yaw_world[1, 0, 0] == pytest.approx(55.0)


def test_after_its_log_a_vehicle_brakes_for_an_ego_that_stands() -> None:
    """The recorded car drove 10 m/s through where the ego now stands, 60 m ahead; from 2 s on it keeps its distance."""
    s_m = 10.0 + np.arange(INSTANTS)
    follower = scene([Actor(10.0, 10.0, reactive=True, desired_mps=10.0)], speed_mps=0.0, ego_x_m=70.0)
    for until_s, hits in ((10.0, True), (2.0, False)):
        states = drive(Engine([logged(follower, s_m, until_s)]), 100)
        x = states[-1].world.agents.xy_yaw_world[0, 0, 0]
        assert (x > 100.0) == hits, x
        if not hits:
            assert x < 70.0 and states[-1].world.agents.speed_mps[0, 0] < 0.5


def test_forecasts_know_the_log() -> None:
    s_m = 30.0 + np.arange(INSTANTS) ** 1.2
    engine = Engine([logged(scene([Actor(30.0, 8.0)], speed_mps=0.0), s_m)])
    seen = roll_forward(engine, engine.start(), np.array([1.0, 4.0]))
    np.testing.assert_allclose(seen.xy_yaw_world[0, :, 0, 0], s_m[[10, 40]], atol=1e-9)
