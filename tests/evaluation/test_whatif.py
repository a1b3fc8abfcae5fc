"""Edits on the way, scripted actions, several futures of one moment, and agents on rails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivewm.datatypes import Rollout, Scene, SemanticClass, TriggerKind, Weather, WorldState
from drivewm.errors import InputError
from drivewm.evaluation.whatif import Course, Split, agents_equal, drive_course, futures, on_rails, parse_branch
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.scripted import parse_script
from drivewm.protocols import World
from drivewm.scenarios.edits import parse_edits
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld, layout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld, straight_scene

RIG = replace(nuscenes_rig(), rate_hz=5.0)
COARSE = nuscenes_rig(32, 48)


def driven(scene: Scene, edits: str = "", actions: str = "", world: World | None = None, policy: Any = None) -> Rollout:
    script = {"script": parse_script(actions)} if actions else {}
    course = Course(policy or IdmPolicy(), parse_edits(edits), **script)
    return drive_course(scene, course, world or BlankWorld(RIG), seed=0).rollout


def replayed(drive: Rollout) -> WorldState:
    """The states that the recorded scene and the recorded actions lead to, without anybody's edits on the way."""
    engine = Engine([drive.scene])
    state = engine.start()
    states = [state.world[0]]
    for step in range(len(drive.actions.accel_mps2)):
        state = engine.step(state, drive.actions[step : step + 1])
        states.append(state.world[0])
    return WorldState.stack(states)


def ahead_m(drive: Rollout, t_s: float, row: int = 0) -> float:
    """How far before the ego's rear axle the middle of an agent is."""
    state = drive.states[round(t_s / drive.scene.dt_s)]
    return float(state.agents.xy_yaw_world[row, 0] - state.ego_xy_yaw_world[0])


def test_who_is_removed_is_in_no_layout_and_hit_by_nobody() -> None:
    scene = straight_scene(12.0, lead=(25.0, 0.0), horizon_s=5.0)
    assert driven(scene, policy=ConstantVelocity()).ended == "collision"
    free = driven(scene, "1 s remove lead", policy=ConstantVelocity())
    assert free.ended == "horizon" and free.states.agents.valid[:10].all() and not free.states.agents.valid[10:].any()
    for t_s, seen in ((0.8, True), (1.0, False), (1.6, False)):
        label = layout(scene.road, free.states[round(t_s / 0.1)], RIG).label
        assert (label == SemanticClass.VEHICLE).any() == seen


def test_who_is_inserted_stands_where_it_was_said_from_then_on() -> None:
    drive = driven(straight_scene(10.0, horizon_s=3.0), "1 s insert car 15 m ahead 2 m left", policy=ConstantVelocity())
    agents = drive.states.agents
    assert not agents.valid[:10].any() and agents.valid[10:].all()
    front_m = 1.386 + 4.084 / 2
    assert ahead_m(drive, 1.0) == pytest.approx(front_m + 15.0 + agents.size_lwh_m[10, 0, 0] / 2)
    assert agents.xy_yaw_world[10:, 0, 1] == pytest.approx(2.0)


def test_who_walks_is_inserted_on_its_way() -> None:
    drive = driven(straight_scene(2.0, horizon_s=3.0), "1 s insert child 20 m ahead 3 m right facing left at 1.5 m/s")
    y = drive.states.agents.xy_yaw_world[:, 0, 1]
    assert y[10] == pytest.approx(-3.0) and y[30] == pytest.approx(0.0)
    assert drive.states.agents.xy_yaw_world[30, 0, 2] == pytest.approx(np.pi / 2)


def test_who_is_moved_goes_on_from_there_at_its_speed() -> None:
    scene = straight_scene(8.0, lead=(20.0, 6.0), horizon_s=3.0)
    stayed, moved = driven(scene).states.agents, driven(scene, "1 s move lead 5 m ahead 1 m left").states.agents
    shift = moved.xy_yaw_world[:, 0, :2] - stayed.xy_yaw_world[:, 0, :2]
    np.testing.assert_allclose(shift[:10], 0.0)
    np.testing.assert_allclose(shift[10:], [[5.0, 1.0]] * 21, atol=1e-9)
    np.testing.assert_array_equal(moved.speed_mps, stayed.speed_mps)


def test_the_sky_changes_when_it_is_said_and_what_the_scene_planned_still_comes() -> None:
    scene = straight_scene(5.0, horizon_s=3.0)
    planned = replace(scene, condition_changes=((2.0, replace(scene.conditions, lost_cameras=("CAM_BACK",))),))
    edited = driven(planned, "1 s weather=snow").scene
    assert [edited.conditions_at(t).weather for t in (0.8, 1.0, 2.5)] == [Weather.CLEAR, Weather.SNOW, Weather.SNOW]
    assert edited.conditions_at(2.5).lost_cameras == ("CAM_BACK",)


