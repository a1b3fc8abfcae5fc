"""Where pictures say that the ego stands, against where the state says it does, and which camera shows what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.readers import READ_CLASSES
from drivewm.evaluation.truth import NUDGES, Truth

TIED_PX = 60.0  # pixels that have to speak for another place before it is believed; on an empty square nothing does


def placings(labels: Array, truth: Truth, window: int) -> Array:
    """How far ahead (m), left (m) and turned (rad) of the state the ego stands by its pictures [J - window + 1, 3].

    A least squares fit over ``window`` moments: which small step of the ego would explain the pixels of ``labels`` [J, V, H, W]
    that are read otherwise than in the reference? What a step changes follows from the layout of the state before and after it.
    """
    matrix, right = [], []
    for moment in range(len(labels)):
        sound = truth.sound[moment]
        here, there, nudged = labels[moment][sound], truth.seen.labels[moment][sound], truth.nudged[moment][:, :, sound]
        # one-hot pictures are never built: (a - b) . (c - d) counts equal pixels
        matrix.append([[_product(nudged[k], nudged[j]) / 4.0 for j in range(3)] for k in range(3)])
        right.append([_product(nudged[k], (here, there)) / 2.0 for k in range(3)])
    kernel = np.ones(window)
    sums = [np.apply_along_axis(np.convolve, 0, np.array(one), kernel, "valid") for one in (matrix, right)]
    steps = np.linalg.solve(sums[0] + window * TIED_PX * np.eye(3), sums[1][..., None])[..., 0]
    return np.asarray(steps * NUDGES)


def _product(plus_minus: Sequence[Array], others: Sequence[Array]) -> float:
    (a, b), (c, d) = plus_minus, others
    return float((a == c).sum() - (a == d).sum() - (b == c).sum() + (b == d).sum())


def exchanged(labels: Array, truth: Truth) -> float | None:
    """By how much two cameras look more like each other's reference than like their own, of the most suspicious two.

    The likeness is the mean over classes of the overlap (IoU). None where fewer than two cameras show the state.
    """
    sound = truth.sound.all(0)
    if sound.sum() < 2:
        return None
    here, there = labels[:, sound], truth.seen.labels[:, sound]
    count = here.shape[1]
    alike = np.array([[_likeness(here[:, a], there[:, b]) for b in range(count)] for a in range(count)])
    own = alike.diagonal()
    gain = np.minimum(alike - own[:, None], (alike - own[:, None]).T)  # both must look more like the other
    return float(gain[~np.eye(count, dtype=bool)].max())


def _likeness(here: Array, there: Array) -> float:
    pairs = np.bincount((here.astype(np.int64) * len(READ_CLASSES) + there).ravel(), minlength=len(READ_CLASSES) ** 2)
    table = pairs.reshape(len(READ_CLASSES), len(READ_CLASSES))
    both, either = table.diagonal(), table.sum(0) + table.sum(1) - table.diagonal()
    return float((both[either > 0] / either[either > 0]).mean())
