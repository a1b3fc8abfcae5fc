"""Who was at fault, when, and why: the event that ended a drive's good record, and the last moment at which it was avoidable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from drivewm.datatypes import AgentClass, Event, Observation, Rollout, Score, Trajectory, WorldState
from drivewm.errors import InputError
from drivewm.evaluation.cases import Case
from drivewm.metrics import score
from drivewm.metrics.gates import EDGE_M, LEAST_PROGRESS, WRONG_WAY_MILD_M, WRONG_WAY_WINDOW_S, blame
from drivewm.metrics.series import Series
from drivewm.policies.load import load_policy
from drivewm.policies.reference.attentive import AttentiveMemory
from drivewm.policies.reference.driving import Pedals
from drivewm.policies.reference.r157 import R157Memory
from drivewm.protocols import POLICY_FAILURES, GroundTruth, Policy, PolicySpec
from drivewm.rollout import Underway
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld

DRIVER = "attentive"  # defined for every road, unlike r157
RETRACED_M = 1e-6  # a drive that is driven again from its plans must come back to within this
CONTACT, EXCUSED = "collision", "collision_not_at_fault"
DEMAND = "demand not kept: "

# The gate that an event tells about, and the rule that was broken.
GATE_OF = {
    CONTACT: "no_at_fault_collision",
    EXCUSED: "no_at_fault_collision",
    "off_road": "drivable_area",
    "wrong_way": "driving_direction",
    "red_light": "red_light",
    "no_progress": "making_progress",
    **dict.fromkeys(POLICY_FAILURES, "policy_ran"),
}
RULES = {
    "off_road": f"a corner of the ego stood over {100 * EDGE_M:g} cm outside the drivable area",
    "wrong_way": f"the ego drove over {WRONG_WAY_MILD_M:g} m against traffic within {WRONG_WAY_WINDOW_S:g} s",
    "red_light": "the ego's front crossed a stop line while the light was red",
    "no_progress": f"the ego got less than {LEAST_PROGRESS:.0%} as far as the privileged expert",
    "policy_error": "the policy gave no plan that can be driven",
    "policy_raised": "the policy raised an error instead of planning",
    "policy_timeout": "the policy took longer for a plan than it was allowed",
}


@dataclass(frozen=True, slots=True)
class Avoidable:
    """What the reference driver could have done about it."""

    driver: str
    until_s: (
        float | None
    )  # the first mistake: the last moment at which he, put at the wheel, avoids it; None: not even at the start
    every_s: float  # how far apart the moments are at which it was tried


@dataclass(frozen=True, slots=True)
class Failure:
    """The first event of a drive that broke a gate, or the contact that the ego is not to blame for."""

    gate: str
    event: Event
    agent: str  # whom it was about, in words; "" if nobody
    at_fault: bool
    rule: str  # the rule that decided, in words
    avoidable: Avoidable | None  # None: the drive could not be driven again from what is stored

    @property
    def sentence(self) -> str:
        """When, with whom, whose fault, by what rule, and until when it was avoidable."""
        whose = "at fault" if self.at_fault else "not at fault"
        with_whom = f" with {self.agent}" if self.agent else ""
        return f"{self.what} at {self.event.t_s:.1f} s{with_whom}, {whose}: {self.rule}; {self._until}"

    @property
    def what(self) -> str:
        """The kind of event in words."""
        kind = CONTACT if self.event.kind == EXCUSED else self.event.kind
        return "demand not kept" if kind.startswith(DEMAND) else kind.replace("_", " ")

    @property
    def _until(self) -> str:
        if self.avoidable is None:
            return "when it was avoidable is not known, since the drive does not come back from its stored plans"
        driver, until_s = self.avoidable.driver, self.avoidable.until_s
        if until_s is None:
            return f"not preventable by the {driver} driver, not even from the start"
        return f"the {driver} driver could still have avoided it at {until_s:.1f} s, {self.event.t_s - until_s:.1f} s before"


def failure(case: Case, driver: str = DRIVER) -> Failure | None:
    """Why a drive failed, by the score stored with it; None for one that passed and touched nobody, and for a void one.

    The reference ``driver`` has looked on from the start, so his time to react has run since he could see; he takes over the
    pedals as they are, and from then on the car does what he does, and everybody else goes on from where they are, by their own
    script. It is tried at each camera frame, from the event backwards. Avoided is an event if the gate holds to the end of the
    scene and nobody is touched. Raises InputError for a driver that is unknown or looks through cameras.
    """
    event = decisive(case.score)
    if event is None:
        return None
    series = Series.of(case.rollout, case.reference_progress_m)
    step = step_of(case.rollout, event)
    at_fault, rule = _ruled(series, event, step)
    gate = GATE_OF.get(event.kind, "demands")
    return Failure(gate, event, _named(case.rollout, event), at_fault, rule, avoidable(case, gate, step, driver))


def decisive(judged: Score) -> Event | None:
    """The first event that broke a gate, or contact that is not to blame; None when there is neither, or the drive is void."""
    if not judged.valid:
        return None
    told = [event for event in judged.events if event.kind in GATE_OF or event.kind.startswith(DEMAND)]
    # A contact ends a drive; what is found missing at that moment (progress, a demand) is missing because of it.
    return min(told, key=lambda event: (event.t_s, event.kind not in (CONTACT, EXCUSED)), default=None)


def step_of(rollout: Rollout, event: Event) -> int:
    """The state at which an event happened."""
    return int(np.argmin(np.abs(rollout.states.t_s - event.t_s)))


def row_of(rollout: Rollout, event: Event) -> int | None:
    """The agent's row in the states; None for an event without one."""
    rows = np.flatnonzero(rollout.scene.start.agents.track_id == event.track_id)
    return int(rows[0]) if len(rows) else None


