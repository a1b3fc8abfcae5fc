"""Places to drive in. `build_road` makes one from a kind and options; lanes never depend on chance, decoration does.

Right-hand traffic. Ego approaches along +x in lane ``main.0`` (rightmost; ``main.1`` is left of it); y = 0 is the line between
the directions of travel. Straight and curve start at x = 0; in every other kind the point of interest (junction centre,
crosswalk, nose of the ramp, start of the works, portal of the tunnel, top of the crest) is the origin.
All are level but the crest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from drivewm.datatypes import Array, RoadMap
from drivewm.errors import InputError, did_you_mean
from drivewm.geometry import point_at_s, polyline_s_m
from drivewm.scenarios.roads_hill import crest
from drivewm.scenarios.roads_junction import four_way, roundabout, t_junction
from drivewm.scenarios.roads_options import RoadOptions
from drivewm.scenarios.roads_plan import Plan
from drivewm.scenarios.roads_scenery import Bare, furnished, paved_road
from drivewm.scenarios.roads_special import narrow, ramp, tunnel
from drivewm.scenarios.roads_through import crosswalk, curve, exit_ramp, merge, parking_row, roadworks, straight

__all__ = ["ROAD_KINDS", "SURROUNDINGS", "RoadOptions", "build_road", "known_road", "lane_path", "lane_path_on"]

_BUILDERS: dict[str, Callable[[RoadOptions], Plan]] = {
    "straight": straight,
    "curve": curve,
    "merge": merge,
    "exit": exit_ramp,
    "roundabout": roundabout,
    "t_junction": t_junction,
    "four_way": four_way,
    "crosswalk": crosswalk,
    "parking_row": parking_row,
    "roadworks": roadworks,
    "ramp": ramp,
    "tunnel": tunnel,
    "narrow": narrow,
    "crest": crest,
}
ROAD_KINDS: tuple[str, ...] = tuple(_BUILDERS)


SURROUNDINGS = 64  # sets of buildings and trees that a road of one shape may stand among


def build_road(kind: str, options: RoadOptions, rng: np.random.Generator) -> RoadMap:
    """The place of the given kind; ``rng`` decides only about buildings and trees. Raises InputError for an unknown kind."""
    return furnished(_bare(kind, options), rng)


@lru_cache(maxsize=1024)
def known_road(kind: str, options: RoadOptions, surroundings: int) -> RoadMap:
    """`build_road` among surroundings of that number, below SURROUNDINGS. It is made once and shared: never write into it."""
    return build_road(kind, options, np.random.default_rng(surroundings))


@lru_cache(maxsize=256)
def _bare(kind: str, options: RoadOptions) -> Bare:
    if kind not in _BUILDERS:
        raise InputError(f"unknown road kind {kind!r}", hint=did_you_mean(kind, list(ROAD_KINDS)) or ", ".join(ROAD_KINDS))
    return paved_road(_BUILDERS[kind](options), options)


def lane_path(road: RoadMap, lane_id: str, turn: str = "straight", min_length_m: float = 400.0) -> Array:
    """Centre path [P, 2] with vertices 1 m apart from a lane's start through its successors.

    At a branch the connector of the wanted ``turn`` is taken, else the one straight on, else the first. Where the road ends the
    path runs straight on, at least ``min_length_m`` long. Raises KeyError for an unknown lane.
    """
    parts, lane = [], road.lane(lane_id)
    while True:
        parts.append(lane.centre_xy)
        if not lane.successors:
            break
        wanted = [s for end in (f">{turn}", ">straight", "") for s in lane.successors if s.endswith(end)]
        lane = road.lane(wanted[0])
    xy = np.concatenate(parts)
    xy = xy[np.append(True, np.hypot(*np.diff(xy, axis=0).T) > 1e-6)]
    return point_at_s(xy, np.arange(0.0, max(min_length_m, polyline_s_m(xy)[-1]) + 1e-6, 1.0))[:, :2]


@lru_cache(maxsize=1024)
def lane_path_on(kind: str, options: RoadOptions, lane_id: str, turn: str, length_m: float) -> Array:
    """`lane_path` on `known_road`, made once; it cannot be written."""
    path = lane_path(_bare(kind, options).road, lane_id, turn, length_m)
    path.flags.writeable = False
    return path
