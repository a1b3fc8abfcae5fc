"""The loop: observe, plan, track, step, render. It cannot tell worlds apart, nor policies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import (
    EGO_SHAPE,
    Action,
    Agents,
    Array,
    Observation,
    Provenance,
    Rollout,
    Scene,
    Trajectory,
    WorldState,
    is_record,
)
from drivewm.errors import InputError
from drivewm.metrics.boxes import overlap
from drivewm.policies.observation import Observer
from drivewm.protocols import GroundTruth, Policy, PolicyFailed, World
from drivewm.sim.engine import Engine
from drivewm.sim.faults import CameraFaults
from drivewm.sim.forecast import roll_forward
from drivewm.sim.tracker import track
from drivewm.store import provenance

OnFrame = Callable[[int, NDArray[np.uint8], WorldState], None]  # frame index, images [B, V, H, W, 3], state [B]


def rollout(
    scenes: Sequence[Scene], policy: Policy, world: World, *, seed: int, on_frame: OnFrame | None = None
) -> list[Rollout]:
    """Drive ``policy`` through all ``scenes`` at once in ``world``; one Rollout per scene, in their order.

    The policy plans and the world renders at the camera rate; between, the tracker follows the plan at every engine step. The
    batch runs until its last scene has ended; a record is cut where its own scene ended: at the horizon, at the first state
    that touches another body, or where the plan was not finite or had the wrong shape ("policy_error").
    ``latency_ms`` is the wall time of `Policy.act` divided by the number of cars it planned for.
    A policy that raises ends the drive of a single scene ("policy_raised", or what its PolicyFailed says). With several scenes
    nobody knows whose plan it was: then PolicyFailed is raised, and who wants to know drives each scene alone.
    Raises InputError when the scenes' time step does not divide the camera period.
    """
    drives = Underway(scenes, policy, world, seed=seed)
    while not drives.finished:
        drives.advance(on_frame)
    return drives.records()


class Underway:
    """A batch of drives at a camera frame that is not yet shown.

    `advance` goes on by one frame, `fork` makes another future of the same past, `edit` changes the scenes from now on. A fork
    copies what belongs to the past and shares nothing that changes later.
    """

    def __init__(self, scenes: Sequence[Scene], policy: Policy, world: World, *, seed: int) -> None:
        self.scenes, self.policy, self.world, self.seed = tuple(scenes), policy, world, seed
        self.engine = Engine(scenes)
        self.plan_every = steps_per_frame(world.rig.rate_hz, self.engine.dt_s)
        self.state, self.frame = self.engine.start(), 0
        self.drivers: tuple[str, ...] = (policy.spec.id,)
        horizon = np.array([scene.steps for scene in scenes])
        self._log = _Log(end=horizon.copy(), ended=["horizon"] * len(scenes))
        self._log.add_state(0, self.state.world)
        self._faults, self._observer = CameraFaults(scenes, world.rig), Observer(scenes, policy.spec.history)
        self._policy_memory = policy.start(len(scenes), seed)
        self._world_memory: Any = None

    @property
    def finished(self) -> bool:
        return self.frame > 0 and self._log.finished(self.frame * self.plan_every)

    @property
    def policy_memory(self) -> Any:
        """What the policy remembers up to this frame, which it has not seen yet."""
        return self._policy_memory

    def advance(self, on_frame: OnFrame | None = None) -> None:
        """Show this frame, let the policy plan, and follow the plan until the next one."""
        images = self._faults.seen(self._shown(), self.state.world.t_s)
        if on_frame:
            on_frame(self.frame, images, self.state.world)
        observation = self._observer.observe(images, self.state.world)
        futures = partial(roll_forward, self.engine, self.state)
        truth = GroundTruth(self.scenes, self.state.world, futures) if self.policy.spec.privileged else None
        began = time.perf_counter()
        try:
            plan, self._policy_memory = self._planned(observation, truth)
        except PolicyFailed as failed:
            if len(self.scenes) > 1:
                raise
            plan = self._log.fail(self.frame * self.plan_every, failed)
        self._log.latency_ms.append(1e3 * (time.perf_counter() - began) / len(self.scenes))
        plan = self._log.add_plan(self.frame * self.plan_every, plan, self.policy.spec.plan_t_s)
        planned_at = self.state.world.ego_xy_yaw_world
        for step in range(self.plan_every):
            action = track(plan, step * self.engine.dt_s, planned_at, self.state.world)
            self.state = self.engine.step(self.state, action)
            self._log.actions.append(action)
            self._log.add_state(self.frame * self.plan_every + step + 1, self.state.world)
        self.frame += 1

    def _planned(self, observation: Observation, truth: GroundTruth | None) -> tuple[Trajectory, Any]:
        """Plan and memory; PolicyFailed if the policy raises. What it refuses in a sentence stays that."""
        try:
            plan, memory = self.policy.act(observation, self._policy_memory, truth)
            if not isinstance(plan, Trajectory):
                raise TypeError(f"the plan is a {type(plan).__name__}, not a Trajectory")
        except (InputError, MemoryError):
            raise
        except Exception as error:  # whatever a stranger's policy raises
            what = f"raised {type(error).__name__}: {error}"
            raise PolicyFailed("policy_raised", self.policy.spec.id, what) from error
        return plan, memory

    def _shown(self) -> NDArray[np.uint8]:
        if self.frame == 0:
            images, self._world_memory = self.world.start(self.scenes, self.state.world, self.seed)
            return images
        recent = Action.stack(self._log.actions[-self.plan_every :])
        mean = Action(recent.accel_mps2.mean(0), recent.curvature_1pm.mean(0))
        images, self._world_memory = self.world.step(self._world_memory, self.state.world, mean)
        return images

    def fork(self) -> Underway:
        """Another future of the same past."""
        other = copy(self)
        other._log, other._faults = self._log.fork(), self._faults.fork()
        other._observer = self._observer.fork(self.policy.spec.history)
        return other

    def hand_over(self, policy: Policy, memory: Any = None) -> None:
        """From now on ``policy`` drives, with ``memory`` or one that begins now, and the frames of the past that it wants."""
        self._policy_memory = policy.start(len(self.scenes), self.seed) if memory is None else memory
        self._observer = self._observer.fork(policy.spec.history)
        self.policy, self.drivers = policy, (*self.drivers, policy.spec.id)

    def edit(self, scenes: Sequence[Scene]) -> None:
        """Goes on in ``scenes``: the same ones with agents or changes added behind the others, or another sky from now on."""
        engine = Engine(scenes)
        self.state = engine.resumed(self.engine, self.state)
        self._log.widen(self.state.world)
        self.engine, self.scenes = engine, tuple(scenes)
        if is_record(self._world_memory) and hasattr(self._world_memory, "scenes"):
            self._world_memory = replace(self._world_memory, scenes=self.scenes)

    def records(self) -> list[Rollout]:
        """One record per scene, of what has happened so far."""
        origin = provenance(self.seed, policy=" then ".join(self.drivers), world=self.world.id)
        if self._log.failure:
            origin = replace(origin, settings={**origin.settings, "policy_failure": self._log.failure})
        return [self._log.record(b, scene, self.plan_every, origin) for b, scene in enumerate(self.scenes)]


def steps_per_frame(rate_hz: float, dt_s: float) -> int:
    steps = round(1.0 / (rate_hz * dt_s))
    if steps < 1 or abs(steps * rate_hz * dt_s - 1.0) > 1e-6:
        raise InputError(f"cameras at {rate_hz:g} Hz need a whole number of steps of {dt_s:g} s between frames")
    return steps


@dataclass
class _Log:
    """What happened so far, and where each scene ended."""

    end: Array  # int [B], engine step at which the record is cut
    ended: list[str]

    def __post_init__(self) -> None:
        self.states: list[WorldState] = []
        self.actions: list[Action] = []
        self.plans: list[Trajectory] = []
        self.latency_ms: list[float] = []
        self.failure = ""  # what a policy that failed did, in words

    def fork(self) -> _Log:
        other = _Log(self.end.copy(), list(self.ended))
        other.states, other.actions = list(self.states), list(self.actions)
        other.plans, other.latency_ms, other.failure = list(self.plans), list(self.latency_ms), self.failure
        return other

    def widen(self, state: WorldState) -> None:
        """The present state is ``state``; agents that are new in it were not there before."""
        self.states = [_with_rows_of(state.agents, earlier) for earlier in self.states]
        self.states[-1] = state

    def add_state(self, step: int, state: WorldState) -> None:
        self.states.append(state)
        for b in np.flatnonzero(touching(state)):
            self._stop(int(b), step, "collision")

    def fail(self, step: int, failed: PolicyFailed) -> Trajectory:
        """Ends the only scene, for there is no plan; an empty one stands in its place."""
        self._stop(0, step, failed.ended)
        self.failure = failed.what
        return Trajectory(np.zeros((1, 0)), np.zeros((1, 0, 3)), np.zeros((1, 0)))

    def add_plan(self, step: int, plan: Trajectory, t_s: tuple[float, ...]) -> Trajectory:
        """The plan to follow: as given where it is sound, else a stop on the spot, which ends that scene's record."""
        cars = len(self.ended)
        sound = plan_soundness(plan, cars, len(t_s))
        for b in np.flatnonzero(~sound):
            self._stop(int(b), step, "policy_error")
        if not sound.all():
            stand = Trajectory(np.tile(t_s, (cars, 1)), np.zeros((cars, len(t_s), 3)), np.zeros((cars, len(t_s))))
            plan = _choose(sound, plan, stand) if sound.any() else stand
        self.plans.append(plan)
        return plan

    def _stop(self, b: int, step: int, reason: str) -> None:
        if step < self.end[b] or (step == self.end[b] and reason == "collision" and self.ended[b] == "horizon"):
            self.end[b], self.ended[b] = step, reason

    def finished(self, step: int) -> bool:
        return bool((self.end <= step).all())

    def record(self, b: int, scene: Scene, plan_every: int, origin: Provenance) -> Rollout:
        last = int(self.end[b])
        frames = -(-last // plan_every)
        states = without_padding(WorldState.stack([state[b] for state in self.states[: last + 1]]), scene)
        none = Action(np.zeros(0), np.zeros(0))
        return Rollout(
            scene=scene,
            states=states,
            actions=Action.stack([action[b] for action in self.actions[:last]]) if last else none,
            plans=Trajectory.stack(_of_one_length([plan[b] for plan in self.plans[: max(frames, 1)]])),
            plan_every=plan_every,
            ended=self.ended[b],
            latency_ms=np.array(self.latency_ms[: max(frames, 1)]),
            provenance=origin,
        )


def _with_rows_of(agents: Agents, state: WorldState) -> WorldState:
    """``state`` with all rows of ``agents``; those that it has not were not there."""
    rows = state.agents.valid.shape[1]
    absent = replace(agents, valid=np.zeros_like(agents.valid))
    moving = {name: getattr(absent, name).copy() for name in ("xy_yaw_world", "speed_mps", "accel_mps2", "valid")}
    for name, value in moving.items():
        value[:, :rows] = getattr(state.agents, name)
    return replace(state, agents=replace(absent, **moving))


def _of_one_length(plans: list[Trajectory]) -> list[Trajectory]:
    """Plans [K] of drivers that plan with different numbers of points; shorter ones go on as the tracker takes them to."""
    points = max(len(plan.t_s) for plan in plans)
    return [_longer(plan, points - len(plan.t_s)) if len(plan.t_s) < points else plan for plan in plans]


def _longer(plan: Trajectory, points: int) -> Trajectory:
    """``points`` more, half a second apart, straight on at the last speed."""
    after_s, (x, y, yaw), speed = 0.5 * np.arange(1, points + 1), plan.xy_yaw_ego[-1], plan.speed_mps[-1]
    way_m = speed * after_s
    more = np.stack([x + way_m * np.cos(yaw), y + way_m * np.sin(yaw), np.full(points, yaw)], -1)
    return Trajectory(
        t_s=np.concatenate([plan.t_s, plan.t_s[-1] + after_s]),
        xy_yaw_ego=np.concatenate([plan.xy_yaw_ego, more]),
        speed_mps=np.concatenate([plan.speed_mps, np.full(points, speed)]),
    )


def without_padding(states: WorldState, scene: Scene) -> WorldState:
    """States [T] of one scene of a batch with the agents and signals that the scene itself has."""
    agents, signals = len(scene.start.agents.valid), len(scene.road.signals)
    return replace(states, agents=states.agents[:, :agents], signal=states.signal[:, :signals])


def touching(state: WorldState) -> NDArray[np.bool_]:
    """Which egos [B] overlap the body of an agent."""
    ego = EGO_SHAPE.centre_xy_yaw(state.ego_xy_yaw_world)[:, None]
    half_ego = 0.5 * np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m])
    agents = state.agents
    return np.asarray((overlap(ego, half_ego, agents.xy_yaw_world, 0.5 * agents.size_lwh_m[..., :2]) & agents.valid).any(-1))


