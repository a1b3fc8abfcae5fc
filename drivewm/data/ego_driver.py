"""How the ego drives when a data set is made: along its route like a person, or in one of many ways that no expert would.

A world model that has only seen good driving ignores bad actions; hence the manners. This driver sees the true state and is not
a policy: it only has to cover the space of motions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, Scene, SignalState, WorldState
from drivewm.geometry import ego_from_world, frenet_sd, point_at_s
from drivewm.sim.leaders import free_accel, interaction_accel

EXPERT_MANNERS = ("follow", "follow_loosely", "lane_change")
NON_EXPERT_MANNERS = (
    "drift",
    "swerve",
    "hard_brake",
    "full_stop",
    "wrong_lane",
    "off_road",
    "reckless",
    "random",
)
_COMFORT_LATERAL_MPS2 = 2.5
_LOOK_S = (0.0, 0.8, 1.6, 2.4)
_NOSE_M = EGO_SHAPE.length_m / 2 + EGO_SHAPE.rear_axle_to_centre_m  # from the rear axle to the front bumper


@dataclass(frozen=True, slots=True)
class Manner:
    """One way to drive. From ``start_s`` to ``end_s`` the event of its kind takes place."""

    kind: str
    wish_mps: float
    start_s: float = 1e9
    end_s: float = 1e9
    side_m: float = 0.0  # offset from the route to move to, left positive
    duration_s: float = 4.0  # of the move to the side
    strength: float = 0.0  # braking in m/s^2 (hard_brake, full_stop), lateral acceleration in m/s^2 (swerve)
    wander_m: float = 0.0  # spread of the slow wandering about the route


class EgoDriver:
    """Gives the ego's action for one scene at every engine step; keeps what it needs between steps."""

    def __init__(self, scene: Scene, manner: Manner, rng: np.random.Generator) -> None:
        self.scene, self.manner, self._rng = scene, manner, rng
        heading = np.unwrap(point_at_s(scene.route_xy, np.arange(len(scene.route_xy), dtype=np.float64))[:, 2])
        self._bend_1pm = np.abs(np.gradient(heading))
        self._wander_m, self._gas_mps2 = 0.0, 0.0
        self._wheel_1pm, self._wheel_until_s = 0.0, -1.0
        self._side_from: float | None = None
        self._lamps = [(i, self._stop_s(signal.stop_line_xy)) for i, signal in enumerate(scene.road.signals)]

    def act(self, state: WorldState) -> tuple[float, float]:
        """Acceleration and curvature for the next step; ``state`` has no leading axes."""
        t_s, speed = float(state.t_s), float(state.ego_speed_mps)
        event = self.manner.start_s <= t_s < self.manner.end_s
        if self.manner.kind == "random" and event:
            return self._random(t_s, speed)
        s, d = (float(v) for v in frenet_sd(self.scene.route_xy, state.ego_xy_yaw_world[:2]))
        curvature = self._steer(state, s, d, t_s, event)
        if event and self.manner.kind in ("hard_brake", "full_stop"):
            return -self.manner.strength, curvature
        return self._speed_control(state, s, d), curvature

    def _steer(self, state: WorldState, s: float, d: float, t_s: float, event: bool) -> float:
        manner, speed = self.manner, float(state.ego_speed_mps)
        self._wander_m += 0.1 * (-0.25 * self._wander_m) + manner.wander_m * np.sqrt(0.05) * self._rng.normal()
        side = self._wander_m
        if manner.side_m and t_s >= manner.start_s:
            if self._side_from is None:
                self._side_from = d
            back = t_s >= manner.end_s
            begin = manner.end_s if back else manner.start_s
            share = float(np.clip((t_s - begin) / manner.duration_s, 0.0, 1.0))
            share = share * share * (3 - 2 * share)
            from_m, to_m = (manner.side_m, 0.0) if back else (self._side_from, manner.side_m)
            side += from_m + share * (to_m - from_m)
        ahead_m = max(4.0, 0.9 * speed)
        target = point_at_s(self.scene.route_xy, s + ahead_m)
        aim = target[:2] + side * np.array([-np.sin(target[2]), np.cos(target[2])])
        x, y = ego_from_world(aim, state.ego_xy_yaw_world)
        curvature = 2.0 * float(y) / max(float(x * x + y * y), 4.0)
        if event and manner.kind == "swerve":
            curvature += manner.strength / max(speed, 4.0) ** 2 * np.sin(2 * np.pi * (t_s - manner.start_s) / manner.duration_s)
        return float(np.clip(curvature, -0.19, 0.19))

    def _speed_control(self, state: WorldState, s: float, d: float) -> float:
        manner, speed = self.manner, float(state.ego_speed_mps)
        ahead = np.arange(int(max(s, 0)), min(int(max(s, 0) + 2 + 3 * speed), len(self._bend_1pm)))
        wish = manner.wish_mps
        if len(ahead):
            brake_m = np.maximum(ahead - s, 0.0)
            most = np.sqrt(_COMFORT_LATERAL_MPS2 / np.maximum(self._bend_1pm[ahead], 1e-4))
            wish = min(wish, float(np.sqrt(most**2 + 2 * 1.5 * brake_m).min()))
        wish_array, speed_array = np.array(wish), np.array(speed)
        accel = float(free_accel(speed_array, wish_array, 0.1))
        self._gas_mps2 += 0.1 * (-0.5 * self._gas_mps2) + 0.12 * self._rng.normal()
        accel += self._gas_mps2 * (speed > 1.0)
        if manner.kind != "reckless":
            accel = min(accel, self._for_others(state, s, d), self._for_lights(state, s))
        return float(np.clip(accel, -8.0, 2.5))

    def _for_others(self, state: WorldState, s: float, d: float) -> float:
        """The acceleration that agents on the way allow, where they are and where they will be if they keep on."""
        agents = state.agents
        if not agents.valid.any():
            return 10.0
        speed = float(state.ego_speed_mps)
        first = int(np.clip(s - 5.0, 0, len(self.scene.route_xy) - 2))
        route = self.scene.route_xy[first : first + 110]
        after_s = np.array(_LOOK_S)[:, None]
        yaw = agents.xy_yaw_world[:, 2]
        velocity = agents.speed_mps[:, None] * np.stack([np.cos(yaw), np.sin(yaw)], -1)
        sd = frenet_sd(route, agents.xy_yaw_world[:, :2] + after_s[..., None] * velocity) + [first, 0.0]
        path_yaw = point_at_s(route, sd[..., 0] - first)[..., 2]
        cos, sin = np.cos(yaw - path_yaw), np.sin(yaw - path_yaw)
        length, width = agents.size_lwh_m[:, 0], agents.size_lwh_m[:, 1]
        half_l = 0.5 * (np.abs(cos) * length + np.abs(sin) * width)
        half_w = 0.5 * (np.abs(sin) * length + np.abs(cos) * width)
        beside_m = np.where(agents.speed_mps == 0, 0.1, 0.3)  # what stands may be passed closely
        same_way = agents.speed_mps * cos
        gap = sd[..., 0] - half_l - s - _NOSE_M
        relevant = agents.valid & (np.abs(sd[..., 1] - d) < half_w + EGO_SHAPE.width_m / 2 + beside_m)
        relevant &= (sd[..., 0] > s) & (gap < 80.0)
        # A later place matters only for those who come from the side, and if the ego gets there by then.
        crossing = (np.abs(agents.speed_mps * sin) > 0.5) | (same_way < -0.5)
        relevant &= (after_s == 0) | (crossing & (gap < speed * (after_s + 1.5) + 4.0))
        leader = np.where(after_s == 0, np.maximum(same_way, 0.0), 0.0)
        allowed = interaction_accel(np.array(speed), np.maximum(gap, 0.1), leader)
        return float(allowed[relevant].min(initial=10.0))

    def _for_lights(self, state: WorldState, s: float) -> float:
        accel, speed = 10.0, float(state.ego_speed_mps)
        for i, stop_s in self._lamps:
            gap = stop_s - s - _NOSE_M
            red = state.signal[i] == SignalState.RED or (state.signal[i] == SignalState.YELLOW and speed**2 < 6.0 * max(gap, 0.1))
            if red and 0.0 < gap < 80.0 and speed**2 < 12.0 * gap:
                accel = min(accel, float(interaction_accel(np.array(speed), np.array(gap + 1.5), np.array(0.0))))
        return accel

    def _random(self, t_s: float, speed: float) -> tuple[float, float]:
        """Piecewise constant pedal and wheel that nobody intends."""
        if t_s >= self._wheel_until_s:
            self._wheel_until_s = t_s + self._rng.uniform(0.4, 2.0)
            most = min(0.15, self._rng.uniform(0.5, 4.5) / max(speed, 3.0) ** 2)
            self._wheel_1pm = float(self._rng.uniform(-most, most))
            high = 3.0 if speed < 22.0 else -1.0
            self._gas_mps2 = float(self._rng.uniform(-5.0, high) if speed > 3.0 else self._rng.uniform(-1.0, 3.0))
        return self._gas_mps2, self._wheel_1pm

    def _stop_s(self, stop_line_xy: Array) -> float:
        """Where the route crosses a stop line in the direction of travel; -inf where it does not."""
        sd = frenet_sd(self.scene.route_xy, stop_line_xy)
        heading = point_at_s(self.scene.route_xy, sd[:, 0].mean())[2]
        across = stop_line_xy[1] - stop_line_xy[0]
        square = abs(np.cos(heading) * across[0] + np.sin(heading) * across[1]) < 0.5 * np.hypot(*across)
        crossed = square and sd[:, 1].min() <= 0.5 and sd[:, 1].max() >= -0.5
        return float(sd[:, 0].mean()) if crossed else -np.inf


