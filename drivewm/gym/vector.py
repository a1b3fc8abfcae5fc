"""Many scenario environments that one engine moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.gym.cars import Cars
from drivewm.gym.setup import STEP_HZ, Setup
from drivewm.gym.single import RENDER_MODES
from drivewm.protocols import World


class ScenarioVectorEnv(VectorEnv[Any, Array, Array]):
    """`ScenarioEnv`, ``num_envs`` times: environment i draws the scenes that a single one with seed + i draws.

    ``autoreset_mode`` is Gymnasium's: by default a finished drive begins anew with the next step (whose action it ignores);
    "SameStep" begins at once and hands the last observation over as ``final_obs``; "Disabled" waits for a reset with a mask.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": STEP_HZ}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str | Sequence[str] = "cut_in.motorway",
        world: str | World | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **options: Any,
    ) -> None:
        observation, action = options.pop("observation", None), options.pop("action", "accel_curvature")
        self.render_mode = options.pop("render_mode", None)
        if options or self.render_mode not in (None, *RENDER_MODES):
            raise InputError(
                f"unknown option: {options or self.render_mode}", hint="observation, action, render_mode='rgb_array'"
            )
        self._setup = Setup.of(scenario, world, observation or ("state" if world is None else "images"), action)
        self.num_envs, self._cars, self._mode = num_envs, Cars(self._setup, num_envs), AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self._mode}
        self.single_observation_space, self.single_action_space = self._setup.observation_space(), self._setup.action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._chance: list[np.random.Generator] = []
        self._over = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """All environments, or those of ``options["reset_mask"]`` bool [num_envs]."""
        seeds = _seeds(seed, self.num_envs)
        if len(seeds) != self.num_envs:
            raise InputError(f"{len(seeds)} seeds for {self.num_envs} environments")
        options = options or {}
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise InputError(f"reset_mask must be bool [{self.num_envs}] with at least one True")
        if not self._chance and not mask.all():
            raise InputError("the first reset must be one of all environments")
        self._chance = self._chance or [seeding.np_random(one)[0] for one in seeds]
        for b in np.flatnonzero(mask):
            if seeds[b] is not None:
                self._chance[b] = seeding.np_random(seeds[b])[0]
        self._begin(np.flatnonzero(mask), options.get("draw"))
        self._over &= ~mask
        infos: dict[str, Any] = {}
        for b in np.flatnonzero(mask):
            infos = self._add_info(infos, self._cars.about(int(b)), int(b))
        return self._observed(), infos

    def step(self, actions: Array) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        if self._mode is AutoresetMode.DISABLED and self._over.any():
            raise InputError("a finished drive must be reset before the next step", hint="reset(options={'reset_mask': ...})")
        begins = self._over
        outcomes = self._cars.step(np.asarray(actions))
        reward = np.array([one.reward for one in outcomes])
        terminated = np.array([one.terminated for one in outcomes]) & ~begins
        truncated = np.array([one.truncated for one in outcomes]) & ~begins
        reward[begins] = 0.0
        infos: dict[str, Any] = {}
        again = begins
        if self._mode is AutoresetMode.SAME_STEP:
            again = terminated | truncated
            for b in np.flatnonzero(again):
                last = {"final_obs": self._cars.observation(int(b)), "final_info": outcomes[b].info}
                infos = self._add_info(infos, last, int(b))
        if again.any():
            self._begin(np.flatnonzero(again))
        for b in range(self.num_envs):
            infos = self._add_info(infos, self._cars.about(b) if again[b] else outcomes[b].info, b)
        self._over = np.zeros(self.num_envs, bool) if self._mode is AutoresetMode.SAME_STEP else terminated | truncated
        return self._observed(), reward, terminated, truncated, infos

    def _begin(self, which: Iterable[int], draw: int | None = None) -> None:
        chosen = {int(b): self._setup.scene(self._chance[b], draw) for b in which}
        self._cars.place({b: (scene, int(self._chance[b].integers(2**31))) for b, scene in chosen.items()})

    def _observed(self) -> Any:
        seen = tuple(self._cars.observation(b) for b in range(self.num_envs))
        space = self.single_observation_space
        return concatenate(space, seen, create_empty_array(space, self.num_envs))

    def render(self) -> Any:
        """One picture from above per environment."""
        return tuple(self._cars.picture(b) for b in range(self.num_envs)) if self.render_mode == "rgb_array" else None


def _seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    if seed is None or isinstance(seed, int):
        return [None if seed is None else seed + b for b in range(count)]
    return list(seed)
