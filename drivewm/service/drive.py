"""A person's drive through a scene: held keys in, camera frames out. Knows no web.

Memories of worlds and states of the engine are never changed in place, so to go back to a moment is to take it up again.
"""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Action, Array, Conditions, Light, Scene, Trajectory, Weather, WorldState
from drivewm.errors import InputError
from drivewm.geometry import box_corners_xy
from drivewm.metrics.grounds import DrivableGrid
from drivewm.protocols import World
from drivewm.rollout import steps_per_frame, touching
from drivewm.service.ride import FREE, LAYOUT, Ride
from drivewm.service.wheel import Wheel
from drivewm.sim.bicycle import along_arc, travel
from drivewm.sim.engine import Engine, EngineState
from drivewm.sim.faults import CameraFaults

BACK_S = 3.0
KEPT_S = 9.0  # how far back one can go; a moment of the tiny dream takes 4 MB
LONGEST_S = 300.0
PLAN_T_S = 0.5 * np.arange(1, 9)


@dataclass(frozen=True, slots=True)
class Moment:
    """One camera frame of a drive, and all that is needed to go on from it."""

    state: EngineState  # [1]
    memory: Any  # the world's; None when the moment is too long ago to go back to
    images: Array  # uint8 [V, H, W, 3], as the car's computer got them
    wheel: Wheel
    scene: Scene  # with the weather and light that were chosen so far
    regime: str
    passed: tuple[tuple[Action, WorldState], ...] = ()  # engine steps since the moment before, and where each led
    ended: str = ""  # "collision": no camera period went by in full, the images are the last ones; "horizon"

    @property
    def now(self) -> WorldState:
        return self.state.world[0]


