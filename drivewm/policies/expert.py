"""The privileged expert: scores every candidate plan exactly, against where everyone is expected to be, and drives the best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from drivewm.datatypes import Agents, Array, Observation, Scene, Trajectory, WorldState
from drivewm.geometry import compose_xy_yaw
from drivewm.metrics.candidates import CANDIDATE_GATES, CandidateScores, score_candidates
from drivewm.metrics.grounds import Grounds
from drivewm.policies.vocabulary import ACCELERATIONS_MPS2, GENTLE_LATERAL, LATERALS, candidates, chosen
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.engine import Engine
from drivewm.sim.forecast import predict_agents

MARGIN_LW_M = (2.0, 0.6)  # added to the length and width of everybody, so that distance is kept
KEEP_BONUS = 0.02  # what staying with the last lateral target is worth, against dithering between equals
GATE_RANK = {"no_collision": 0.5, "drivable": 0.25, "red_light": 0.1}  # which of several failing plans is the least bad
EMERGENCY_BRAKE = ACCELERATIONS_MPS2.index(min(ACCELERATIONS_MPS2))


@dataclass(frozen=True, slots=True)
class Judge:
    """Exact labels for moments of a fixed batch of scenes; built once per batch."""

    engine: Engine
    grounds: Grounds

    @classmethod
    def of(cls, scenes: tuple[Scene, ...]) -> Judge:
        return cls(Engine(scenes), Grounds.of(scenes))

    def plans(self, observation: Observation, state: WorldState, plan_t_s: tuple[float, ...]) -> tuple[Array, Array]:
        """All candidates [B, M, K, 4] in the ego frame, and the same in the world."""
        given = (state.ego_speed_mps, state.ego_curvature_1pm, observation.route_xy_ego, observation.speed_limit_mps)
        tensors = [torch.from_numpy(np.ascontiguousarray(value, np.float64)) for value in given]
        ego = candidates(tensors[0], tensors[1], tensors[2], tensors[3], plan_t_s).numpy()
        pose = compose_xy_yaw(state.ego_xy_yaw_world[:, None, None], ego[..., :3])
        return ego, np.concatenate([pose, ego[..., 3:]], -1)

    def scores(self, plans_world: Array, plan_t_s: tuple[float, ...], state: WorldState) -> CandidateScores:
        """Sub-scores [B, M] of plans given in the world, with true body sizes."""
        return score_candidates(plans_world, np.asarray(plan_t_s), self._futures(plan_t_s, state), self.grounds, state)

    def careful_scores(self, plans_world: Array, plan_t_s: tuple[float, ...], state: WorldState) -> CandidateScores:
        """The same with everybody larger by `MARGIN_LW_M`."""
        margin = np.array([*MARGIN_LW_M, 0.0])
        wide = replace(state, agents=replace(state.agents, size_lwh_m=state.agents.size_lwh_m + margin))
        return score_candidates(plans_world, np.asarray(plan_t_s), self._futures(plan_t_s, wide), self.grounds, wide)

    def _futures(self, plan_t_s: tuple[float, ...], state: WorldState) -> Agents:
        return predict_agents(self.engine, state, np.asarray(plan_t_s))


@dataclass(frozen=True, slots=True)
class ExpertMemory:
    judge: Judge
    last: Array  # int [B], candidate driven last


class ExpertPolicy:
    """Knows the state, not the script: it reacts to what has begun, as an attentive driver with perfect eyes would."""

    spec = PolicySpec("expert", privileged=True)

    def start(self, batch: int, seed: int) -> ExpertMemory | None:
        return None

    def act(
        self, observation: Observation, memory: ExpertMemory | None, truth: GroundTruth | None = None
    ) -> tuple[Trajectory, Any]:
        if truth is None:
            raise ValueError("expert is a privileged policy: it needs ground truth")
        plan_t_s = self.spec.plan_t_s
        judge = Judge.of(tuple(truth.scenes)) if memory is None else memory.judge
        last = None if memory is None else memory.last
        plans, plans_world = judge.plans(observation, truth.state, plan_t_s)
        best = choose(judge, plans_world, plan_t_s, truth.state, last)
        return chosen(plans, best, plan_t_s), ExpertMemory(judge, best)


def choose(judge: Judge, plans_world: Array, plan_t_s: tuple[float, ...], state: WorldState, last: Array | None) -> Array:
    """Index [B] of the best candidate: by careful scores, by true sizes where nothing is careful, else the least bad."""
    careful = judge.careful_scores(plans_world, plan_t_s, state)
    value = _value(careful, last)
    tight = value.max(1) < 0
    if tight.any():
        exact = _value(judge.scores(plans_world, plan_t_s, state), last)
        # Among plans that pass only just, those that brake come first: what is tight now is tighter a moment later.
        slow = np.repeat(np.linspace(1.0, 0.0, len(ACCELERATIONS_MPS2)), LATERALS)
        value = np.where(tight[:, None], exact + np.where(exact > 0, slow, 0.0), value)
    best = value.argmax(1)
    doomed = value.max(1) < GATE_RANK["no_collision"] - 1
    return np.where(doomed, EMERGENCY_BRAKE * LATERALS + GENTLE_LATERAL, best)


def _value(scores: CandidateScores, last: Array | None) -> Array:
    """Utility [B, M]: positive where all gates pass; below -1/2 where a collision is certain."""
    parts = {name: getattr(scores, name) for name in CANDIDATE_GATES}
    passed = np.prod(list(parts.values()), axis=0) > 0
    rank = sum(weight * parts[name] for name, weight in GATE_RANK.items())
    value = np.where(passed, scores.total, rank - 1.0)
    if last is not None:
        same = np.arange(value.shape[1]) % LATERALS == (last % LATERALS)[:, None]
        value = value + KEEP_BONUS * same
    return value
