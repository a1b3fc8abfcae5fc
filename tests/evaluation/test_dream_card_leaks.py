"""The card's own controls: drives that the world never saw, and a future that nobody tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.data.marks import TrainedOn, marks_of, trained_on
from drivewm.data.towns import draw_drive
from drivewm.datatypes import Scene
from drivewm.evaluation.dream_card.held_out import HELD_OUT_SEED, SEEDS, held_out_cache
from drivewm.evaluation.readers import EMBEDDED as READERS
from drivewm.evaluation.suite import load_suite
from drivewm.evaluation.worlds import load_world
from drivewm.policies.baselines import ConstantVelocity
from drivewm.protocols import World
from drivewm.rollout import rollout
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.quantities import ACCELERATION, SPEED, TIME, Quantity
from drivewm.scenarios.sampling import draw_scene
from drivewm.training.cache import FrameCache
from drivewm.worldmodel.conditions import frame_conditions
from drivewm.worldmodel.world import EMBEDDED

BRAKES = Path(__file__).parents[2] / "scenarios" / "lead_vehicle" / "brakes.yaml"


@pytest.fixture(scope="module")
def learned() -> TrainedOn:
    found = trained_on(EMBEDDED)
    assert found is not None
    return found


def test_the_embedded_world_has_seen_no_town_seed_or_combination_of_the_card(learned: TrainedOn) -> None:
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + SEEDS):
        for index in range(8):
            assert learned.shares(marks_of(draw_drive(index, "val", seed, seconds=21.0).scene)) == ()
    assert all(learned.shares(marks_of(scene)) == () for scene in load_suite("smoke").scenes())


def test_a_drive_it_learned_from_is_known_by_all_its_marks(learned: TrainedOn) -> None:
    drive = draw_drive(2, "train", 1, seconds=12.0)
    assert learned.shares(marks_of(drive.scene)) == ("town", "seed", "parameters")
    assert learned.shares(marks_of(replace(drive.scene, seed=7))) == ("town", "parameters")
    assert trained_on(READERS) == learned


def futures() -> tuple[Scene, Scene]:
    """The same start; the car ahead brakes after 1 s in one, after 3 s in the other."""
    scenario = load_scenario(BRAKES)
    pinned = {
        "speed": Quantity(15.0, SPEED),
        "gap": Quantity(1.5, TIME),
        "braking": Quantity(6.0, ACCELERATION),
        "weather": "clear",
    }
    soon, late = (draw_scene(scenario, 0, 0, pinned | {"begins": Quantity(start_s, TIME)}) for start_s in (1.0, 3.0))
    return replace(soon, horizon_s=2.4), replace(late, horizon_s=2.4)


def frames(scene: Scene, world: World) -> np.ndarray:
    shown: list[np.ndarray] = []
    rollout([scene], ConstantVelocity(), world, seed=3, on_frame=lambda frame, images, state: shown.append(images[0].copy()))
    return np.stack(shown)


def test_what_agents_will_do_reaches_neither_conditions_nor_frames() -> None:
    world = load_world("dream")
    soon, late = futures()
    told = []
    for scene in (soon, late):
        states = rollout([scene], ConstantVelocity(), load_world("raster"), seed=3)[0].states[::2]
        told.append([frame_conditions(scene.road, states[t], states[t - 1], scene.conditions, world.rig) for t in range(1, 12)])
    equal = [a.boxes.tobytes() + a.label.tobytes() == b.boxes.tobytes() + b.label.tobytes() for a, b in zip(*told, strict=True)]
    assert equal[:4] == [True] * 4  # until 0.8 s
    assert not equal[-1]  # when one brakes and the other does not
    first, second = (frames(scene, world) for scene in (soon, late))
    assert np.array_equal(first[:5], second[:5])
    assert not np.array_equal(first[-1], second[-1])


def test_held_out_drives_that_were_added_to_are_found_again_by_who_asks_for_fewer(tmp_path: Path) -> None:
    """A card that had to pass some over and was killed asks again for as many as it began with."""

    def silent(title: str) -> Callable[..., None]:
        return lambda *_: None

    more = FrameCache(held_out_cache(tmp_path, 2, silent, seconds=2.0))
    fewer = FrameCache(held_out_cache(tmp_path, 1, silent, seconds=2.0))
    assert len(more.marks) == len(fewer.marks) == 2
