"""Is one agent seen where it is told, and no more where it was? Its pixels are known exactly, camera by camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE

LEAST_PX = 80  # smaller bodies are not asked for: the autoencoder alone blurs them beyond reading
CLEARLY, SEEN = 0.5, 0.25  # share of a body's pixels read as its kind: in exact frames to be asked for, in others to be found
MARGIN_PX = 5  # around a changed body that may change with it: the cells of the dream are 8 px wide
SHADOW_LEVELS = 8  # exact frames that differ more than this show a shadow or a light of the changed body
_VEHICLE, _TWO_WHEELER, _PERSON = (READ_CLASSES.index(name) for name in ("vehicle", "two_wheeler", "pedestrian"))
_ALIKE = {_VEHICLE: (_VEHICLE,), _TWO_WHEELER: (_TWO_WHEELER, _PERSON), _PERSON: (_TWO_WHEELER, _PERSON)}  # riders are people


@dataclass(frozen=True, slots=True)
class Body:
    """One view of one agent: where it is (frame, camera), its pixels [H, W], and the classes that it may be read as."""

    place: tuple[int, int]
    mask: Array
    kinds: tuple[int, ...]


def bodies(instance: Array, semantics: Array, track_id: int) -> list[Body]:
    """All views [T, V, H, W] that show enough of an agent."""
    mask = instance == track_id
    out = []
    for frame, view in zip(*np.nonzero(mask.sum((-1, -2)) >= LEAST_PX), strict=True):
        here = mask[frame, view]
        kind = int(np.bincount(READ_TABLE[semantics[frame, view][here]]).argmax())
        if kind in _ALIKE:
            out.append(Body((int(frame), int(view)), here, _ALIKE[kind]))
    return out


def share(read: Array, body: Body) -> float:
    """The share of a body's pixels that is read as its kind, in labels [T, V, H, W]."""
    return float(np.isin(read[body.place][body.mask], body.kinds).mean())


def apart(seen: list[Body], elsewise: Array) -> list[Body]:
    """What is left of each body where nothing like it is read in labels ``elsewise`` of other frames, if it is enough."""
    left = [Body(body.place, body.mask & ~np.isin(elsewise[body.place], body.kinds), body.kinds) for body in seen]
    return [body for body in left if body.mask.sum() >= LEAST_PX]


def found(read: Array, exact: Array, seen: list[Body]) -> tuple[int, int]:
    """Views in which a body is found, and in which it was asked for since it is clear in the exact frames' labels."""
    asked = [body for body in seen if share(exact, body) >= CLEARLY]
    return sum(share(read, body) >= SEEN for body in asked), len(asked)


def gone(read: Array, exact: Array, was: list[Body]) -> tuple[int, int]:
    """Views in which a body is not read any more, and in which it was clear in ``exact``, the frames' labels with it."""
    asked = [body for body in was if share(exact, body) >= CLEARLY]
    return sum(share(read, body) < SEEN for body in asked), len(asked)


def overlap(read: Array, seen: list[Body]) -> tuple[int, int]:
    """Pixels in which a body is read and is, and in which it is read or is; within a box around it and 4 px more."""
    both = either = 0
    for body in seen:
        rows, columns = np.nonzero(body.mask)
        part = slice(max(0, rows.min() - 4), rows.max() + 5), slice(max(0, columns.min() - 4), columns.max() + 5)
        here, is_there = np.isin(read[body.place][part], body.kinds), body.mask[part]
        both, either = both + int((here & is_there).sum()), either + int((here | is_there).sum())
    return both, either


def untouched(plain: Array, other: Array, changed: Array) -> Array:
    """Pixels [..., H, W] that a change has no reason to touch: not near ``changed`` ones, and equal in the exact frames."""
    shadow = np.abs(plain.astype(np.int16) - other).max(-1) > SHADOW_LEVELS
    flat = (changed | shadow).reshape(-1, *changed.shape[-2:]).astype(np.uint8)
    kernel = np.ones((2 * MARGIN_PX + 1, 2 * MARGIN_PX + 1), np.uint8)
    return np.stack([cv2.dilate(mask, kernel) == 0 for mask in flat]).reshape(changed.shape)
