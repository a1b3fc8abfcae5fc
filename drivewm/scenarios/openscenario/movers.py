"""Entities in motion during the rehearsal: along a path, at a speed and beside it at an offset, as the engine moves them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, ManoeuvreKind, TriggerKind
from drivewm.geometry import box_corners_xy, frenet_sd, point_at_s, polyline_s_m, wrap_angle_rad
from drivewm.scenarios.openscenario.entities import Body
from drivewm.scenarios.placement import ScriptStep

JUMP_MPS2 = 1e3  # rate of a speed that is there at once
FASTEST_MPS = 100.0
NEARLY = 0.05  # m or s; what is measured from a reference point wanders so much from what is measured from the middle


@dataclass(frozen=True)
class Waits:
    """What a step of a script waits for."""

    kind: TriggerKind
    value: float


@dataclass
class Planned:
    """A speed change that waits for its time."""

    at_s: float
    speed_mps: float
    rate_mps2: float
    watches_ego: bool


@dataclass
class Mover:
    """One entity. ``s_m`` and ``offset_m`` are those of its reference point on ``path_xy`` [P, 2], vertices 1 m apart."""

    body: Body
    is_ego: bool
    path_xy: Array = field(default_factory=lambda: np.array([[0.0, 0.0], [1.0, 0.0]]))
    s_m: float = 0.0
    offset_m: float = 0.0
    speed_mps: float = 0.0
    accel_mps2: float = 0.0
    travelled_m: float = 0.0
    fastest_mps: float = 0.0
    placed: bool = False
    present: bool = True
    begun: bool = False  # the scene runs; before, speeds are there at once
    aim_mps: float | None = None  # of the speed change that goes on
    rate_mps2: float = JUMP_MPS2
    slide: tuple[float, float, float, float] | None = None  # offset from, to, begin and duration of the slide that goes on
    steps: list[ScriptStep] = field(default_factory=list)
    plan: list[Planned] = field(default_factory=list)
    nearest_m: float = np.inf  # distance to the ego since the last step fired
    soonest_s: float = np.inf  # the same for the time to a collision with it
    stood_s: float = 0.0
    stands_at: Array | None = None  # the pose [3] at which the file puts its reference point, until something leads it elsewhere
    free_route: bool = True  # follows lanes, not a trajectory
    reactive: bool = False  # keeps a distance to whatever is ahead
    desired_mps: float | None = None  # of one that does, where it is not the first speed
    start: tuple[float, float, float] = (0.0, 0.0, 0.0)  # s, offset and speed when the scene begins
    last_step_s: float = -1.0

    @property
    def name(self) -> str:
        return self.body.name

    @property
    def size_lw_m(self) -> Array:
        return np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m] if self.is_ego else self.body.size_lwh_m[:2])

    @property
    def centre_x_m(self) -> float:
        return EGO_SHAPE.rear_axle_to_centre_m if self.is_ego else self.body.centre_x_m

    def pose_at(self, s_m: float, offset_m: float) -> Array:
        """The pose [3] at a place of the path; straight on beyond its ends."""
        i = int(np.clip(int(np.floor(s_m)), 0, len(self.path_xy) - 2))
        a, b = self.path_xy[i], self.path_xy[i + 1]
        dx, dy = b - a
        length = float(np.hypot(dx, dy)) or 1.0
        dx, dy = dx / length, dy / length
        along = s_m - i
        return np.array([a[0] + dx * along - dy * offset_m, a[1] + dy * along + dx * offset_m, np.arctan2(dy, dx)])

    @property
    def pose(self) -> Array:
        """Of the reference point."""
        return self.pose_at(self.s_m, self.offset_m)

    @property
    def centre(self) -> Array:
        """Pose [3] of the middle of the box."""
        x, y, yaw = self.pose
        return np.array([x + self.centre_x_m * np.cos(yaw), y + self.centre_x_m * np.sin(yaw), yaw])

    @property
    def corners(self) -> Array:
        return box_corners_xy(self.centre, self.size_lw_m)

    @property
    def velocity(self) -> Array:
        yaw = self.pose[2]
        return self.speed_mps * np.array([np.cos(yaw), np.sin(yaw)])

    def follow(self, path_xy: Array, s_m: float, offset_m: float) -> None:
        """Stand on another path."""
        self.path_xy, self.s_m, self.offset_m, self.slide, self.stands_at = path_xy, s_m, offset_m, None, None

    def stay(self) -> None:
        """Stand exactly where the file says, whatever the lanes below do, if it never moves."""
        if self.stands_at is not None and self.travelled_m == 0 and not self.steps and not self.reactive:
            x, y, yaw = self.stands_at
            self.follow(np.array([[x, y], [x + np.cos(yaw), y + np.sin(yaw)]]), 0.0, 0.0)
            self.start = (0.0, 0.0, 0.0)

    def splice(self, path_xy: Array) -> None:
        """Go on along another path from here; what lies behind stays as it was."""
        behind = self.path_xy[: max(int(np.floor(self.s_m)), 0) + 1]
        x, y, yaw = self.pose
        # The offset stays in force, so the path that comes is moved aside by it.
        step = np.diff(path_xy, axis=0, append=2 * path_xy[-1:] - path_xy[-2:-1])
        normal = np.stack([-step[:, 1], step[:, 0]], 1) / np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)[:, None]
        ahead = path_xy - self.offset_m * normal
        origin = np.array([x + self.offset_m * np.sin(yaw), y - self.offset_m * np.cos(yaw)])
        away = (ahead - origin) @ np.array([np.cos(yaw), np.sin(yaw)])
        ahead = ahead[away > 0.3] if (away > 0.3).sum() >= 2 else ahead
        rest = np.vstack([origin[None], ahead])
        # The first vertex ahead lies where the arc length is whole again.
        first = len(behind) - self.s_m
        rest = point_at_s(rest, first + np.arange(0.0, max(float(polyline_s_m(rest)[-1]) - first, 2.0), 1.0))[:, :2]
        self.path_xy = np.vstack([behind, rest])

    def emit(self, t_s: float, kind: ManoeuvreKind, value: float, rate: float, waits: Waits | None) -> None:
        """Adds a step to the script: by what it waits for where that was not so before, else by time."""
        if self.is_ego or len(self.steps) >= 500:
            return
        before = {TriggerKind.DISTANCE: self.nearest_m, TriggerKind.TTC: self.soonest_s}
        if waits is not None and waits.value < before.get(waits.kind, np.inf) + NEARLY:
            self.steps.append((waits.kind, float(waits.value), kind, float(value), float(rate)))
        else:
            self.steps.append((TriggerKind.TIME, float(t_s), kind, float(value), float(rate)))
        self.nearest_m, self.soonest_s, self.last_step_s = np.inf, np.inf, t_s

    def aim(self, t_s: float, speed_mps: float, rate_mps2: float, waits: Waits | None) -> None:
        """Begin a speed change."""
        speed_mps = float(np.clip(speed_mps, 0.0, FASTEST_MPS))
        rate = float(np.clip(rate_mps2, 1e-3, JUMP_MPS2))
        if not self.begun:
            self.speed_mps, self.aim_mps = speed_mps, None
            return
        self.aim_mps, self.rate_mps2 = speed_mps, rate
        self.emit(t_s, ManoeuvreKind.SPEED, speed_mps, rate, waits)

    def slide_to(self, t_s: float, offset_m: float, within_s: float, waits: Waits | None) -> None:
        """Begin to move to another offset."""
        within = float(np.clip(within_s, 0.1, 60.0))
        self.stands_at = None
        if not self.begun and within <= 0.1:
            self.offset_m = offset_m
            return
        self.slide = (self.offset_m, offset_m, t_s, within)
        self.emit(t_s, ManoeuvreKind.OFFSET, offset_m, within, waits)

    def advance(self, t_s: float, dt_s: float) -> None:
        """To ``t_s + dt_s``."""
        before = self.speed_mps
        if self.aim_mps is not None:
            change = float(np.clip(self.aim_mps - before, -self.rate_mps2 * dt_s, self.rate_mps2 * dt_s))
            self.speed_mps = before + change
            if abs(self.speed_mps - self.aim_mps) < 1e-9:
                self.aim_mps = None
        self.fastest_mps = max(self.fastest_mps, before, self.speed_mps)
        way = 0.5 * (before + self.speed_mps) * dt_s
        self.accel_mps2 = (self.speed_mps - before) / dt_s
        self.s_m += way
        self.travelled_m += way
        self.stood_s = self.stood_s + dt_s if self.speed_mps < 0.01 else 0.0
        if self.slide is not None:
            begin, end, since, within = self.slide
            share = float(np.clip((t_s + dt_s - since) / within, 0.0, 1.0))
            self.offset_m = begin + (end - begin) * share**3 * (10 - 15 * share + 6 * share**2)
            if share >= 1.0:
                self.slide = None

    def along_m(self, point_xy: Array) -> float:
        """How far ahead on the path a point [2] lies."""
        return float(frenet_sd(self.path_xy, point_xy)[0]) - self.s_m


def gap_m(a: Mover, b: Mover) -> float:
    """Distance between the middles of two boxes."""
    return float(np.hypot(*(a.centre[:2] - b.centre[:2])))


def time_to_collision_s(a: Mover, b: Mover, a_xy: Array, b_xy: Array) -> float:
    """Distance of the points [2] of two movers through the speed at which they approach; infinite where they do not."""
    delta = b_xy - a_xy
    distance = float(np.hypot(*delta))
    closing = float((a.velocity - b.velocity) @ delta) / max(distance, 1e-9)
    return distance / closing if closing > 0 else np.inf


def turned_rad(a: float, b: float) -> float:
    return abs(float(wrap_angle_rad(a - b)))
