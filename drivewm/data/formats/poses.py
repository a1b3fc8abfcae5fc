"""Poses with all six degrees of freedom: made of quaternions, taken apart, and interpolated."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array


def transforms(xyz: Array, wxyz: Array) -> Array:
    """Transforms [..., 4, 4] of positions [..., 3] and quaternions [..., 4] (w first) of any length but 0, which gives NaN."""
    from scipy.spatial.transform import Rotation

    xyz, wxyz = np.asarray(xyz, np.float64), np.asarray(wxyz, np.float64)
    out = np.zeros((*xyz.shape[:-1], 4, 4))
    length = np.linalg.norm(wxyz, axis=-1, keepdims=True)
    unit = np.where((length > 0) & np.isfinite(length), wxyz, [1.0, 0.0, 0.0, 0.0])
    turn = Rotation.from_quat(np.roll(unit, -1, axis=-1).reshape(-1, 4)).as_matrix()
    turn[~(np.isfinite(length) & (length > 0)).reshape(-1)] = np.nan
    out[..., :3, :3], out[..., :3, 3], out[..., 3, 3] = turn.reshape(*xyz.shape[:-1], 3, 3), xyz, 1.0
    return out


def quaternion(transform: Array) -> list[float]:
    """Unit quaternion w, x, y, z of a transform [4, 4], w not negative."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(transform[:3, :3]).as_quat(canonical=True)
    return [float(w), float(x), float(y), float(z)]


def at_times(time_us: Array, pose: Array, wanted_us: Array) -> Array:
    """Poses [W, 4, 4] at ``wanted_us`` from poses [P, 4, 4] at rising times: positions on straight lines, turns at even speed.

    Before the first and after the last pose those hold. NaN where some pose is not finite.
    """
    from scipy.spatial.transform import Rotation, Slerp

    wanted = np.clip(np.asarray(wanted_us, np.int64), time_us[0], time_us[-1])
    if not np.isfinite(pose).all():
        return np.full((len(wanted), 4, 4), np.nan)
    if len(time_us) == 1:
        return np.repeat(pose, len(wanted), axis=0)
    known_s, at_s = (time_us - time_us[0]) * 1e-6, (wanted - time_us[0]) * 1e-6
    out = np.tile(np.eye(4), (len(wanted), 1, 1))
    out[:, :3, 3] = np.stack([np.interp(at_s, known_s, pose[:, i, 3]) for i in range(3)], -1)
    if len(wanted):
        out[:, :3, :3] = Slerp(known_s, Rotation.from_matrix(pose[:, :3, :3]))(at_s).as_matrix()
    return out
