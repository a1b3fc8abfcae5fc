"""The map expansion: roads as nuScenes v1.3 layers, and the drivable mask of the `map` table.

What nuScenes has no layer for (exact paint, lamps' phases, buildings, trees, lane widths) stands under the extra key "drivewm",
which the devkit passes over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from shapely.geometry import LineString, Point, Polygon

from drivewm.data.arclines import arclines_from_polyline
from drivewm.data.categories import token
from drivewm.datatypes import Array, Lane, Marking, RoadMap, Signal

_SIMPLIFY_M = 0.01
_LAYERS = (
    "polygon",
    "line",
    "node",
    "drivable_area",
    "road_segment",
    "road_block",
    "lane",
    "ped_crossing",
    "walkway",
    "stop_line",
    "carpark_area",
    "road_divider",
    "lane_divider",
    "traffic_light",
    "lane_connector",
)


@dataclass
class MapExpansion:
    """The layers of one location; fill it scene by scene with `add`, then take `document`."""

    location: str
    canvas_edge_m: tuple[float, float]
    _layers: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in _LAYERS})
    _arclines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _connectivity: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    _scenes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The content of maps/expansion/LOCATION.json."""
        return {
            "version": "1.3",
            **self._layers,
            "arcline_path_3": self._arclines,
            "connectivity": self._connectivity,
            "canvas_edge": list(self.canvas_edge_m),
            "drivewm": {"scenes": self._scenes},
        }

    def add(self, scene: str, road: RoadMap, region_xy: tuple[float, float, float, float]) -> None:
        """Adds the road of one scene, in map coordinates; ``region_xy`` (x and y from, x and y to) is its plot on the map."""
        segments = [self._segment(polygon, road) for polygon in road.drivable]
        self._add("drivable_area", polygon_tokens=[s["polygon_token"] for s in segments])
        crossings = [(self._add_polygon("ped_crossing", xy, road_segment_token=_near(segments)), xy) for xy in road.crosswalks]
        for xy in road.sidewalks:
            self._add_polygon("walkway", xy)
        tokens = {lane.id: token(self.location, scene, "lane", lane.id) for lane in road.lanes}
        for lane in road.lanes:
            self._lane(lane, road, tokens, _near(segments))
        lights = [(self._light(signal), signal) for signal in road.signals]
        for marking in road.markings:
            self._marking(marking, road, crossings, lights)
        self._scenes[scene] = {"region_xy": [float(v) for v in region_xy], **_extras(road, tokens)}

    def _add(self, layer: str, **values: Any) -> str:
        records = self._layers[layer]
        name = str(values.pop("token", "")) or token(self.location, layer, len(records))
        records.append({"token": name, **values})
        return name

    def _node(self, xy: Array) -> str:
        return self._add("node", x=round(float(xy[0]), 4), y=round(float(xy[1]), 4))

    def _line(self, xy: Array) -> str:
        return self._add("line", node_tokens=[self._node(point) for point in xy])

    def _polygon(self, xy: Array) -> str:
        outline = np.asarray(Polygon(xy).simplify(_SIMPLIFY_M).exterior.coords)[:-1]
        return self._add("polygon", exterior_node_tokens=[self._node(point) for point in outline], holes=[])

    def _add_polygon(self, layer: str, xy: Array, **values: Any) -> str:
        return self._add(layer, polygon_token=self._polygon(xy), **values)

    def _segment(self, xy: Array, road: RoadMap) -> dict[str, Any]:
        polygon, area = Polygon(xy), self._polygon(xy)
        middles = [Point(lane.centre_xy[len(lane.centre_xy) // 2]) for lane in road.lanes if _is_connector(lane)]
        crossing = any(polygon.covers(point) for point in middles)
        name = self._add("road_segment", polygon_token=area, is_intersection=crossing, drivable_area_token="")
        return {"token": name, "polygon_token": area}

    def _lane(self, lane: Lane, road: RoadMap, tokens: dict[str, str], segment: str) -> None:
        name = tokens[lane.id]
        self._arclines[name] = arclines_from_polyline(lane.centre_xy)
        self._connectivity[name] = {
            "incoming": [tokens[other.id] for other in road.lanes if lane.id in other.successors],
            "outgoing": [tokens[other] for other in lane.successors if other in tokens],
        }
        outline = _band(lane.centre_xy, lane.width_m)
        edges = {
            "from_edge_line_token": self._line(_edge(lane.centre_xy[:2], lane.width_m, at=0)),
            "to_edge_line_token": self._line(_edge(lane.centre_xy[-2:], lane.width_m, at=1)),
        }
        if _is_connector(lane):
            self._add("lane_connector", token=name, polygon_token=self._polygon(outline))
            return
        no_dividers: dict[str, Any] = {"left_lane_divider_segments": [], "right_lane_divider_segments": []}
        area = self._polygon(outline)
        self._add("lane", token=name, polygon_token=area, lane_type="CAR", **edges, **no_dividers)
        self._add("road_block", polygon_token=area, **edges, road_segment_token=segment)

    def _light(self, signal: Signal) -> str:
        x, y, yaw = (float(v) for v in signal.xy_yaw_world)
        side = 0.2 * np.array([-math.sin(yaw), math.cos(yaw)])
        level = {"tx": 0.0, "ty": 0.0, "rx": 0.0, "ry": 0.0, "rz": 0.0}
        items = [
            {"color": colour, "shape": "CIRCLE", "rel_pos": {**level, "tz": z}, "to_road_block_tokens": []}
            for colour, z in (("RED", 0.6), ("YELLOW", 0.3), ("GREEN", 0.0))
        ]
        return self._add(
            "traffic_light",
            line_token=self._line(np.array([[x, y] - side, [x, y] + side])),
            traffic_light_type="VERTICAL",
            from_road_block_token="",
            items=items,
            pose={"tx": x, "ty": y, "tz": 3.0, "rx": 0.0, "ry": 0.0, "rz": yaw},
        )

    def _marking(
        self, marking: Marking, road: RoadMap, crossings: list[tuple[str, Array]], lights: list[tuple[str, Signal]]
    ) -> None:
        line = LineString(marking.xy)
        if marking.kind == "stop":
            lamps = [name for name, signal in lights if line.distance(LineString(signal.stop_line_xy)) < 2.0]
            zebra = [name for name, xy in crossings if line.distance(Polygon(xy)) < 5.0]
            kind = "TRAFFIC_LIGHT" if lamps else "PED_CROSSING" if zebra else "STOP_SIGN"
            outline = np.asarray(line.buffer(0.5 * max(marking.width_m, 0.3), cap_style="flat").exterior.coords)[:-1]
            cues = {"ped_crossing_tokens": zebra if not lamps else [], "traffic_light_tokens": lamps}
            self._add_polygon("stop_line", outline, stop_line_type=kind, **cues, road_block_token="")
        elif marking.kind in ("solid", "dashed"):
            if _between_directions(marking.xy, road):
                self._add("road_divider", line_token=self._line(marking.xy), road_segment_token="")
                return
            name = self._line(marking.xy)
            kind = "SINGLE_DASHED_WHITE" if marking.kind == "dashed" else "SINGLE_SOLID_WHITE"
            nodes = self._layers["line"][-1]["node_tokens"]
            segments = [{"node_token": node, "segment_type": kind} for node in nodes]
            self._add("lane_divider", line_token=name, lane_divider_segments=segments)


def _is_connector(lane: Lane) -> bool:
    return ">" in lane.id


def _near(segments: list[dict[str, Any]]) -> str:
    return str(segments[0]["token"]) if segments else ""


def _band(xy: Array, width_m: float) -> Array:
    area = LineString(xy).simplify(_SIMPLIFY_M).buffer(0.5 * width_m, cap_style="flat", join_style="mitre")
    return np.asarray(area.exterior.coords)[:-1]


def _edge(xy: Array, width_m: float, at: int) -> Array:
    unit = (xy[1] - xy[0]) / max(float(np.hypot(*(xy[1] - xy[0]))), 1e-9)
    side = 0.5 * width_m * np.array([-unit[1], unit[0]])
    return np.array([xy[at] + side, xy[at] - side])


def _between_directions(xy: Array, road: RoadMap) -> bool:
    """Whether the lanes nearest to the middle of a line, one on each side, run in opposite directions."""
    if len(xy) < 2:
        return False
    middle = len(xy) // 2
    here, along = xy[middle], xy[middle] - xy[middle - 1]
    best: dict[bool, tuple[float, float]] = {}
    for lane in road.lanes:
        delta = lane.centre_xy - here
        i = int(np.argmin((delta**2).sum(-1)))
        distance = float(np.hypot(*delta[i]))
        if distance > lane.width_m:
            continue
        heading = lane.centre_xy[min(i + 1, len(lane.centre_xy) - 1)] - lane.centre_xy[max(i - 1, 0)]
        left = bool(along[0] * delta[i, 1] - along[1] * delta[i, 0] > 0)
        if distance < best.get(left, (math.inf, 0.0))[0]:
            best[left] = (distance, float(along @ heading))
    return len(best) == 2 and best[True][1] * best[False][1] < 0


def _extras(road: RoadMap, tokens: dict[str, str]) -> dict[str, Any]:
    def rounded(array: Array) -> list[Any]:
        return np.round(np.asarray(array, np.float64), 4).tolist()

    return {
        "lanes": {
            tokens[lane.id]: {
                "id": lane.id,
                "width_m": lane.width_m,
                **({"speed_limit_mps": lane.speed_limit_mps} if lane.speed_limit_mps > 0 else {}),  # 0: the source states none
                "left": lane.left,
                "right": lane.right,
            }
            for lane in road.lanes
        },
        "markings": [{"xy": rounded(m.xy), "kind": m.kind, "width_m": m.width_m} for m in road.markings],
        "signals": [
            {
                "xy_yaw": [float(v) for v in s.xy_yaw_world],
                "stop_line_xy": rounded(s.stop_line_xy),
                "lane_ids": list(s.lane_ids),
                "phase_s": list(s.phase_s),
                "offset_s": s.offset_s,
            }
            for s in road.signals
        ],
        "building_xy_yaw": np.round(road.building_xy_yaw, 6).tolist(),
        "building_size_lwh_m": rounded(road.building_size_lwh_m),
        "tree_xy_height": rounded(road.tree_xy_height),
    }
