"""Maps of drives: where a data set's scenes were driven, over the roads that its map knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from drivewm.data.survey import SceneSurvey
from drivewm.datatypes import Array, RoadMap
from drivewm.evaluation.figures import DriveMap, Trace, stencil_uri

Maps = list[DriveMap]

SPLITS = ("train", "val", "test", "none")  # in the order of their colours
WIDE_PX, TALL_PX, SMALL_PX = 1000, 760, 240  # at most
FINEST_PX_PER_M = 4.0
_MARGIN_M = {False: 40.0, True: 25.0}
_ROAD_OPACITY, _LANE_OPACITY = 84, 170
_SHIFT = 4  # fractional bits of pixel coordinates


@dataclass
class Sheet:
    """One map that is being drawn: roads as they come, paths in the end."""

    low_xy: Array
    width: int
    height: int
    px_per_m: float
    small: bool = False
    traces: list[Trace] = field(default_factory=list)
    road: Array = field(init=False)
    lanes: Array = field(init=False)

    def __post_init__(self) -> None:
        self.road, self.lanes = (np.zeros((self.height, self.width), np.uint8) for _ in range(2))

    @classmethod
    def around(cls, paths_xy: Sequence[Array], small: bool = False) -> Sheet:
        """A sheet that shows all of these paths [P, 2]."""
        points = np.concatenate(list(paths_xy))
        margin = _MARGIN_M[small]
        low, high = points.min(0) - margin, points.max(0) + margin
        if small:  # a square
            middle, half = (low + high) / 2, float((high - low).max()) / 2
            low, high = middle - half, middle + half
        span = high - low
        limit = (SMALL_PX, SMALL_PX) if small else (WIDE_PX, TALL_PX)
        px_per_m = float(min(limit[0] / span[0], limit[1] / span[1], FINEST_PX_PER_M))
        width, height = (max(16, round(float(v) * px_per_m)) for v in span)
        return cls(low, width, height, px_per_m, small)

    def px(self, xy: Array) -> Array:
        """Places [..., 2] in units of the drawing, y downwards."""
        rel = (np.asarray(xy) - self.low_xy) * self.px_per_m
        return np.stack([rel[..., 0], self.height - rel[..., 1]], -1)

    def draw_road(self, road: RoadMap) -> None:
        for polygon in road.drivable:
            cv2.fillPoly(self.road, [self._fixed(polygon)], _ROAD_OPACITY, cv2.LINE_AA, _SHIFT)
        if self.px_per_m > 0.5:  # else lanes lie on top of one another
            for lane in road.lanes:
                cv2.polylines(self.lanes, [self._fixed(lane.centre_xy)], False, _LANE_OPACITY, 1, cv2.LINE_AA, _SHIFT)

    def _fixed(self, xy: Array) -> Array:
        return np.asarray(np.clip(np.round(self.px(xy) * 2**_SHIFT), -(2**24), 2**24), np.int32)

    def draw_drive(self, scene: SceneSurvey) -> None:
        """The scene's path, without the points between which it is straight."""
        at = self.px(scene.course.xy_yaw_world[:, :2])
        kept = cv2.approxPolyDP(at.astype(np.float32)[:, None], 0.4, False)[:, 0]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in kept)
        start = (round(float(at[0, 0]), 1), round(float(at[0, 1]), 1))
        self.traces.append(Trace(scene.info.name, SPLITS.index(scene.info.split or "none"), points, start))

    def finished(self, caption: str, detail: str) -> DriveMap:
        roads = np.maximum(self.road, np.where(self.road > 0, self.lanes, 0))
        bar_m = next(length for length in (2000, 1000, 500, 200, 100, 50, 20, 10) if length * self.px_per_m < 0.3 * self.width)
        return DriveMap(
            caption=caption,
            detail=detail,
            width=self.width,
            height=self.height,
            roads=stencil_uri(roads) if roads.any() else "",
            traces=tuple(self.traces),
            scale=(bar_m * self.px_per_m, f"{bar_m} m"),
            small=self.small,
        )


@dataclass
class Atlas:
    """One overview per location and a small map for each of a few scenes; roads are drawn while scenes are read."""

    overviews: dict[str, Sheet]  # by location
    small: dict[str, Sheet]  # by token of the scene

    @classmethod
    def of(cls, paths: dict[str, tuple[str, Array]], shown: int) -> Atlas:
        """``paths``: location and path [F, 2] by token of the scene; ``shown`` scenes get a small map of their own."""
        places = sorted({location for location, _ in paths.values()})
        overviews = {place: Sheet.around([xy for location, xy in paths.values() if location == place]) for place in places}
        return cls(overviews, {token: Sheet.around([paths[token][1]], small=True) for token in spread(list(paths), shown)})

    def draw_road(self, road: RoadMap, scene: SceneSurvey) -> None:
        for sheet in self._sheets(scene):
            sheet.draw_road(road)

    def finished(self, scenes: Sequence[SceneSurvey], words: Callable[[SceneSurvey], str]) -> tuple[Maps, Maps]:
        """Overviews and small maps; ``words`` tells what a scene is like."""
        for scene in scenes:
            for sheet in self._sheets(scene):
                sheet.draw_drive(scene)
        overviews = []
        for place, sheet in self.overviews.items():
            here = [scene for scene in scenes if scene.location == place]
            km = sum(path_length_m(scene) for scene in here) / 1000
            drives = f"{len(here)} drive{'' if len(here) == 1 else 's'}"
            detail = f"{drives}, {km:.2f} km" + ("" if sheet.road.any() else ", without a map")
            overviews.append(sheet.finished(place, detail))
        small = [
            self.small[scene.info.token].finished(scene.info.name, words(scene))
            for scene in scenes
            if scene.info.token in self.small
        ]
        return overviews, small

    def _sheets(self, scene: SceneSurvey) -> list[Sheet]:
        own = self.small.get(scene.info.token)
        return [self.overviews[scene.location], *([own] if own else [])]


def path_length_m(scene: SceneSurvey) -> float:
    """How far the ego drove."""
    return float(np.hypot(*np.diff(scene.course.xy_yaw_world[:, :2], axis=0).T).sum())


def spread(items: Sequence[str], count: int) -> list[str]:
    """At most ``count`` items, evenly over the list."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(int))]
