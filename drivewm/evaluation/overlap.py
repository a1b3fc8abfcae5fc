"""Where two cameras of a car see the same place: do they show the same there?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array, CameraRig
from drivewm.sim.raster.layout import LOG_DEPTH_RANGE_M

SAME_PLACE = 0.1  # depths that differ by less, as a share, are the same thing and not one behind the other
FARTHEST_CODE = 250  # codes of depth above this are sky, or too far for the code to tell


@dataclass(frozen=True, slots=True)
class SamePlaces:
    """Pixels of two cameras that show the same place: camera, row and column [N] of the one and of the other."""

    here: tuple[Array, Array, Array]
    there: tuple[Array, Array, Array]

    def differences(self, images: Array) -> Array:
        """How far apart the colours of each place are [N], 0 to 255, in images uint8 [V, H, W, 3]."""
        return np.asarray(np.abs(images[self.here].astype(float) - images[self.there]).mean(-1))

    def mismatched(self) -> SamePlaces:
        """The same pixels paired wrongly: what differences there would be if cameras agreed in nothing but their palette."""
        half = len(self.here[0]) // 2
        return SamePlaces(self.here, tuple(np.roll(one, half) for one in self.there))  # type: ignore[arg-type]


def same_places(log_depth: Array, rig: CameraRig) -> SamePlaces:
    """Where the cameras of a moment overlap, by the depth of its layout, uint8 [V, H, W].

    Every pixel's place follows from its depth; it pairs with the pixel of each other camera onto which it falls, unless something
    nearer hides it there.
    """
    cameras = range(len(log_depth))
    pairs = [_pairs(log_depth, rig, a, b) for a in cameras for b in cameras if a != b]
    here, there = (
        tuple(np.concatenate([np.zeros(0, int), *(pair[side][axis] for pair in pairs)]) for axis in range(3)) for side in (0, 1)
    )
    return SamePlaces(here, there)


def overlap_difference(images: Array, log_depth: Array, rig: CameraRig) -> float | None:
    """Mean difference (0 to 255) of the colours that two cameras give to the same place; None where no two see one.

    ``images`` uint8 [V, H, W, 3] of a moment and ``log_depth`` uint8 [V, H, W], its layout's.
    """
    values = same_places(log_depth, rig).differences(images)
    return float(values.mean()) if len(values) else None


_Pixels = tuple[Array, Array, Array]


def _pairs(log_depth: Array, rig: CameraRig, a: int, b: int) -> tuple[_Pixels, _Pixels]:
    """Pixels of camera ``a`` that camera ``b`` sees too, and those of ``b``."""
    v, u = np.nonzero(log_depth[a] < FARTHEST_CODE)
    pixel = np.stack([u + 0.5, v + 0.5, np.ones(len(u))], -1)
    place = np.linalg.solve(rig.intrinsics[a], pixel.T).T * _metres(log_depth[a, v, u])[:, None]
    b_from_a = np.linalg.solve(rig.ego_from_camera[b], rig.ego_from_camera[a])
    seen = place @ b_from_a[:3, :3].T + b_from_a[:3, 3]
    ahead = seen[:, 2] > 0.1
    u, v, seen = u[ahead], v[ahead], seen[ahead]
    projected = seen @ rig.intrinsics[b].T
    column, row = (np.floor(projected[:, i] / projected[:, 2]).astype(int) for i in (0, 1))
    height, width = rig.size_px
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    u, v, column, row, depth = u[inside], v[inside], column[inside], row[inside], seen[inside, 2]
    same = np.abs(_metres(log_depth[b, row, column]) - depth) < SAME_PLACE * depth
    u, v, column, row = u[same], v[same], column[same], row[same]
    return (np.full(len(u), a), v, u), (np.full(len(u), b), row, column)


def _metres(code: Array) -> Array:
    return np.asarray(np.expm1(code / 255.0 * np.log1p(LOG_DEPTH_RANGE_M)))