def draw_manner(kind: str, rng: np.random.Generator, limit_mps: float, route_to_left_m: float, lane_width_m: float) -> Manner:
    """A manner of the given kind with its own timing and strength.

    ``route_to_left_m`` is the distance from the route to the middle of the lane on its left (oncoming, or the next one).
    """
    wish = float(np.clip(limit_mps * rng.uniform(0.7, 1.15), 3.0, 25.0))
    start = float(rng.uniform(0.8, 5.0))
    wander = float(rng.choice([0.0, 0.1, 0.2]))
    if kind == "follow":
        return Manner(kind, wish, wander_m=wander)
    if kind == "follow_loosely":
        return Manner(kind, wish, wander_m=float(rng.uniform(0.3, 0.6)))
    if kind == "lane_change":
        back = start + rng.uniform(4.0, 7.0) if rng.random() < 0.5 else 1e9
        return Manner(kind, wish, start, float(back), route_to_left_m, float(rng.uniform(2.5, 5.0)), wander_m=wander)
    if kind == "drift":
        side = float(rng.choice([-1, 1]) * rng.uniform(1.2, 5.0))
        back = start + rng.uniform(3.0, 8.0) if rng.random() < 0.6 else 1e9
        return Manner(kind, wish, start, float(back), side, float(rng.uniform(3.0, 8.0)))
    if kind == "swerve":
        period = float(rng.uniform(1.2, 3.0))
        cycles = int(rng.integers(1, 4))
        strength = float(rng.choice([-1, 1]) * rng.uniform(2.0, 6.0))
        return Manner(kind, wish, start, start + cycles * period, 0.0, period, strength=strength)
    if kind == "hard_brake":
        return Manner(kind, wish * 1.2, start, start + float(rng.uniform(0.6, 2.5)), strength=float(rng.uniform(4.5, 9.0)))
    if kind == "full_stop":
        return Manner(kind, wish, start, start + float(rng.uniform(4.0, 12.0)), strength=float(rng.uniform(1.5, 4.0)))
    if kind == "wrong_lane":
        back = start + rng.uniform(4.0, 8.0) if rng.random() < 0.5 else 1e9
        return Manner(kind, wish, start, float(back), route_to_left_m, float(rng.uniform(2.0, 5.0)))
    if kind == "off_road":
        side = float(rng.choice([-1.0, -1.0, 1.0]) * rng.uniform(1.5, 3.0) * lane_width_m)
        return Manner(kind, wish, start, start + float(rng.uniform(3.0, 8.0)), side, float(rng.uniform(2.0, 5.0)))
    if kind == "reckless":
        return Manner(kind, min(25.0, wish * float(rng.uniform(1.1, 1.6))), wander_m=wander)
    return Manner("random", wish, float(rng.choice([0.0, start])), 1e9, wander_m=wander)
