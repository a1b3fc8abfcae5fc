"""Reference lines of OpenDRIVE: line, spiral, arc, poly3, paramPoly3 (ASAM OpenDRIVE 1.7, sections 7.3 to 7.7).

An element begins at a pose of the world frame (x east, y north, heading counter-clockwise) and is a function of the arc length
``s`` from its start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fresnel

from drivewm.geometry import Array, compose_xy_yaw

STRAIGHT_1PM = 1e-12  # curvatures below count as none
RATE_1PM2 = 1e-12  # clothoids that change their curvature slower are arcs
POLY_STEP_M = 0.25


@dataclass(frozen=True)
class PlanElement:
    """One piece of a reference line; ``parameters`` depend on ``kind``."""

    kind: str  # "line" | "arc" | "spiral" | "poly3" | "paramPoly3"
    s_m: float  # where on the road it begins
    start_xy_yaw: Array  # [3]
    length_m: float
    parameters: tuple[float, ...] = ()
    normalized: bool = True  # paramPoly3: p runs from 0 to 1 instead of 0 to the length

    def pose(self, s_m: Array) -> Array:
        """World poses [..., 3] at arc lengths [...] from the element's start; straight on beyond its end."""
        s_m = np.asarray(s_m, np.float64)
        inside = np.clip(s_m, 0.0, self.length_m)
        local = self._local(inside)
        beyond = (s_m - inside)[..., None] * np.stack([np.cos(local[..., 2]), np.sin(local[..., 2])], -1)
        local = np.concatenate([local[..., :2] + beyond, local[..., 2:]], -1)
        return compose_xy_yaw(self.start_xy_yaw, local)

    def _local(self, s: Array) -> Array:
        if self.kind == "line":
            return np.stack([s, np.zeros_like(s), np.zeros_like(s)], -1)
        if self.kind == "arc":
            return clothoid_pose(s, self.parameters[0], 0.0)
        if self.kind == "spiral":
            start, end = self.parameters
            return clothoid_pose(s, start, (end - start) / max(self.length_m, 1e-9))
        if self.kind == "poly3":
            a, b, c, d = self.parameters
            return self._polynomial(np.array([0.0, 1.0, 0.0, 0.0]), np.array([a, b, c, d]), self._poly3_u(s))
        p = s / max(self.length_m, 1e-9) if self.normalized else s
        return self._polynomial(np.array(self.parameters[:4]), np.array(self.parameters[4:]), p)

    @staticmethod
    def _polynomial(u: Array, v: Array, p: Array) -> Array:
        slope_u = u[1] + p * (2 * u[2] + p * 3 * u[3])
        slope_v = v[1] + p * (2 * v[2] + p * 3 * v[3])
        value_u = u[0] + p * (u[1] + p * (u[2] + p * u[3]))
        value_v = v[0] + p * (v[1] + p * (v[2] + p * v[3]))
        return np.stack([value_u, value_v, np.arctan2(slope_v, slope_u)], -1)

    def _poly3_u(self, s: Array) -> Array:
        """The local coordinate u at which a poly3 has the arc length ``s``; u never exceeds s."""
        _, b, c, d = self.parameters
        u = np.linspace(0.0, self.length_m, max(3, int(min(self.length_m / POLY_STEP_M, 20_000)) + 1))
        slope = b + u * (2 * c + u * 3 * d)
        speed = np.sqrt(1.0 + slope**2)
        way = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * np.diff(u))])
        return np.interp(s, way, u)


def clothoid_pose(s: Array, curvature_1pm: float, rate_1pm2: float) -> Array:
    """Poses [..., 3] along a curve of curvature ``curvature_1pm + rate_1pm2 * s`` that begins at the origin heading along +x.

    The heading is k0 s + c s^2 / 2; completing its square turns the integrals of cosine and sine into Fresnel integrals.
    """
    s = np.asarray(s, np.float64)
    yaw = curvature_1pm * s + 0.5 * rate_1pm2 * s**2
    if abs(rate_1pm2) < RATE_1PM2:
        if abs(curvature_1pm) < STRAIGHT_1PM:
            return np.stack([s, np.zeros_like(s), np.zeros_like(s)], -1)
        # 2 sin^2(a / 2) = 1 - cos(a) keeps its digits on wide arcs.
        return np.stack([np.sin(yaw) / curvature_1pm, 2 * np.sin(yaw / 2) ** 2 / curvature_1pm, yaw], -1)
    scale = np.sqrt(np.pi / abs(rate_1pm2))
    sign = np.sign(rate_1pm2)
    first = curvature_1pm / rate_1pm2  # arc length from the clothoid's own origin to our start
    begin_s, begin_c = fresnel(first / scale)
    end_s, end_c = fresnel((s + first) / scale)
    along, aside = scale * (end_c - begin_c), sign * scale * (end_s - begin_s)
    turn = -0.5 * curvature_1pm * first
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([cos * along - sin * aside, sin * along + cos * aside, yaw], -1)


def reference_pose(elements: Sequence[PlanElement], s_m: Array) -> Array:
    """Poses [..., 3] of a reference line at arc lengths [...]; straight on beyond both ends."""
    s_m = np.asarray(s_m, np.float64)
    flat = s_m.reshape(-1)
    index = np.clip(np.searchsorted([e.s_m for e in elements], flat, side="right") - 1, 0, len(elements) - 1)
    out = np.zeros((len(flat), 3))
    for i in np.unique(index):
        element, here = elements[i], index == i
        s = flat[here] - element.s_m
        if i == 0:
            pose = element.pose(s)
            back = np.minimum(s, 0.0)[:, None]
            heading = element.pose(np.zeros(1))[0, 2]
            pose[:, :2] = np.where(back < 0, element.start_xy_yaw[:2] + back * [np.cos(heading), np.sin(heading)], pose[:, :2])
        else:
            pose = element.pose(s)
        out[here] = pose
    return out.reshape(*s_m.shape, 3)


def cubic_at(pieces: Sequence[tuple[float, float, float, float, float]], s_m: Array) -> tuple[Array, Array]:
    """Value and slope of a piecewise cubic (s0, a, b, c, d) at ``s_m`` [...]; zero where there is no piece."""
    s_m = np.asarray(s_m, np.float64)
    if not pieces:
        return np.zeros_like(s_m), np.zeros_like(s_m)
    table = np.array(pieces)
    row = table[np.clip(np.searchsorted(table[:, 0], s_m + 1e-9, side="right") - 1, 0, len(table) - 1)]
    p = s_m - row[..., 0]
    a, b, c, d = (row[..., i] for i in range(1, 5))
    return np.asarray(a + p * (b + p * (c + p * d))), np.asarray(b + p * (2 * c + p * 3 * d))
