"""Checks for authors of plug-ins, used by our own tests as well. Each raises AssertionError with one clear sentence.

from drivewm.testing import check_policy
check_policy(MyPolicy())
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import (
    EGO_SHAPE,
    Action,
    ActorScripts,
    AgentClass,
    Agents,
    Array,
    CameraRig,
    Conditions,
    Lane,
    Observation,
    RoadMap,
    Rollout,
    Scene,
    Score,
    Trajectory,
    WorldState,
)
from drivewm.metrics.published.formula import Reference
from drivewm.policies.observation import Observer
from drivewm.protocols import GroundTruth, Policy, World
from drivewm.rollout import plan_soundness, rollout, without_padding
from drivewm.sim.engine import Engine
from drivewm.sim.forecast import roll_forward
from drivewm.sim.rigs import nuscenes_rig

SAME_PLAN_M = 1e-3  # plans that differ by less than a millimetre are the same: batched arithmetic may round otherwise
ROAD_M = 400


def straight_scene(
    ego_mps: float = 10.0, lead: tuple[float, float] | None = None, horizon_s: float = 6.0, limit_mps: float = 13.9
) -> Scene:
    """A straight road of two lanes, the ego in the right one at x = 0; ``lead`` puts a car ahead: (gap in m, m/s).

    The gap is measured from the ego's front bumper to the rear of the car, which keeps its speed.
    """
    x = np.arange(-50.0, ROAD_M)
    route = np.stack([x, np.zeros_like(x)], -1)
    right = Lane("main.0", route, 3.5, limit_mps, left="main.1")
    left = Lane("main.1", route + [0.0, 3.5], 3.5, limit_mps, right="main.0")
    drivable = np.array([[-50.0, -1.75], [ROAD_M, -1.75], [ROAD_M, 5.25], [-50.0, 5.25]])
    agents, scripts = Agents.empty(), ActorScripts.empty()
    if lead is not None:
        agents, scripts = _lead_car(route, *lead)
    start = WorldState(
        t_s=np.zeros(()),
        ego_xy_yaw_world=np.zeros(3),
        ego_speed_mps=np.asarray(ego_mps),
        ego_accel_mps2=np.zeros(()),
        ego_curvature_1pm=np.zeros(()),
        agents=agents,
        signal=np.zeros(0, np.int8),
    )
    name = "straight" if lead is None else "lead"
    road = RoadMap(lanes=(right, left), drivable=(drivable,))
    return Scene(f"{name}@00000000:0#0", name, road, start, scripts, Conditions(), route, limit_mps, horizon_s, seed=0)


def _lead_car(route: Array, gap_m: float, speed_mps: float) -> tuple[Agents, ActorScripts]:
    size = np.array([[4.5, 1.8, 1.5]])
    x = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m + gap_m + 0.5 * size[0, 0]
    speed = np.array([speed_mps])
    agents = Agents(
        track_id=np.array([1], np.int32),
        category=np.array([AgentClass.CAR], np.int8),
        xy_yaw_world=np.array([[x, 0.0, 0.0]]),
        speed_mps=speed,
        accel_mps2=np.zeros(1),
        size_lwh_m=size,
        valid=np.array([True]),
    )
    still = ActorScripts.empty(1, len(route))
    start_s = np.array([x - route[0, 0]])
    return agents, replace(still, path_xy=route[None], start_s_m=start_s, start_speed_mps=speed, desired_speed_mps=speed)


class BlankWorld:
    """A world whose cameras show grey: enough for policies that know the truth, and the fastest way to run a loop."""

    id = "blank"

    def __init__(self, rig: CameraRig | None = None) -> None:
        self.rig = rig or nuscenes_rig()

    def start(self, scenes: Sequence[Scene], state: WorldState, seed: int) -> tuple[NDArray[np.uint8], Any]:
        height, width = self.rig.size_px
        grey = np.full((len(scenes), len(self.rig.names), height, width, 3), 128, np.uint8)
        return grey, grey

    def step(self, memory: Any, state: WorldState, action: Action) -> tuple[NDArray[np.uint8], Any]:
        return memory, memory


def _scenes() -> list[Scene]:
    return [straight_scene(8.0), straight_scene(12.0, lead=(45.0, 6.0)), straight_scene(0.0, lead=(20.0, 0.0))]


def _moments(policy: Policy, scenes: Sequence[Scene], rig: CameraRig, count: int) -> list[tuple[Observation, GroundTruth]]:
    """Observations with noise for pictures, on a drive at constant speed."""
    engine = Engine(scenes)
    state, observer, rng = engine.start(), Observer(scenes, policy.spec.history), np.random.default_rng(0)
    shape, out = (len(scenes), len(rig.names), *rig.size_px, 3), []
    for _ in range(count):
        observation = observer.observe(rng.integers(0, 256, shape, np.uint8), state.world)
        out.append((observation, GroundTruth(tuple(scenes), state.world, partial(roll_forward, engine, state))))
        for _ in range(2):
            state = engine.step(state, Action(np.zeros(len(scenes)), np.zeros(len(scenes))))
    return out


def _drive(policy: Policy, moments: Sequence[tuple[Observation, GroundTruth]], seed: int = 0) -> list[Trajectory]:
    memory, plans = policy.start(len(moments[0][1].scenes), seed), []
    for observation, truth in moments:
        plan, memory = policy.act(observation, memory, truth if policy.spec.privileged else None)
        plans.append(plan)
    return plans


def _differ_m(a: Trajectory, b: Trajectory) -> float:
    return float(max(np.abs(a.xy_yaw_ego - b.xy_yaw_ego).max(), np.abs(a.speed_mps - b.speed_mps).max()))


def check_policy(policy: Policy, *, rig: CameraRig | None = None) -> None:
    """A policy gives sound plans, the same for the same input, for each car on its own, with all memory handed in and out."""
    rig, scenes = rig or nuscenes_rig(), _scenes()
    assert policy.spec.id, "spec.id is empty: a score must name its policy"
    assert policy.spec.history >= 1, f"spec.history is {policy.spec.history}; a policy needs at least the present frame"
    t_s = policy.spec.plan_t_s
    assert t_s and t_s[0] > 0 and all(np.diff(t_s) > 0), "spec.plan_t_s must ascend from above 0"
    moments = _moments(policy, scenes, rig, 4)
    plans = _drive(policy, moments)
    for plan in plans:
        sound = plan_soundness(plan, len(scenes), len(t_s))
        assert sound.all(), f"a plan must be finite with shapes [{len(scenes)}, {len(t_s)}] and [{len(scenes)}, {len(t_s)}, 3]"
        assert np.allclose(plan.t_s, np.asarray(t_s)), "plan.t_s differs from spec.plan_t_s"
    again = _drive(policy, moments)
    assert max(map(_differ_m, plans, again)) == 0.0, "the same observations and seed gave another plan"
    memory = policy.start(len(scenes), 0)
    truth = moments[0][1] if policy.spec.privileged else None
    first, after = policy.act(moments[0][0], memory, truth)
    policy.act(moments[1][0], after, moments[1][1] if policy.spec.privileged else None)
    repeat, _ = policy.act(moments[0][0], memory, truth)
    assert _differ_m(first, repeat) == 0.0, "memory and observation are the same, the plan is not: the policy hides state"
    for b in range(len(scenes)):
        alone = [(seen[b : b + 1], _one_car(truth, b)) for seen, truth in moments]
        apart = max(_differ_m(plan[b : b + 1], one) for plan, one in zip(plans, _drive(policy, alone), strict=True))
        assert apart < SAME_PLAN_M, f"car {b} gets a plan {apart:.3g} m away when it is planned for alone: cars are mixed up"


def _one_car(truth: GroundTruth, b: int) -> GroundTruth:
    scene, state = truth.scenes[b], without_padding(truth.state[b : b + 1], truth.scenes[b])
    agents = state.agents.valid.shape[1]
    return GroundTruth((scene,), state, lambda t_s: truth.futures(t_s)[b : b + 1, :, :agents])


def check_world(world: World, scenes: Sequence[Scene] | None = None) -> None:
    """A world gives frames of its rig, the same for the same seed, for each scene on its own, with explicit memory."""
    scenes = list(scenes or _scenes()[:2])
    rig, engine = world.rig, Engine(scenes)
    expected = (len(scenes), len(rig.names), *rig.size_px, 3)
    first = engine.start()
    still = Action(np.zeros(len(scenes)), np.zeros(len(scenes)))
    second = engine.step(engine.step(first, still), still)
    images, memory = world.start(scenes, first.world, 0)
    later, _ = world.step(memory, second.world, still)
    for name, frames in (("start", images), ("step", later)):
        assert frames.dtype == np.uint8, f"{name} gives {frames.dtype}, not uint8"
        assert frames.shape == expected, f"{name} gives shape {frames.shape}, not {expected}"
    assert np.array_equal(later, world.step(memory, second.world, still)[0]), "the same step from the same memory looks different"
    assert np.array_equal(images, world.start(scenes, first.world, 0)[0]), "the same scenes and seed look different"
    alone, _ = world.start(scenes[:1], Engine(scenes[:1]).start().world, 0)
    apart = np.abs(alone[0].astype(int) - images[0].astype(int)).mean()
    assert apart < 1.0, f"a scene looks different alone and in a batch (mean difference {apart:.1f} of 255)"


def check_metric(score: Callable[[Rollout, Reference], Score]) -> None:
    """A metric gives a total in [0, 1], finite parts, the same for the same rollout, and leaves the rollout as it is.

    It is tried without agents, behind a lead, into one that stands, off every road, and on a policy that failed at once.
    """
    for result in _drives_to_judge():
        reference = Reference(progress_m=20.0, rollout=result)
        before = result.states.ego_xy_yaw_world.copy()
        try:
            one, two = score(result, reference), score(result, reference)
        except Exception as error:  # whatever a stranger's metric raises
            raise AssertionError(f"the metric raised {type(error).__name__} on {result.scene.id}: {error}") from error
        assert isinstance(one, Score), f"a metric gives a Score, not a {type(one).__name__}"
        assert np.array_equal(before, result.states.ego_xy_yaw_world), "scoring changed the rollout"
        assert 0.0 <= one.total <= 1.0, f"total is {one.total}, outside [0, 1]"
        for name, value in {**one.gates, **one.terms, **one.measures}.items():
            assert np.isfinite(value), f"{name} is {value}; a part that does not apply belongs in `inapplicable`"
        assert one == two, "the same rollout was scored differently"
        assert one.passed == all(gate == 1 for gate in one.gates.values()), "passed must say whether all gates are 1"
        assert one.scene_id == result.scene.id, "the score names another scene"


def _drives_to_judge() -> list[Rollout]:
    from drivewm.policies.baselines import ConstantVelocity

    off = straight_scene(8.0)
    off = replace(off, id="off_road@00000000:0#0", start=replace(off.start, ego_xy_yaw_world=np.array([0.0, 60.0, 0.0])))
    lead = straight_scene(12.0, lead=(15.0, 0.0))
    drives = rollout([*_scenes(), lead, off], ConstantVelocity(), BlankWorld(), seed=0)
    failed = replace(drives[0], ended="policy_raised", states=drives[0].states[:1], actions=drives[0].actions[:0])
    return [*drives, failed]


def check_scenario(draw: Callable[[int, int], Scene], draws: int = 4) -> None:
    """``draw(index, seed)`` gives scenes that can be driven, the same for the same numbers, others for others."""
    scenes = [draw(index, 0) for index in range(draws)]
    for index, scene in enumerate(scenes):
        again = draw(index, 0)
        assert again.id == scene.id and again.parameters == scene.parameters, f"draw {index} is not repeatable"
        assert np.array_equal(again.start.agents.xy_yaw_world, scene.start.agents.xy_yaw_world), f"draw {index} moves its agents"
        assert scene.horizon_s > 0 and scene.steps >= 1, f"{scene.id} has no duration"
        assert len(scene.scripts.start_s_m) == len(scene.start.agents.valid), f"{scene.id} needs one script per agent"
        ids = scene.start.agents.track_id
        assert len(set(ids.tolist())) == len(ids), f"{scene.id} gives one track_id to two agents"
        spacing = np.hypot(*np.diff(scene.route_xy, axis=0).T)
        assert len(spacing) >= 2 and np.abs(spacing[:-1] - 1.0).max() < 0.05, f"{scene.id}: route vertices must be 1 m apart"
        state = Engine([scene]).start().world
        for name in ("ego_xy_yaw_world", "ego_speed_mps"):
            assert np.isfinite(getattr(state, name)).all(), f"{scene.id}: {name} is not finite"
        assert np.isfinite(state.agents.xy_yaw_world[state.agents.valid]).all(), f"{scene.id}: an agent's pose is not finite"
    assert len({scene.id for scene in scenes}) == draws, "different draws have the same id"
