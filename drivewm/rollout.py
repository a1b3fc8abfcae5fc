"""The loop: observe, plan, track, step, render. It cannot tell worlds apart, nor policies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import EGO_SHAPE, Action, Array, Provenance, Rollout, Scene, Trajectory, WorldState
from drivewm.errors import InputError
from drivewm.metrics.boxes import overlap
from drivewm.policies.observation import Observer
from drivewm.protocols import GroundTruth, Policy, World
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
    Raises InputError when the scenes' time step does not divide the camera period.
    """
    engine = Engine(scenes)
    plan_every = steps_per_frame(world.rig.rate_hz, engine.dt_s)
    horizon = np.array([scene.steps for scene in scenes])
    log = _Log(end=horizon.copy(), ended=["horizon"] * len(scenes))
    state = engine.start()
    taken, world_memory = world.start(scenes, state.world, seed)
    faults = CameraFaults(scenes, world.rig)
    memory = policy.start(len(scenes), seed)
    observer = Observer(scenes, policy.spec.history)
    log.add_state(0, state.world)
    for frame in range(int(np.ceil(horizon.max() / plan_every))):
        images = faults.seen(taken, state.world.t_s)
        if on_frame:
            on_frame(frame, images, state.world)
        observation = observer.observe(images, state.world)
        truth = GroundTruth(scenes, state.world, partial(roll_forward, engine, state)) if policy.spec.privileged else None
        began = time.perf_counter()
        plan, memory = policy.act(observation, memory, truth)
        log.latency_ms.append(1e3 * (time.perf_counter() - began) / len(scenes))
        plan = log.add_plan(frame * plan_every, plan, policy.spec.plan_t_s)
        planned_at = state.world.ego_xy_yaw_world
        for step in range(plan_every):
            action = track(plan, step * engine.dt_s, planned_at, state.world)
            state = engine.step(state, action)
            log.actions.append(action)
            log.add_state(frame * plan_every + step + 1, state.world)
        if log.finished(frame * plan_every + plan_every):
            break
        recent = Action.stack(log.actions[-plan_every:])
        mean = Action(recent.accel_mps2.mean(0), recent.curvature_1pm.mean(0))
        taken, world_memory = world.step(world_memory, state.world, mean)
    origin = provenance(seed, policy=policy.spec.id, world=world.id)
    return [log.record(b, scene, plan_every, origin) for b, scene in enumerate(scenes)]


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

    def add_state(self, step: int, state: WorldState) -> None:
        self.states.append(state)
        for b in np.flatnonzero(touching(state)):
            self._stop(int(b), step, "collision")

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
            plans=Trajectory.stack([plan[b] for plan in self.plans[: max(frames, 1)]]),
            plan_every=plan_every,
            ended=self.ended[b],
            latency_ms=np.array(self.latency_ms[: max(frames, 1)]),
            provenance=origin,
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
