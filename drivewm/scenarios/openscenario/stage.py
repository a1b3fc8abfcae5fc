"""Where the rehearsal takes place: the roads of the file, or plain straight ones where it names a place that is not at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.geometry import point_at_s, polyline_s_m
from drivewm.scenarios.opendrive.network import Network, Node
from drivewm.scenarios.opendrive.planview import PlanElement
from drivewm.scenarios.opendrive.reading import LaneSection, Road, RoadFile, RoadLane, read_roads
from drivewm.scenarios.openscenario.expressions import Value
from drivewm.scenarios.openscenario.movers import Mover, turned_rad
from drivewm.scenarios.openscenario.reading import Note, Reading
from drivewm.scenarios.xml import Element, child

LANE_M = 3.5
STAND_IN_M = 2000.0
WAY_M = 4000.0  # of a lane ahead: at motorway speed for the longest scene
STRAIGHT_M = 600.0  # where no lane leads on


@dataclass
class Stage:
    """Everything that changes during a rehearsal."""

    network: Network
    movers: dict[str, Mover]
    ego: str
    groups: dict[str, tuple[str, ...]]
    mirrored: bool  # world coordinates of the file are left-handed
    t_s: float = 0.0
    dt_s: float = 0.1
    variables: dict[str, Value] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)
    states: dict[tuple[str, str], str] = field(default_factory=dict)  # (type, name) to "running", "complete" ...

    def mover(self, reading: Reading, element: Element, name: str) -> Mover:
        if name not in self.movers:
            reading.fail(element, f"there is no entity {name!r}")
        return self.movers[name]

    def members(self, name: str) -> tuple[str, ...]:
        """The entities that a name stands for."""
        return self.groups.get(name, (name,))

    def place(self, mover: Mover, pose: Array, goals: tuple[Node, ...] = ()) -> None:
        """Puts an entity at a pose [3]: on the way of the lane in which it stands, or straight on if it heads elsewhere."""
        mover.placed = True
        found = self.network.locate(pose)
        if found is not None and found.lane is not None:
            node = self.network.node_at(found.road, found.lane, found.s_m)
            lane_yaw = self.network.lane_pose(found.road, found.lane, found.s_m)[2]
            if node is not None and turned_rad(lane_yaw, pose[2]) < math.radians(40):
                side = 1.0 if self.network.road(found.road).along_s(found.lane) else -1.0
                aside = side * (found.t_m - float(self.network.centre_t(found.road, found.lane, found.s_m)))
                mover.follow(self.network.way(node, found.s_m, WAY_M, goals), 0.0, aside)
                return
            if turned_rad(lane_yaw, pose[2]) > math.radians(140):
                mover.follow(self._against(found.road, found.s_m, found.t_m, pose[2]), 0.0, 0.0)
                return
        ahead = np.arange(0.0, STRAIGHT_M)[:, None] * np.array([math.cos(pose[2]), math.sin(pose[2])])
        mover.follow(pose[:2] + ahead, 0.0, 0.0)

    def _against(self, road_id: str, s_m: float, t_m: float, yaw: float) -> Array:
        """Along a road against the traffic of the lane, at the same distance from the reference line."""
        road = self.network.road(road_id)
        forward = turned_rad(float(road.reference(s_m)[2]), yaw) < math.pi / 2
        s = s_m + (1.0 if forward else -1.0) * np.arange(0.0, STRAIGHT_M)
        return road.pose(s, np.full(len(s), t_m))[:, :2]

    def lane_goal(self, pose: Array) -> Node | None:
        """The lane under a pose, as a goal of a route."""
        found = self.network.locate(pose)
        return None if found is None or found.lane is None else self.network.node_at(found.road, found.lane, found.s_m)

    def way_on(self, path_xy: Array, length_m: float) -> Array:
        """A path [P, 2] continued along the lane in which it ends, if it ends in one."""
        step = path_xy[-1] - path_xy[-2]
        pose = np.array([*path_xy[-1], math.atan2(step[1], step[0])])
        found = self.network.locate(pose, driving=True)
        if found is None or found.lane is None:
            return path_xy
        node = self.network.node_at(found.road, found.lane, found.s_m)
        lane = self.network.lane_pose(found.road, found.lane, found.s_m)
        aside = -(pose[0] - lane[0]) * math.sin(lane[2]) + (pose[1] - lane[1]) * math.cos(lane[2])
        if node is None or turned_rad(lane[2], pose[2]) > 0.2 or abs(aside) > 0.6:
            return path_xy
        way = self.network.way(node, found.s_m, length_m)
        return np.vstack([path_xy, way[int(min(6.0, polyline_s_m(way)[-1] - 2)) :]])


def every_metre(xy: Array) -> Array:
    """The polyline [P, 2] with vertices 1 m apart, at least 2 m of it."""
    return point_at_s(xy, np.arange(0.0, max(float(polyline_s_m(xy)[-1]), 2.0) + 1e-9))[:, :2]


def network_of(reading: Reading, root: Element) -> Network:
    """The network of the file's LogicFile; straight roads (and a note) if it is not an OpenDRIVE file at hand."""
    element = child(root, "RoadNetwork")
    logic = None if element is None else child(element, "LogicFile")
    if element is not None:
        reading.use(element)
    if element is None or logic is None or not str(logic.get("filepath", "")).strip():
        if element is not None:
            reading.note(element, "names no road; a straight one stands for it")
        return _stand_in(reading, root)
    reading.use(logic)
    path = reading.path(logic, "filepath")
    if path.suffix.lower() != ".xodr" or not path.is_file():
        reading.note(logic, f"the road network {str(logic.get('filepath'))[:80]!r} is not at hand; straight roads stand for it")
        return _stand_in(reading, root)
    found = _read(path)
    for name, line in found.file.ignored:
        _note_road(reading, path, name, line)
    reading.shared.files.setdefault(path, path.read_bytes())
    return found