def test_the_record_of_an_edited_drive_replays_alone_bit_for_bit() -> None:
    words = (
        "0.4 s insert bicycle 12 m ahead 3 m left at 3 m/s; 1 s move lead 3 m behind; 1.4 s remove inserted; 1.5 s light=night"
    )
    drive = driven(straight_scene(8.0, lead=(25.0, 6.0), horizon_s=3.0), words)
    again = replayed(drive)
    np.testing.assert_array_equal(again.ego_xy_yaw_world, drive.states.ego_xy_yaw_world)
    np.testing.assert_array_equal(again.agents.valid, drive.states.agents.valid)
    assert agents_equal(again, drive.states) and drive.states.agents.valid[:, 1].sum() == 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("1 s remove leed", "did you mean 'lead'"),
        ("1 s remove nearest pedestrian", "not there"),
        ("1 s insert unicorn 5 m ahead", "nothing is called 'unicorn'"),
        ("1 s insert car 15 ahead", "'15' has no unit"),
        ("1 s insert car 0 m left", "inside the ego"),
        ("1 s move lead 26 m behind", "inside the ego"),
        ("1 s weather=snwo", "did you mean 'snow'"),
        ("1 s wether=snow", "did you mean 'weather'"),
        ("1 s explode lead", "no edit"),
        ("9 s remove lead", "after the end"),
    ],
)
def test_an_edit_that_cannot_be_is_one_sentence(words: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        driven(straight_scene(0.0, lead=(20.0, 0.0), horizon_s=2.0), words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("lft", "did you mean 'left'"),
        ("steer=3", "cannot be steered"),
        ("accel=-40 m/s2", "cannot reach"),
        ("accel=3", "has no unit"),
        ("1 s repeat; 2 s left", "not the last"),
        (" ", "no order"),
    ],
)
def test_an_action_that_cannot_be_is_one_sentence(words: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_script(words)


def test_absurd_actions_move_the_car_as_grip_and_brakes_allow() -> None:
    circle = driven(straight_scene(20.0, horizon_s=4.0), actions="0 s left").states
    assert circle.ego_curvature_1pm[-1] == pytest.approx(8.0 / 20.0**2, rel=1e-3)  # full lock, but grip holds 8 m/s2
    stopped = driven(straight_scene(20.0, horizon_s=4.0), actions="1 s brake", policy=ConstantVelocity()).states
    assert stopped.ego_speed_mps[10] == pytest.approx(20.0) and stopped.ego_speed_mps[-1] == 0.0
    way_m = stopped.ego_xy_yaw_world[-1, 0] - stopped.ego_xy_yaw_world[10, 0]
    assert way_m == pytest.approx(20.0**2 / (2 * 9.0), abs=2.0)  # and a little while the brake builds up
    slalom = driven(straight_scene(10.0, horizon_s=4.0), actions="0 s left; 1 s right; 2 s repeat").states.ego_curvature_1pm
    assert np.sign(slalom[[8, 18, 28, 38]]).tolist() == [1, -1, 1, -1]


def test_futures_share_their_past_and_differ_after_it() -> None:
    scene = straight_scene(8.0, lead=(15.0, 8.0), horizon_s=2.0)
    driver, world = IdmPolicy(), RasterWorld(COARSE)
    words = ("policy=idm", "left brake", "remove lead", "weather=fog", "insert pedestrian 6 m ahead")
    branches = tuple(parse_branch(text, 1.0, driver) for text in words)
    shown = futures(scene, Split(Course(driver), 1.0, branches), world, seed=0)
    for one in shown[1:]:
        np.testing.assert_array_equal(one.images[:5], shown[0].images[:5])
        np.testing.assert_array_equal(one.rollout.states.ego_xy_yaw_world[:11], shown[0].rollout.states.ego_xy_yaw_world[:11])
        assert (one.images[6] != shown[0].images[6]).any()
    alone = drive_course(scene, Course(driver), world, seed=0)
    np.testing.assert_array_equal(alone.images, shown[0].images)
    assert all(agents_equal(replayed(one.rollout), one.rollout.states) for one in shown)


def test_a_future_cannot_ask_for_something_in_its_past() -> None:
    split = Split(Course(IdmPolicy()), 1.0, (parse_branch("0.5 s brake", 1.0, IdmPolicy()),))
    with pytest.raises(InputError, match="before 1 s"):
        futures(straight_scene(8.0, horizon_s=2.0), split, BlankWorld(RIG), seed=0)


def heedful_scene() -> Scene:
    """A lead car that keeps its distance and brakes when the ego comes near."""
    scene = straight_scene(10.0, lead=(20.0, 8.0), horizon_s=4.0)
    trigger = {"trigger_kind": TriggerKind.DISTANCE, "trigger_value": 22.0, "manoeuvre_kind": 1, "manoeuvre_rate": 3.0}
    changed = {name: np.full_like(getattr(scene.scripts, name), value) for name, value in trigger.items()}
    return replace(scene, scripts=replace(scene.scripts, reactive=np.array([True]), **changed))


def test_agents_on_rails_do_what_they_did_whatever_the_ego_does() -> None:
    first = driven(heedful_scene(), policy=ConstantVelocity())
    absurd = "0 s right brake"
    assert not agents_equal(first.states, driven(heedful_scene(), actions=absurd).states)
    second = driven(on_rails(first), actions=absurd)
    assert agents_equal(first.states, second.states) and second.ended == "horizon"
    assert np.abs(second.states.ego_xy_yaw_world[-1] - first.states.ego_xy_yaw_world[-1]).max() > 5.0


def test_words_of_a_file_are_orders_too(tmp_path: Path) -> None:
    from drivewm.evaluation.whatif import course_of

    file = tmp_path / "absurd.txt"
    file.write_text("1 s left\n2 s brake\n")
    assert course_of(IdmPolicy(), [], str(file)).script == parse_script("1 s left; 2 s brake")
