"""Exact labels for a moment: every candidate plan scored against what will happen. The expert uses them, networks learn them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from drivewm.datatypes import EGO_SHAPE, ON_FOOT, STATIC_CLASSES, AgentClass, Agents, Array, Observation, Scene, WorldState
from drivewm.geometry import compose_xy_yaw
from drivewm.metrics.candidates import CANDIDATE_GATES, CANDIDATE_WEIGHTS, score_candidates
from drivewm.metrics.grounds import Grounds, ran_red
from drivewm.policies.vocabulary import candidates, feasible
from drivewm.protocols import GroundTruth

GATES = CANDIDATE_GATES
WEIGHTS = {**CANDIDATE_WEIGHTS, "lane": 5.0}
PARTS = (*GATES, *WEIGHTS)
OFF_LANE_M = 0.6  # beside the route by more than this is out of lane, as lane keeping in the `Drive` score
# What justifies leaving the lane, as in the `Drive` score: something slow on the route, from here before it to here behind it.
BESIDE_BEFORE_M, BESIDE_AFTER_M, CORRIDOR_M, SLOW_MPS = 40.0, 15.0, 1.2, 0.5
FRONT_M = EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m  # rear axle to front bumper
GREEN_SINCE_S = 0.4
GO_AROUND = [int(kind) for kind in (*STATIC_CLASSES, *ON_FOOT, AgentClass.BICYCLE)]


@dataclass(frozen=True, slots=True)
class Moment:
    """All candidates of B cars at one moment, and what will happen around them."""

    plans: Array  # [B, M, K, 4], ego frame
    plans_world: Array  # the same in the world
    feasible: Array  # bool [B, M]
    plan_t_s: tuple[float, ...]
    state: WorldState
    futures: Agents  # [B, K, N]


@dataclass(frozen=True, slots=True)
class Labels:
    """Parts [B, M, len(PARTS)] in [0, 1], and the total of those that pass all gates and are feasible, else 0."""

    parts: Array
    total: Array

    def part(self, name: str) -> Array:
        return np.asarray(self.parts[..., PARTS.index(name)])


@dataclass(frozen=True, slots=True)
class Judge:
    """Labels moments of a fixed batch of scenes; built once per batch."""

    grounds: Grounds

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Judge:
        return cls(Grounds.of(scenes))

    def labels(self, moment: Moment, margin_lw_m: tuple[float, float] = (0.0, 0.0)) -> Labels:
        """Exact labels; with a margin, everybody counts as longer and wider by so much, and stop lines come earlier by half."""
        state = moment.state
        size = state.agents.size_lwh_m + np.array([*margin_lw_m, 0.0])
        state = replace(state, agents=replace(state.agents, size_lwh_m=size))
        scores = score_candidates(moment.plans_world, np.asarray(moment.plan_t_s), moment.futures, self.grounds, state)
        values = {name: getattr(scores, name) for name in (*GATES, *CANDIDATE_WEIGHTS)} | {"lane": self._lane(moment)}
        if margin_lw_m[0] > 0:
            values["red_light"] = values["red_light"] * self._waits(moment, 0.5 * margin_lw_m[0])
        gate = np.prod([values[name] for name in GATES], axis=0) * moment.feasible
        weighted = np.sum([weight * values[name] for name, weight in WEIGHTS.items()], axis=0)
        return Labels(np.stack([values[name] for name in PARTS], -1), gate * weighted / sum(WEIGHTS.values()))

    def _waits(self, moment: Moment, early_m: float) -> Array:
        """Whether plans [B, M] stop ``early_m`` before a stop line and wait `GREEN_SINCE_S` after it turned green."""
        now = np.concatenate([moment.state.ego_xy_yaw_world, moment.state.ego_speed_mps[:, None]], -1)
        start = np.broadcast_to(now[:, None, None], (*moment.plans.shape[:2], 1, 4))
        pose = np.concatenate([start, moment.plans_world], 2)
        ahead = np.stack([np.cos(pose[..., 2]), np.sin(pose[..., 2])], -1)
        t_s = moment.state.t_s[:, None] + np.array([0.0, *moment.plan_t_s])
        out = np.ones(moment.feasible.shape, bool)
        for b, road in enumerate(self.grounds.roads):
            if road.signals:
                front = pose[b, ..., :2] + FRONT_M * ahead[b]
                out[b] = ~ran_red(road, front + early_m * ahead[b], t_s[b]).any(-1)
                out[b] &= ~ran_red(road, front, t_s[b] - GREEN_SINCE_S).any(-1)
        return out

    def _lane(self, moment: Moment) -> Array:
        """Share of plan points [B, M] in lane; leaving it to go around something counts as in lane."""
        routes, state = self.grounds.routes, moment.state
        batch, count, points = moment.plans.shape[:3]
        here_m = routes.sd(state.ego_xy_yaw_world[:, None, :2])[:, 0, 0]
        window_m = here_m[:, None] + np.array([-20.0, 150.0])
        offset = routes.sd(moment.plans_world[..., :2].reshape(batch, -1, 2), window_m)[..., 1].reshape(batch, count, points)
        inside = (np.abs(offset) < OFF_LANE_M).mean(-1)
        agents = state.agents
        if agents.valid.shape[1] == 0:
            return np.asarray(inside)
        sd = routes.sd(agents.xy_yaw_world[..., :2], window_m)
        slow = agents.valid & ((agents.speed_mps < SLOW_MPS) | np.isin(agents.category, GO_AROUND))
        ahead = sd[..., 0] - here_m[:, None]
        blocks = (np.abs(sd[..., 1]) < CORRIDOR_M + 0.5 * agents.size_lwh_m[..., 1]) & (ahead < BESIDE_BEFORE_M)
        hindered = (slow & blocks & (ahead > -BESIDE_AFTER_M)).any(1)
        return np.where(hindered[:, None], 1.0, inside)


def moment_of(observation: Observation, truth: GroundTruth, plan_t_s: tuple[float, ...]) -> Moment:
    """The candidates that a policy would choose from at this observation, in double precision."""
    state = truth.state
    given = (state.ego_speed_mps, state.ego_curvature_1pm, observation.route_xy_ego, observation.speed_limit_mps)
    speed, curvature, route, limit = (torch.from_numpy(np.ascontiguousarray(value, np.float64)) for value in given)
    plans = candidates(speed, curvature, route, limit, plan_t_s)
    pose = compose_xy_yaw(state.ego_xy_yaw_world[:, None, None], plans[..., :3].numpy())
    return Moment(
        plans=plans.numpy(),
        plans_world=np.concatenate([pose, plans[..., 3:].numpy()], -1),
        feasible=feasible(plans, plan_t_s).numpy(),
        plan_t_s=plan_t_s,
        state=state,
        futures=truth.futures(np.asarray(plan_t_s)),
    )
