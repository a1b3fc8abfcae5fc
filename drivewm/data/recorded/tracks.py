"""A recorded track as the engine moves it: a path with vertices 1 m apart, and how far along it the agent was when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from drivewm.datatypes import Array, RoadMap
from drivewm.geometry import frenet_sd, point_at_s, polyline_s_m, wrap_angle_rad
from drivewm.scenarios.roads import lane_path

STANDS_M, DRIFTS_M = 1.0, 2.5  # who ends within the first of its start and never leaves the second stands
KNOT_M = 1.0  # positions closer than this are thinned out, so that their noise does not become bends
SMOOTHING_S = 0.3  # standard deviation of the filter over the recorded positions
RUN_UP_M = 60.0  # straight path before the first position, for those who are moved back in time
ON_LANE_M, ALONG_RAD = 1.5, np.radians(30.0)  # who ends like this on a lane goes on along it
BACKWARDS_RAD = np.radians(100.0)  # between where a track goes and where its box looks


@dataclass(frozen=True, slots=True)
class Track:
    path_xy: Array  # [P, 2], 1 m apart
    s_m: Array  # [T], NaN where it was not seen
    missed_m: float  # 95 % of the recorded positions are at most this far from the replayed ones
    reverses: bool = False  # it goes where its back looks

    @property
    def stands(self) -> bool:
        return bool(np.nanmax(self.s_m) - np.nanmin(self.s_m) < 1e-9)


def track(xy_yaw: Array, seen: Array, dt_s: float, road: RoadMap, length_m: float) -> Track:
    """The track of one agent from its recorded poses [T, 3] where ``seen`` [T]; its path goes on for ``length_m``."""
    pose = xy_yaw[seen]
    if np.hypot(*(pose[-1] - pose[0])[:2]) < STANDS_M and np.hypot(*np.ptp(pose[:, :2], axis=0)) < DRIFTS_M:
        return _standing(pose, seen, length_m)
    smooth = _smoothed(pose[:, :2], SMOOTHING_S / dt_s)
    line, at = _line(smooth)
    start, heading = line[0], line[1] - line[0]
    run_up = start - heading / np.hypot(*heading) * np.arange(RUN_UP_M, 0.0, -1.0)[:, None]
    path, arc = _every_metre(np.concatenate([run_up, line, onward(road, line, length_m)]))
    s_m = np.full(len(seen), np.nan)
    s_m[seen] = np.interp(RUN_UP_M + at, arc, np.arange(len(arc)))
    replayed = point_at_s(path, s_m[seen])
    away = np.hypot(*(replayed[:, :2] - pose[:, :2]).T)
    moving = np.gradient(at) > 0.5 * dt_s
    turned = np.abs(wrap_angle_rad(replayed[moving, 2] - pose[moving, 2]))
    reverses = bool(moving.any() and np.median(turned) > BACKWARDS_RAD)
    return Track(path, s_m, float(np.quantile(away, 0.95)), reverses)


def _standing(pose: Array, seen: Array, length_m: float) -> Track:
    middle, yaw = np.median(pose[:, :2], axis=0), np.arctan2(np.sin(pose[:, 2]).mean(), np.cos(pose[:, 2]).mean())
    along = np.arange(-RUN_UP_M, max(length_m, 2.0))
    path = middle + along[:, None] * np.array([np.cos(yaw), np.sin(yaw)])
    away = np.hypot(*(pose[:, :2] - middle).T)
    return Track(path, np.where(seen, RUN_UP_M, np.nan), float(np.quantile(away, 0.95)))


def _smoothed(xy: Array, sigma: float) -> Array:
    """Positions [T, 2] without noise; beyond the ends the motion is thought to go on mirrored, so that nothing is held back."""
    reach = int(np.ceil(4 * sigma))
    mirrored = np.pad(xy, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray(gaussian_filter1d(mirrored, sigma, axis=0)[reach:-reach])


def _line(xy: Array) -> tuple[Array, Array]:
    """A smooth line through positions [T, 2] that lie at least `KNOT_M` apart, and how far along it each position is [T]."""
    knots = [0]
    for i in range(1, len(xy)):
        if np.hypot(*(xy[i] - xy[knots[-1]])) >= KNOT_M:
            knots.append(i)
    if len(knots) > 2 and knots[-1] != len(xy) - 1 and np.hypot(*(xy[-1] - xy[knots[-1]])) < 0.5 * KNOT_M:
        knots.pop()
    if knots[-1] != len(xy) - 1:
        knots.append(len(xy) - 1)
    # Between two knots everybody goes forwards, by the share of the way that was walked.
    walked = polyline_s_m(xy)
    share = np.interp(walked + 1e-9 * np.arange(len(xy)), (walked + 1e-9 * np.arange(len(xy)))[knots], np.arange(len(knots)))
    if len(knots) < 3:
        line = xy[knots]
        return line, share * float(np.hypot(*(line[1] - line[0])))
    chord = polyline_s_m(xy[knots])
    dense = np.linspace(0.0, chord[-1], max(3, int(10 * chord[-1])))
    line = np.asarray(CubicSpline(chord, xy[knots])(dense))
    return line, np.interp(np.interp(share, np.arange(len(knots)), chord), dense, polyline_s_m(line))


def _every_metre(line: Array) -> tuple[Array, Array]:
    """Vertices exactly 1 m apart, chord by chord, and how far along the line each is.

    The engine takes the number of a vertex for its arc length.
    """
    length = polyline_s_m(line)[-1]
    out, arc, at = [line[0]], [0.0], 0.0
    while True:
        ahead = at + 1.0
        for _ in range(3):  # the chord is a hair shorter than the arc
            ahead += 1.0 - np.hypot(*(point_at_s(line, ahead)[:2] - out[-1]))
        if ahead > length:
            return np.array(out), np.array(arc)
        at = ahead
        out.append(point_at_s(line, at)[:2])
        arc.append(at)


def onward(road: RoadMap, line: Array, length_m: float) -> Array:
    """How the way goes on behind the end of a line [P, 2]: along the lane it ends on, keeping its place in it, else straight."""
    x, y, yaw = point_at_s(line, polyline_s_m(line)[-1])
    best, way = ON_LANE_M, None
    for lane in road.lanes:
        if len(lane.centre_xy) < 2 or np.hypot(*(lane.centre_xy - [x, y]).T).min() > 20.0:
            continue
        s, aside = frenet_sd(lane.centre_xy, np.array([x, y]))
        inside = 0.0 <= s <= polyline_s_m(lane.centre_xy)[-1]
        if inside and abs(aside) < best and abs(wrap_angle_rad(point_at_s(lane.centre_xy, s)[2] - yaw)) < ALONG_RAD:
            best, way = abs(float(aside)), (lane.id, float(s), float(aside))
    ahead = np.arange(1.0, length_m + 1.0)
    if way is None:
        return np.array([x, y]) + ahead[:, None] * np.array([np.cos(yaw), np.sin(yaw)])
    centre = lane_path(road, way[0], "straight", way[1] + length_m + 10.0)
    pose = point_at_s(centre, way[1] + ahead)
    return np.asarray(pose[:, :2] + way[2] * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], -1))
