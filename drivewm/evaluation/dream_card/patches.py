"""How much is found of what is told, by its size in the picture."""

from __future__ import annotations

import cv2
import numpy as np

from drivewm.evaluation.dream_card.reading import segmented, told_classes
from drivewm.evaluation.dream_card.sample import Sample, ratio_over
from drivewm.evaluation.dreaming import Images
from drivewm.evaluation.readers import READ_CLASSES

EDGES_PX = (8, 16, 32, 64, 128, 256, 512, 1 << 30)  # of the bins of patches


def found_by_size(sample: Sample, shown: Images, name: str, part: slice) -> tuple[tuple[float, float, float, float], ...]:
    """Share of the pixels of told patches of a class that is read as it, by the patch's size: (log2 px, share, low, high).

    In ``part`` of the frames. A patch is what is told of the class without a gap in one camera; patches below the first edge and
    empty bins are left out.
    """
    index = READ_CLASSES.index(name)
    told = told_classes(sample, part) == index
    read = segmented(sample.readers, shown[:, part]) == index
    pixels, found = np.zeros((2, len(told), len(EDGES_PX) - 1))
    for place in zip(*np.nonzero(told.any((-1, -2))), strict=True):
        count, patch, stats, _ = cv2.connectedComponentsWithStats(told[place].astype(np.uint8))
        size = stats[1:, cv2.CC_STAT_AREA]
        hit = np.bincount(patch[read[place]], minlength=count)[1:]
        which = np.searchsorted(EDGES_PX, size, "right") - 1
        known = which >= 0
        np.add.at(pixels[place[0]], which[known], size[known])
        np.add.at(found[place[0]], which[known], hit[known])
    points = []
    for which in np.flatnonzero(pixels.sum(0)):
        estimate, _ = ratio_over(found[:, which], pixels[:, which], sample)
        points.append((float(np.log2(EDGES_PX[which])) + 0.5, estimate.value, estimate.low, estimate.high))
    return tuple(points)
