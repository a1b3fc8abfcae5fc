"""The vocabulary of plans: 16 speed profiles x 8 lateral targets beside the route, from the ego's present motion.

Every learned policy and the expert choose from these 128 candidates, so a plan can always be driven and always be scored.
Plain tensor operations of fixed shape, so that the vocabulary is exported inside the ONNX file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from drivewm.datatypes import ROUTE_POINTS, ROUTE_SPACING_M, Array, Trajectory

# Dense around zero, where comfort is decided; full braking first. Positive profiles end at the speed limit.
ACCELERATIONS_MPS2 = (-8.0, -6.0, -4.5, -3.2, -2.3, -1.6, -1.1, -0.7, -0.35, 0.0, 0.25, 0.5, 0.8, 1.2, 1.6, 2.0)
OFFSETS_M = (-3.5, -1.75, -0.8, 0.0, 0.0, 0.8, 1.75, 3.5)  # to the left of the route
SETTLING_S = (2.5, 1.8, 1.8, 3.5, 1.5, 1.8, 1.8, 2.5)  # time to reach the offset; the route itself gently or briskly
LATERALS = len(OFFSETS_M)
CANDIDATES = len(ACCELERATIONS_MPS2) * LATERALS  # index = profile * LATERALS + lateral
GENTLE_LATERAL = 3
SIDEWAYS_MPS2 = 5.0  # a plan that asks for more cannot be counted on
TIGHTEST_1PM = 0.2  # turning circle of a small car

_SLOW_SETTLING_M, _SLOW_SETTLING_PER_M = 6.0, 2.5  # shortest settling distance, whatever the speed: a turning circle
_STEEPEST = 1.0  # tan of the largest heading error that a plan corrects
_TIGHTEST = 0.2  # lower bound of 1 - curvature * offset, where a curve is tighter than the offset inside it
_SLACK_RADPS = 0.05  # headings of slow plans turn by rounding
_GRID = 64  # stations for the arc length of each path


def candidates(
    speed_mps: Tensor, curvature_1pm: Tensor, route_xy_ego: Tensor, speed_limit_mps: Tensor, plan_t_s: Sequence[float]
) -> Tensor:
    """All plans [B, CANDIDATES, K, 4] = x, y, yaw, speed in the ego frame at ``plan_t_s`` ahead.

    ``speed_mps``, ``curvature_1pm`` and ``speed_limit_mps`` are [B]; ``route_xy_ego`` [B, ROUTE_POINTS, 2] begins beside the ego.
    A path starts in the ego's pose with its curvature and joins the route (plus offset) by a quintic in arc length.
    """
    t_s = torch.tensor(plan_t_s, dtype=speed_mps.dtype, device=speed_mps.device)
    distance, speed = _profiles(speed_mps, speed_limit_mps, t_s)
    paths = _Paths(speed_mps, curvature_1pm, route_xy_ego)
    longest_m = 1.3 * (speed_mps * t_s[-1] + 0.5 * max(ACCELERATIONS_MPS2) * t_s[-1] ** 2) + 5.0
    xy, yaw = paths.at(paths.station(distance.flatten(1), longest_m))
    batch, points = speed_mps.shape[0], len(plan_t_s)  # len() of a tensor would fix the batch of an export
    shape = (batch, LATERALS, len(ACCELERATIONS_MPS2), points)
    speed = speed[:, None].expand(shape)
    out = torch.cat([xy, yaw[..., None], speed.flatten(2)[..., None]], dim=-1)
    return out.reshape(*shape, 4).transpose(1, 2).reshape(batch, CANDIDATES, points, 4)


def along_route(
    speed_mps: Tensor, curvature_1pm: Tensor, route_xy_ego: Tensor, distance_m: Tensor, lateral: int = GENTLE_LATERAL
) -> Tensor:
    """Poses [B, K, 3] after ``distance_m`` [B, K] on the path that `candidates` takes to lateral target ``lateral``."""
    paths = _Paths(speed_mps, curvature_1pm, route_xy_ego)
    xy, yaw = paths.at(paths.station(distance_m, distance_m.amax(1) * 1.3 + 5.0))
    return torch.cat([xy, yaw[..., None]], dim=-1)[:, lateral]


def feasible(all_candidates: Tensor, plan_t_s: Sequence[float]) -> Tensor:
    """Which plans [B, M] tyres and steering allow, from candidates [B, M, K, 4]: sideways acceleration and curvature."""
    t_s = torch.tensor([0.0, *plan_t_s], dtype=all_candidates.dtype, device=all_candidates.device)
    yaw, speed = all_candidates[..., 2], all_candidates[..., 3]
    turn = torch.diff(torch.nn.functional.pad(yaw, (1, 0)), dim=-1)
    turn = torch.atan2(torch.sin(turn), torch.cos(turn))
    rate = turn / torch.diff(t_s)
    mean_speed = 0.5 * (speed + torch.cat([speed[..., :1], speed[..., :-1]], dim=-1))
    sideways, tight = torch.abs(rate) * mean_speed, torch.abs(rate) - TIGHTEST_1PM * mean_speed
    return (sideways.amax(-1) < SIDEWAYS_MPS2) & (tight.amax(-1) < _SLACK_RADPS)


def chosen(all_candidates: Array, index: Array, plan_t_s: Sequence[float]) -> Trajectory:
    """The trajectory of candidate ``index`` [B] out of ``all_candidates`` [B, M, K, 4]."""
    return trajectory(np.take_along_axis(np.asarray(all_candidates), np.asarray(index)[:, None, None, None], 1)[:, 0], plan_t_s)


def trajectory(plan: Array, plan_t_s: Sequence[float]) -> Trajectory:
    """A plan [B, K, 4] as the record that the loop takes."""
    plan = np.asarray(plan, np.float64)
    return Trajectory(t_s=np.tile(np.asarray(plan_t_s), (len(plan), 1)), xy_yaw_ego=plan[..., :3], speed_mps=plan[..., 3])


def _profiles(speed_mps: Tensor, speed_limit_mps: Tensor, t_s: Tensor) -> tuple[Tensor, Tensor]:
    """Distance and speed [B, 16, K]: constant acceleration until standstill or the limit, then constant speed."""
    accel = torch.tensor(ACCELERATIONS_MPS2, dtype=speed_mps.dtype, device=speed_mps.device)[None, :, None]
    start = speed_mps[:, None, None]
    room = torch.where(accel < 0, -start, torch.clamp(speed_limit_mps[:, None, None] - start, min=0.0))
    change_s = torch.minimum(room / torch.where(accel == 0, torch.ones_like(accel), accel), t_s)
    final = start + accel * change_s
    return start * change_s + 0.5 * accel * change_s**2 + final * (t_s - change_s), final


class _Paths:
    """The 8 paths of each car: the route as a cubic Hermite spline, plus a quintic offset from it."""

    def __init__(self, speed_mps: Tensor, curvature_1pm: Tensor, route_xy_ego: Tensor) -> None:
        p = route_xy_ego
        first, last = -3 * p[:, :1] + 4 * p[:, 1:2] - p[:, 2:3], 3 * p[:, -1:] - 4 * p[:, -2:-1] + p[:, -3:-2]
        self.vertex, self.tangent = p, 0.5 * torch.cat([first, p[:, 2:] - p[:, :-2], last], dim=1)
        along, left = _unit(self.tangent[:, 0]), _left(_unit(self.tangent[:, 0]))
        self.start_s = -(p[:, 0] * along).sum(-1)
        start = -(p[:, 0] * left).sum(-1)
        slope = torch.clamp(-along[:, 1] / torch.clamp(along[:, 0], min=1e-3), -_STEEPEST, _STEEPEST)
        turn = _unit(self.tangent[:, 2])
        route_curvature = (along[:, 0] * turn[:, 1] - along[:, 1] * turn[:, 0]) / (2 * ROUTE_SPACING_M)
        bend = curvature_1pm * (1 + slope**2) ** 1.5 - route_curvature
        target = torch.tensor(OFFSETS_M, dtype=p.dtype, device=p.device)
        settling = torch.tensor(SETTLING_S, dtype=p.dtype, device=p.device)
        move = target - start[:, None]
        slowest = _SLOW_SETTLING_M + _SLOW_SETTLING_PER_M * torch.abs(move)
        self.length = torch.maximum(speed_mps[:, None] * settling, slowest)  # [B, 8]
        # Quintic in u = s / length with the given value, slope and second derivative at 0, and rest at the target at 1.
        b, c = slope[:, None] * self.length, 0.5 * bend[:, None] * self.length**2
        a = torch.zeros_like(move) + start[:, None]
        high = (10 * move - 6 * b - 3 * c, -15 * move + 8 * b + 3 * c, 6 * move - 3 * b - c)
        self.quintic = torch.stack([a, b, c, *high], dim=-1)  # [B, 8, 6]

    def station(self, distance_m: Tensor, longest_m: Tensor) -> Tensor:
        """Arc length on the route [B, 8, Q] after driving ``distance_m`` [B, Q] along each path."""
        share = torch.linspace(0.0, 1.0, _GRID, dtype=distance_m.dtype, device=distance_m.device)
        step = longest_m / (_GRID - 1)
        grid = (self.start_s[:, None] + share * longest_m[:, None])[:, None].expand(-1, LATERALS, -1)
        xy, _ = self.at(grid)
        chord = torch.sqrt(((xy[:, :, 1:] - xy[:, :, :-1]) ** 2).sum(-1) + 1e-12)
        driven = torch.nn.functional.pad(torch.cumsum(chord, dim=-1), (1, 0))
        query = distance_m[:, None].expand(-1, LATERALS, -1)
        index = (driven[:, :, None, 1:-1] <= query[..., None]).to(torch.int64).sum(-1)
        low, high = torch.gather(driven, 2, index), torch.gather(driven, 2, index + 1)
        part = (query - low) / torch.clamp(high - low, min=1e-6)
        return self.start_s[:, None, None] + (index.to(part.dtype) + part) * step[:, None, None]

    def at(self, s_m: Tensor) -> tuple[Tensor, Tensor]:
        """Position [B, 8, Q, 2] and heading [B, 8, Q] at arc lengths ``s_m`` [B, 8, Q] of the route."""
        xy, along, curvature = self._route(s_m)
        u = torch.clamp((s_m - self.start_s[:, None, None]) / self.length[..., None], 0.0, 1.0)
        q = self.quintic[:, :, None, :]
        offset = q[..., 0] + u * (q[..., 1] + u * (q[..., 2] + u * (q[..., 3] + u * (q[..., 4] + u * q[..., 5]))))
        slope = q[..., 1] + u * (2 * q[..., 2] + u * (3 * q[..., 3] + u * (4 * q[..., 4] + u * 5 * q[..., 5])))
        slope = slope / self.length[..., None]
        left = _left(along)
        forward = torch.clamp(1 - curvature * offset, min=_TIGHTEST)
        heading = along * forward[..., None] + left * slope[..., None]
        return xy + left * offset[..., None], torch.atan2(heading[..., 1], heading[..., 0])

    def _route(self, s_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Position, unit tangent [..., 2] and curvature of the route itself; straight on beyond both ends."""
        batch = s_m.shape[0]
        flat = (s_m / ROUTE_SPACING_M).reshape(batch, -1)
        index = torch.clamp(torch.floor(flat), 0, ROUTE_POINTS - 2).to(torch.int64)
        f = (flat - index.to(flat.dtype))[..., None]
        inside = torch.clamp(f, 0.0, 1.0)
        beyond, f = f - inside, inside
        low = index[..., None].expand(-1, -1, 2)
        p0, p1 = torch.gather(self.vertex, 1, low), torch.gather(self.vertex, 1, low + 1)
        m0, m1 = torch.gather(self.tangent, 1, low), torch.gather(self.tangent, 1, low + 1)
        step = p1 - p0
        square, cube = 3 * step - 2 * m0 - m1, m0 + m1 - 2 * step
        velocity = m0 + f * (2 * square + f * 3 * cube)
        bend = 2 * square + f * 6 * cube
        along = _unit(velocity)
        xy = p0 + f * (m0 + f * (square + f * cube)) + along * beyond * ROUTE_SPACING_M
        cross = velocity[..., 0] * bend[..., 1] - velocity[..., 1] * bend[..., 0]
        curvature = cross / torch.clamp((velocity**2).sum(-1), min=1e-6) ** 1.5
        curvature = torch.where(beyond[..., 0] == 0, curvature, torch.zeros_like(curvature))
        shape = s_m.shape
        return xy.reshape(*shape, 2), along.reshape(*shape, 2), curvature.reshape(shape)


def _unit(xy: Tensor) -> Tensor:
    return xy / torch.sqrt((xy**2).sum(-1, keepdim=True) + 1e-12)


def _left(along: Tensor) -> Tensor:
    return torch.stack([-along[..., 1], along[..., 0]], dim=-1)
