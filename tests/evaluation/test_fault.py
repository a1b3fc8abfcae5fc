"""Who was at fault and until when it was avoidable, in scenes whose last moment follows from the braking distance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import EGO_SHAPE, ManoeuvreKind, Scene, TriggerKind
from drivewm.errors import InputError
from drivewm.evaluation.cases import Case, judged, progress_m
from drivewm.evaluation.fault import avoidable, failure, retraced, take_over
from drivewm.policies.baselines import ConstantVelocity
from drivewm.policies.reference.attentive import AttentivePolicy
from drivewm.protocols import Policy
from drivewm.rollout import rollout
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld
from tests.straight_road import LANE_M, Actor, light, scene, straight_road

EGO_X_M, SPEED_MPS = 20.0, 15.0
FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
FULL_MPS2 = 0.774 * 9.81  # what the attentive driver brakes with on a dry road
# The brake builds up with 60 m/s3: the first tenth of a second has 6 m/s2, then full braking to a stop.
STOP_M = (15.0 - 0.3) * 0.1 + 14.4**2 / (2 * FULL_MPS2)  # 15.12 m


def driven(where: Scene, policy: Policy | None = None) -> Case:
    drive = rollout([where], policy or ConstantVelocity(), BlankWorld(nuscenes_rig(2, 2)), seed=0)[0]
    return judged(drive, progress_m(drive))


def ahead(gap_m: float, speed_mps: float = 0.0, **rest: object) -> Actor:
    """A car 4 m long whose rear is ``gap_m`` ahead of the ego's front bumper."""
    return Actor(EGO_X_M + FRONT_M + gap_m + 2.0, speed_mps, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("gap_m", [61.0, 76.0])
def test_a_standing_car_is_avoidable_until_the_braking_distance_is_left(gap_m: float) -> None:
    """He has looked on for seconds, so he brakes at once when he takes over: he needs a frame with 15.12 m left."""
    found = failure(driven(scene([ahead(gap_m)], speed_mps=SPEED_MPS, horizon_s=12.0)))
    frames_s = np.arange(0.0, gap_m / SPEED_MPS, 0.2)
    last_s = frames_s[gap_m - SPEED_MPS * frames_s >= STOP_M][-1]
    assert found is not None and found.avoidable is not None and found.avoidable.until_s == pytest.approx(last_s)
    assert found.at_fault and "who stood" in found.rule and "of track 1" in found.agent
    contact_s = gap_m / SPEED_MPS
    assert contact_s < found.event.t_s <= contact_s + 0.1 + 1e-6
    assert f"at {last_s:.1f} s, {found.event.t_s - last_s:.1f} s before" in found.sentence


def test_whoever_begins_too_close_cannot_be_saved() -> None:
    found = failure(driven(scene([ahead(STOP_M - 1.0)], speed_mps=SPEED_MPS)))
    assert found is not None and found.avoidable is not None and found.avoidable.until_s is None
    assert "not preventable by the attentive driver" in found.sentence


def test_others_go_on_from_where_they_were_when_the_wheel_is_taken() -> None:
    """The lead keeps 15 m/s, 40 m ahead, until 3 s, and stops with 6 m/s2: 40 + 45 + 18.75 m from where we began.

    It had begun to brake long before the last moment, so its script must go on, not begin again. The braking distance bounds the
    moment from above; below it lies up to 0.6 s, because he eases off as soon as he expects 3.4 m/s2 to be enough.
    """
    stops = ((TriggerKind.TIME, 3.0, ManoeuvreKind.SPEED, 0.0, 6.0),)
    found = failure(driven(scene([ahead(40.0, SPEED_MPS, steps=stops)], speed_mps=SPEED_MPS, horizon_s=12.0)))
    last_s = (40.0 + 45.0 + 18.75 - STOP_M) / SPEED_MPS  # 5.91 s
    assert found is not None and found.avoidable is not None and found.avoidable.until_s is not None
    assert last_s - 0.6 <= found.avoidable.until_s <= last_s


def test_at_the_wheel_from_the_start_he_drives_what_he_drives_alone() -> None:
    stops = ((TriggerKind.TIME, 2.0, ManoeuvreKind.SPEED, 0.0, 6.0),)
    where = scene([ahead(30.0, SPEED_MPS, steps=stops)], speed_mps=SPEED_MPS, horizon_s=8.0)
    alone, hit = driven(where, AttentivePolicy()).rollout, driven(where).rollout
    moment = next(retraced(hit, AttentivePolicy(), 40))
    take_over(moment, AttentivePolicy())
    while not moment.finished:
        moment.advance()
    again = moment.records()[0].states
    assert (again.ego_xy_yaw_world == alone.states.ego_xy_yaw_world).all()
    assert (again.agents.xy_yaw_world == alone.states.agents.xy_yaw_world).all()


def test_who_is_hit_from_behind_is_not_at_fault() -> None:
    found = failure(driven(scene([Actor(5.0, 20.0)], speed_mps=8.0)))
    assert found is not None and not found.at_fault and found.rule == "it ran into the ego's rear"
    assert found.sentence.startswith("collision at ") and ", not at fault: " in found.sentence


def test_who_cuts_into_us_beside_is_at_fault_alone() -> None:
    """It moves 3 m to our side within 1 s while its middle is 1 m ahead of ours."""
    over = ((TriggerKind.TIME, 1.0, ManoeuvreKind.OFFSET, -3.0, 1.0),)
    beside = Actor(EGO_X_M + EGO_SHAPE.rear_axle_to_centre_m, 10.0, y_m=LANE_M, steps=over)
    found = failure(driven(scene([beside], speed_mps=10.0)))
    assert found is not None and not found.at_fault and "came over" in found.rule


def test_a_red_light_is_avoidable_until_the_braking_distance_to_its_line() -> None:
    """The line is 60 m ahead of the bumper. Nobody is touched, so what is tried is whether the gate holds."""
    road = straight_road((light(EGO_X_M + FRONT_M + 60.0, (1.0, 1.0, 30.0), offset_s=2.0),))
    found = failure(driven(scene(speed_mps=SPEED_MPS, road=road, horizon_s=6.0)))
    assert found is not None and found.gate == "red_light" and found.agent == "" and found.at_fault
    assert found.avoidable is not None and found.avoidable.until_s is not None
    left_m = 60.0 - SPEED_MPS * found.avoidable.until_s
    assert 33.1 <= left_m <= 33.1 + 2 * 3.0 + 2.5  # 15^2 / (2 * 3.4 m/s2), two frames and the build-up of his foot


def test_a_drive_that_passed_has_no_failure_and_a_void_one_neither() -> None:
    free = driven(scene(speed_mps=10.0, horizon_s=4.0))
    assert free.score.passed and failure(free) is None
    hit = driven(scene([ahead(30.0)], speed_mps=SPEED_MPS))
    assert failure(replace(hit, score=replace(hit.score, valid=False))) is None


def test_a_drive_that_does_not_come_back_from_its_plans_says_so() -> None:
    hit = driven(scene([ahead(30.0)], speed_mps=SPEED_MPS))
    faster = replace(
        hit.rollout.plans, xy_yaw_ego=1.1 * hit.rollout.plans.xy_yaw_ego, speed_mps=1.1 * hit.rollout.plans.speed_mps
    )
    found = failure(replace(hit, rollout=replace(hit.rollout, plans=faster)))
    assert found is not None and found.avoidable is None and "does not come back" in found.sentence


def test_who_needs_cameras_cannot_take_over() -> None:
    hit = driven(scene([ahead(30.0)], speed_mps=SPEED_MPS))
    with pytest.raises(InputError, match="constant_velocity looks through cameras"):
        avoidable(hit, "no_at_fault_collision", 20, "constant_velocity")
