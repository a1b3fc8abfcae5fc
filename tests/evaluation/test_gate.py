from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivewm.config import content_folder
from drivewm.datatypes import Light, Rollout, Weather
from drivewm.evaluation.breaking import WHOLE, Remembering, evidence_by_kind
from drivewm.evaluation.broken import WAYS
from drivewm.evaluation.calibration import NAMES, choose
from drivewm.evaluation.cases import judged
from drivewm.evaluation.gate import Evidence, Gate, Thresholds, broken, gate_for, load_limits
from drivewm.evaluation.readers import READ_TABLE, Readers
from drivewm.policies.baselines import ConstantVelocity
from drivewm.policies.expert import ExpertPolicy
from drivewm.rollout import rollout
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.sim.raster import RasterWorld, render
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld, straight_scene
from drivewm.worldmodel.world import EMBEDDED, open_pipeline

RIG = nuscenes_rig()
FOLLOWING = straight_scene(8.0, lead=(12.0, 8.0), horizon_s=6.0)
LIMITS = Thresholds(0.28, 0.4, 0.2, 100.0, 2.5, 0.06, 0.4, 0.03, 0.05, 0.5)


class PerfectEyes:
    """Reads exactly what was painted: every film it is shown must have been painted with `paint`."""

    views = len(RIG.names)

    def __init__(self) -> None:
        self.labels: dict[bytes, NDArray[Any]] = {}
        self.steps: dict[bytes, tuple[float, NDArray[Any]]] = {}

    def paint(self, drive: Rollout) -> NDArray[np.uint8]:
        """Frames [F, V, H, W, 3] of a drive in the reference world."""
        out = []
        for frame in range(len(drive.plans.t_s)):
            state = drive.states[frame * drive.plan_every]
            seen = render(drive.scene.road, state, drive.scene.conditions, RIG, 0)
            for image, semantics in zip(seen.images, seen.semantics, strict=True):
                self.labels[image.tobytes()] = READ_TABLE[semantics]
            self.steps[seen.images.tobytes()] = (0.0, state.ego_xy_yaw_world)
            out.append(seen.images)
        return np.stack(out)

    def segment(self, images: NDArray[Any]) -> NDArray[Any]:
        flat = images.reshape(-1, *images.shape[-3:])
        return np.stack([self.labels[image.tobytes()] for image in flat]).reshape(images.shape[:-1])

    def motion(self, images: NDArray[Any]) -> NDArray[Any]:
        pose = np.stack([self.steps[frame.tobytes()][1] for frame in images])
        step = np.diff(pose, axis=0)
        return np.stack([np.hypot(step[:, 0], step[:, 1]), step[:, 2]], -1)

    def sky(self, images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        clear, day = list(Weather).index(Weather.CLEAR), list(Light).index(Light.DAY)
        return np.full(len(images), clear), np.full(len(images), day)

    def state_dict(self) -> dict[str, Any]:
        return {}


def driven(scene: Any) -> Rollout:
    return rollout([scene], ConstantVelocity(), RasterWorld(RIG), seed=0)[0]


@pytest.fixture(scope="module")
def drive() -> Rollout:
    return driven(FOLLOWING)


def test_a_drive_that_shows_what_the_state_says_counts(drive: Rollout) -> None:
    eyes = PerfectEyes()
    evidence = Gate(eyes, RIG, LIMITS).measure(drive, eyes.paint(drive))
    assert evidence.vehicle_recall == 1.0 and evidence.ghost_px == 0.0
    assert evidence.speed_difference_mps == pytest.approx(0.0, abs=1e-9)
    assert evidence.vulnerable_recall is None  # there is nobody on foot
    assert Gate(eyes, RIG, LIMITS).judge(drive, eyes.paint(drive)) == ()


def test_a_dream_without_the_car_ahead_is_void_and_its_score_says_why(drive: Rollout) -> None:
    eyes = PerfectEyes()
    eyes.paint(drive)
    empty = replace(
        drive, states=replace(drive.states, agents=replace(drive.states.agents, valid=drive.states.agents.valid & False))
    )
    case = judged(drive, 40.0, eyes.paint(empty), Gate(eyes, RIG, LIMITS))
    assert not case.score.valid and case.evidence["vehicle_recall"] == 0.0
    assert case.score.void_reasons == ("vehicles are not where the state says: 0% seen, 28% needed",)


def test_a_dream_with_a_car_that_does_not_exist_is_void(drive: Rollout) -> None:
    eyes = PerfectEyes()
    eyes.paint(drive)
    pose = drive.states.agents.xy_yaw_world + np.array([0.0, 3.5, 0.0])  # the car is shown one lane to the left
    elsewhere = replace(drive, states=replace(drive.states, agents=replace(drive.states.agents, xy_yaw_world=pose)))
    evidence = Gate(eyes, RIG, LIMITS).measure(drive, eyes.paint(elsewhere))
    assert evidence.ghost_px is not None and evidence.ghost_px > 100 and evidence.vehicle_recall == 0.0


def test_a_frozen_picture_is_void(drive: Rollout) -> None:
    eyes = PerfectEyes()
    frozen = np.repeat(eyes.paint(drive)[:1], len(drive.plans.t_s), axis=0)
    reasons = Gate(eyes, RIG, LIMITS).judge(drive, frozen)
    assert reasons == ("the picture moves at another speed than the ego: off by 8.0 m/s, at most 2.5",)


def test_a_lost_camera_is_not_held_against_the_dream() -> None:
    eyes, scene = PerfectEyes(), straight_scene(8.0, lead=(12.0, 8.0), horizon_s=2.0)
    dark = replace(scene, conditions=replace(scene.conditions, lost_cameras=RIG.names))
    blind = driven(dark)
    assert Gate(eyes, RIG, LIMITS).measure(blind, eyes.paint(blind)).vehicle_recall is None


def test_the_reference_world_needs_no_gate() -> None:
    assert gate_for(RasterWorld(RIG)) is None


def test_a_car_with_other_cameras_is_judged_by_its_agents_alone(drive: Rollout) -> None:
    eyes, front = PerfectEyes(), RIG.names.index("CAM_FRONT")
    frames = eyes.paint(drive)[:, front : front + 1]
    for frame, pictures in enumerate(frames):
        seen = render(drive.scene.road, drive.states[frame * drive.plan_every], drive.scene.conditions, RIG.only(front), 0)
        eyes.labels[seen.images[0].tobytes()] = READ_TABLE[seen.semantics[0]]
        eyes.labels[pictures[0].tobytes()] = READ_TABLE[seen.semantics[0]]
    evidence = Gate(eyes, RIG.only(front), LIMITS).measure(drive, frames)
    assert evidence.vehicle_recall == 1.0 and evidence.speed_difference_mps is None


def test_other_limits_are_another_gate() -> None:
    eyes = PerfectEyes()
    assert Gate(eyes, RIG, LIMITS).id == Gate(eyes, RIG, LIMITS).id != Gate(eyes, RIG, replace(LIMITS, vehicle_recall=0.6)).id


def drawn(name: str) -> Rollout:
    scene = draw(open_scenario(content_folder("scenarios") / name), 0, 3)
    return rollout([scene], ExpertPolicy(), BlankWorld(RIG), seed=0)[0]


def test_the_gate_as_shipped_lets_a_drive_count_and_catches_every_way_of_breaking_it() -> None:
    readers = Remembering(Readers.load(), open_pipeline(EMBEDDED).codec)
    drive, other = drawn("lead_vehicle/brakes.yaml"), drawn("cut_in/motorway.yaml")
    found, limits = evidence_by_kind(drive, other, readers, seed=1), load_limits().thresholds
    assert [broken(one, limits) for one in found.pop(WHOLE)] == [[]]
    assert {kind for kind, cases in found.items() if cases} == set(WAYS)
    counted = {kind for kind, cases in found.items() if not all(broken(one, limits) for one in cases)}
    assert counted == set()


def test_the_limits_shipped_belong_to_the_readers_shipped() -> None:
    assert load_limits().provenance.ids["readers"] == Readers.load().fingerprint()


def evidence(rng: np.random.Generator, **wrong: float) -> Evidence:
    typical = dict(zip(NAMES, rng.normal([0.9, 0.7, 0.9, 30, 0.5, 0.02, 0.1, 0.005, -0.3, 0.0], 0.01).tolist(), strict=True))
    return Evidence(**{**typical, **wrong})


def test_limits_leave_room_on_both_sides() -> None:
    """Whole drives are off by half a metre a second, frozen ones by 8 to 12: the limit is near neither."""
    rng = np.random.default_rng(0)
    whole = [evidence(rng) for _ in range(300)]
    frozen = [evidence(rng, speed_difference_mps=float(rng.uniform(8.0, 12.0))) for _ in range(100)]
    limits = choose({WHOLE: whole, "frozen picture": frozen})
    assert not any(broken(one, limits) for one in whole)
    assert all(broken(one, limits) for one in frozen)
    assert 1.5 < limits.speed_difference_mps < 4.0
    assert not broken(evidence(rng, speed_difference_mps=1.5, agent_recall=0.5, turned_rad=0.01), limits)


def test_limits_for_what_no_drive_tells_are_refused() -> None:
    nobody = replace(evidence(np.random.default_rng(0)), vulnerable_recall=None)
    with pytest.raises(ValueError, match="vulnerable_recall"):
        choose({WHOLE: [nobody]})


def test_a_picture_taken_half_a_metre_beside_is_placed_there(drive: Rollout) -> None:
    eyes = PerfectEyes()
    eyes.paint(drive)
    pose = drive.states.ego_xy_yaw_world + np.array([0.0, 0.5, 0.0])
    beside = eyes.paint(replace(drive, states=replace(drive.states, ego_xy_yaw_world=pose)))
    found = Gate(eyes, RIG, LIMITS).measure(drive, beside)
    assert found.aside_m == pytest.approx(0.5, abs=0.15) and found.turned_rad == pytest.approx(0.0, abs=0.01)


def test_cameras_that_show_each_others_side_are_told_apart(drive: Rollout) -> None:
    eyes = PerfectEyes()
    right = eyes.paint(drive)
    wrong = right[:, [0, 2, 1, 3, 4, 5]]
    eyes.steps |= {there.tobytes(): eyes.steps[here.tobytes()] for here, there in zip(right, wrong, strict=True)}
    assert Gate(eyes, RIG, LIMITS).measure(drive, right).exchanged == 0.0  # both sides of an empty road look the same
    assert Gate(eyes, RIG, LIMITS).measure(drive, wrong).exchanged > 0.1  # type: ignore[operator]
