"""Cars that drive at the same time, each in its own scene; one engine moves them all, and any of them may begin another scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Action, Agents, Array, Observation, Records, Scene, WorldState
from drivewm.errors import InputError
from drivewm.evaluation.birdseye import Overlay, birdseye
from drivewm.gym.reward import Referee, Trip
from drivewm.gym.setup import Setup
from drivewm.gym.sight import Sight
from drivewm.policies.observation import Observer
from drivewm.protocols import GroundTruth
from drivewm.rollout import steps_per_frame, touching, without_padding
from drivewm.sim.engine import Engine, EngineState
from drivewm.sim.forecast import roll_forward

AnyRecords = TypeVar("AnyRecords", bound=Records)
LOOK_AHEAD_S, LOOK_AHEAD_M = 0.8, 6.0  # where on its route a car that steers itself aims
NO_PICTURE = np.zeros((1, 1, 1, 1, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step brought one car."""

    reward: float
    terminated: bool  # an offence, see `drivewm.gym.reward`
    truncated: bool  # the scene's horizon
    info: dict[str, Any]


class _Car:
    """One car in one scene: what it sees and where it is on its route."""

    def __init__(self, scene: Scene, state: WorldState, setup: Setup, seed: int) -> None:
        self.scene, self.referee, self._sight, self._world = scene, Referee(scene), Sight(scene), setup.world
        self._observer, self._memory, self._observation = Observer([scene], 1), None, setup.observation
        self.steps = 0
        pictures = NO_PICTURE
        if self._world is not None:
            pictures, self._memory = self._world.start([scene], state, seed)
        self._take_in(pictures, state)

    def look(self, state: WorldState, action: Action) -> None:
        """``state`` [1] after ``action`` [1]."""
        pictures = NO_PICTURE
        if self._world is not None:
            pictures, self._memory = self._world.step(self._memory, state, action)
        self._take_in(pictures, state)

    def _take_in(self, pictures: Array, state: WorldState) -> None:
        self.seen = seen = self._observer.observe(pictures, state)
        self.route_s_m, self.route_xy_ego = float(self._observer.route_s_m[0] or 0.0), seen.route_xy_ego[0].astype(np.float64)
        parts = {"images": pictures[0]}
        if self._observation != "images":
            parts["state"] = self._sight.vector(state[0], self.route_xy_ego, self.route_s_m)
        self.observation: Any = parts if self._observation == "both" else parts[self._observation]

    def steering_1pm(self, speed_mps: float) -> float:
        """Curvature of the arc through a point of the route ahead (pure pursuit, Coulter 1992)."""
        reach = np.hypot(self.route_xy_ego[:, 0], self.route_xy_ego[:, 1])
        x, y = self.route_xy_ego[min(int(np.searchsorted(reach, max(LOOK_AHEAD_M, LOOK_AHEAD_S * speed_mps))), len(reach) - 1)]
        return float(2 * y / (x * x + y * y))