_KEPT: dict[tuple[Path, int, int], Network] = {}


def _read(path: Path) -> Network:
    """The network of a file, kept for the next draws."""
    status = path.stat()
    key = (path.resolve(), status.st_mtime_ns, status.st_size)
    if key not in _KEPT:
        if len(_KEPT) > 8:
            _KEPT.clear()
        _KEPT[key] = Network(read_roads(path))
    return _KEPT[key]


def _note_road(reading: Reading, path: Path, name: str, line: int) -> None:
    reading.shared.notes.setdefault((path.name, line, name), Note(path.name, line, name, "has no effect here"))


def _stand_in(reading: Reading, root: Element) -> Network:
    """A straight road for every road that is mentioned, wide enough for the lanes that are; by default one with two lanes."""
    wanted: dict[str, int] = {}
    for one in root.iter("{*}LanePosition", "{*}RoadPosition"):
        try:
            road = reading.text(one, "roadId")
            lane = (
                abs(reading.whole(one, "laneId")) if one.get("laneId") else math.ceil(abs(reading.number(one, "t", 0.0)) / LANE_M)
            )
        except InputError:  # reported where the position is used
            continue
        wanted[road] = min(max(wanted.get(road, 1), lane), 20)
    origin = _start_of_ego(reading, root)
    roads = {}
    for i, (road, lanes) in enumerate((wanted or {"0": 1}).items()):
        start = np.array([0.0, 300.0 * i, 0.0]) if wanted or origin is None else origin
        roads[road] = _straight(road, max(lanes, 2), start)
    return Network(RoadFile(reading.file, roads, {}))


def _start_of_ego(reading: Reading, root: Element) -> Array | None:
    """Where a straight road begins whose right lane passes through the first world position of the file, 100 m before it."""
    for one in root.iter("{*}WorldPosition"):
        mirror = -1.0 if is_mirrored(root) else 1.0
        x, y, yaw = reading.number(one, "x"), mirror * reading.number(one, "y"), mirror * reading.number(one, "h", 0.0)
        aside = 0.5 * LANE_M
        return np.array([x - 100 * math.cos(yaw) - aside * math.sin(yaw), y - 100 * math.sin(yaw) + aside * math.cos(yaw), yaw])
    return None


def is_mirrored(root: Element) -> bool:
    """Whether world coordinates are those of CARLA (y to the right), which its scenario runner marks in the description."""
    header = child(root, "FileHeader")
    return header is not None and str(header.get("description", "")).startswith("CARLA:")


def _straight(name: str, lanes: int, start: Array) -> Road:
    def lane(number: int) -> RoadLane:
        mark = "solid" if abs(number) == lanes else "broken"
        return RoadLane(number, "driving", ((0.0, LANE_M, 0.0, 0.0, 0.0),), (), None, None, None, ((0.0, mark, 0.15),))

    numbers = [*range(lanes, 0, -1), *range(-1, -lanes - 1, -1)]
    section = LaneSection(0.0, STAND_IN_M, {n: lane(n) for n in numbers}, ((0.0, "broken", 0.15),))
    return Road(name, STAND_IN_M, "-1", (PlanElement("line", 0.0, start, STAND_IN_M),), (), (section,))
