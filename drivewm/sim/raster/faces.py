"""Flat faces, the only thing the painter knows besides the ground."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np

from drivewm.datatypes import Array

CORNERS = 8  # every face has room for this many corners; unused ones repeat the last


class Texture(IntEnum):
    PLAIN = 0
    WINDOWS = 1  # a wall; the window grid is drawn where a pixel falls on it


@dataclass(frozen=True, slots=True)
class Faces:
    """F convex faces of G objects. All faces of an object are painted together, in their order here; objects far to near."""

    points: Array  # float32 [F, CORNERS, 3], counter-clockwise seen from outside
    rgb: Array  # float32 [F, 3]
    label: Array  # uint8 [F], SemanticClass
    glow: Array  # float32 [F]: 0 is lit by the scene, 1 shines by itself
    texture: Array  # uint8 [F]
    texture_u_m: Array  # float32 [F], of the first corner along its wall, from the middle of the wall
    two_sided: Array  # bool [F]
    group: Array  # int32 [F], object of the face
    centre: Array  # float32 [G, 3]
    radius_m: Array  # float32 [G]
    instance: Array  # int32 [G], track id or -1
    paint: Array  # uint8 [G], index into PAINT_RGB or 0

    @classmethod
    def of(cls, points: Array, rgb: Array, label: Array | int, group: Array, **rest: Array) -> Faces:
        """Faces with plain defaults; centre and radius of the objects follow from the points."""
        count = len(points)
        groups = int(group.max()) + 1 if count else 0
        low, high = np.full((groups, 3), np.inf, np.float32), np.full((groups, 3), -np.inf, np.float32)
        np.minimum.at(low, group, points.min(1))
        np.maximum.at(high, group, points.max(1))
        values = {
            "points": points.astype(np.float32),
            "rgb": np.broadcast_to(rgb, (count, 3)).astype(np.float32),
            "label": np.broadcast_to(label, count).astype(np.uint8),
            "glow": np.zeros(count, np.float32),
            "texture": np.zeros(count, np.uint8),
            "texture_u_m": np.zeros(count, np.float32),
            "two_sided": np.zeros(count, bool),
            "group": group.astype(np.int32),
            "centre": (low + high) / 2.0,
            "radius_m": np.linalg.norm(high - low, axis=1).astype(np.float32) / 2.0,
            "instance": np.full(groups, -1, np.int32),
            "paint": np.zeros(groups, np.uint8),
        }
        return cls(**(values | rest))

    def near(self, centre_xy: Array, range_m: float) -> Faces:
        """Only the objects within a range; the rest keeps its order."""
        kept = np.hypot(self.centre[:, 0] - centre_xy[0], self.centre[:, 1] - centre_xy[1]) < range_m + self.radius_m
        number = np.cumsum(kept, dtype=np.int32) - 1
        take = kept[self.group]
        per_group = ("centre", "radius_m", "instance", "paint")
        values = {f.name: getattr(self, f.name)[kept if f.name in per_group else take] for f in fields(self)}
        values["group"] = number[values["group"]]
        return Faces(**values)

    def moved_to(self, ego_xy_yaw_world: Array) -> Faces:
        """From world to ego coordinates."""
        return replace(self, points=to_ego(self.points, ego_xy_yaw_world), centre=to_ego(self.centre, ego_xy_yaw_world))

    def lowered(self, by_m: float) -> Faces:
        """The same faces in a frame whose origin is higher."""
        down = np.array([0.0, 0.0, by_m], np.float32)
        return replace(self, points=self.points - down, centre=self.centre - down)


def to_ego(xyz_world: Array, ego_xy_yaw_world: Array) -> Array:
    """float32 points [..., 3] in the ego frame; heights stay as they are."""
    x, y, yaw = ego_xy_yaw_world
    cos, sin = np.float32(np.cos(yaw)), np.float32(np.sin(yaw))
    dx, dy = xyz_world[..., 0] - np.float32(x), xyz_world[..., 1] - np.float32(y)
    out = np.empty(xyz_world.shape, np.float32)
    out[..., 0], out[..., 1], out[..., 2] = cos * dx + sin * dy, cos * dy - sin * dx, xyz_world[..., 2]
    return out


def joined_faces(parts: list[Faces]) -> Faces:
    """All parts in one, groups renumbered."""
    values = {f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Faces)}
    shift = np.cumsum([0] + [len(part.centre) for part in parts[:-1]])
    values["group"] = np.concatenate([part.group + s for part, s in zip(parts, shift, strict=True)]).astype(np.int32)
    return Faces(**values)


def normals(points: Array) -> Array:
    """Unit outward normals [F, 3] of faces [F, CORNERS, 3]."""
    a, b = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    n = np.empty((len(points), 3), np.float32)
    n[:, 0] = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    n[:, 1] = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    n[:, 2] = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    n /= np.maximum(np.sqrt((n * n).sum(1)), 1e-9)[:, None]
    return n


def padded(points: Array) -> Array:
    """Faces [F, n <= CORNERS, 3] with the last corner repeated up to CORNERS."""
    return np.concatenate([points, np.repeat(points[:, -1:], CORNERS - points.shape[1], axis=1)], axis=1)
