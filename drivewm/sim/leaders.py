"""Who is ahead: obstacles and red lights on the path of every reactive agent, and the acceleration they allow (IDM).

Following M. Treiber, A. Kesting, Traffic Flow Dynamics, ch. 11-12. Free road and interaction are combined by the smaller of the
two (as in the improved IDM), so that the gap behind a leader of equal speed is exactly ``gap_m + time_gap_s * speed``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.sim.paths import PathTable, crossing_share


@dataclass(frozen=True, slots=True)
class CarFollowing:
    """Parameters of the intelligent driver model, city values of Treiber and Kesting with a calm time gap."""

    accel_mps2: float = 1.5
    brake_mps2: float = 2.0
    hardest_mps2: float = 8.0
    gap_m: float = 2.0
    time_gap_s: float = 1.4
    reach_m: float = 80.0  # nobody farther ahead matters; slow agents look less far (20 m and five seconds)
    side_margin_m: float = 0.2  # an obstacle this close beside the swept width counts as on the path


IDM = CarFollowing()
FREE_MPS2 = 1e3  # the acceleration that an empty road allows


@dataclass(frozen=True, slots=True)
class Obstacles:
    """Everything with a body, agents first and the ego last: oriented boxes [B, N + 1]."""

    xy_yaw: Array  # [B, N + 1, 3], centre
    speed_mps: Array
    half_length_m: Array
    half_width_m: Array
    valid: Array


def free_accel(speed_mps: Array, wish_mps: Array, dt_s: float) -> Array:
    """Acceleration towards the desired speed on an empty road; from above it brakes no harder than comfort."""
    wish = np.maximum(wish_mps, 1e-3)
    below = np.minimum(IDM.accel_mps2 * (1 - (np.minimum(speed_mps, wish) / wish) ** 4), (wish_mps - speed_mps) / dt_s)
    ratio = wish / np.maximum(speed_mps, wish)
    above = np.maximum(-IDM.brake_mps2 * (1 - ratio ** (4 * IDM.accel_mps2 / IDM.brake_mps2)), (wish_mps - speed_mps) / dt_s)
    return np.asarray(np.where(speed_mps <= wish_mps, below, above))


def interaction_accel(speed_mps: Array, gap_m: Array, leader_mps: Array, keep_m: Array | None = None) -> Array:
    """Acceleration that a leader allows, bumper to bumper ``gap_m`` ahead and moving at ``leader_mps`` along the path.

    ``keep_m`` is the gap to keep behind a leader of equal speed; that of `CarFollowing` if not given.
    """
    approach = speed_mps * (speed_mps - leader_mps) / (2 * np.sqrt(IDM.accel_mps2 * IDM.brake_mps2))
    keep_m = IDM.gap_m + speed_mps * IDM.time_gap_s if keep_m is None else keep_m
    wanted_m = np.maximum(IDM.gap_m, keep_m + approach)
    accel = IDM.accel_mps2 * (1 - (wanted_m / np.maximum(gap_m, 0.1)) ** 2)
    return np.asarray(np.maximum(accel, -IDM.hardest_mps2))


def leader_accel(
    paths: PathTable, who: Array, s_m: Array, band_m: Array, obstacles: Obstacles, time_gap_s: Array | None = None
) -> Array:
    """Acceleration [B, N] that the most restrictive obstacle on the own path allows; `FREE_MPS2` where there is none.

    ``who`` bool [B, N] marks agents that look; ``s_m`` [B, N] where they are; ``band_m`` [B, N, 2] the lowest and highest left
    offset that they hold or are moving to; ``time_gap_s`` [B, N] what they keep, if not what `CarFollowing` says.
    """
    batch, count = s_m.shape
    xy_yaw = obstacles.xy_yaw
    delta = xy_yaw[:, None, :, :2] - xy_yaw[:, :count, None, :2]
    yaw = xy_yaw[:, :count, None, 2]
    ahead = delta[..., 0] * np.cos(yaw) + delta[..., 1] * np.sin(yaw)
    reach_m = np.minimum(IDM.reach_m, 20.0 + 5.0 * obstacles.speed_mps[:, :count])[..., None]
    near = (ahead > 0) & (ahead < reach_m) & who[:, :, None] & obstacles.valid[:, None, :]
    b, i, j = np.nonzero(near)
    allowed = np.full((batch, count, count + 1), FREE_MPS2)
    if len(b) == 0:
        return np.asarray(allowed.min(-1))
    row, own_s, point = b * count + i, s_m[b, i], xy_yaw[b, j]
    # Coarse: the nearest of path vertices 8 m apart; fine: twice the tangent there, good for arcs of 8 m radius and more.
    vertex = own_s.astype(np.int64)[:, None] + np.arange(0, int(IDM.reach_m) + 1, 8)
    vertex = np.clip(vertex, 0, (paths.last[row] + 1)[:, None])
    away = paths.xy[vertex + (row * paths.points)[:, None]] - point[:, None, :2]
    best = np.argmin(away[..., 0] ** 2 + away[..., 1] ** 2, axis=1)
    s, offset, path_yaw = paths.refine(row, np.take_along_axis(vertex, best[:, None], 1)[:, 0].astype(np.float64), point[:, :2])
    cos, sin = np.cos(point[:, 2] - path_yaw), np.sin(point[:, 2] - path_yaw)
    half_length, half_width = obstacles.half_length_m[b, j], obstacles.half_width_m[b, j]
    gap = s - own_s - obstacles.half_length_m[b, i] - np.abs(cos) * half_length - np.abs(sin) * half_width
    reach = obstacles.half_width_m[b, i] + np.abs(sin) * half_length + np.abs(cos) * half_width + IDM.side_margin_m
    low, high = band_m[b, i, 0], band_m[b, i, 1]
    on_path = (s > own_s) & (offset > low - reach) & (offset < high + reach)
    speed = obstacles.speed_mps[b, i]
    keep_m = None if time_gap_s is None else IDM.gap_m + speed * time_gap_s[b, i]
    accel = interaction_accel(speed, gap, obstacles.speed_mps[b, j] * cos, keep_m)
    allowed[b, i, j] = np.where(on_path, accel, FREE_MPS2)
    return np.asarray(allowed.min(-1))


def stop_line_s(paths: PathTable, stop_xy: Array, towards_yaw: Array) -> Array:
    """Arc length [R, S] at which path r crosses stop line s [R, S, 2, 2] in the direction [R, S]; inf where it does not."""
    rows, signals = stop_xy.shape[:2]
    out = np.full((rows, signals), np.inf)
    for r in range(rows):
        path = paths.xy[r * paths.points : r * paths.points + paths.last[r] + 2]
        step = np.diff(path, axis=0)[:, None]
        share = crossing_share(path[:-1, None], path[1:, None], stop_xy[r])
        forward = step[..., 0] * np.cos(towards_yaw[r]) + step[..., 1] * np.sin(towards_yaw[r]) > 0.5
        out[r] = np.where(forward, np.arange(len(step))[:, None] + share, np.inf).min(axis=0)
    return out


def signal_accel(speed_mps: Array, to_line_m: Array, red: Array, yellow: Array) -> Array:
    """Acceleration [B, N] that lights [B, N, S] allow, ``to_line_m`` ahead of the bumper; who can no longer stop drives on."""
    needed = speed_mps[..., None] ** 2 / (2 * np.maximum(to_line_m, 0.1))
    stop = (to_line_m > 0) & (to_line_m < IDM.reach_m) & ((red & (needed < 6.0)) | (yellow & (needed < 3.0)))
    gap = np.where(stop, to_line_m + IDM.gap_m - 0.5, 1e6)  # comes to rest half a metre before the line
    accel = np.where(stop, interaction_accel(speed_mps[..., None], gap, np.zeros(())), FREE_MPS2)
    return np.asarray(accel.min(-1, initial=FREE_MPS2))
