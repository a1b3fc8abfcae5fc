"""Paths of many agents in one table, with constant-time access by arc length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array


@dataclass(frozen=True, slots=True)
class PathTable:
    """R paths with vertices 1 m apart, padded to ``points`` vertices and laid end to end; straight on beyond both ends."""

    xy: Array  # [R * points, 2]
    yaw_rad: Array  # [R * points], without jumps, so that headings between vertices are interpolated
    last: Array  # [R], index of the vertex at which the last segment of the unpadded path starts
    points: int

    @classmethod
    def build(cls, path_xy: Array, points: Array) -> PathTable:
        """From paths [R, P, 2] of which the first ``points`` [R] vertices count."""
        rows, count = path_xy.shape[:2]
        step = np.diff(path_xy, axis=1)
        yaw = np.unwrap(np.arctan2(step[..., 1], step[..., 0]), axis=1) if rows else np.zeros((0, count - 1))
        # At a vertex the heading is the mean of the two segments that meet there.
        vertex_yaw = np.concatenate([yaw[:, :1], 0.5 * (yaw[:, 1:] + yaw[:, :-1]), yaw[:, -1:]], axis=1)
        last = np.asarray(points, np.int64) - 2
        index = np.arange(rows)
        vertex_yaw[index, last + 1] = yaw[index, last]
        return cls(np.ascontiguousarray(path_xy.reshape(-1, 2)), vertex_yaw.reshape(-1), last, count)

    def pose(self, row: Array, s_m: Array, offset_m: Array | float = 0.0) -> Array:
        """Poses [..., 3] at arc lengths ``s_m`` [...] of the paths ``row`` [...], moved ``offset_m`` to the left."""
        vertex = np.clip(s_m.astype(np.int64), 0, self.last[row])
        flat = row * self.points + vertex
        share = s_m - vertex
        start, yaw = self.xy[flat], self.yaw_rad[flat]
        step = self.xy[flat + 1] - start
        yaw = yaw + np.clip(share, 0.0, 1.0) * (self.yaw_rad[flat + 1] - yaw)
        out = np.empty((*np.shape(s_m), 3))
        out[..., 0] = start[..., 0] + step[..., 0] * share - np.sin(yaw) * offset_m
        out[..., 1] = start[..., 1] + step[..., 1] * share + np.cos(yaw) * offset_m
        out[..., 2] = yaw
        return out

    def refine(self, row: Array, s_m: Array, xy: Array) -> tuple[Array, Array, Array]:
        """Arc length, left offset and path heading [...] of points ``xy`` [..., 2] that lie near arc length ``s_m``."""
        for _ in range(2):
            near = self.pose(row, s_m)
            delta = xy - near[..., :2]
            cos, sin = np.cos(near[..., 2]), np.sin(near[..., 2])
            s_m = s_m + cos * delta[..., 0] + sin * delta[..., 1]
        return s_m, cos * delta[..., 1] - sin * delta[..., 0], near[..., 2]


def crossing_share(start_xy: Array, end_xy: Array, bar_xy: Array) -> Array:
    """Share of the move from ``start_xy`` to ``end_xy`` [..., 2] at which it crosses ``bar_xy`` [..., 2, 2]; inf if never."""
    step, bar, gap = end_xy - start_xy, bar_xy[..., 1, :] - bar_xy[..., 0, :], bar_xy[..., 0, :] - start_xy
    cross = step[..., 0] * bar[..., 1] - step[..., 1] * bar[..., 0]
    parallel = ~(np.abs(cross) > 1e-12)
    cross = np.where(parallel, 1.0, cross)
    share = (gap[..., 0] * bar[..., 1] - gap[..., 1] * bar[..., 0]) / cross
    along_bar = (gap[..., 0] * step[..., 1] - gap[..., 1] * step[..., 0]) / cross
    hit = ~parallel & (share >= 0) & (share < 1) & (along_bar >= 0) & (along_bar <= 1)
    return np.where(hit, share, np.inf)
