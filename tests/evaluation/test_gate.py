from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivewm.datatypes import Rollout
from drivewm.evaluation.calibration import reference_evidence
from drivewm.evaluation.cases import judged
from drivewm.evaluation.gate import Evidence, Gate, Thresholds, calibrate, gate_for
from drivewm.evaluation.readers import READ_TABLE
from drivewm.policies.baselines import ConstantVelocity
from drivewm.rollout import rollout
from drivewm.sim.raster import RasterWorld, render
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene

RIG = nuscenes_rig()
FOLLOWING = straight_scene(8.0, lead=(12.0, 8.0), horizon_s=6.0)


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

    def state_dict(self) -> dict[str, Any]:
        return {}


def driven(scene: Any) -> Rollout:
    return rollout([scene], ConstantVelocity(), RasterWorld(RIG), seed=0)[0]


@pytest.fixture(scope="module")
def drive() -> Rollout:
    return driven(FOLLOWING)


def test_a_drive_that_shows_what_the_state_says_counts(drive: Rollout) -> None:
    eyes = PerfectEyes()
    evidence = Gate(eyes, RIG).measure(drive, eyes.paint(drive))
    assert evidence.vehicle_recall == 1.0 and evidence.ghosts_per_frame == 0.0
    assert evidence.speed_difference_mps == pytest.approx(0.0, abs=1e-9)
    assert evidence.vulnerable_recall is None  # there is nobody on foot
    assert Gate(eyes, RIG).judge(drive, eyes.paint(drive)) == ()


def test_a_dream_without_the_car_ahead_is_void_and_its_score_says_why(drive: Rollout) -> None:
    eyes = PerfectEyes()
    eyes.paint(drive)
    empty = replace(
        drive, states=replace(drive.states, agents=replace(drive.states.agents, valid=drive.states.agents.valid & False))
    )
    case = judged(drive, 40.0, eyes.paint(empty), Gate(eyes, RIG))
    assert not case.score.valid and case.evidence["vehicle_recall"] == 0.0
    assert case.score.void_reasons == ("vehicles are not where the state says: 0% seen, 28% needed",)


def test_a_dream_with_a_car_that_does_not_exist_is_void(drive: Rollout) -> None:
    eyes = PerfectEyes()
    eyes.paint(drive)
    pose = drive.states.agents.xy_yaw_world + np.array([0.0, 3.5, 0.0])  # the car is shown one lane to the left
    elsewhere = replace(drive, states=replace(drive.states, agents=replace(drive.states.agents, xy_yaw_world=pose)))
    evidence = Gate(eyes, RIG).measure(drive, eyes.paint(elsewhere))
    assert evidence.ghosts_per_frame >= 1 / 6 and evidence.vehicle_recall == 0.0


def test_a_frozen_picture_is_void(drive: Rollout) -> None:
    eyes = PerfectEyes()
    frozen = np.repeat(eyes.paint(drive)[:1], len(drive.plans.t_s), axis=0)
    reasons = Gate(eyes, RIG).judge(drive, frozen)
    assert reasons == ("the picture moves at another speed than the ego: off by 8.0 m/s, at most 2.5",)


def test_a_lost_camera_is_not_held_against_the_dream() -> None:
    eyes, scene = PerfectEyes(), straight_scene(8.0, lead=(12.0, 8.0), horizon_s=2.0)
    dark = replace(scene, conditions=replace(scene.conditions, lost_cameras=RIG.names))
    blind = driven(dark)
    assert Gate(eyes, RIG).measure(blind, eyes.paint(blind)).vehicle_recall is None


def evidence(rng: np.random.Generator) -> Evidence:
    return Evidence(*rng.normal([0.9, 0.7, 0.1, 0.5, 0.02], [0.05, 0.1, 0.05, 0.2, 0.005]).tolist())


def test_calibrated_limits_let_at_least_98_of_100_reference_drives_count() -> None:
    drives = [evidence(np.random.default_rng(i)) for i in range(1000)]
    limits = calibrate(drives)
    broken = [any(_breaks(e, limits)) for e in drives]
    assert 0.005 <= np.mean(broken) <= 0.02
    assert 0.6 < limits.vehicle_recall < 0.85 and 0.9 < limits.speed_difference_mps < 1.3


def _breaks(e: Evidence, limits: Thresholds) -> list[bool]:
    low = ("vehicle_recall", "vulnerable_recall")
    return [
        (e.known()[f.name] < getattr(limits, f.name)) == (f.name in low) and e.known()[f.name] != getattr(limits, f.name)
        for f in fields(limits)
    ]


def test_calibration_on_drives_that_show_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="vulnerable_recall"):
        calibrate([Evidence(0.9, None, 0.0, 0.1, 0.01)])


def test_the_reference_world_needs_no_gate() -> None:
    assert gate_for(RasterWorld(RIG)) is None


def test_a_car_with_other_cameras_is_judged_by_its_agents_alone(drive: Rollout) -> None:
    eyes, front = PerfectEyes(), RIG.names.index("CAM_FRONT")
    frames = eyes.paint(drive)[:, front : front + 1]
    for frame, pictures in enumerate(frames):
        seen = render(drive.scene.road, drive.states[frame * drive.plan_every], drive.scene.conditions, RIG.only(front), 0)
        eyes.labels[seen.images[0].tobytes()] = READ_TABLE[seen.semantics[0]]
        eyes.labels[pictures[0].tobytes()] = READ_TABLE[seen.semantics[0]]
    evidence = Gate(eyes, RIG.only(front)).measure(drive, frames)
    assert evidence.vehicle_recall == 1.0 and evidence.speed_difference_mps is None


def test_other_limits_are_another_gate() -> None:
    eyes = PerfectEyes()
    assert Gate(eyes, RIG).id == Gate(eyes, RIG).id != Gate(eyes, RIG, Thresholds(vehicle_recall=0.6)).id


def test_the_limits_are_set_on_blurred_drives_of_careful_and_careless_drivers() -> None:
    class Photometer(PerfectEyes):
        """Sees nobody; takes the brightness of the picture for its motion."""

        def segment(self, images: NDArray[Any]) -> NDArray[Any]:
            return np.zeros(images.shape[:-1], np.uint8)

        def motion(self, images: NDArray[Any]) -> NDArray[Any]:
            return images[1:].mean((1, 2, 3, 4))[:, None].repeat(2, 1)

    crowded = straight_scene(8.0, lead=(30.0, 8.0), horizon_s=1.0)
    found = reference_evidence([crowded] * 3, Gate(Photometer(), RIG), lambda images: images // 2 * 2)
    assert len(found) == 3 and all(e.vehicle_recall is None and e.ghosts_per_frame == 0.0 for e in found)
    assert all(e.speed_difference_mps == pytest.approx(0.5 / 0.2, rel=0.2) for e in found)  # half a shade per camera period
