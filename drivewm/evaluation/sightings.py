"""Agents in pictures: are those of the state seen, and are there others?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from drivewm.datatypes import VULNERABLE, WHEELED_BODIES, AgentClass, Array
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE
from drivewm.evaluation.truth import Truth

VEHICLE_LABELS = (READ_CLASSES.index("vehicle"),)
VULNERABLE_LABELS = (READ_CLASSES.index("two_wheeler"), READ_CLASSES.index("pedestrian"))  # a rider may be read as a pedestrian
OBSTACLE_LABELS = (READ_CLASSES.index("obstacle"),)
OBJECT_LABELS = (*VEHICLE_LABELS, *VULNERABLE_LABELS, *OBSTACLE_LABELS)

MIN_OBJECT_PX = 80  # smaller objects are not asked for: the autoencoder alone blurs them beyond reading
SPILL_PX = 9  # side of the square by which true objects are widened before others are looked for
CLEARLY_SEEN, SEEN = 0.5, 0.25  # share of an object's pixels read as its kind: in the reference to be asked for, here to be found


@dataclass(frozen=True, slots=True)
class Sighting:
    """An agent in a camera of the reference at a judged moment, and how much of it the pictures judged show."""

    moment: int
    track_id: int
    kind: str  # "vehicle", "vulnerable", "obstacle"
    size_px: int
    share: float | None  # of these pixels that are read as its kind in the pictures judged; None: not even in the reference
    shown: float | None  # likewise as any object


def sightings(labels: Array, truth: Truth) -> list[Sighting]:
    """All agents large enough to ask for, in pictures read as ``labels`` [J, V, H, W]."""
    out = []
    for moment, view in zip(*np.nonzero(truth.sound), strict=True):
        instance = truth.exact[moment].instance[view]
        for track_id, count in zip(*np.unique(instance[instance >= 0], return_counts=True), strict=True):
            if count < MIN_OBJECT_PX:
                continue
            kind, accepted = _read_as(truth.category[int(track_id)])
            read = [one[moment, view][instance == track_id] for one in (labels, truth.seen.labels)]
            share, shown = _share(read, accepted), _share(read, OBJECT_LABELS)
            out.append(Sighting(int(moment), int(track_id), kind, int(count), share, shown))
    return out


def _share(read: Sequence[Array], accepted: Sequence[int]) -> float | None:
    here, there = (float(np.isin(one, accepted).mean()) for one in read)
    return here if there >= CLEARLY_SEEN else None


def _read_as(category: AgentClass) -> tuple[str, Sequence[int]]:
    if category in WHEELED_BODIES:
        return "vehicle", VEHICLE_LABELS
    return ("vulnerable", VULNERABLE_LABELS) if category in VULNERABLE else ("obstacle", OBSTACLE_LABELS)


def ghosts_px(labels: Array, truth: Truth, read_again: Callable[[Array], Array] | None = None) -> list[int]:
    """Of every moment the size of the largest object that is read where neither state nor reference has one.

    What spills over the edge of a true object, or is thinner than three pixels, is no object of its own. ``read_again`` gives
    labels of pictures [..., H, W, 3] after the autoencoder of the world: a house that the autoencoder alone lets the readers
    take for a lorry was not added by the dream.
    """
    out = [0] * len(labels)
    for moment, view in zip(*np.nonzero(truth.sound), strict=True):
        exact, read = truth.exact[moment], np.isin(labels[moment, view], OBJECT_LABELS)
        real = np.isin(READ_TABLE[exact.semantics[view]], OBJECT_LABELS)
        known = real | np.isin(truth.seen.labels[moment, view], OBJECT_LABELS)
        size = _largest_px(read, known)
        if size > out[moment] and read_again:
            size = _largest_px(read, known | np.isin(read_again(exact.images[view]), OBJECT_LABELS))
        out[moment] = max(out[moment], size)
    return out


def _largest_px(read: Array, known: Array) -> int:
    grown = cv2.dilate(known.astype(np.uint8), np.ones((SPILL_PX, SPILL_PX), np.uint8)) > 0
    opened = cv2.morphologyEx((read & ~grown).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return int(cv2.connectedComponentsWithStats(opened)[2][1:, cv2.CC_STAT_AREA].max(initial=0))
