"""From an .xodr file to roads: reference lines, lane sections, widths, links (ASAM OpenDRIVE 1.7, sections 7 to 10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from drivewm.errors import InputError
from drivewm.geometry import Array
from drivewm.scenarios.opendrive.furniture import Lamp, RoadObject, lamps, road_objects
from drivewm.scenarios.opendrive.planview import PlanElement, cubic_at, reference_pose
from drivewm.scenarios.xml import Element, child, children, read_xml, real, tag

Cubic = tuple[float, float, float, float, float]  # s0, a, b, c, d
MAX_ROAD_M = 200_000.0
MAX_ROADS = 20_000
UNITS = {"m/s": 1.0, "km/h": 1 / 3.6, "mph": 0.44704}
SPEED_OF_TYPE_MPS = {"motorway": 130 / 3.6, "rural": 100 / 3.6, "townExpressway": 70 / 3.6, "lowSpeed": 30 / 3.6}
TOWN_MPS = 50 / 3.6


@dataclass(frozen=True)
class RoadLane:
    """One lane of a lane section; negative ids lie right of the reference line and run along s where traffic keeps right."""

    id: int
    kind: str
    width: tuple[Cubic, ...]  # s0 counts from the start of the section
    border: tuple[Cubic, ...]  # the outer edge as t, instead of a width
    predecessor: int | None
    successor: int | None
    speed_mps: float | None
    marks: tuple[tuple[float, str, float], ...]  # (s0, type, width) at the outer edge


@dataclass(frozen=True)
class LaneSection:
    s_m: float  # start on the road
    end_m: float
    lanes: dict[int, RoadLane]  # without the centre lane
    centre_marks: tuple[tuple[float, str, float], ...]


@dataclass(frozen=True)
class Link:
    """What follows a road at one of its ends."""

    kind: str  # "road" | "junction"
    id: str
    contact: str  # "start" | "end"; of the road that follows


@dataclass(frozen=True)
class Road:
    id: str
    length_m: float
    junction: str  # "-1" outside junctions
    elements: tuple[PlanElement, ...]
    lane_offset: tuple[Cubic, ...]
    sections: tuple[LaneSection, ...]
    predecessor: Link | None = None
    successor: Link | None = None
    left_hand: bool = False
    speed_mps: float = TOWN_MPS
    kind: str = ""
    objects: tuple[RoadObject, ...] = ()
    lamps: tuple[Lamp, ...] = ()

    def reference(self, s_m: Array | float) -> Array:
        """Poses [..., 3] of the reference line."""
        return reference_pose(self.elements, np.asarray(s_m, np.float64))

    def pose(self, s_m: Array | float, t_m: Array | float) -> Array:
        """World poses [..., 3] at (s, t), heading along s."""
        pose = self.reference(np.asarray(s_m, np.float64))
        aside = np.asarray(t_m, np.float64)[..., None] * np.stack([-np.sin(pose[..., 2]), np.cos(pose[..., 2])], -1)
        return np.concatenate([pose[..., :2] + aside, pose[..., 2:]], -1)

    def section_index(self, s_m: float) -> int:
        starts = [section.s_m for section in self.sections]
        return int(np.clip(np.searchsorted(starts, s_m + 1e-9, side="right") - 1, 0, len(starts) - 1))

    def edges(self, section: LaneSection, lane_id: int, s_m: Array) -> tuple[Array, Array]:
        """Inner and outer edge of a lane as t [...] at road arc lengths [...]."""
        offset, _ = cubic_at(self.lane_offset, s_m)
        side = 1 if lane_id > 0 else -1
        inner = outer = offset
        for number in range(side, lane_id + side, side):
            lane = section.lanes.get(number)
            inner = outer
            if lane is None:
                continue
            local = np.asarray(s_m) - section.s_m
            if lane.border and not lane.width:
                outer = offset + cubic_at(lane.border, local)[0]
            else:
                outer = inner + side * np.maximum(cubic_at(lane.width, local)[0], 0.0)
        return inner, outer

    def along_s(self, lane_id: int) -> bool:
        """Whether traffic in a lane runs in the direction of s."""
        return (lane_id < 0) != self.left_hand


@dataclass(frozen=True)
class Connection:
    incoming: str
    connecting: str
    contact: str
    links: dict[int, int]


@dataclass(frozen=True)
class RoadFile:
    file: Path
    roads: dict[str, Road]
    junctions: dict[str, tuple[Connection, ...]]
    ignored: tuple[tuple[str, int], ...] = field(default=())  # (element, line)


def read_roads(path: str | Path) -> RoadFile:
    """All roads of a file; raises `InputError` with file and line."""
    file = Path(path)
    root = read_xml(file, "OpenDRIVE")
    roads: dict[str, Road] = {}
    for element in children(root, "road"):
        road = _road(element, file)
        if road.id in roads:
            raise InputError(f"road {road.id!r} is given twice", file=file, line=element.sourceline)
        roads[road.id] = road
        if len(roads) > MAX_ROADS:
            raise InputError(f"has more than {MAX_ROADS} roads", file=file)
    if not roads:
        raise InputError("has no road", file=file, line=root.sourceline)
    junctions = {
        str(e.get("id")): tuple(_connection(c, file) for c in children(e, "connection")) for e in children(root, "junction")
    }
    skipped = {"elevationProfile", "lateralProfile", "surface", "railroad", "controller", "station"}
    ignored = [(tag(e), int(e.sourceline or 0)) for e in root.iter() if isinstance(e.tag, str) and tag(e) in skipped and len(e)]
    for one in children(root, "road"):
        for name, others in (("objects", road_objects(one, file)[1]), ("signals", lamps(one, file)[1])):
            ignored += [(name, int(group.sourceline or 0)) for group in children(one, name) if others]
    return RoadFile(file, roads, junctions, tuple(ignored))


def _road(element: Element, file: Path) -> Road:
    elements = tuple(sorted((_plan_element(g, file) for g in children_of(element, "planView", "geometry")), key=lambda e: e.s_m))
    if not elements:
        raise InputError("a road needs a planView with at least one geometry", file=file, line=element.sourceline)
    length = max(e.s_m + e.length_m for e in elements)
    if not 0 < length <= MAX_ROAD_M:
        raise InputError(f"a road is {length:g} m long", file=file, line=element.sourceline, hint=f"at most {MAX_ROAD_M:g} m")
    lanes = child(element, "lanes")
    sections = [] if lanes is None else children(lanes, "laneSection")
    if not sections:
        raise InputError("a road needs at least one laneSection", file=file, line=element.sourceline)
    starts = [real(s, "s", file, 0.0) for s in sections]
    order = np.argsort(starts, kind="stable")
    ends = [*(starts[i] for i in order[1:]), length]
    types = children(element, "type")
    kind = str(types[0].get("type", "")) if types else ""
    limit = child(types[0], "speed") if types else None
    return Road(
        id=str(element.get("id")),
        length_m=length,
        junction=str(element.get("junction", "-1")),
        elements=elements,
        lane_offset=_cubics(children(lanes, "laneOffset"), "s", file) if lanes is not None else (),
        sections=tuple(_section(sections[i], starts[i], end, file) for i, end in zip(order, ends, strict=True)),
        predecessor=_link(child(element, "link", "predecessor")),
        successor=_link(child(element, "link", "successor")),
        left_hand=element.get("rule") == "LHT",
        speed_mps=(_speed(limit, "max", file) if limit is not None else None) or SPEED_OF_TYPE_MPS.get(kind, TOWN_MPS),
        kind=kind,
        objects=road_objects(element, file)[0],
        lamps=lamps(element, file)[0],
    )


def children_of(element: Element, group: str, name: str) -> list[Element]:
    parent = child(element, group)
    return [] if parent is None else children(parent, name)


def _plan_element(geometry: Element, file: Path) -> PlanElement:
    shapes = children(geometry, "line", "arc", "spiral", "poly3", "paramPoly3")
    if not shapes:
        raise InputError("a geometry without line, arc, spiral, poly3 or paramPoly3", file=file, line=geometry.sourceline)
    shape = shapes[0]
    names = {
        "line": (),
        "arc": ("curvature",),
        "spiral": ("curvStart", "curvEnd"),
        "poly3": ("a", "b", "c", "d"),
        "paramPoly3": ("aU", "bU", "cU", "dU", "aV", "bV", "cV", "dV"),
    }[tag(shape)]
    s, x, y, heading, length = (real(geometry, name, file) for name in ("s", "x", "y", "hdg", "length"))
    if not 0 <= length <= MAX_ROAD_M:
        raise InputError(f"a geometry is {length:g} m long", file=file, line=geometry.sourceline)
    parameters = tuple(real(shape, name, file) for name in names)
    return PlanElement(tag(shape), s, np.array([x, y, heading]), length, parameters, shape.get("pRange") != "arcLength")


def _section(element: Element, start_m: float, end_m: float, file: Path) -> LaneSection:
    lanes: dict[int, RoadLane] = {}
    for side in children(element, "left", "right"):
        for one in children(side, "lane"):
            number = _whole(one.get("id"))
            if number is None or number == 0 or abs(number) > 100:
                raise InputError(f"{one.get('id')!r} is not a lane id", file=file, line=one.sourceline)
            lanes[number] = _lane(one, number, file)
    centre = child(element, "center", "lane")
    return LaneSection(start_m, end_m, lanes, () if centre is None else _marks(centre, file))


def _lane(element: Element, number: int, file: Path) -> RoadLane:
    speeds = children(element, "speed")
    return RoadLane(
        id=number,
        kind=str(element.get("type", "none")),
        width=_cubics(children(element, "width"), "sOffset", file),
        border=_cubics(children(element, "border"), "sOffset", file),
        predecessor=_linked(child(element, "link", "predecessor")),
        successor=_linked(child(element, "link", "successor")),
        speed_mps=_speed(speeds[0], "max", file) if speeds else None,
        marks=_marks(element, file),
    )


def _marks(element: Element, file: Path) -> tuple[tuple[float, str, float], ...]:
    marks = [
        (real(m, "sOffset", file, 0.0), str(m.get("type", "none")), real(m, "width", file, 0.12))
        for m in children(element, "roadMark")
    ]
    return tuple(sorted(marks))


def _cubics(elements: list[Element], start: str, file: Path) -> tuple[Cubic, ...]:
    rows = [(real(e, start, file, 0.0), *(real(e, name, file, 0.0) for name in "abcd")) for e in elements]
    return tuple(sorted((r[0], r[1], r[2], r[3], r[4]) for r in rows))


def _speed(element: Element, name: str, file: Path) -> float | None:
    if element.get(name) in (None, "no limit", "undefined"):
        return None
    return real(element, name, file) * UNITS.get(str(element.get("unit", "m/s")), 1.0)


def _link(element: Element | None) -> Link | None:
    if element is None:
        return None
    return Link(str(element.get("elementType", "road")), str(element.get("elementId")), str(element.get("contactPoint", "start")))


def _linked(element: Element | None) -> int | None:
    return None if element is None else _whole(element.get("id"))


def _whole(raw: str | None) -> int | None:
    try:
        return int(str(raw))
    except ValueError:
        return None


def _connection(element: Element, file: Path) -> Connection:
    links: dict[int, int] = {}
    for one in children(element, "laneLink"):
        a, b = _whole(one.get("from")), _whole(one.get("to"))
        if a is None or b is None:
            raise InputError("a laneLink needs whole numbers", file=file, line=one.sourceline)
        links[a] = b
    return Connection(
        str(element.get("incomingRoad")), str(element.get("connectingRoad")), str(element.get("contactPoint", "start")), links
    )
