"""A map as an OpenDRIVE 1.7 file. Roads, lanes and links are those of ASAM OpenDRIVE 1.7, sections 7 to 10."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

import numpy as np
from scenariogeneration import xodr
from shapely import LineString, distance, points, unary_union

from drivewm.datatypes import RoadMap
from drivewm.scenarios.export.furniture import furnished
from drivewm.scenarios.export.strips import Connections, Strip, connections, strips
from drivewm.scenarios.export.verges import Ground, Verge

MOTORWAY_MPS, TOWN_MPS = 22.0, 17.0
PAINT_M = 0.4  # how far beside the edge of a lane a painted line still is that of the edge
DATE = "1970-01-01T00:00:00"  # equal scenes make equal files


def road_element(road: RoadMap, name: str) -> tuple[Element, list[str]]:
    """The whole file, and what it cannot say."""
    roads = strips(road)
    joined, ground, paint = connections(roads), Ground(road), _Paint(road)
    file = xodr.OpenDrive(name, revMinor="7")
    written = {}
    for strip in roads:
        one = written[strip.id] = _road(strip, joined, ground, paint)
        _link(one, strip.id, joined)
        file.add_road(one)
    notes = furnished(road, roads, written)
    for junction in sorted(set(joined.junction_of.values())):
        file.add_junction(_junction(junction, joined))
    alone = sum(len(s.lanes) == 1 and (s.lanes[0].left is not None or s.lanes[0].right is not None) for s in roads)
    if alone:
        notes.append(f"{alone} lanes that are not parallel to their neighbours are roads of their own")
    notes += paint.left_over()
    element: Element = file.get_element()
    header = element.find("header")
    assert header is not None
    header.set("date", DATE)
    for one in [*element.iter("object"), *element.iter("signal")]:
        one.set("id", str(one.get("name")))  # the library numbers on from file to file
    for one in element.iter("signal"):
        one.set("country", "OpenDRIVE")  # the library's capitals are not in the schema
    return element, notes


def _road(strip: Strip, joined: Connections, ground: Ground, paint: _Paint) -> xodr.Road:
    plan = xodr.PlanView()
    for element in strip.elements:
        shape = xodr.Line(element.length_m)
        if element.kind != "line":
            shape = xodr.ParamPoly3(*map(float, element.parameters), length=element.length_m)
        plan.add_fixed_geometry(shape, *map(float, element.start_xy_yaw), s=element.s_m)
    junction = joined.junction_of.get(strip.id, -1)
    out = xodr.Road(strip.id, plan, _lanes(strip, joined, ground, paint), road_type=junction, name=strip.lanes[0].id)
    limit = max(lane.speed_limit_mps for lane in strip.lanes)
    kind = xodr.RoadType.town if limit < TOWN_MPS else xodr.RoadType.rural if limit < MOTORWAY_MPS else xodr.RoadType.motorway
    out.add_type(kind, speed=limit)
    return out


def _lanes(strip: Strip, joined: Connections, ground: Ground, paint: _Paint) -> xodr.Lanes:
    centre = xodr.Lane(lane_type=xodr.LaneType.none)
    centre.add_roadmark(paint.mark(strip, strip.left_m))
    section = xodr.LaneSection(0, centre)
    edge = strip.left_m
    for number, lane in enumerate(strip.lanes, start=1):
        parked = lane.id.startswith("parking")
        out = xodr.Lane(lane_type=xodr.LaneType.parking if parked else xodr.LaneType.driving, a=lane.width_m)
        edge -= lane.width_m
        out.add_roadmark(paint.mark(strip, edge))
        for kind, moves in (("successor", joined.out_of(strip.id)), ("predecessor", joined.into(strip.id))):
            # Where a road meets a junction from outside, the junction links its lanes.
            links = [pair for move in moves if joined.meets(strip.id, move) is None for pair in move.lanes]
            ends = {a if kind == "predecessor" else b for a, b in links if (b if kind == "predecessor" else a) == number}
            if len(ends) == 1:
                out.add_link(kind, -ends.pop())
        section.add_right_lane(out)
    walked = strip.id not in joined.junction_of
    for verge in ground.verges(strip, walked=walked):
        (section.add_left_lane if verge.left else section.add_right_lane)(_beside(verge))
    lanes = xodr.Lanes()
    lanes.add_laneoffset(xodr.LaneOffset(a=strip.left_m))
    lanes.add_lanesection(section)
    return lanes


def _beside(verge: Verge) -> xodr.Lane:
    kind = xodr.LaneType.shoulder if verge.kind == "shoulder" else xodr.LaneType.sidewalk
    slope = np.append(np.diff(verge.width_m) / np.diff(verge.s_m), 0.0)
    out = xodr.Lane(kind, a=float(verge.width_m[0]), b=float(slope[0]))
    for s, width, rate in zip(verge.s_m[1:-1], verge.width_m[1:-1], slope[1:-1], strict=True):
        out.add_lane_width(a=float(width), b=float(rate), soffset=float(s))
    return out


def _link(out: xodr.Road, road: int, joined: Connections) -> None:
    """What follows and what comes before; inside a junction at most one of each."""
    for moves, add, contact in (
        (joined.out_of(road), out.add_successor, xodr.ContactPoint.start),
        (joined.into(road), out.add_predecessor, xodr.ContactPoint.end),
    ):
        met = {junction for junction in (joined.meets(road, move) for move in moves) if junction is not None}
        if met:
            add(xodr.ElementType.junction, met.pop())
        elif len(moves) == 1:
            add(xodr.ElementType.road, moves[0].goal if moves[0].start == road else moves[0].start, contact)


def _junction(junction: int, joined: Connections) -> xodr.Junction:
    out = xodr.Junction(f"junction {junction}", junction)
    for move in joined.moves:
        if joined.meets(move.start, move) == junction:
            connection = xodr.Connection(move.start, move.goal, xodr.ContactPoint.start)
            for a, b in move.lanes:
                connection.add_lanelink(-a, -b)
            out.add_connection(connection)
    return out


class _Paint:
    """The painted lines of a map, and which of them became edges of lanes."""

    def __init__(self, road: RoadMap) -> None:
        self._lines = [(marking, LineString(marking.xy)) for marking in road.markings if len(marking.xy) > 1]
        self._edges: list[LineString] = []

    def mark(self, strip: Strip, t_m: float) -> xodr.RoadMark:
        """The mark of an edge of a road: the kind of line that lies along most of it."""
        pose = strip.reference(np.linspace(0.0, strip.length_m, 11)[1:-1])
        here = points(pose[:, :2] + t_m * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], 1))
        found: Counter[str] = Counter()
        widths: dict[str, float] = {}
        for marking, line in self._lines:
            near = int((distance(here, line) < PAINT_M).sum())
            if near and marking.kind != "stop":
                found[marking.kind] += near
                widths[marking.kind] = marking.width_m
        kind, count = found.most_common(1)[0] if found else ("", 0)
        if 2 * count < len(here):
            return xodr.RoadMark(xodr.RoadMarkType.none)
        self._edges.append(LineString(here))
        shape = {"dashed": xodr.RoadMarkType.broken, "kerb": xodr.RoadMarkType.curb}.get(kind, xodr.RoadMarkType.solid)
        return xodr.RoadMark(shape, widths[kind])

    def left_over(self) -> list[str]:
        """The lines of which no edge of a lane stands for at least half."""
        kinds: Counter[str] = Counter()
        edges = unary_union(self._edges)
        for marking, line in self._lines:
            along = distance(line.interpolate(np.linspace(0.05, 0.95, 10), normalized=True), edges) < 2 * PAINT_M
            kinds[marking.kind] += bool(np.sum(along) < 5)
        return [f"{count} painted lines ({kind}) lie along no lane" for kind, count in sorted(kinds.items()) if count]