def _named(rollout: Rollout, event: Event) -> str:
    """An agent as the scenario calls it, its class and its track."""
    row = row_of(rollout, event)
    if row is None:
        return ""
    kind = AgentClass(int(rollout.scene.start.agents.category[row])).name.lower().replace("_", " ")
    name = rollout.scene.names[row] if row < len(rollout.scene.names) else ""
    return f"the {kind} {name!r} (track {event.track_id})" if name else f"the {kind} of track {event.track_id}"


def _ruled(series: Series, event: Event, step: int) -> tuple[bool, str]:
    row = None if event.track_id is None else int(np.flatnonzero(series.states.agents.track_id[step] == event.track_id)[0])
    if event.kind in (CONTACT, EXCUSED) and row is not None:
        found = blame(series, step, row)
        return found.at_fault, found.rule
    return True, RULES.get(event.kind) or f"the scenario demands {event.kind.removeprefix(DEMAND)}"


def avoidable(case: Case, gate: str, step: int, driver: str = DRIVER) -> Avoidable | None:
    """The last camera frame up to state ``step`` at which the reference ``driver`` still keeps ``gate`` and touches nobody."""
    reference, rollout = load_policy(driver), case.rollout
    if not reference.spec.privileged:
        raise InputError(f"{driver} looks through cameras and cannot take over a stored drive", hint="attentive or r157 can")
    moments = list(retraced(rollout, reference, step))
    period_s = rollout.plan_every * rollout.scene.dt_s
    if not moments or moments[-1].frame < min(step // rollout.plan_every, len(rollout.plans.t_s)):
        return None
    for moment in reversed(moments):
        at_s = float(moment.state.world.t_s[0])
        take_over(moment, reference)
        while not moment.finished:
            moment.advance()
        driven = moment.records()[0]
        if (
            driven.ended == "horizon"
            and score(driven, reference_progress_m=case.reference_progress_m).gates.get(gate, 1.0) == 1.0
        ):
            return Avoidable(driver, at_s, period_s)
    return Avoidable(driver, None, period_s)


def take_over(moment: Underway, reference: Policy) -> None:
    """From now on ``reference``, who has looked on so far, drives."""
    _, watching = moment.policy_memory
    accel_mps2 = float(moment.state.world.ego_accel_mps2[0])
    moment.hand_over(reference, _with_feet(watching, Pedals(accel_mps2=accel_mps2)))


def _with_feet(watching: Any, pedals: Pedals) -> Any:
    """What a driver remembers who has not touched the pedals himself: nothing of his own braking, all that he saw."""
    return replace(watching, pedals=(pedals,)) if isinstance(watching, (AttentiveMemory, R157Memory)) else watching


def retraced(rollout: Rollout, watcher: Policy, step: int) -> Iterator[Underway]:
    """The drive at each camera frame up to state ``step``, made again from its plans while ``watcher`` looks on.

    It ends early where the drive does not come back as it is stored.
    """
    rig = replace(nuscenes_rig(2, 2), rate_hz=1 / (rollout.plan_every * rollout.scene.dt_s))
    under_way = Underway([rollout.scene], _Recorded(rollout.plans, watcher), BlankWorld(rig), seed=rollout.provenance.seed)
    while _same(under_way.state.world[0], rollout.states[under_way.frame * rollout.plan_every]):
        yield under_way.fork()
        if under_way.frame == len(rollout.plans.t_s) or (under_way.frame + 1) * rollout.plan_every > step:
            return
        under_way.advance()


def _same(made: WorldState, stored: WorldState) -> bool:
    there = stored.agents.valid
    if (made.agents.valid != there).any():
        return False
    ego = np.abs(made.ego_xy_yaw_world - stored.ego_xy_yaw_world).max()
    others = np.abs(made.agents.xy_yaw_world - stored.agents.xy_yaw_world)[there].max(initial=0.0)
    return bool(max(ego, others) < RETRACED_M)


class _Recorded:
    """Plans as they were made, one per frame, while another driver looks on. Memory: the frame, and that of who looks on."""

    def __init__(self, plans: Trajectory, watcher: Policy) -> None:
        self.plans, self.watcher = plans, watcher
        points = tuple(float(t) for t in plans.t_s[0])
        self.spec = PolicySpec("recorded", history=watcher.spec.history, plan_t_s=points, privileged=True)

    def start(self, batch: int, seed: int) -> tuple[int, Any]:
        return 0, self.watcher.start(batch, seed)

    def act(
        self, observation: Observation, memory: tuple[int, Any], truth: GroundTruth | None = None
    ) -> tuple[Trajectory, tuple[int, Any]]:
        frame, watching = memory
        _, watching = self.watcher.act(observation, watching, truth)
        return self.plans[frame : frame + 1], (frame + 1, _with_feet(watching, Pedals()))
