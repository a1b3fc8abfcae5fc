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


def test_nobody_appears_inside_an_ego_that_the_recording_did_not_have_there() -> None:
    """First seen at 2 s at x = 70, driving on at 10 m/s; the ego stands there, or 30 m before."""
    s_m = np.full(INSTANTS, np.nan)
    s_m[20:] = 70.0 + np.arange(INSTANTS - 20)
    for ego_x_m, first in ((40.0, 20), (70.0, 26)):
        one = logged(scene([Actor(70.0, 10.0)], speed_mps=0.0, ego_x_m=ego_x_m), s_m)
        there = [bool(state.world.agents.valid[0, 0]) for state in drive(Engine([one]), 60)]
        # The circles around both bodies meet up to 4.4 m; the ego's middle is 1.4 m before its axle: clear from 75.8 m on.
        assert there.index(True) == first and all(there[there.index(True) :])


def test_who_reacts_still_waits_where_the_recording_waited() -> None:
    """At a light that no map knows: recorded standing until 5 s, then off to 8 m/s; free from 1 s on, with nobody ahead."""
    t_s = np.arange(INSTANTS) * 0.1
    since = np.maximum(t_s - 5.0, 0.0)
    s_m = 30.0 + np.where(since < 4.0, since**2, 16.0 + 8.0 * (since - 4.0))
    one = logged(scene([Actor(30.0, 0.0, reactive=True, desired_mps=8.0)], ego_x_m=5.0), s_m, until_s=1.0)
    x = np.array([state.world.agents.xy_yaw_world[0, 0, 0] for state in drive(Engine([one]), 100)])
    assert np.abs(x[:50] - 30.0).max() < 0.1 and x[-1] > 36.0


def test_logs_of_unlike_length_share_a_batch() -> None:
    """Each moves as alone, to its end and, as forecasts need it, beyond."""
    short = logged(
        scene([Actor(30.0, 8.0), Actor(90.0, 8.0, reactive=True)]), 30.0 + np.array([[0.0], [60.0]]) + 0.8 * np.arange(31)
    )
    short = replace(short, log_until_s=np.array([3.0, 1.0]))
    long = logged(scene([Actor(30.0, 8.0)]), 30.0 + 0.8 * np.arange(INSTANTS))
    alone, together = drive(Engine([short]), 60), drive(Engine([short, long]), 60)
    for one, both in zip(alone, together, strict=True):
        for name in ("xy_yaw_world", "speed_mps", "accel_mps2", "valid"):
            assert np.array_equal(getattr(one.world.agents, name)[0], getattr(both.world.agents, name)[0])


@pytest.mark.parametrize("speed_mps", [8.0, 25.0])
@pytest.mark.parametrize("brakes_mps2", [4.0, 8.0])
def test_who_followed_closely_still_stops_behind_an_ego_that_brakes(speed_mps: float, brakes_mps2: float) -> None:
    """Recorded 0.6 s and 2 m behind the ego; it reacts from 1 s on, the ego brakes from 2 s on."""
    x_m = 60.0 - 0.656 - 2.0 - 2.0 - 0.6 * speed_mps
    follower = scene([Actor(x_m, speed_mps, reactive=True)], speed_mps=speed_mps, ego_x_m=60.0)
    engine = Engine([logged(follower, x_m + speed_mps * 0.1 * np.arange(INSTANTS), until_s=1.0)])
    state, gap_m = engine.start(), []
    for i in range(100):
        state = engine.step(state, Action(np.array([-brakes_mps2 if i >= 20 else 0.0]), np.zeros(1)))
        gap_m.append(state.world.ego_xy_yaw_world[0, 0] - 0.656 - state.world.agents.xy_yaw_world[0, 0, 0] - 2.0)
    assert min(gap_m) > 1.0 and max(gap_m[:20]) < 2.2 + 0.6 * speed_mps