class Drive:
    """One person at the wheel. ``keep`` holds every moment from the start on, for a recording, and ends after `LONGEST_S`."""

    def __init__(self, ride: Ride, *, keep: bool = False) -> None:
        self.ride, self.keep = ride, keep
        self.engine = Engine([ride.scene])
        self.rig = next(iter(ride.worlds.values())).rig
        self.steps_per_frame = steps_per_frame(self.rig.rate_hz, self.engine.dt_s)
        self._ground = DrivableGrid.of(ride.scene.road, np.concatenate([ride.scene.route_xy, *ride.scene.road.drivable]))
        self.moments = [self._first(ride.regime)]

    @property
    def moment(self) -> Moment:
        return self.moments[-1]

    @property
    def world(self) -> World:
        return self.ride.worlds[self.moment.regime]

    @property
    def conditions(self) -> Conditions:
        """Weather and light that the next frame will have."""
        return self.moment.scene.conditions_at(float(self.moment.now.t_s) + self.engine.dt_s)

    def restart(self) -> None:
        """The scene from its start, in the regime that was chosen last."""
        self.moments = [self._first(self.moment.regime)]

    def _first(self, regime: str) -> Moment:
        state, scene = self.engine.start(), self.ride.scene
        images, memory = self.ride.worlds[regime].start([scene], state.world, self.ride.seed)
        self._faults = CameraFaults([scene], self.rig)
        return Moment(state, memory, self._faults.seen(images, state.world.t_s)[0], Wheel(), scene, regime)

    def advance(self, keys: frozenset[str]) -> Moment:
        """One camera period under the held keys; a drive that has ended stays where it is.

        A collision ends it, but for the free regime, where the dream decides who is there.
        """
        before = self.moment
        if before.ended:
            return before
        state, wheel, passed = before.state, before.wheel, []
        for _ in range(self.steps_per_frame):
            wheel = wheel.turned(keys, self.engine.dt_s)
            action = wheel.action(keys, float(state.world.ego_speed_mps[0]))
            state = self.engine.step(state, action)
            passed.append((action, state.world))
            if touching(state.world)[0] and before.regime != FREE:
                return self._append(replace(before, state=state, wheel=wheel, passed=tuple(passed), ended="collision"))
        actions = Action.stack([action for action, _ in passed])
        mean = Action(actions.accel_mps2.mean(0), actions.curvature_1pm.mean(0))
        images, memory = self.world.step(before.memory, state.world, mean)
        seen = self._faults.seen(images, state.world.t_s)[0]
        full = self.keep and float(state.world.t_s[0]) >= LONGEST_S
        return self._append(
            Moment(state, memory, seen, wheel, before.scene, before.regime, tuple(passed), "horizon" if full else "")
        )

    def _append(self, moment: Moment) -> Moment:
        self.moments.append(moment)
        kept = round(KEPT_S * self.rig.rate_hz) + 1
        if len(self.moments) > kept and self.keep:
            self.moments[-kept - 1] = replace(self.moments[-kept - 1], memory=None)
        elif len(self.moments) > kept:
            del self.moments[0]
        return moment

    @property
    def back_s(self) -> float:
        """How far one can go back."""
        return (sum(moment.memory is not None for moment in self._whole) - 1) / self.rig.rate_hz

    @property
    def _whole(self) -> list[Moment]:
        """The moments with a frame of their own; a collision has none."""
        return self.moments[:-1] if self.moment.ended == "collision" else self.moments

    def back(self, seconds: float = BACK_S) -> None:
        """Take up the moment ``seconds`` ago, or the oldest that is kept; what came after it is forgotten."""
        frames = round(min(seconds, self.back_s) * self.rig.rate_hz)
        self.moments = self._whole[: len(self._whole) - frames]
        self._faults = CameraFaults([self.moment.scene], self.rig)

    def change_sky(self, *, weather: Weather | None = None, light: Light | None = None) -> None:
        """Another weather or light from the next frame on."""
        now, from_s = self.moment, float(self.moment.now.t_s) + self.engine.dt_s
        old = self.conditions
        new = replace(old, weather=weather or old.weather, light=light or old.light)
        changes = [(t_s, later) for t_s, later in now.scene.condition_changes if abs(t_s - from_s) > 1e-9]
        scene = replace(now.scene, condition_changes=tuple(sorted([*changes, (from_s, new)], key=lambda change: change[0])))
        if not is_dataclass(now.memory) or not hasattr(now.memory, "scenes"):
            raise InputError(f"the world {self.world.id} cannot change weather and light while it runs")
        self.moments[-1] = replace(now, scene=scene, memory=replace(now.memory, scenes=(scene,)))  # type: ignore[type-var]

    def change_regime(self) -> None:
        """From layout-driven to free and back: the same memory goes on under other conditions."""
        if set(self.ride.worlds) != {LAYOUT, FREE}:
            raise InputError(f"the world {self.world.id} has one regime only")
        self.moments[-1] = replace(self.moment, regime=FREE if self.moment.regime == LAYOUT else LAYOUT)

    def off_road(self) -> bool:
        """Whether, by the state, a corner of the car stands beyond what is drivable."""
        centre = EGO_SHAPE.centre_xy_yaw(self.moment.now.ego_xy_yaw_world)
        corners = box_corners_xy(centre, (EGO_SHAPE.length_m, EGO_SHAPE.width_m))
        return not bool(self._ground.contains(corners).all())

    def touches(self) -> bool:
        """Whether, by the state, the car overlaps somebody; in the free regime the dream knows nothing of it and goes on."""
        return bool(touching(self.moment.state.world)[0])


def held_plan(moment: Moment) -> Trajectory:
    """Where the car goes [K] if wheel and pedals stay as they are: what a person's drive has instead of a plan."""
    now, action = moment.now, moment.passed[-1][0][0] if moment.passed else Action(np.array(0.0), np.array(0.0))
    distance_m, speed_mps = travel(now.ego_speed_mps, action.accel_mps2, PLAN_T_S)
    return Trajectory(PLAN_T_S, along_arc(np.zeros((len(PLAN_T_S), 3)), distance_m, now.ego_curvature_1pm), speed_mps)
