"""Real recorded drives through the engine: everybody comes, drives and goes as recorded."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.data.recorded.reading import read_recording
from drivewm.data.recorded.recording import Recording
from drivewm.data.recorded.scene import recorded_scene
from drivewm.data.recorded.writing import write_recorded
from drivewm.datatypes import Action, Agents
from drivewm.geometry import wrap_angle_rad
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.sim.engine import Engine

SAMPLES = Path(os.environ.get("DRIVEWM_SAMPLES", Path(__file__).parents[3] / "shared" / "data")) / "real"
AV2, COMMONROAD = SAMPLES / "argoverse2" / "adcf7d18", SAMPLES / "commonroad"
needs_samples = pytest.mark.skipif(not AV2.is_dir(), reason=f"no recorded drives at {SAMPLES}")


def replayed(recording: Recording) -> tuple[Agents, Agents]:
    """What the engine makes of the recording [T, N], and the recording's own agents in the same order."""
    scene, _ = recorded_scene(recording)
    engine = Engine([scene])
    states, idle = [engine.start()], Action(np.zeros(1), np.zeros(1))
    for _ in range(len(recording.ego_speed_mps) - 1):
        states.append(engine.step(states[-1], idle))
    return Agents.stack([state.world.agents[0] for state in states]), recording.agents[:, scene.start.agents.track_id - 1]


def away_m(played: Agents, truth: Agents) -> np.ndarray:
    return np.hypot(*np.moveaxis((played.xy_yaw_world - truth.xy_yaw_world)[..., :2], -1, 0))


@needs_samples
def test_a_town_of_argoverse_is_replayed_to_centimetres() -> None:
    played, truth = replayed(read_recording(AV2))
    assert np.array_equal(played.valid, truth.valid) and played.valid.shape[1] >= 120
    moving = truth.valid & (truth.speed_mps > 1.0)
    assert np.quantile(away_m(played, truth)[moving], 0.5) < 0.03 and np.quantile(away_m(played, truth)[moving], 0.95) < 0.1
    fast = truth.valid & (truth.speed_mps > 3.0)
    turned = np.degrees(np.abs(wrap_angle_rad(played.xy_yaw_world[fast, 2] - truth.xy_yaw_world[fast, 2])))
    # In a tight bend the middle of a box does not move where the box looks; the engine turns it along its way.
    assert np.quantile(turned, 0.5) < 3.0 and np.quantile(turned, 0.95) < 12.0


@needs_samples
@pytest.mark.parametrize("name", ["USA_Lanker-1_1_T-1", "USA_US101-3_3_T-1", "DEU_A9-3_1_T-1"])
def test_roads_of_commonroad_are_replayed(name: str) -> None:
    played, truth = replayed(read_recording(COMMONROAD / f"{name}.xml"))
    assert played.valid.shape[1] >= 9 and np.quantile(away_m(played, truth)[truth.valid], 0.95) < 0.3


def test_a_scene_of_our_own_data_is_replayed(small_set: Path) -> None:
    played, truth = replayed(read_recording(small_set))
    assert np.array_equal(played.valid, truth.valid) and truth.valid.any()
    assert np.quantile(away_m(played, truth)[truth.valid], 0.95) < 0.3


@needs_samples
@pytest.mark.parametrize("name", ["USA_Lanker-1_1_T-1", "USA_US101-3_3_T-1", "DEU_A9-3_1_T-1"])
def test_columns_that_react_stay_together_while_nothing_forces_them_apart(name: str, tmp_path: Path) -> None:
    """Behind an ego that keeps its lane and speed, the median vehicle is within a metre of where it was recorded at the end."""
    recording = read_recording(COMMONROAD / f"{name}.xml")
    file = write_recorded(recording, tmp_path, reactive_after_s=2.0).scenario
    file.write_text(file.read_text().replace('"[0.9 .. 1.1]"', "1").replace('"[-0.5 .. 0.5] s"', "0 s"))
    scene = draw_scene(load_scenario(file), 0, 0)
    engine = Engine([scene])
    state, idle = engine.start(), Action(np.zeros(1), np.zeros(1))
    for step in range(scene.steps):
        state = engine.step(state, idle)
        pose, speed = recording.ego_xy_yaw_world[step + 1], recording.ego_speed_mps[step + 1]
        ego = {"ego_xy_yaw_world": pose[None], "ego_speed_mps": np.array([speed])}
        state = replace(state, world=replace(state.world, **ego))
    played, truth = state.world.agents[0], recording.agents[scene.steps, scene.start.agents.track_id - 1]
    reacting = scene.scripts.reactive & truth.valid & played.valid
    assert reacting.sum() >= 7 and np.median(away_m(played, truth)[reacting]) < 1.0
