"""One scenario environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from drivewm.datatypes import Array, Observation, Trajectory
from drivewm.errors import InputError
from drivewm.gym.cars import Cars
from drivewm.gym.setup import STEP_HZ, Setup
from drivewm.protocols import GroundTruth, World
from drivewm.sim.tracker import track

RENDER_MODES = ["rgb_array"]


class ScenarioEnv(gymnasium.Env[Any, Array]):
    """A drive through a scene of a scenario; every reset draws another one, and the same seed draws the same ones.

    ``scenario`` is a name, a file, a folder or several of them. Without a ``world`` nothing is rendered and the observation is a
    state vector (`drivewm.gym.sight`); with one (name, folder, or a World) it is the cameras' "images", or "both". An action is
    acceleration and curvature for one camera period, or "accel" alone while the car steers along its route. The reward is that
    of `drivewm.gym.reward`: ``terminated`` after an offence, ``truncated`` at the scene's horizon. ``reset(options={"draw": 3})``
    asks for one draw, as a suite numbers them.
    """

    metadata = {"render_modes": RENDER_MODES, "render_fps": STEP_HZ}  # noqa: RUF012 (as gymnasium wants it)

    def __init__(
        self,
        scenario: str | Sequence[str] = "cut_in.motorway",
        world: str | World | None = None,
        observation: str | None = None,
        action: str = "accel_curvature",
        render_mode: str | None = None,
    ) -> None:
        setup = Setup.of(scenario, world, observation or ("state" if world is None else "images"), action)
        if render_mode not in (None, *RENDER_MODES):
            raise InputError(f"unknown render_mode {render_mode!r}", hint="rgb_array")
        self.render_mode, self._setup, self._cars = render_mode, setup, Cars(setup, 1)
        self.observation_space = setup.observation_space()
        self.action_space: spaces.Box = setup.action_space()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        scene = self._setup.scene(self.np_random, (options or {}).get("draw"))
        self._cars.place({0: (scene, int(self.np_random.integers(2**31)))})
        return self._cars.observation(0), self._cars.about(0)

    def step(self, action: Array) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        outcome = self._cars.step(np.asarray(action)[None])[0]
        return self._cars.observation(0), outcome.reward, outcome.terminated, outcome.truncated, outcome.info

    def moment(self) -> tuple[Observation, GroundTruth]:
        """What a `Policy` would be given now, so that one can drive here, to be compared with or to be imitated."""
        return self._cars.moment(0)

    def action_of(self, plan: Trajectory) -> Array:
        """The action that begins to follow a plan [1, K] made now, within what the action space allows."""
        _, truth = self._cars.moment(0)
        told = track(plan, 0.0, truth.state.ego_xy_yaw_world, truth.state)
        both = np.array([told.accel_mps2[0], told.curvature_1pm[0]], np.float32)[: self.action_space.shape[0]]
        return np.clip(both, self.action_space.low, self.action_space.high)

    def render(self) -> Any:
        return self._cars.picture(0) if self.render_mode == "rgb_array" else None