class Cars:
    def __init__(self, setup: Setup, count: int) -> None:
        self._setup, self._count = setup, count
        self._cars: dict[int, _Car] = {}
        self._engine: Engine | None = None
        self._state: EngineState

    def place(self, scenes: Mapping[int, tuple[Scene, int]]) -> None:
        """Cars begin other scenes (with a seed for the world); at first all must. The others go on as if nothing had been."""
        chosen = [scenes[b][0] if b in scenes else self._cars[b].scene for b in range(self._count)]
        engine = Engine(chosen)
        state = engine.start()
        if self._engine is not None:
            state = _spliced(state, self._state, np.array([b not in scenes for b in range(len(chosen))]))
        self._engine, self._state, self._every = engine, state, steps_per_frame(self._setup.rate_hz, engine.dt_s)
        for b, (scene, seed) in scenes.items():
            self._cars[b] = _Car(scene, self._alone(state, b), self._setup, seed)

    def observation(self, b: int) -> Any:
        return self._cars[b].observation

    def about(self, b: int) -> dict[str, Any]:
        scene = self._cars[b].scene
        return {"scene": scene.id, "family": scene.family}

    def step(self, actions: Array) -> list[Outcome]:
        """All cars one step on with ``actions`` [B, 1 or 2]; what the car cannot do is cut to what it can."""
        assert self._engine is not None, "place the cars first"
        if not np.isfinite(actions).all():
            raise InputError("an action is not finite")
        accel = np.asarray(actions[:, 0], np.float64)
        states, touched = [self._state.world], [touching(self._state.world)]
        if self._setup.action == "accel":
            speed = states[0].ego_speed_mps
            curvature = np.array([self._cars[b].steering_1pm(float(speed[b])) for b in range(self._count)])
        else:
            curvature = np.asarray(actions[:, 1], np.float64)
        action = Action(accel, curvature)
        for _ in range(self._every):
            self._state = self._engine.step(self._state, action)
            states.append(self._state.world)
            touched.append(touching(self._state.world))
        poses = np.stack([EGO_SHAPE.centre_xy_yaw(state.ego_xy_yaw_world) for state in states], 1)
        trips = [Trip(poses[b], np.array([float(state.t_s[b]) for state in states])) for b in range(self._count)]
        for b in np.flatnonzero(np.any(touched, axis=0)):
            until = [bool(one[b]) for one in touched].index(True) + 1
            rows = [without_padding(state[b : b + 1], self._engine.scenes[b])[0] for state in states[:until]]
            trips[b] = replace(trips[b], until_contact=WorldState.stack(rows))
        return [self._outcome(b, trips[b], action[b : b + 1]) for b in range(self._count)]

    def _outcome(self, b: int, trip: Trip, action: Action) -> Outcome:
        car = self._cars[b]
        from_m = car.route_s_m
        car.look(self._alone(self._state, b), action)
        car.steps += self._every
        offences = car.referee.offences(trip)
        reward = car.referee.earned(from_m, car.route_s_m, self._every * car.scene.dt_s) - sum(offences.values())
        info = self.about(b) | {"progress_m": car.route_s_m, "offences": tuple(offences)}
        return Outcome(reward, bool(offences), not offences and car.steps >= car.scene.steps, info)

    def moment(self, b: int) -> tuple[Observation, GroundTruth]:
        """What a `Policy` would be given now: one present frame, and the truth."""
        assert self._engine is not None, "place the cars first"
        engine, state = self._engine, self._state

        def futures(t_s: Array) -> Agents:
            agents = roll_forward(engine, state, t_s)[b : b + 1]
            return agents[:, :, : len(engine.scenes[b].start.agents.valid)]

        return self._cars[b].seen, GroundTruth((engine.scenes[b],), self._alone(state, b), futures)

    def picture(self, b: int) -> Array:
        """The scene from above, uint8 [H, W, 3]."""
        car = self._cars[b]
        overlay = Overlay(route_xy_world=car.scene.route_xy, caption=car.scene.id)
        return birdseye(car.scene.road, self._alone(self._state, b)[0], overlay)

    def _alone(self, state: EngineState, b: int) -> WorldState:
        assert self._engine is not None
        return without_padding(state.world[b : b + 1], self._engine.scenes[b])


def _spliced(fresh: AnyRecords, before: AnyRecords, keep: Array) -> AnyRecords:
    """``fresh`` with the rows ``keep`` [B] of ``before``; the two may be padded differently."""
    values: dict[str, Any] = {}
    for f in fields(fresh):  # type: ignore[arg-type]
        new, old = getattr(fresh, f.name), getattr(before, f.name)
        if isinstance(new, Records):
            values[f.name] = _spliced(new, old, keep)
        else:
            out = np.array(new)
            part = tuple(slice(min(a, b)) for a, b in zip(out.shape[1:], old.shape[1:], strict=True))
            out[(keep, *part)] = old[(keep, *part)]
            values[f.name] = out
    return type(fresh)(**values)
