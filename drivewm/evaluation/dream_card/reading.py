"""What the segmentation reader sees in frames, and how much of what was told is there: intersection over union."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Claim
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped
from drivewm.evaluation.dreaming import Images
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE, Readers

Measured = tuple[Estimate, tuple[float, ...]]  # a figure with its interval, and the same of each seed alone

AT_ONCE = 16  # frames
KEPT_FRAMES = 6000  # of six cameras at 64 x 96 px: 220 MB
_READ: OrderedDict[bytes, Array] = OrderedDict()  # of this process, the oldest first; a reading follows from its key alone


def segmented(readers: Readers, shown: Images) -> Array:
    """Index into `READ_CLASSES` [..., V, H, W] for frames uint8 [..., V, H, W, 3]; no frame is read twice in a process."""
    frames = shown.reshape(-1, *shown.shape[-4:])
    weights = readers.fingerprint().encode()
    keys = [hashlib.blake2b(frame.tobytes(), digest_size=16, key=weights).digest() for frame in frames]
    read = {key: _READ[key] for key in keys if key in _READ}
    fresh = list({key: row for row, key in enumerate(keys) if key not in read}.items())
    for start in range(0, len(fresh), AT_ONCE):
        part = fresh[start : start + AT_ONCE]
        seen = readers.segment(np.stack([frames[row] for _, row in part]))
        read |= {key: labels for (key, _), labels in zip(part, seen, strict=True)}
    _READ.update(read)
    while len(_READ) > KEPT_FRAMES:
        _READ.popitem(last=False)
    return np.stack([read[key] for key in keys]).reshape(shown.shape[:-1])


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixels of B drives with T frames by class [B, T, C], C those of `READ_CLASSES`."""

    both: Array  # told and read
    either: Array  # told or read
    told: Array

    def iou(self, name: str, sample: Sample) -> Measured | None:
        """Intersection over union over all drives; None where the class is never told."""
        index = READ_CLASSES.index(name)
        if not self.told[..., index].any():
            return None
        return share_of(self.both[..., index].sum(1), self.either[..., index].sum(1), sample)

    def iou_over(self, other: Counts, name: str, sample: Sample) -> Measured | None:
        """The IoU as a share of another one's, for example of that in reference frames; None where the class is never told."""
        index = READ_CLASSES.index(name)
        if not other.both[..., index].any():
            return None
        mine, theirs = ((c.both[..., index].sum(1), c.either[..., index].sum(1)) for c in (self, other))
        return bootstrapped(
            lambda rows: shares(*(shares(both[rows].sum(-1), either[rows].sum(-1)) for both, either in (mine, theirs))), sample
        )


def told_classes(sample: Sample, part: slice) -> Array:
    """Index into `READ_CLASSES` [B, F, V, H, W] as it was told in ``part`` of the frames."""
    return READ_TABLE[sample.drives.told["label"][:, part].numpy()]


def counted(sample: Sample, shown: Images, part: slice | None = None) -> Counts:
    """What is read in ``part`` of the frames (those after the context) of ``shown`` [B, T, V, H, W, 3], against what was told."""
    part = part or sample.late
    read, truth = segmented(sample.readers, shown[:, part]), told_classes(sample, part)
    masks = [(read == index, truth == index) for index in range(len(READ_CLASSES))]
    both, either, told = (
        np.stack([combine(a, b).sum((2, 3, 4)) for a, b in masks], -1)
        for combine in (np.logical_and, np.logical_or, lambda _, truth: truth)
    )
    return Counts(both, either, told)


def share_of(above: Array, below: Array, sample: Sample) -> Measured | None:
    """Sum over drives of ``above`` [B] over that of ``below`` [B]; None where nothing is below."""
    if not below.any():
        return None
    return bootstrapped(lambda rows: shares(above[rows].sum(-1), below[rows].sum(-1)), sample)


def shares(above: Array, below: Array) -> Array:
    """above / below, NaN where there is nothing below."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0)


def claim(name: str, measured: Measured | None, target: float | None, absent: str) -> Claim:
    """A figure that is better the higher it is; ``absent`` says why it is not measured."""
    if measured is None:
        return Claim(name, None, target, note=absent)
    estimate, by_seed = measured
    return Claim(name, estimate, target, by_seed=by_seed if np.isfinite(by_seed).all() else ())


def cell(measured: Measured | None) -> Estimate | None:
    """A figure as a cell of a table."""
    return None if measured is None else measured[0]


def frames_of(sample: Sample, seconds: float) -> int:
    """The context and so many seconds after it."""
    return sample.drives.context + round(seconds * sample.rig.rate_hz)


def extent(sample: Sample) -> str:
    """How much was looked at, in words."""
    count, frames = sample.drives.images.shape[:2]
    return f"{count} drives of {len(sample.seeds)} seeds, {(frames - sample.drives.context) / sample.rig.rate_hz:g} s each"
