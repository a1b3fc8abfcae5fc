"""What an environment is made of: which scenarios, what the car is told, what it may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from drivewm.datatypes import Array, Scene
from drivewm.errors import InputError
from drivewm.evaluation.worlds import load_world
from drivewm.gym.sight import STATE_BOUND, STATE_SIZE
from drivewm.protocols import World
from drivewm.scenarios.catalogue import scenario_files
from drivewm.scenarios.opening import AnyScenario, draw, open_scenario
from drivewm.sim.bicycle import EGO_LIMITS

OBSERVATIONS, ACTIONS = ("state", "images", "both"), ("accel_curvature", "accel")
DRAW_SEED = 0
# Suites take a scenario's first draws; environments draw beyond them, so what was trained on is never what is scored.
FIRST_DRAW, LAST_DRAW = 10_000, 2**31 - 1
STEP_HZ = 5.0  # without cameras; with a world one step is one camera period


@dataclass(frozen=True, slots=True)
class Setup:
    scenarios: tuple[AnyScenario, ...]
    world: World | None
    observation: str
    action: str

    @classmethod
    def of(cls, scenario: str | Sequence[str], world: str | World | None, observation: str, action: str) -> Setup:
        """Raises InputError for unknown names, and for images without a world that shows any."""
        for name, value, known in (("observation", observation, OBSERVATIONS), ("action", action, ACTIONS)):
            if value not in known:
                raise InputError(f"unknown {name} {value!r}", hint="one of " + ", ".join(known))
        if (observation == "state") != (world is None):
            hint = "world='raster' or 'dream' with observation='images' or 'both'; no world with 'state'"
            raise InputError(f"observation {observation!r} and world {world!r} do not go together", hint=hint)
        files = scenario_files([scenario] if isinstance(scenario, (str, Path)) else list(scenario))
        if not files:
            raise InputError("an environment needs a scenario", hint="`drivewm scenario list` shows all")
        opened = load_world(world) if isinstance(world, str) else world
        return cls(tuple(open_scenario(file) for file in files), opened, observation, action)

    @property
    def rate_hz(self) -> float:
        return STEP_HZ if self.world is None else self.world.rig.rate_hz

    def scene(self, rng: np.random.Generator, draw_index: int | None = None) -> Scene:
        """Another scene; ``draw_index`` asks for one draw, as a suite numbers them."""
        scenario = self.scenarios[int(rng.integers(len(self.scenarios)))]
        index = int(rng.integers(FIRST_DRAW, LAST_DRAW)) if draw_index is None else draw_index
        return draw(scenario, index, DRAW_SEED)

    def observation_space(self) -> spaces.Space[Array] | spaces.Dict:
        parts: dict[str, spaces.Space[Array]] = {}
        if self.observation != "images":
            parts["state"] = spaces.Box(-STATE_BOUND, STATE_BOUND, (STATE_SIZE,), np.float32)
        if self.world is not None:
            rig = self.world.rig
            parts["images"] = spaces.Box(0, 255, (len(rig.names), *rig.size_px, 3), np.uint8)
        return spaces.Dict(parts) if self.observation == "both" else parts[self.observation]

    def action_space(self) -> spaces.Box:
        """Acceleration (m/s^2) and curvature (1/m, left positive); or acceleration alone, and the car steers along its route."""
        low, high = (EGO_LIMITS.accel_min_mps2, EGO_LIMITS.accel_max_mps2), EGO_LIMITS.curvature_max_1pm
        if self.action == "accel":
            return spaces.Box(np.float32(low[0]), np.float32(low[1]), (1,), np.float32)
        return spaces.Box(np.array([low[0], -high], np.float32), np.array([low[1], high], np.float32), dtype=np.float32)
