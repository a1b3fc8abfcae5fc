"""Where two cameras of a car see the same place: do they show the same there?"""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, CameraRig
from drivewm.sim.raster.layout import LOG_DEPTH_RANGE_M

SAME_PLACE = 0.1  # depths that differ by less, as a share, are the same thing and not one behind the other
FARTHEST_CODE = 250  # codes of depth above this are sky, or too far for the code to tell


def overlap_difference(images: Array, log_depth: Array, rig: CameraRig) -> float | None:
    """Mean difference (0 to 255) of the colours that two cameras give to the same place; None where no two see one.

    ``images`` uint8 [V, H, W, 3] of a moment and ``log_depth`` uint8 [V, H, W], its layout's. Every pixel's place follows from
    its depth; it is compared with the pixel of each other camera onto which it falls, unless something nearer hides it there.
    """
    found = [_difference(images, log_depth, rig, a, b) for a in range(len(images)) for b in range(len(images)) if a != b]
    values = np.concatenate(found) if found else np.zeros(0)
    return float(values.mean()) if len(values) else None


def _difference(images: Array, log_depth: Array, rig: CameraRig, a: int, b: int) -> Array:
    """Differences [N] of the pixels of camera ``a`` that camera ``b`` sees too."""
    v, u = np.nonzero(log_depth[a] < FARTHEST_CODE)
    pixel = np.stack([u + 0.5, v + 0.5, np.ones(len(u))], -1)
    place = np.linalg.solve(rig.intrinsics[a], pixel.T).T * _metres(log_depth[a, v, u])[:, None]
    b_from_a = np.linalg.solve(rig.ego_from_camera[b], rig.ego_from_camera[a])
    seen = place @ b_from_a[:3, :3].T + b_from_a[:3, 3]
    ahead = seen[:, 2] > 0.1
    u, v, place, seen = u[ahead], v[ahead], place[ahead], seen[ahead]
    projected = seen @ rig.intrinsics[b].T
    column, row = (np.floor(projected[:, i] / projected[:, 2]).astype(int) for i in (0, 1))
    height, width = rig.size_px
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    u, v, column, row, depth = u[inside], v[inside], column[inside], row[inside], seen[inside, 2]
    same = np.abs(_metres(log_depth[b, row, column]) - depth) < SAME_PLACE * depth
    here, there = images[a, v[same], u[same]].astype(float), images[b, row[same], column[same]].astype(float)
    return np.asarray(np.abs(here - there).mean(-1))


def _metres(code: Array) -> Array:
    return np.asarray(np.expm1(code / 255.0 * np.log1p(LOG_DEPTH_RANGE_M)))
