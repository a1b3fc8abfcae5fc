"""What lies beside the lanes of a road: paved verge, then sidewalk, as widths along the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import LineString, Polygon, get_coordinates, intersection, prepare, unary_union
from shapely.geometry.base import BaseGeometry

from drivewm.datatypes import Array, RoadMap
from drivewm.scenarios.export.strips import Strip
from drivewm.scenarios.roads_lines import ribbon

EVERY_M = 3.0
WIDEST_M = {"shoulder": 12.0, "sidewalk": 4.0}
THINNEST_M = 0.05
EXACT_M = 0.05  # of the widths that are written
TOUCH_M = 0.1  # how far beside the edge a verge may begin


@dataclass(frozen=True)
class Verge:
    """A strip beside a road on one side; widths [K] at arc lengths [K], straight between them."""

    kind: str  # "shoulder" | "sidewalk"
    left: bool
    s_m: Array
    width_m: Array


class Ground:
    """The areas of a map without its lanes."""

    def __init__(self, road: RoadMap) -> None:
        lanes = [ribbon(lane.centre_xy, lane.width_m / 2, lane.width_m / 2).buffer(0.02) for lane in road.lanes]
        paved = unary_union([Polygon(area).buffer(0) for area in road.drivable])
        walks = unary_union([Polygon(area).buffer(0) for area in road.sidewalks])
        self._areas: dict[str, BaseGeometry] = {
            "shoulder": paved.difference(unary_union(lanes)),
            "sidewalk": walks.difference(paved),
        }
        for area in self._areas.values():
            prepare(area)

    def verges(self, strip: Strip, *, walked: bool) -> list[Verge]:
        """From the inside out, left side first; ``walked``: with sidewalks."""
        out = []
        s = np.linspace(0.0, strip.length_m, max(2, int(np.ceil(strip.length_m / EVERY_M)) + 1))
        for left in (True, False):
            edge = np.full(len(s), strip.left_m if left else strip.right_m)
            for kind in ("shoulder", "sidewalk") if walked else ("shoulder",):
                width = self._free_m(strip, s, edge if left else -edge, kind)
                if width.max() < THINNEST_M:
                    continue
                keep = _corners(s, width)
                out.append(Verge(kind, left, s[keep], width[keep]))
                edge = edge + width
        return out

    def _free_m(self, strip: Strip, s: Array, edge_m: Array, kind: str) -> Array:
        """How far [K] the area reaches outwards from the edge of a road."""
        pose = strip.reference(np.clip(s, 0.3, strip.length_m - 0.3))
        normal = np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], 1)
        out = normal * np.sign(edge_m)[:, None]
        begin = pose[:, :2] + normal * edge_m[:, None]
        rays = [LineString([a, a + WIDEST_M[kind] * b]) for a, b in zip(begin, out, strict=True)]
        width = np.zeros(len(s))
        for i, part in enumerate(intersection(np.array(rays, object), self._areas[kind])):
            reach = [
                get_coordinates(one) @ out[i] - begin[i] @ out[i] for one in getattr(part, "geoms", [part]) if not one.is_empty
            ]
            near = [r.max() for r in reach if r.min() < TOUCH_M]
            width[i] = max(near, default=0.0)
        return width


def _corners(s: Array, width: Array) -> Array:
    """Indices of the stations that are needed (Douglas and Peucker)."""
    keep = {0, len(s) - 1}
    spans = [(0, len(s) - 1)]
    while spans:
        a, b = spans.pop()
        if b - a < 2:
            continue
        inner = np.arange(a + 1, b)
        away = np.abs(width[inner] - np.interp(s[inner], s[[a, b]], width[[a, b]]))
        worst = int(np.argmax(away))
        if away[worst] > EXACT_M:
            keep.add(int(inner[worst]))
            spans += [(a, int(inner[worst])), (int(inner[worst]), b)]
    return np.array(sorted(keep))
