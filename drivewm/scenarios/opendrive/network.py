"""A road network to stand and drive on: poses at road and lane coordinates, the lane under a point, ways through lanes.

Lane coordinates are those of OpenDRIVE 1.7, sections 6.3 and 9: s along the reference line, t and offsets positive to its left.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from drivewm.geometry import Array, point_at_s, polyline_s_m, wrap_angle_rad
from drivewm.scenarios.opendrive.planview import cubic_at
from drivewm.scenarios.opendrive.reading import LaneSection, Road, RoadFile, RoadLane

DRIVING = frozenset(
    {"driving", "entry", "exit", "onRamp", "offRamp", "connectingRamp", "bidirectional", "slipLane", "HOV", "bus", "taxi"}
)
Node = tuple[str, int, int]  # road, section, lane
NEAREST = 24
MOST_STEPS = 5000  # lanes on one way
SAMPLE_M = 2.0


@dataclass(frozen=True)
class RoadPlace:
    """Where a point lies on the network; ``lane`` is None beside all lanes."""

    road: str
    s_m: float
    t_m: float
    lane: int | None


@dataclass(frozen=True)
class Network:
    file: RoadFile

    def road(self, road_id: str) -> Road:
        """Raises KeyError for an unknown road."""
        return self.file.roads[road_id]

    def lane(self, node: Node) -> RoadLane:
        return self.section(node).lanes[node[2]]

    def section(self, node: Node) -> LaneSection:
        return self.road(node[0]).sections[node[1]]

    def node_at(self, road_id: str, lane_id: int, s_m: float) -> Node | None:
        """The lane at an arc length of a road; None where the section has no such lane."""
        road = self.road(road_id)
        index = road.section_index(s_m)
        return (road_id, index, lane_id) if lane_id in road.sections[index].lanes else None

    def centre_t(self, road_id: str, lane_id: int, s_m: Array | float) -> Array:
        """The t [...] of a lane's centre; the reference line for lane 0."""
        road, s = self.road(road_id), np.asarray(s_m, np.float64)
        if lane_id == 0:
            return cubic_at(road.lane_offset, s)[0]
        section = road.sections[road.section_index(float(np.mean(s)))]
        inner, outer = road.edges(section, lane_id, s)
        return 0.5 * (inner + outer)

    def lane_pose(self, road_id: str, lane_id: int, s_m: float, offset_m: float = 0.0) -> Array:
        """The pose [3] ``offset_m`` left (of s) of a lane's centre, heading the way traffic in that lane drives."""
        road = self.road(road_id)
        pose = road.pose(s_m, self.centre_t(road_id, lane_id, s_m) + offset_m)
        ahead, behind = (road.pose(s_m + d, self.centre_t(road_id, lane_id, s_m + d)) for d in (0.1, -0.1))
        yaw = np.arctan2(ahead[1] - behind[1], ahead[0] - behind[0])
        if lane_id and not road.along_s(lane_id):
            yaw += np.pi
        return np.array([pose[0], pose[1], wrap_angle_rad(yaw)])

    @cached_property
    def _samples(self) -> tuple[cKDTree, list[str], Array, Array]:
        step = max(SAMPLE_M, sum(r.length_m for r in self.file.roads.values()) / 200_000)
        names, owner, where, points = list(self.file.roads), [], [], []
        for i, road in enumerate(self.file.roads.values()):
            s = np.linspace(0.0, road.length_m, int(np.ceil(road.length_m / step)) + 1)
            points.append(road.reference(s)[:, :2])
            where.append(s)
            owner.append(np.full(len(s), i))
        return cKDTree(np.concatenate(points)), names, np.concatenate(owner), np.concatenate(where)

    def places(self, xy: Array) -> Iterator[RoadPlace]:
        """The place of a point [2] on every road near it, nearest reference line first."""
        tree, names, owner, where = self._samples
        _, found = tree.query(xy, k=min(NEAREST, len(where)))
        seen: set[int] = set()
        for index in np.atleast_1d(found):
            if int(owner[index]) in seen:
                continue
            seen.add(int(owner[index]))
            road, s = self.road(names[owner[index]]), float(where[index])
            for _ in range(4):
                x, y, yaw = road.reference(s)
                s = float(np.clip(s + (xy[0] - x) * np.cos(yaw) + (xy[1] - y) * np.sin(yaw), 0.0, road.length_m))
            x, y, yaw = road.reference(s)
            t = float(-(xy[0] - x) * np.sin(yaw) + (xy[1] - y) * np.cos(yaw))
            yield RoadPlace(road.id, s, t, self._lane_holding(road, s, t))

    @staticmethod
    def _lane_holding(road: Road, s: float, t: float) -> int | None:
        section = road.sections[road.section_index(s)]
        for number in section.lanes:
            inner, outer = road.edges(section, number, np.array(s))
            if min(inner, outer) - 1e-6 <= t <= max(inner, outer) + 1e-6 and abs(outer - inner) > 1e-3:
                return number
        return None

    def locate(self, xy_yaw: Array, *, driving: bool = False) -> RoadPlace | None:
        """The place of a pose [3]: in a lane that runs its way if there is one, else in any lane; None off the roads."""
        best, score = None, np.inf
        for place in self.places(xy_yaw[:2]):
            if place.lane is None:
                continue
            road = self.road(place.road)
            kind = road.sections[road.section_index(place.s_m)].lanes[place.lane].kind
            if driving and kind not in DRIVING:
                continue
            yaw = float(road.reference(place.s_m)[2]) + (0.0 if road.along_s(place.lane) else np.pi)
            aside = abs(place.t_m - float(self.centre_t(place.road, place.lane, place.s_m)))
            cost = abs(float(wrap_angle_rad(yaw - xy_yaw[2]))) + 0.1 * aside + (0.0 if kind in DRIVING else 1.0)
            if cost < score:
                best, score = place, cost
        return best

    def following(self, node: Node) -> tuple[Node, ...]:
        """The lanes into which traffic leaves a lane."""
        road, along = self.road(node[0]), self.road(node[0]).along_s(node[2])
        return self._linked(node, forward=along, road=road)

    def preceding(self, node: Node) -> tuple[Node, ...]:
        """The lanes from which traffic comes into a lane, as far as the lane itself links them."""
        road, along = self.road(node[0]), self.road(node[0]).along_s(node[2])
        return self._linked(node, forward=not along, road=road)

    def _linked(self, node: Node, *, forward: bool, road: Road) -> tuple[Node, ...]:
        lane = self.lane(node)
        number = lane.successor if forward else lane.predecessor
        index = node[1] + (1 if forward else -1)
        if 0 <= index < len(road.sections):
            number = node[2] if number is None else number
            return ((road.id, index, number),) if number in road.sections[index].lanes else ()
        link = road.successor if forward else road.predecessor
        if link is None:
            return ()
        if link.kind == "junction":
            found = []
            for connection in self.file.junctions.get(link.id, ()):
                if connection.incoming == road.id and node[2] in connection.links:
                    found.append(self._entry(connection.connecting, connection.contact, connection.links[node[2]]))
            return tuple(n for n in found if n is not None)
        target = self._entry(link.id, link.contact, number) if number is not None else None
        return () if target is None else (target,)

    def _entry(self, road_id: str, contact: str, lane_id: int) -> Node | None:
        road = self.file.roads.get(road_id)
        if road is None:
            return None
        index = 0 if contact == "start" else len(road.sections) - 1
        return (road_id, index, lane_id) if lane_id in road.sections[index].lanes else None

    def centre_line(self, node: Node, from_m: float | None = None, to_m: float | None = None) -> Array:
        """The centre [P, 2] of a lane, about 1 m apart, in the direction of travel, between road arc lengths ``from_m`` (where
        travel begins) and ``to_m``; by default the whole section."""
        road, section = self.road(node[0]), self.section(node)
        along = road.along_s(node[2])
        begin, end = (section.s_m, section.end_m) if along else (section.end_m, section.s_m)
        begin, end = begin if from_m is None else from_m, end if to_m is None else to_m
        s = np.linspace(begin, end, max(2, int(np.ceil(abs(end - begin))) + 1))
        inner, outer = road.edges(section, node[2], s)
        return road.pose(s, 0.5 * (inner + outer))[:, :2]

    def way(self, node: Node, s_m: float, length_m: float, goals: tuple[Node, ...] = ()) -> Array:
        """The centre path [P, 2], 1 m apart, from road arc length ``s_m`` of a lane on, at least ``length_m`` long.

        It visits the lanes ``goals`` in turn as far as lanes lead there; where lanes branch otherwise it takes the straightest.
        """
        planned = self._planned(node, goals)
        parts, total, current, begin = [], 0.0, node, s_m
        for _ in range(MOST_STEPS):
            line = self.centre_line(current, begin, None if planned else self._reach(current, begin, length_m - total + 2.0))
            parts.append(line)
            total += float(polyline_s_m(line)[-1])
            if total >= length_m and not planned:
                break
            branches = self.following(current)
            if not branches:
                break
            if planned and planned[0] in branches:
                current = planned.pop(0)
            else:
                planned = []
                current = min(branches, key=lambda n: abs(self._turn_rad(n)))
            section = self.section(current)
            begin = section.s_m if self.road(current[0]).along_s(current[2]) else section.end_m
        xy = np.concatenate(parts)
        keep = np.append(True, np.hypot(*np.diff(xy, axis=0).T) > 1e-3)
        xy = xy[keep]
        if len(xy) < 2:
            pose = self.lane_pose(node[0], node[2], s_m)
            xy = np.stack([pose[:2], pose[:2] + [np.cos(pose[2]), np.sin(pose[2])]])
        return point_at_s(xy, np.arange(0.0, max(length_m, float(polyline_s_m(xy)[-1])) + 1e-6, 1.0))[:, :2]

    def _reach(self, node: Node, begin_m: float, length_m: float) -> float:
        """The road arc length ``length_m`` on from ``begin_m`` in the direction of travel, at most the end of the section."""
        section = self.section(node)
        if self.road(node[0]).along_s(node[2]):
            return max(min(section.end_m, begin_m + 1.5 * length_m), begin_m)
        return min(max(section.s_m, begin_m - 1.5 * length_m), begin_m)

    def _turn_rad(self, node: Node) -> float:
        line = self.centre_line(node)
        first, last = line[1] - line[0], line[-1] - line[-2]
        return float(wrap_angle_rad(np.arctan2(last[1], last[0]) - np.arctan2(first[1], first[0])))

    def _planned(self, node: Node, goals: tuple[Node, ...]) -> list[Node]:
        out: list[Node] = []
        for goal in goals:
            part = self.lanes_between(out[-1] if out else node, goal)
            if part is None:
                break
            out += part
        return out

    def lanes_between(self, start: Node, goal: Node) -> list[Node] | None:
        """The lanes after ``start`` up to ``goal`` on the shortest way, without lane changes; None if there is none."""
        queue: list[tuple[float, Node]] = [(0.0, start)]
        before: dict[Node, Node | None] = {start: None}
        done: set[Node] = set()
        while queue:
            cost, node = heapq.heappop(queue)
            if node in done:
                continue
            done.add(node)
            if node == goal:
                out = []
                while node != start:
                    out.append(node)
                    previous = before[node]
                    assert previous is not None
                    node = previous
                return out[::-1]
            for branch in self.following(node):
                if branch not in done:
                    section = self.section(branch)
                    before.setdefault(branch, node)
                    heapq.heappush(queue, (cost + section.end_m - section.s_m, branch))
        return None
