"""Labels of candidate plans say what the situation forces on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import Agents, Array, RoadMap, Scene, Signal
from drivewm.policies.expert import best_candidate
from drivewm.policies.judge import PARTS, Judge, Labels, Moment, moment_of
from drivewm.policies.observation import Observer
from drivewm.policies.vocabulary import ACCELERATIONS_MPS2, GENTLE_LATERAL, LATERALS, OFFSETS_M
from drivewm.protocols import GroundTruth
from drivewm.sim.engine import Engine
from drivewm.sim.forecast import roll_forward
from drivewm.testing import straight_scene

T_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
HOLD = ACCELERATIONS_MPS2.index(0.0)


def judged(scene: Scene, margin: tuple[float, float] = (0.0, 0.0)) -> tuple[Judge, Moment, Labels]:
    engine, observer = Engine([scene]), Observer([scene], 1)
    state = engine.start()
    observation = observer.observe(np.zeros((1, 1, 1, 1, 3), np.uint8), state.world)
    truth = GroundTruth([scene], state.world, lambda t_s: roll_forward(engine, state, t_s))
    judge, moment = Judge.of([scene]), moment_of(observation, truth, T_S)
    return judge, moment, judge.labels(moment, margin)


def grid(labels: Labels, name: str) -> Array:
    """One part [16 profiles, 8 laterals]."""
    return labels.part(name).reshape(len(ACCELERATIONS_MPS2), LATERALS)


def test_labels_have_a_part_for_every_name() -> None:
    _, moment, labels = judged(straight_scene(10.0))
    assert labels.parts.shape == (1, len(ACCELERATIONS_MPS2) * LATERALS, len(PARTS))
    assert labels.parts.min() >= 0.0 and labels.parts.max() <= 1.0
    assert moment.feasible.mean() > 0.95  # but for a full lane change under full acceleration


def test_only_braking_or_going_around_avoids_a_standing_car() -> None:
    safe = grid(judged(straight_scene(10.0, lead=(25.0, 0.0)))[2], "no_collision")
    straight_on = safe[:, GENTLE_LATERAL]
    # 25 m at 10 m/s: braking with 1.6 m/s^2 covers 27.2 m in 4 s, with 2.3 m/s^2 stops after 21.7 m.
    assert [bool(v) for v in straight_on] == [a <= -2.3 for a in ACCELERATIONS_MPS2]
    assert safe[HOLD, OFFSETS_M.index(3.5)] == 1.0


def test_who_passes_between_two_instants_is_met_all_the_same() -> None:
    """Head on at 22 + 22 m/s, 44 m/s close 11 m between two looks; both cars together are 8.6 m long."""
    scene = straight_scene(22.0, lead=(100.0, 22.0), limit_mps=25.0)
    agents = scene.start.agents
    turned = replace(agents, xy_yaw_world=agents.xy_yaw_world + [0.0, 0.0, np.pi])
    path = scene.scripts.path_xy[:, ::-1]
    start_s = np.array([path[0, 0, 0] - agents.xy_yaw_world[0, 0]])
    scene = replace(
        scene, start=replace(scene.start, agents=turned), scripts=replace(scene.scripts, path_xy=path, start_s_m=start_s)
    )
    safe = grid(judged(scene)[2], "no_collision")
    assert safe[HOLD:, GENTLE_LATERAL].max() == 0.0


def test_leaving_the_lane_costs_unless_something_stands_in_it() -> None:
    free = grid(judged(straight_scene(10.0))[2], "lane")
    blocked = grid(judged(straight_scene(10.0, lead=(30.0, 0.0)))[2], "lane")
    aside = OFFSETS_M.index(3.5)
    assert free[HOLD, aside] < 0.4 < free[HOLD, GENTLE_LATERAL] == 1.0
    assert blocked[HOLD, aside] == 1.0


def _with_red_light(scene: Scene, x_m: float) -> Scene:
    line = np.array([[x_m, 1.75], [x_m, -1.75]])
    light = Signal(np.array([x_m + 2.0, -3.0, 0.0]), line, ("main.0",), (0.0, 0.0, 1000.0))
    road: RoadMap = replace(scene.road, signals=(light,))
    return replace(scene, road=road, start=replace(scene.start, signal=np.zeros(1, np.int8)))


def test_a_margin_stops_earlier_before_a_red_light() -> None:
    scene = _with_red_light(straight_scene(10.0), x_m=20.0)
    exact, careful = (grid(judged(scene, margin)[2], "red_light")[:, GENTLE_LATERAL] for margin in ((0.0, 0.0), (4.0, 0.0)))
    # The bumper is 3.43 m ahead of the axle, so 16.57 m remain: 3.2 m/s^2 stop in 15.6 m, which is less than 2 m before the line.
    assert [bool(v) for v in exact] == [a <= -3.2 for a in ACCELERATIONS_MPS2]
    assert [bool(v) for v in careful] == [a <= -4.5 for a in ACCELERATIONS_MPS2]


def test_the_least_bad_plan_brakes_fully() -> None:
    scene = straight_scene(20.0, lead=(3.0, 0.0), limit_mps=25.0)
    judge, moment, labels = judged(scene)
    assert labels.total.max() == 0.0
    assert best_candidate(judge, moment)[0] == GENTLE_LATERAL  # profile 0 is full braking


def test_a_bend_taken_too_fast_is_not_feasible() -> None:
    scene = straight_scene(16.0)
    angle = np.arange(0.0, 1.5, 1 / 25.0)
    bend = np.stack([25.0 * np.sin(angle), 25.0 * (1 - np.cos(angle))], -1)
    scene = replace(scene, route_xy=np.concatenate([np.stack([np.arange(-30.0, 20.0), np.zeros(50)], -1), bend + [20.0, 0.0]]))
    feasible = judged(scene)[1].feasible.reshape(len(ACCELERATIONS_MPS2), LATERALS)
    assert not feasible[HOLD, GENTLE_LATERAL]  # 16^2 / 25 = 10 m/s^2 sideways
    assert feasible[1, GENTLE_LATERAL]


@pytest.mark.parametrize("count", [0, 3])
def test_agents_that_are_only_padding_do_not_matter(count: int) -> None:
    scene = straight_scene(10.0)
    _, moment, labels = judged(scene)
    padded = replace(moment.state, agents=Agents.stack([Agents.empty(count)]))
    futures = Agents.stack([Agents.empty(count)] * len(T_S))
    again = Judge.of([scene]).labels(replace(moment, state=padded, futures=Agents.stack([futures])))
    assert np.array_equal(labels.parts, again.parts)
