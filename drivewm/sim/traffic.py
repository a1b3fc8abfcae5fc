"""How agents move: along a path, at a speed they wish or a leader allows, with manoeuvres fired by triggers on the ego."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import ActorScripts, Array, ManoeuvreKind, Records, TriggerKind
from drivewm.geometry import rotate_xy
from drivewm.sim.bicycle import travel
from drivewm.sim.leaders import free_accel
from drivewm.sim.paths import PathTable


@dataclass(frozen=True, slots=True)
class Traffic(Records):
    """How far every script has come; all [..., N]."""

    s_m: Array
    offset_m: Array
    speed_mps: Array
    accel_mps2: Array
    wish_mps: Array  # the speed it drives at when nothing is ahead
    speed_rate_mps2: Array  # rate of a speed manoeuvre; 0 before the first one
    offset_from_m: Array
    offset_to_m: Array
    offset_share: Array  # how much of the offset manoeuvre is done, 1 when none is going on
    offset_time_s: Array
    step: Array  # int, index of the script step that waits for its trigger

    @classmethod
    def start(cls, scripts: ActorScripts) -> Traffic:
        """Before the first step of ``scripts`` (any leading axes)."""
        zero, offset = np.zeros_like(scripts.start_s_m), scripts.start_offset_m
        return cls(
            s_m=scripts.start_s_m,
            offset_m=offset,
            speed_mps=scripts.start_speed_mps,
            accel_mps2=zero,
            wish_mps=np.where(scripts.reactive, scripts.desired_speed_mps, scripts.start_speed_mps),
            speed_rate_mps2=zero,
            offset_from_m=offset,
            offset_to_m=offset,
            offset_share=zero + 1.0,
            offset_time_s=zero + 1.0,
            step=zero.astype(np.int64),
        )


def smooth(share: Array) -> Array:
    """0 to 1 with zero speed and acceleration at both ends (quintic)."""
    return share**3 * (10 - 15 * share + 6 * share**2)


def smooth_slope(share: Array) -> Array:
    return 30 * share**2 * (1 - share) ** 2


def fire(scripts: ActorScripts, traffic: Traffic, t_s: Array, distance_m: Array, closing_mps: Array) -> Traffic:
    """Traffic after the waiting step of every agent was tested; at most one step per agent fires at an instant.

    ``t_s`` [B]; ``distance_m`` and ``closing_mps`` [B, N] between the centres of ego and agent, positive when they approach.
    """
    steps = scripts.trigger_kind.shape[-1]
    if steps == 0:
        return traffic
    waiting = np.minimum(traffic.step, steps - 1)[..., None]
    kind, value, what, goal, rate = (
        np.take_along_axis(a, waiting, -1)[..., 0]
        for a in (
            scripts.trigger_kind,
            scripts.trigger_value,
            scripts.manoeuvre_kind,
            scripts.manoeuvre_value,
            scripts.manoeuvre_rate,
        )
    )
    # Times are sums of dt: without the tolerance a step at 2.0 s would fire at 2.1 s.
    due = (kind == TriggerKind.TIME) & (t_s[:, None] >= value - 1e-6)
    due |= (kind == TriggerKind.DISTANCE) & (distance_m <= value)
    due |= (kind == TriggerKind.TTC) & (closing_mps > 0) & (distance_m <= value * closing_mps)
    due &= traffic.step < steps
    if not due.any():
        return traffic
    speed, offset = due & (what == ManoeuvreKind.SPEED), due & (what == ManoeuvreKind.OFFSET)
    return replace(
        traffic,
        wish_mps=np.where(speed, goal, traffic.wish_mps),
        speed_rate_mps2=np.where(speed, np.maximum(rate, 1e-3), traffic.speed_rate_mps2),
        offset_from_m=np.where(offset, traffic.offset_m, traffic.offset_from_m),
        offset_to_m=np.where(offset, goal, traffic.offset_to_m),
        offset_share=np.where(offset, 0.0, traffic.offset_share),
        offset_time_s=np.where(offset, np.maximum(rate, 1e-3), traffic.offset_time_s),
        step=traffic.step + due,
    )


def wished_accel(reactive: Array, traffic: Traffic, dt_s: float) -> Array:
    """Acceleration [B, N] that an agent takes when nothing is ahead: speed manoeuvre, else IDM free road, else none."""
    needed = (traffic.wish_mps - traffic.speed_mps) / dt_s
    ramp = np.clip(needed, -traffic.speed_rate_mps2, traffic.speed_rate_mps2)
    free = np.where(reactive, free_accel(traffic.speed_mps, traffic.wish_mps, dt_s), 0.0)
    return np.where(traffic.speed_rate_mps2 > 0, ramp, free)


def advance(traffic: Traffic, accel_mps2: Array, dt_s: float) -> Traffic:
    """Traffic ``dt_s`` later. Sideways motion needs forward motion: below 1 m/s an offset manoeuvre slows down with the agent."""
    distance, speed = travel(traffic.speed_mps, accel_mps2, dt_s)
    # Rounding must not leave an agent creeping when a manoeuvre asks it to stand.
    speed = np.where((speed < 1e-9) & (accel_mps2 <= 0), 0.0, speed)
    share = np.minimum(1.0, traffic.offset_share + dt_s / traffic.offset_time_s * np.minimum(1.0, distance / dt_s))
    return replace(
        traffic,
        s_m=traffic.s_m + distance,
        speed_mps=speed,
        accel_mps2=(speed - traffic.speed_mps) / dt_s,
        offset_m=traffic.offset_from_m + (traffic.offset_to_m - traffic.offset_from_m) * smooth(share),
        offset_share=share,
    )


def poses(paths: PathTable, traffic: Traffic) -> Array:
    """Box centres [B, N, 3]; during an offset manoeuvre the heading follows the motion."""
    row = np.arange(traffic.s_m.size).reshape(traffic.s_m.shape)
    out = paths.pose(row, traffic.s_m, traffic.offset_m)
    slope = smooth_slope(traffic.offset_share)
    sideways = (traffic.offset_to_m - traffic.offset_from_m) * slope / traffic.offset_time_s * np.minimum(1.0, traffic.speed_mps)
    out[..., 2] += np.arctan2(sideways, np.maximum(traffic.speed_mps, 0.1))
    out[..., 2] = (out[..., 2] + np.pi) % (2 * np.pi) - np.pi
    return out


def closing(ego_xy_yaw: Array, ego_speed: Array, xy_yaw: Array, speed_mps: Array) -> tuple[Array, Array]:
    """Distance and closing speed [B, N] between the ego's centre [B, 3] and agents [B, N, 3]."""
    delta = xy_yaw[..., :2] - ego_xy_yaw[:, None, :2]
    distance = np.hypot(delta[..., 0], delta[..., 1])
    ego_velocity = rotate_xy(np.stack([ego_speed, np.zeros_like(ego_speed)], -1), ego_xy_yaw[:, 2])
    velocity = np.stack([np.cos(xy_yaw[..., 2]), np.sin(xy_yaw[..., 2])], -1) * speed_mps[..., None]
    relative = ego_velocity[:, None] - velocity
    toward = relative[..., 0] * delta[..., 0] + relative[..., 1] * delta[..., 1]
    return distance, toward / np.maximum(distance, 1e-9)
