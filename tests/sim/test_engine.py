"""A batch is nothing but its scenes side by side, a state is a fork, futures are what the engine will do."""

from dataclasses import fields

import numpy as np
import pytest

from drivewm.datatypes import Action, ManoeuvreKind, Records, TriggerKind
from drivewm.sim.engine import Engine, EngineState
from drivewm.sim.forecast import roll_forward
from tests.straight_road import Actor, light, scene, straight_road

CUT_IN = (TriggerKind.DISTANCE, 30.0, ManoeuvreKind.OFFSET, -3.5, 3.0)
SCENES = (
    scene([Actor(60.0, 8.0, y_m=3.5, steps=(CUT_IN,)), Actor(10.0, 12.0, reactive=True)], speed_mps=10.0),
    scene([], speed_mps=5.0),
    scene([Actor(300.0 + i, 9.0, reactive=True, oncoming=True, y_m=3.5) for i in range(0, 60, 12)], speed_mps=12.0),
    scene([Actor(80.0, 11.0, reactive=True)], speed_mps=9.0, road=straight_road((light(150.0, (1.0, 1.0, 8.0)),))),
)


def _leaves(record: Records) -> list[np.ndarray]:
    out: list[np.ndarray] = []
    for f in fields(record):  # type: ignore[arg-type]
        value = getattr(record, f.name)
        out += _leaves(value) if isinstance(value, Records) else [value]
    return out


def _actions(batch: int, step: int) -> Action:
    return Action(np.full(batch, 1.5 * np.sin(0.3 * step)), np.full(batch, 0.01 * np.cos(0.2 * step)))


def _drive(engine: Engine, steps: int = 60) -> EngineState:
    state = engine.start()
    for i in range(steps):
        state = engine.step(state, _actions(len(engine.scenes), i))
    return state


def test_the_start_is_the_scenes_start() -> None:
    world = Engine(SCENES).start().world
    for b, one in enumerate(SCENES):
        count = len(one.start.agents.valid)
        np.testing.assert_allclose(world.agents.xy_yaw_world[b, :count], one.start.agents.xy_yaw_world, atol=1e-12)
        assert world.agents.valid[b].sum() == count
        assert np.array_equal(world.ego_xy_yaw_world[b], one.start.ego_xy_yaw_world)


def test_a_batch_equals_its_scenes_driven_alone_bit_by_bit() -> None:
    together = _drive(Engine(SCENES))
    for b, one in enumerate(SCENES):
        alone = _drive(Engine([one]))
        count = len(one.start.agents.valid)
        assert np.array_equal(together.world.ego_xy_yaw_world[b], alone.world.ego_xy_yaw_world[0])
        for many, single in zip(_leaves(together.traffic), _leaves(alone.traffic), strict=True):
            assert np.array_equal(many[b, :count], single[0])
        assert np.array_equal(together.world.agents.xy_yaw_world[b, :count], alone.world.agents.xy_yaw_world[0])


def test_stepping_a_fork_leaves_the_parent_alone() -> None:
    engine = Engine(SCENES)
    parent = _drive(engine, 20)
    before = [leaf.copy() for leaf in _leaves(parent)]
    brake = engine.step(parent, Action(np.full(4, -6.0), np.zeros(4)))
    swerve = engine.step(parent, Action(np.zeros(4), np.full(4, 0.02)))
    for leaf, copy in zip(_leaves(parent), before, strict=True):
        assert np.array_equal(leaf, copy)
    assert brake.world.ego_speed_mps[0] < swerve.world.ego_speed_mps[0]
    again = engine.step(parent, Action(np.full(4, -6.0), np.zeros(4)))
    assert all(np.array_equal(a, b) for a, b in zip(_leaves(brake), _leaves(again), strict=True))


def test_roll_forward_is_what_happens_to_an_ego_that_holds_its_motion() -> None:
    """Coarser steps than the engine's: 0.3 m over 3 s."""
    engine = Engine(SCENES)
    state = _drive(engine, 20)
    future = roll_forward(engine, state, np.array([1.0, 2.0, 3.0]))
    now = state
    for _ in range(30):
        now = engine.step(now, Action(np.zeros(4), state.world.ego_curvature_1pm))
    error = np.abs(future.xy_yaw_world[:, -1] - now.world.agents.xy_yaw_world)[now.world.agents.valid]
    assert error[:, :2].max() < 0.3


def test_scenes_that_do_not_fit_together_are_refused() -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="same dt_s"):
        Engine([SCENES[0], replace(SCENES[1], dt_s=0.05)])
    with pytest.raises(ValueError, match="one script per agent"):
        Engine([replace(SCENES[0], scripts=SCENES[1].scripts)])
    with pytest.raises(ValueError, match="at least one"):
        Engine([])
