"""A recorded track as the engine moves it: a path with vertices 1 m apart, and how far along it the agent was when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from drivewm.datatypes import Array, RoadMap
from drivewm.geometry import frenet_sd, point_at_s, polyline_s_m, wrap_angle_rad
from drivewm.scenarios.roads import lane_path

PARKED_M = 1.0  # who moves less in all stands; what is recorded of it is noise
KNOT_M = 1.0  # positions closer than this are thinned out, so that their noise does not become bends
SMOOTHING_S = 0.3  # standard deviation of the filter over the recorded positions
RUN_UP_M = 60.0  # straight path before the first position, for those who are moved back in time
ON_LANE_M, ALONG_RAD = 1.5, np.radians(30.0)  # who ends like this on a lane goes on along it
MISSED_M = 0.5  # a track that its path misses by more cannot be followed (it reverses or jumps)


@dataclass(frozen=True, slots=True)
class Track:
    path_xy: Array  # [P, 2], 1 m apart
    s_m: Array  # [T], NaN where it was not seen
    missed_m: float  # 95 % of the recorded positions are at most this far from the replayed ones

    @property
    def parked(self) -> bool:
        return bool(np.nanmax(self.s_m) - np.nanmin(self.s_m) < 1e-9)


def track(xy_yaw: Array, seen: Array, dt_s: float, road: RoadMap, length_m: float) -> Track:
    """The track of one agent from its recorded poses [T, 3] where ``seen`` [T]; its path has at least ``length_m``."""
    pose = xy_yaw[seen]
    if np.hypot(*np.ptp(pose[:, :2], axis=0)) < PARKED_M:
        return _standing(pose, seen, length_m)
    smooth = _smoothed(pose[:, :2], SMOOTHING_S / dt_s)
    line = _line(smooth)
    way = np.concatenate([line, onward(road, line, length_m)])
    start, heading = way[0], way[1] - way[0]
    run_up = start - heading / np.hypot(*heading) * np.arange(RUN_UP_M, 0.0, -1.0)[:, None]
    path = _every_metre(np.concatenate([run_up, way]))
    at = np.maximum.accumulate(frenet_sd(path, smooth)[..., 0])
    s_m = np.full(len(seen), np.nan)
    s_m[seen] = at
    away = np.hypot(*(point_at_s(path, at)[:, :2] - pose[:, :2]).T)
    return Track(path, s_m, float(np.quantile(away, 0.95)))


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


def _line(xy: Array) -> Array:
    """A smooth line through positions that lie at least `KNOT_M` apart, sampled every decimetre."""
    knots = [0]
    for i in range(1, len(xy)):
        if np.hypot(*(xy[i] - xy[knots[-1]])) >= KNOT_M:
            knots.append(i)
    if len(knots) > 2 and np.hypot(*(xy[-1] - xy[knots[-1]])) < 0.5 * KNOT_M:
        knots.pop()
    points = xy[sorted({*knots, len(xy) - 1})]
    if len(points) < 3:
        return points
    s = polyline_s_m(points)
    return np.asarray(CubicSpline(s, points)(np.linspace(0.0, s[-1], max(3, int(10 * s[-1])))))


def _every_metre(line: Array) -> Array:
    """Vertices exactly 1 m apart, chord by chord: the engine takes the number of a vertex for its arc length."""
    s = polyline_s_m(line)
    out, at = [line[0]], 0.0
    while True:
        ahead = min(at + 1.0, s[-1])
        for _ in range(3):  # the chord is a hair shorter than the arc
            chord = np.hypot(*(point_at_s(line, ahead)[:2] - out[-1]))
            ahead += 1.0 - chord
        if ahead > s[-1]:
            return np.array(out)
        at = ahead
        out.append(point_at_s(line, at)[:2])


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
