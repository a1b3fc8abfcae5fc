"""Ground that rises and falls along world x: where rays of sight meet it, and what it hides.

Height depends on x alone, so a ray's fate depends on its slope in the x-z plane alone: it meets the ground in the first piece of
the profile that ends above it. The steepest look up at any vertex so far never falls on the way out, so that piece is found by
bisection, and both hits and hidden points are exact for a profile of straight pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, RoadMap
from drivewm.geometry import height_at_m
from drivewm.sim.raster.clipping import FAR_M
from drivewm.sim.raster.faces import to_ego

_AXLE_SHARE = 0.3  # of a body's length, from its middle to its axles


@dataclass(frozen=True, slots=True)
class Relief:
    """A profile of P vertices as P + 1 straight pieces; the first and the last are level and endless."""

    x_m: Array  # float64 [P], rising
    z_m: Array  # float64 [P]
    grade: Array  # float64 [P + 1]

    def height_m(self, x_m: Array | float) -> Array:
        return height_at_m(np.stack([self.x_m, self.z_m], 1), x_m)

    def pitch_rad(self, xy_yaw_world: Array, length_m: Array) -> Array:
        """How far bodies [n] of these lengths that stand at poses [n, 3] look up."""
        half = _AXLE_SHARE * length_m
        reach = half * np.cos(xy_yaw_world[:, 2])
        rise = self.height_m(xy_yaw_world[:, 0] + reach) - self.height_m(xy_yaw_world[:, 0] - reach)
        return np.asarray(np.arctan2(rise, 2.0 * half))


def relief_of(road: RoadMap) -> Relief | None:
    """The relief of a place, or None where it is level."""
    if not len(road.height_xz_m):
        return None
    x, z = np.asarray(road.height_xz_m, np.float64).T
    return Relief(x, z, np.concatenate([[0.0], np.diff(z) / np.diff(x), [0.0]]))


@dataclass(frozen=True, slots=True)
class Eye:
    """A camera above a relief, in world coordinates."""

    relief: Relief
    x_m: float
    z_m: float

    @property
    def piece(self) -> int:
        """The piece of the profile below the camera."""
        return int(np.searchsorted(self.relief.x_m, self.x_m, side="right"))

    def below_m(self) -> Array:
        """How far each piece [P + 1], prolonged to the eye, lies below it; what is not positive turns its back to the eye."""
        relief, anchor = self.relief, np.maximum(np.arange(len(self.relief.grade)) - 1, 0)
        return np.asarray(self.z_m - relief.z_m[anchor] - relief.grade * (self.x_m - relief.x_m[anchor]))

    def horizon(self, *, ahead: bool) -> tuple[Array, Array]:
        """Vertices on one side from the eye outwards: how far they are, and the steepest look up at any so far."""
        piece, relief = self.piece, self.relief
        x, z = (relief.x_m[piece:], relief.z_m[piece:]) if ahead else (relief.x_m[:piece][::-1], relief.z_m[:piece][::-1])
        away = np.abs(x - self.x_m)
        return away, np.maximum.accumulate((z - self.z_m) / np.maximum(away, 1e-9))

    def visible_x_m(self) -> tuple[Array, Array]:
        """From which world x [P + 1] to which [P + 1] each piece is seen from here; an empty range where it is hidden."""
        relief, piece, below = self.relief, self.piece, self.below_m()
        low, high = np.append(-np.inf, relief.x_m), np.append(relief.x_m, np.inf)
        for ahead in (True, False):
            steepest = self.horizon(ahead=ahead)[1]
            beyond = np.arange(piece + 1, len(low)) if ahead else np.arange(piece - 1, -1, -1)
            grade = relief.grade[beyond] if ahead else -relief.grade[beyond]
            rise = grade - steepest  # over the line of sight that grazes all ground before
            start = np.where(rise > 0.0, below[beyond] / np.where(rise > 0.0, rise, 1.0), np.inf)
            if ahead:
                low[beyond] = np.maximum(low[beyond], self.x_m + start)
            else:
                high[beyond] = np.minimum(high[beyond], self.x_m - start)
        hidden = low >= high
        low[hidden] = high[hidden] = self.x_m
        return low, high

    def depth(self, ray_x: Array, ray_z: Array) -> Array:
        """Multiples [n] of rays, given by their parts along world x and z [n], at which they meet the ground; else FAR_M."""
        slope = ray_z / np.maximum(np.abs(ray_x), np.float32(1e-6))
        piece = np.empty(len(ray_x), np.intp)
        forward = ray_x > 0.0
        for ahead in (True, False):
            at = np.flatnonzero(forward == ahead)
            if len(at):
                steps = np.searchsorted(self.horizon(ahead=ahead)[1].astype(np.float32), slope.take(at))
                piece[at] = self.piece + (steps if ahead else -steps)
        below, grade = self.below_m().astype(np.float32), self.relief.grade.astype(np.float32)
        sink = grade.take(piece) * ray_x - ray_z
        fall = below.take(piece)
        meets = (sink * np.float32(FAR_M) > fall) & (fall > 0.0)
        return np.asarray(np.where(meets, fall / np.where(meets, sink, 1.0), np.float32(FAR_M)), np.float32)

    def hides(self, x_m: Array, z_m: Array) -> Array:
        """Which points [n], in world coordinates, the ground between hides."""
        out = np.zeros(len(x_m), bool)
        forward = x_m > self.x_m
        for ahead in (True, False):
            at = np.flatnonzero(forward == ahead)
            away, steepest = self.horizon(ahead=ahead)
            run = np.abs(x_m[at] - self.x_m)
            before = np.append(-1e9, steepest)[np.searchsorted(away, run)]
            out[at] = z_m[at] - self.z_m < before * run
        return out


@dataclass(frozen=True, slots=True)
class Standpoint:
    """The ego on a relief. Its frame stays level, with its origin on the ground under the rear axle; the cameras are pitched."""

    relief: Relief
    ego_xy_yaw_world: Array  # [3]
    pitch_rad: float

    @property
    def height_m(self) -> float:
        return float(self.relief.height_m(self.ego_xy_yaw_world[0]))

    def x_world_m(self, points_ego: Array) -> Array:
        """World x [...] of points [..., 2 or 3] in the ego frame."""
        x, _, yaw = self.ego_xy_yaw_world
        return np.asarray(x + np.cos(yaw) * points_ego[..., 0] - np.sin(yaw) * points_ego[..., 1])

    def ego_from_world(self, xyz_world: Array) -> Array:
        """float32 points [..., 3] in the ego frame."""
        points = to_ego(xyz_world, self.ego_xy_yaw_world)
        points[..., 2] -= np.float32(self.height_m)
        return points

    def eye(self, position_ego: Array) -> Eye:
        return Eye(self.relief, float(self.x_world_m(position_ego)), float(position_ego[2]) + self.height_m)

    def hides(self, points_ego: Array, position_ego: Array) -> Array:
        """Which points [..., 3] the ground hides from a camera; both are given in the ego frame."""
        x, z = self.x_world_m(points_ego), points_ego[..., 2] + self.height_m
        return np.asarray(self.eye(position_ego).hides(x.reshape(-1), z.reshape(-1)).reshape(x.shape))


def standpoint_of(relief: Relief, ego_xy_yaw_world: Array) -> Standpoint:
    """The ego where it stands: its height is that of the ground under the rear axle, its pitch that between the axles."""
    x, _, yaw = ego_xy_yaw_world
    rise = relief.height_m(x + EGO_SHAPE.wheelbase_m * np.cos(yaw)) - relief.height_m(x)
    return Standpoint(relief, ego_xy_yaw_world, float(np.arctan2(rise, EGO_SHAPE.wheelbase_m)))
