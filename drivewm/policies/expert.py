"""The privileged expert: scores every candidate plan exactly, against where everyone will be, and drives the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drivewm.datatypes import Array, Observation, Trajectory
from drivewm.policies.judge import GATES, Judge, Labels, Moment, moment_of
from drivewm.policies.vocabulary import ACCELERATIONS_MPS2, GENTLE_LATERAL, LATERALS, chosen
from drivewm.protocols import GroundTruth, PolicySpec

MARGIN_LW_M = (2.0, 0.6)  # added to the length and width of everybody, so that distance is kept
KEEP_BONUS = 0.02  # what staying with the last lateral target is worth, against dithering between equals
GATE_RANK = {"no_collision": 0.5, "drivable": 0.25, "red_light": 0.1}  # which of several failing plans is the least bad
FULL_BRAKE = ACCELERATIONS_MPS2.index(min(ACCELERATIONS_MPS2)) * LATERALS + GENTLE_LATERAL


@dataclass(frozen=True, slots=True)
class ExpertMemory:
    judge: Judge
    last: Array | None  # int [B], candidate driven last


class ExpertPolicy:
    """Knows what is and what the others are about to do; keeps a margin, keeps its lane, and likes comfort."""

    spec = PolicySpec("expert", privileged=True)

    def start(self, batch: int, seed: int) -> ExpertMemory | None:
        return None

    def act(
        self, observation: Observation, memory: ExpertMemory | None, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, Any]:
        if truth is None:
            raise ValueError("expert is a privileged policy: it needs ground truth")
        memory = memory or ExpertMemory(Judge.of(truth.scenes), None)
        moment = moment_of(observation, truth, self.spec.plan_t_s)
        best = best_candidate(memory.judge, moment, memory.last)
        return chosen(moment.plans, best, moment.plan_t_s), ExpertMemory(memory.judge, best)


def best_candidate(judge: Judge, moment: Moment, last: Array | None = None) -> Array:
    """Index [B] of the plan to drive: the best with margin; where none keeps it, the best without; else the least bad.

    ``last`` [B] is what was driven a moment ago; its lateral target is preferred among equals.
    """
    value = _value(judge.labels(moment, MARGIN_LW_M), moment, last)
    tight = value.max(1) < 0
    if tight.any():
        exact = _value(judge.labels(moment), moment, last)
        # Among plans that pass only just, those that brake come first: what is tight now is tighter a moment later.
        slow = np.repeat(np.linspace(1.0, 0.0, len(ACCELERATIONS_MPS2)), LATERALS)
        value = np.where(tight[:, None], exact + np.where(exact > 0, slow, 0.0), value)
    doomed = value.max(1) < GATE_RANK["no_collision"] - 1
    return np.where(doomed, FULL_BRAKE, value.argmax(1))


def _value(labels: Labels, moment: Moment, last: Array | None) -> Array:
    """Utility [B, M]: not negative where all gates pass; below -1/2 where a collision is certain."""
    gates = np.stack([labels.part(name) for name in GATES], -1)
    rank = gates @ np.array([GATE_RANK[name] for name in GATES]) - 1.0 - np.where(moment.feasible, 0.0, 0.2)
    value = np.where((gates > 0).all(-1) & moment.feasible, labels.total, rank)
    if last is not None:
        value = value + KEEP_BONUS * (np.arange(value.shape[1]) % LATERALS == (last % LATERALS)[:, None])
    return np.asarray(value)
