"""The map around a drive: from the layers of the map expansion to a RoadMap."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from shapely import GEOSException
from shapely.geometry import LineString, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from drivewm.data.arclines import polyline_from_arclines
from drivewm.datatypes import Array, Lane, Marking, RoadMap, Signal
from drivewm.errors import InputError

REACH_M = 110.0  # how far around the drive the map is kept
_LANE_WIDTH_M = 3.5
_SPEED_LIMIT_MPS = 13.9
_PAINT = {"road_divider": "solid", "lane_divider": "dashed"}

Region = tuple[float, float, float, float]


class Place:
    """The map of one location. Raises InputError when the expansion cannot be read or its layers do not fit together."""

    def __init__(self, root: Path, location: str) -> None:
        self._file = root / "maps" / "expansion" / f"{location}.json"
        from nuscenes.map_expansion.map_api import NuScenesMap

        try:
            self._map = NuScenesMap(dataroot=str(root), map_name=location)
            self._xy = {node["token"]: (node["x"], node["y"]) for node in self._map.node}
            self._polygons = {record["token"]: record for record in self._map.polygon}
            self._lines = {record["token"]: record["node_tokens"] for record in self._map.line}
        except json.JSONDecodeError as error:
            raise InputError(f"is not JSON: {error.msg}", file=self._file, line=error.lineno) from error
        except KeyError as error:
            raise InputError(f"layers do not fit together: {error} is missing", file=self._file) from error
        except (AssertionError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise InputError(f"is no map expansion: {error}", file=self._file) from error
        except Exception as error:  # the devkit says nothing more specific about an old map
            if type(error) is not Exception:
                raise
            raise InputError("is older than version 1.3 of the map expansion", file=self._file) from error
        self._bounds: dict[str, tuple[list[Any], Array]] = {}

    @property
    def extras(self) -> dict[str, Any]:
        """Our own records by scene name; empty for genuine nuScenes."""
        return dict(self._map.json_obj.get("drivewm", {}).get("scenes", {}))

    def crop(self, around_xy: Array, scene: str) -> RoadMap:
        """The road within REACH_M of the points ``around_xy`` [P, 2]; of our own maps only the plot of ``scene``.

        Raises InputError when records of the map do not hold what they should.
        """
        try:
            return self._crop(around_xy, scene)
        except KeyError as error:
            raise InputError(
                f"layers do not fit together: {error} is missing", file=self._file, place=f"scene {scene}"
            ) from error
        except (TypeError, ValueError, IndexError, AttributeError, OverflowError, GEOSException) as error:
            raise InputError(f"cannot be read: {error}"[:200], file=self._file, place=f"scene {scene}") from error

    def _crop(self, around_xy: Array, scene: str) -> RoadMap:
        low, high = around_xy.min(0) - REACH_M, around_xy.max(0) + REACH_M
        extra = self.extras.get(scene)
        if extra is not None:
            region = extra["region_xy"]
            low, high = np.maximum(low, region[:2]), np.minimum(high, region[2:])
        patch = box(low[0], low[1], high[0], high[1])
        areas = {layer: self._areas(layer, patch) for layer in ("drivable_area", "ped_crossing", "walkway")}
        lanes = self._lanes(patch, extra)
        stops = [Marking(_middle_line(xy), "stop", 0.4) for xy in self._areas("stop_line", patch)]
        markings = [*(_extra_markings(extra, patch) if extra else [*self._dividers(patch), *stops])]
        return RoadMap(
            lanes=tuple(lanes),
            drivable=areas["drivable_area"],
            crosswalks=areas["ped_crossing"],
            sidewalks=areas["walkway"],
            markings=tuple(markings),
            signals=_extra_signals(extra) if extra else (),
            **(_extra_scenery(extra, low, high) if extra else {}),
        )

    def _near(self, layer: str, patch: BaseGeometry) -> list[Any]:
        """Records of a layer whose bounding box meets the patch."""
        if layer not in self._bounds:
            kept, spans = [], []
            for record in getattr(self._map, layer):
                for part, tokens in self._outlines(layer, record):
                    xy = np.array([self._xy[token] for token in tokens]) if tokens else np.full((1, 2), np.nan)
                    kept.append(part)
                    spans.append([*xy.min(0), *xy.max(0)])
            self._bounds[layer] = (kept, np.array(spans).reshape(-1, 4))
        records, rows = self._bounds[layer]
        west, south, east, north = patch.bounds
        hit = (rows[:, 0] <= east) & (rows[:, 2] >= west) & (rows[:, 1] <= north) & (rows[:, 3] >= south)
        return [records[i] for i in np.flatnonzero(hit)]

    def _outlines(self, layer: str, record: dict[str, Any]) -> list[tuple[Any, list[str]]]:
        """The drawn parts of a record: what to keep of each, and its outer nodes."""
        if layer == "drivable_area":
            polygons = [self._polygons[token] for token in record["polygon_tokens"]]
            return [(polygon, polygon["exterior_node_tokens"]) for polygon in polygons]
        if "line_token" in record:
            return [(record, self._lines[record["line_token"]])]
        polygon = self._polygons[record["polygon_token"]]
        return [(record if layer in ("lane", "lane_connector") else polygon, polygon["exterior_node_tokens"])]

    def _shape(self, polygon: dict[str, Any]) -> BaseGeometry:
        rings = [polygon["exterior_node_tokens"], *(hole["node_tokens"] for hole in polygon["holes"])]
        outer, *holes = [[self._xy[token] for token in ring] for ring in rings]
        shape: BaseGeometry = Polygon(outer, [hole for hole in holes if len(hole) > 2])
        return shape if shape.is_valid else shape.buffer(0)

    def _areas(self, layer: str, patch: BaseGeometry) -> tuple[Array, ...]:
        out: list[Array] = []
        for polygon in self._near(layer, patch):
            if len(polygon["exterior_node_tokens"]) > 2:
                out += rings(self._shape(polygon).intersection(patch))
        return tuple(out)

    def _lanes(self, patch: BaseGeometry, extra: dict[str, Any] | None) -> list[Lane]:
        known = extra["lanes"] if extra else {}
        records = [*self._near("lane", patch), *self._near("lane_connector", patch)]
        if extra is not None:
            records = [record for record in records if record["token"] in known]
        names = {record["token"]: known.get(record["token"], {}).get("id", record["token"]) for record in records}
        lanes = []
        for record in records:
            token, own = record["token"], known.get(record["token"], {})
            centre = polyline_from_arclines(self._map.arcline_path_3.get(token, []))
            if len(centre) < 2:
                continue
            links = self._map.connectivity.get(token, {}).get("outgoing", [])
            width = own.get("width_m") or self._width(record, centre)
            limit = own.get("speed_limit_mps", _SPEED_LIMIT_MPS)
            following = tuple(names[link] for link in links if link in names)
            lanes.append(Lane(names[token], centre, width, limit, following, own.get("left"), own.get("right")))
        return lanes

    def _width(self, record: dict[str, Any], centre: Array) -> float:
        length = LineString(centre).length
        area = self._shape(self._polygons[record["polygon_token"]]).area
        return float(np.clip(area / length, 2.0, 5.0)) if length > 1.0 else _LANE_WIDTH_M

    def _dividers(self, patch: BaseGeometry) -> list[Marking]:
        out: list[Marking] = []
        for layer, usual in _PAINT.items():
            for record in self._near(layer, patch):
                nodes = self._lines[record["line_token"]]
                if len(nodes) < 2:
                    continue
                kinds = [segment["segment_type"] for segment in record.get("lane_divider_segments", [])]
                dashed = sum("DASHED" in kind for kind in kinds) * 2 > len(kinds) if kinds else usual == "dashed"
                line = LineString([self._xy[token] for token in nodes]).intersection(patch)
                out += [Marking(xy, "dashed" if dashed else "solid") for xy in _lines(line)]
        return out


@lru_cache(maxsize=4)
def open_place(root: Path, location: str) -> Place | None:
    """The map of a location, or None when the data set comes without its expansion."""
    if not (root / "maps" / "expansion" / f"{location}.json").is_file():
        return None
    return Place(root, location)


def rings(shape: BaseGeometry) -> list[Array]:
    """The parts of an area as counter-clockwise rings [P, 2] without closing point; a part with a hole is cut through it."""
    out: list[Array] = []
    parts: list[Any] = [shape]
    while parts:
        part = parts.pop()
        if hasattr(part, "geoms"):
            parts.extend(part.geoms)
        elif isinstance(part, Polygon) and part.area > 0.01:
            if part.interiors:
                west, south, east, north = part.bounds
                x = Polygon(part.interiors[0]).centroid.x
                parts += [part.intersection(box(west, south, x, north)), part.intersection(box(x, south, east, north))]
            else:
                out.append(np.asarray(orient(part).exterior.coords, np.float64)[:-1, :2])
    return out


def _lines(shape: BaseGeometry) -> list[Array]:
    parts = list(shape.geoms) if hasattr(shape, "geoms") else [shape]
    return [np.asarray(part.coords, np.float64)[:, :2] for part in parts if isinstance(part, LineString) and not part.is_empty]


def _middle_line(xy: Array) -> Array:
    """The long axis [2, 2] of a stop line's area."""
    corners = np.asarray(Polygon(xy).minimum_rotated_rectangle.exterior.coords)[:4]
    first, second = corners[1] - corners[0], corners[2] - corners[1]
    if np.hypot(*first) < np.hypot(*second):
        return np.stack([(corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2])
    return np.stack([(corners[1] + corners[2]) / 2, (corners[3] + corners[0]) / 2])


def _extra_markings(extra: dict[str, Any], patch: BaseGeometry) -> list[Marking]:
    out = []
    for record in extra["markings"]:
        xy = np.array(record["xy"], np.float64)
        if LineString(xy).intersects(patch):
            out.append(Marking(xy, record["kind"], record["width_m"]))
    return out


def _extra_signals(extra: dict[str, Any]) -> tuple[Signal, ...]:
    return tuple(
        Signal(
            np.array(record["xy_yaw"], np.float64),
            np.array(record["stop_line_xy"], np.float64),
            tuple(record["lane_ids"]),
            (record["phase_s"][0], record["phase_s"][1], record["phase_s"][2]),
            record["offset_s"],
        )
        for record in extra["signals"]
    )


def _extra_scenery(extra: dict[str, Any], low: Array, high: Array) -> dict[str, Array]:
    houses = np.array(extra["building_xy_yaw"], np.float64).reshape(-1, 3)
    sizes = np.array(extra["building_size_lwh_m"], np.float64).reshape(-1, 3)
    trees = np.array(extra["tree_xy_height"], np.float64).reshape(-1, 3)
    house = ((houses[:, :2] >= low) & (houses[:, :2] <= high)).all(1)
    tree = ((trees[:, :2] >= low) & (trees[:, :2] <= high)).all(1)
    return {"building_xy_yaw": houses[house], "building_size_lwh_m": sizes[house], "tree_xy_height": trees[tree]}
