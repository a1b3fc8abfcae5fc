"""The state engine: all scenes of a batch advance together, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Action, ActorScripts, Agents, Array, Records, Scene, Signal, SignalState, WorldState
from drivewm.sim import traffic as rules
from drivewm.sim.bicycle import EgoMotion, advance_ego
from drivewm.sim.edits import Edits
from drivewm.sim.leaders import FREE_MPS2, Obstacles, leader_accel, signal_accel, stop_line_s
from drivewm.sim.paths import PathTable
from drivewm.sim.rails import Rails
from drivewm.sim.replay import Replay
from drivewm.sim.traffic import Traffic


@dataclass(frozen=True, slots=True)
class EngineState(Records):
    """Everything that changes, leading [B]. Immutable: keeping it is a fork."""

    world: WorldState
    traffic: Traffic


class Engine:
    """Moves B scenes. Agents, script steps and signals are padded to the largest scene.

    Padding agents are invalid; padding signals are green. Raises ValueError when the scenes differ in ``dt_s`` or a scene has
    not one script per agent.
    """

    def __init__(self, scenes: Sequence[Scene]) -> None:
        if not scenes:
            raise ValueError("an engine needs at least one scene")
        self.dt_s = scenes[0].dt_s
        if any(abs(scene.dt_s - self.dt_s) > 1e-12 for scene in scenes):
            raise ValueError("scenes of one batch must have the same dt_s")
        for scene in scenes:
            if len(scene.scripts.start_s_m) != len(scene.start.agents.valid):
                raise ValueError(f"scene {scene.id} must have one script per agent")
        self.scenes = tuple(scenes)
        count = max(len(scene.start.agents.valid) for scene in scenes)
        points = max(2, *(scene.scripts.path_xy.shape[1] for scene in scenes))
        steps = max(scene.scripts.trigger_kind.shape[1] for scene in scenes)
        self.scripts = ActorScripts.stack([scene.scripts.padded(count, points, steps) for scene in scenes])
        self._agents = Agents.stack([scene.start.agents.padded(count) for scene in scenes])
        own_points = np.repeat([max(2, scene.scripts.path_xy.shape[1]) for scene in scenes], count)
        self.paths = PathTable.build(self.scripts.path_xy.reshape(-1, points, 2), own_points)
        self._signals: list[tuple[int, int, Signal]] = [
            (b, i, signal) for b, scene in enumerate(scenes) for i, signal in enumerate(scene.road.signals)
        ]
        self._signal_count = max(len(scene.road.signals) for scene in scenes)
        self._stop_s = self._stop_lines(count)
        self._looks = self.scripts.reactive & self._agents.valid
        self._replay, self._edits, self._rails = Replay.of(scenes, count), Edits.of(scenes), Rails.of(scenes)

    def _stop_lines(self, count: int) -> Array:
        batch = len(self.scenes)
        stop_xy, yaw = np.full((batch, self._signal_count, 2, 2), np.nan), np.zeros((batch, self._signal_count))
        for b, i, signal in self._signals:
            stop_xy[b, i], yaw[b, i] = signal.stop_line_xy, signal.xy_yaw_world[2]
        out = stop_line_s(self.paths, np.repeat(stop_xy, count, axis=0), np.repeat(yaw, count, axis=0))
        return out.reshape(batch, count, self._signal_count)

    def start(self) -> EngineState:
        """The scenes at their start; agents stand where their scripts put them."""
        starts = [scene.start for scene in self.scenes]
        t_s = np.array([start.t_s for start in starts], np.float64)
        traffic = Traffic.start(self.scripts)
        traffic = traffic if self._replay is None else self._replay.applied(traffic, t_s, 0.0)
        traffic = self._edited(traffic, t_s - self.dt_s, t_s)
        world = WorldState(
            t_s=t_s,
            ego_xy_yaw_world=np.stack([start.ego_xy_yaw_world for start in starts]).astype(np.float64),
            ego_speed_mps=np.array([start.ego_speed_mps for start in starts], np.float64),
            ego_accel_mps2=np.array([start.ego_accel_mps2 for start in starts], np.float64),
            ego_curvature_1pm=np.array([start.ego_curvature_1pm for start in starts], np.float64),
            agents=self._seen(traffic, t_s, None, None),
            signal=self._signal_at(t_s),
        )
        return EngineState(world, traffic)

    def step(self, state: EngineState, action: Action, dt_s: float | None = None) -> EngineState:
        """The state ``dt_s`` (default: the scenes' own) later; ``state`` itself stays as it is."""
        dt_s = self.dt_s if dt_s is None else dt_s
        world = state.world
        before = EgoMotion(world.ego_xy_yaw_world, world.ego_speed_mps, world.ego_accel_mps2, world.ego_curvature_1pm)
        ego = advance_ego(before, action.accel_mps2, action.curvature_1pm, dt_s)
        traffic = self._advance_traffic(state, dt_s)
        t_s = world.t_s + dt_s
        heeded = ego.xy_yaw if self._rails is None else self._rails.heeded(world, t_s).ego_xy_yaw_world
        after = WorldState(
            t_s=t_s,
            ego_xy_yaw_world=ego.xy_yaw,
            ego_speed_mps=ego.speed_mps,
            ego_accel_mps2=ego.accel_mps2,
            ego_curvature_1pm=ego.curvature_1pm,
            agents=self._seen(traffic, t_s, world.agents.valid, heeded),
            signal=self._signal_at(t_s),
        )
        return EngineState(after, traffic)

    def resumed(self, before: Engine, state: EngineState) -> EngineState:
        """A state of the engine ``before`` as this one goes on from it, now.

        The scenes are the same but for agents that were added behind the others and changes that were added behind the others;
        those of now take place.
        """
        t_s, rows, fresh = state.world.t_s, state.traffic.s_m.shape[1], Traffic.start(self.scripts)
        values = {f.name: getattr(fresh, f.name).copy() for f in fields(fresh)}
        for name, value in values.items():
            value[:, :rows] = getattr(state.traffic, name)
        traffic = Traffic(**values)
        if self._edits is not None:
            known = np.array([len(scene.edits) for scene in before.scenes])
            due = self._edits.between(t_s - self.dt_s, t_s) & (self._edits.number >= known[self._edits.scene])
            traffic = self._edits.applied(traffic, fresh, due)
        was = np.zeros(fresh.s_m.shape, bool)
        was[:, :rows] = state.world.agents.valid
        agents = self._seen(traffic, t_s, was, state.world.ego_xy_yaw_world)
        return EngineState(replace(state.world, agents=agents), traffic)

    def _edited(self, traffic: Traffic, from_s: Array, to_s: Array) -> Traffic:
        if self._edits is None:
            return traffic
        return self._edits.applied(traffic, Traffic.start(self.scripts), self._edits.between(from_s, to_s))

    def _advance_traffic(self, state: EngineState, dt_s: float) -> Traffic:
        world, agents, traffic = state.world, state.world.agents, state.traffic
        if agents.valid.shape[1] == 0:
            return traffic
        world = world if self._rails is None else self._rails.heeded(world, world.t_s)
        ego_centre = EGO_SHAPE.centre_xy_yaw(world.ego_xy_yaw_world)
        distance, closing = rules.closing(ego_centre, world.ego_speed_mps, agents.xy_yaw_world, agents.speed_mps)
        traffic = rules.fire(self.scripts, traffic, world.t_s, distance, closing)
        accel = rules.wished_accel(self._looks, traffic, dt_s)
        if self._looks.any():
            ends = np.stack([traffic.offset_m, traffic.offset_to_m], -1)
            band = np.stack([ends.min(-1), ends.max(-1)], -1)
            looks, gap_s = self._looks & agents.valid, None if self._replay is None else self._replay.time_gap_s
            allowed = leader_accel(self.paths, looks, traffic.s_m, band, self._obstacles(world, ego_centre), gap_s)
            accel = np.minimum(accel, np.minimum(allowed, self._signal_accel(world, traffic)))
        traffic = rules.advance(traffic, accel, dt_s)
        traffic = traffic if self._replay is None else self._replay.applied(traffic, world.t_s + dt_s, dt_s)
        return self._edited(traffic, world.t_s, world.t_s + dt_s)

    def _signal_accel(self, world: WorldState, traffic: Traffic) -> Array:
        front_m = traffic.s_m + 0.5 * world.agents.size_lwh_m[..., 0]
        red, yellow = world.signal[:, None] == SignalState.RED, world.signal[:, None] == SignalState.YELLOW
        accel = signal_accel(traffic.speed_mps, self._stop_s - front_m[..., None], red, yellow)
        return np.where(self._looks, accel, FREE_MPS2)

    @staticmethod
    def _obstacles(world: WorldState, ego_centre: Array) -> Obstacles:
        agents, one = world.agents, np.ones((len(ego_centre), 1))
        return Obstacles(
            xy_yaw=np.concatenate([agents.xy_yaw_world, ego_centre[:, None]], 1),
            speed_mps=np.concatenate([agents.speed_mps, world.ego_speed_mps[:, None]], 1),
            half_length_m=0.5 * np.concatenate([agents.size_lwh_m[..., 0], EGO_SHAPE.length_m * one], 1),
            half_width_m=0.5 * np.concatenate([agents.size_lwh_m[..., 1], EGO_SHAPE.width_m * one], 1),
            valid=np.concatenate([agents.valid, one.astype(bool)], 1),
        )

    def _seen(self, traffic: Traffic, t_s: Array, before: Array | None, ego_xy_yaw: Array | None) -> Agents:
        """Agents at ``t_s`` [B], after those that were there ``before`` [B, N]; at the start there is no before."""
        pose = rules.poses(self.paths, traffic)
        seen = replace(self._agents, xy_yaw_world=pose, speed_mps=traffic.speed_mps, accel_mps2=traffic.accel_mps2)
        if self._edits is not None:
            seen = replace(seen, valid=self._edits.there(self._agents.valid, t_s))
        if self._replay is None:
            return seen
        valid = seen.valid & self._replay.present(t_s)
        if before is not None and ego_xy_yaw is not None and (valid & ~before).any():
            valid &= before | ~_near(EGO_SHAPE.centre_xy_yaw(ego_xy_yaw), seen) | ~self._replay.logged
        return replace(seen, valid=valid)

    def _signal_at(self, t_s: Array) -> Array:
        out = np.full((len(self.scenes), self._signal_count), SignalState.GREEN, np.int8)
        for b, i, signal in self._signals:
            out[b, i] = signal.state_at(t_s[b])
        return out


def _near(ego_centre: Array, agents: Agents) -> Array:
    """Whose body [B, N] may touch that of an ego [B, 3]: the circles around them meet."""
    delta = agents.xy_yaw_world[..., :2] - ego_centre[:, None, :2]
    size = agents.size_lwh_m
    reach_m = 0.5 * (np.hypot(size[..., 0], size[..., 1]) + np.hypot(EGO_SHAPE.length_m, EGO_SHAPE.width_m))
    return np.asarray(np.hypot(delta[..., 0], delta[..., 1]) < reach_m)
