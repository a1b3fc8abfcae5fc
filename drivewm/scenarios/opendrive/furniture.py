"""What stands on and beside roads: crosswalks, buildings, trees and traffic lights (ASAM OpenDRIVE 1.7, sections 13 and 14)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.geometry import Array
from drivewm.scenarios.xml import Element, child, children, real

KINDS = {"crosswalk": "crosswalk", "building": "building", "tree": "tree", "vegetation": "tree"}
MOST_CORNERS = 200


@dataclass(frozen=True)
class RoadObject:
    """An object at (s, t) of its road, turned by ``hdg_rad`` against it; a crosswalk has an outline, a building a size."""

    kind: str  # "crosswalk" | "building" | "tree"
    s_m: float
    t_m: float
    hdg_rad: float
    size_lwh_m: tuple[float, float, float]
    outline_uv: Array  # [P, 2] in its own frame; [0, 2] where it has none


@dataclass(frozen=True)
class Lamp:
    """A traffic light for the lanes from ``first`` to ``last``."""

    id: str
    s_m: float
    t_m: float
    first: int
    last: int


def road_objects(road: Element, file: Path) -> tuple[tuple[RoadObject, ...], bool]:
    """The objects of a road that have a meaning here, and whether there are others."""
    out, others = [], False
    group = child(road, "objects")
    for one in [] if group is None else children(group):
        found = _object(one, file) if one.get("type") in KINDS else None
        others |= found is None
        out += [] if found is None else [found]
    return tuple(out), others


def _object(element: Element, file: Path) -> RoadObject | None:
    kind = KINDS[str(element.get("type"))]
    s, t, turn = real(element, "s", file), real(element, "t", file), real(element, "hdg", file, 0.0)
    length, width, height = (real(element, name, file, 0.0) for name in ("length", "width", "height"))
    outline = child(element, "outlines", "outline")
    outline = child(element, "outline") if outline is None else outline
    corners = [] if outline is None else children(outline, "cornerLocal")[:MOST_CORNERS]
    uv = np.array([[real(corner, "u", file), real(corner, "v", file)] for corner in corners]).reshape(-1, 2)
    if kind == "crosswalk" and len(uv) < 3 and min(length, width) > 0:
        uv = 0.5 * np.array([[length, width], [-length, width], [-length, -width], [length, -width]])
    whole = {"crosswalk": len(uv) >= 3, "building": min(length, width, height) > 0, "tree": height > 0}[kind]
    return RoadObject(kind, s, t, turn, (length, width, height), uv) if whole else None


def lamps(road: Element, file: Path) -> tuple[tuple[Lamp, ...], bool]:
    """The lights of a road, and whether it has other signals."""
    out, others = [], False
    group = child(road, "signals")
    for one in [] if group is None else children(group):
        validity = child(one, "validity")
        if one.get("dynamic") != "yes" or validity is None:
            others = True
            continue
        first, last = (round(real(validity, name, file)) for name in ("fromLane", "toLane"))
        out.append(Lamp(str(one.get("id")), real(one, "s", file), real(one, "t", file), *sorted((first, last))))
    return tuple(out), others