def plan_soundness(plan: Trajectory, cars: int, points: int) -> NDArray[np.bool_]:
    """Which of the ``cars`` [B] got a plan of the right shape, with finite numbers, ascending times and no negative speed."""
    shapes = (np.shape(plan.t_s), np.shape(plan.xy_yaw_ego), np.shape(plan.speed_mps))
    if shapes != ((cars, points), (cars, points, 3), (cars, points)):
        return np.zeros(cars, bool)
    finite = np.isfinite(plan.t_s).all(1) & np.isfinite(plan.xy_yaw_ego).all((1, 2)) & np.isfinite(plan.speed_mps).all(1)
    ordered = (np.asarray(plan.t_s)[:, 0] > 0) & (np.diff(plan.t_s, axis=1) > 0).all(1)
    return np.asarray(finite & ordered & (np.asarray(plan.speed_mps) >= -1e-3).all(1))


def _choose(sound: NDArray[np.bool_], plan: Trajectory, stand: Trajectory) -> Trajectory:
    wide = sound[:, None]
    return Trajectory(
        t_s=np.where(wide, plan.t_s, stand.t_s),
        xy_yaw_ego=np.where(wide[..., None], plan.xy_yaw_ego, stand.xy_yaw_ego),
        speed_mps=np.where(wide, plan.speed_mps, stand.speed_mps),
    )
