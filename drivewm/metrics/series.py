"""The geometry of a finished drive, computed once and shared by all metrics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, Event, Rollout, Scene, WorldState
from drivewm.metrics.boxes import behind, overlap, time_to_contact_s
from drivewm.metrics.hindrance import hindered
from drivewm.metrics.routes import Routes

HALF_EGO_M = 0.5 * np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m])
STANDING_MPS = 0.05  # nuPlan counts an ego slower than this as stopped
ARC_S = 1.0  # a turning motion is held along the chord of the arc of this duration


@dataclass(frozen=True, slots=True)
class Judged:
    """What a metric found: a value in [0, 1], or None when it does not apply, and the evidence."""

    value: float | None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """A drive of T + 1 states with N agents."""

    scene: Scene
    states: WorldState  # leading [T + 1]
    ended: str
    reference_progress_m: float
    centre: Array  # [T + 1, 3], middle of the ego's box
    route_sd: Array  # [T + 1, 2], rear axle on the route
    agent_sd: Array  # [T + 1, N, 2], middle of the agents on the route
    overlap: Array  # bool [T + 1, N]
    ttc_s: Array  # [T + 1, N], inf where the agent is behind, the ego stands, or they do not meet
    hindered: Array  # bool [T + 1]: something slow on the route beside or ahead justifies leaving it

    @classmethod
    def of(cls, rollout: Rollout, reference_progress_m: float) -> Series:
        scene, states, agents = rollout.scene, rollout.states, rollout.states.agents
        rear = states.ego_xy_yaw_world
        routes = Routes.of([scene])
        route_sd = routes.sd(rear[None, :, :2])[0]
        agent_sd = routes.sd(agents.xy_yaw_world[..., :2].reshape(1, -1, 2))[0].reshape(*agents.valid.shape, 2)
        touching, ttc_s = contacts(states)
        return cls(
            scene=scene,
            states=states,
            ended=rollout.ended,
            reference_progress_m=reference_progress_m,
            centre=EGO_SHAPE.centre_xy_yaw(rear),
            route_sd=route_sd,
            agent_sd=agent_sd,
            overlap=touching,
            ttc_s=ttc_s,
            hindered=hindered(agents, agent_sd, route_sd[:, 0]),
        )

    @property
    def t_s(self) -> Array:
        return self.states.t_s

    @property
    def progress_m(self) -> float:
        return float(max(0.0, self.route_sd[-1, 0] - self.route_sd[0, 0]))

    def event(self, kind: str, step: int, agent: int | None = None) -> Event:
        track_id = None if agent is None else int(self.states.agents.track_id[step, agent])
        return Event(kind, float(self.t_s[step]), track_id)


def contacts(states: WorldState) -> tuple[Array, Array]:
    """Overlap and time to collision [..., T, N] of the ego with every agent, from states [..., T] of one drive in time order.

    A conflict is one that happens both when all hold their velocity and when all hold velocity and turning rate, so that
    neither oncoming traffic in a curve nor a twitch of the wheel counts.
    """
    agents, rear = states.agents, states.ego_xy_yaw_world
    centre = EGO_SHAPE.centre_xy_yaw(rear)[..., None, :]
    pose, half = agents.xy_yaw_world, 0.5 * agents.size_lwh_m[..., :2]
    touching = overlap(centre, HALF_EGO_M, pose, half) & agents.valid
    yaw = np.unwrap(pose[..., 2], axis=-2)
    turning = np.gradient(yaw, states.t_s, axis=-2) if len(yaw) > 1 else np.zeros_like(yaw)
    own_turning = states.ego_speed_mps * states.ego_curvature_1pm
    ttc_s = np.zeros(touching.shape)
    for share in (0.0, 0.5 * ARC_S):
        ours = _velocity(centre[..., 2] + share * own_turning[..., None], states.ego_speed_mps[..., None])
        theirs = _velocity(pose[..., 2] + share * turning, agents.speed_mps)
        ttc_s = np.maximum(ttc_s, time_to_contact_s(centre, HALF_EGO_M, pose, half, ours - theirs))
    ignored = ~agents.valid | behind(rear[..., None, :], pose[..., :2]) | (states.ego_speed_mps <= STANDING_MPS)[..., None]
    return touching, np.where(ignored, np.inf, ttc_s)


def _velocity(yaw_rad: Array, speed_mps: Array) -> Array:
    return np.asarray(np.stack([np.cos(yaw_rad), np.sin(yaw_rad)], -1) * speed_mps[..., None])
