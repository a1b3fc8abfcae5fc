"""Polylines as the smooth pieces of which an OpenDRIVE reference line is made: straight lines and cubics (paramPoly3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.geometry import polyline_s_m, rotate_xy

STRAIGHT_M = 0.001  # farthest that a vertex lies beside a piece that is written as a line
SMOOTH_M = 0.005  # the same along and beside a cubic
SAME_M = 1e-3  # vertices closer than this are one


@dataclass(frozen=True)
class Piece:
    """A stretch of a reference line from a pose on: straight, or (u, v) as cubics of the share p of its length."""

    start_xy_yaw: Array  # [3]
    length_m: float
    cubic_uv: Array | None = None  # [2, 4], coefficients of p^0 to p^3


def pieces(xy: Array) -> list[Piece]:
    """The fewest pieces, taken greedily from the start, that pass within `SMOOTH_M` of all vertices [P, 2]."""
    xy = xy[np.append(True, np.hypot(*np.diff(xy, axis=0).T) > SAME_M)]
    s, yaw = polyline_s_m(xy), vertex_yaw_rad(xy)
    out: list[Piece] = []
    at = 0
    while at < len(xy) - 1:
        straight = _longest(at, len(xy) - 1, lambda to, at=at: _is_straight(xy[at : to + 1]))  # type: ignore[misc]
        bent = _longest(at, len(xy) - 1, lambda to, at=at: _cubic(xy, s, yaw, at, to)[1] < SMOOTH_M)  # type: ignore[misc]
        if straight >= min(bent, at + 8):
            step = xy[straight] - xy[at]
            out.append(Piece(np.array([*xy[at], np.arctan2(step[1], step[0])]), float(np.hypot(*step))))
            at = straight
        else:
            out.append(Piece(np.array([*xy[at], yaw[at]]), float(s[bent] - s[at]), _cubic(xy, s, yaw, at, bent)[0]))
            at = bent
    return out


def vertex_yaw_rad(xy: Array) -> Array:
    """Heading [P] at each vertex without jumps: the mean of the segments that meet there, carried on at both ends."""
    step = np.diff(xy, axis=0)
    yaw = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    if len(yaw) < 2:
        return np.repeat(yaw[:1], 2)
    inner = 0.5 * (yaw[1:] + yaw[:-1])
    return np.concatenate([[1.5 * yaw[0] - 0.5 * yaw[1]], inner, [1.5 * yaw[-1] - 0.5 * yaw[-2]]])


def _longest(at: int, last: int, fits: Callable[[int], bool]) -> int:
    """The farthest vertex to which a piece from ``at`` fits; at least the next one."""
    good, step = at + 1, 2
    while good < last and fits(min(at + step, last)):
        good, step = min(at + step, last), step * 2
    bad = min(at + step, last + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def _is_straight(xy: Array) -> bool:
    step = xy[-1] - xy[0]
    aside = ((xy - xy[0]) * [-step[1], step[0]]).sum(1) / max(float(np.hypot(*step)), 1e-9)
    return bool(np.abs(aside).max() < STRAIGHT_M)


def _cubic(xy: Array, s: Array, yaw: Array, at: int, to: int) -> tuple[Array, float]:
    """The cubic [2, 4] with the headings of both end vertices, and how far vertices are from where their arc length puts them."""
    length = s[to] - s[at]
    local = rotate_xy(xy[at : to + 1] - xy[at], -yaw[at])
    turn = yaw[to] - yaw[at]
    begin, end = length * np.array([1.0, 0.0]), length * np.array([np.cos(turn), np.sin(turn)])
    goal = local[-1]
    cubic = np.stack([np.zeros(2), begin, 3 * goal - 2 * begin - end, begin + end - 2 * goal], 1)
    p = (s[at : to + 1] - s[at]) / length
    return cubic, float(np.abs(cubic @ np.stack([p**0, p, p**2, p**3]) - local.T).max())
