"""Lanes of a map sorted into the roads of a file: neighbours side by side share one. And what leads from road to road."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drivewm.datatypes import Array, Lane, RoadMap
from drivewm.geometry import frenet_sd, polyline_s_m
from drivewm.scenarios.export.lines import Piece, pieces
from drivewm.scenarios.opendrive.planview import PlanElement, reference_pose

BESIDE_M = 0.05  # how far a neighbour may lie from where the widths put it
APART_M = 0.5  # how far its ends may lie before or behind
JUNCTION_IDS = 100_000  # above those of roads


@dataclass(frozen=True)
class Strip:
    """One road: lanes of one direction from left to right; the middle of the leftmost is its reference line."""

    id: int
    lanes: tuple[Lane, ...]

    @cached_property
    def pieces(self) -> list[Piece]:
        return pieces(self.lanes[0].centre_xy)

    @property
    def length_m(self) -> float:
        return float(sum(piece.length_m for piece in self.pieces))

    @property
    def left_m(self) -> float:
        """From the reference line to the left edge."""
        return self.lanes[0].width_m / 2

    @property
    def right_m(self) -> float:
        """From the reference line to the right edge."""
        return sum(lane.width_m for lane in self.lanes) - self.left_m

    @cached_property
    def elements(self) -> tuple[PlanElement, ...]:
        """The reference line as the reader of OpenDRIVE sees it."""
        out, s = [], 0.0
        for piece in self.pieces:
            kind, numbers = ("line", ()) if piece.cubic_uv is None else ("paramPoly3", tuple(piece.cubic_uv.reshape(-1)))
            out.append(PlanElement(kind, s, piece.start_xy_yaw, piece.length_m, numbers))
            s += piece.length_m
        return tuple(out)

    def reference(self, s_m: Array) -> Array:
        """Poses [..., 3]."""
        return reference_pose(self.elements, s_m)


def strips(road: RoadMap) -> list[Strip]:
    """Every lane once. Neighbours that are not parallel, or of another speed limit, are on their own."""
    known = {lane.id: lane for lane in road.lanes}
    out: list[Strip] = []
    done: set[str] = set()
    for lane in road.lanes:
        while lane.left in known and lane.left not in done and _parallel([known[lane.left]], lane):
            lane = known[lane.left]
        if lane.id in done:
            continue
        row = [lane]
        done.add(lane.id)
        while row[-1].right in known and row[-1].right not in done and _parallel(row, known[row[-1].right or ""]):
            row.append(known[row[-1].right or ""])
            done.add(row[-1].id)
        out.append(Strip(len(out) + 1, tuple(row)))
    missing = [lane for lane in road.lanes if lane.id not in done]
    return out + [Strip(len(out) + 1 + i, (lane,)) for i, lane in enumerate(missing)]


def _parallel(row: list[Lane], lane: Lane) -> bool:
    first = row[0]
    if abs(first.speed_limit_mps - lane.speed_limit_mps) > 1e-6:
        return False
    middle = first.width_m / 2 - sum(one.width_m for one in row) - lane.width_m / 2
    sd = frenet_sd(first.centre_xy, lane.centre_xy[np.append(np.arange(0, len(lane.centre_xy) - 1, 5), -1)])
    ends = np.abs(sd[[0, -1], 0] - [0.0, polyline_s_m(first.centre_xy)[-1]])
    return bool(np.abs(sd[:, 1] - middle).max() < BESIDE_M and ends.max() < APART_M)


@dataclass(frozen=True)
class Move:
    """Lanes of one road that go on in another: pairs of lane numbers counted from the left."""

    start: int
    goal: int
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Connections:
    """How roads are joined. A road with several ways on, or several into it, meets them in a junction."""

    moves: tuple[Move, ...]
    junction_of: dict[int, int]  # connecting road to its junction

    def out_of(self, road: int) -> list[Move]:
        return [move for move in self.moves if move.start == road]

    def into(self, road: int) -> list[Move]:
        return [move for move in self.moves if move.goal == road]

    def meets(self, road: int, move: Move) -> int | None:
        """The junction that one of the two roads of a move meets in it, if it comes from outside."""
        other = self.junction_of.get(move.goal if road == move.start else move.start)
        return None if other == self.junction_of.get(road) else other


def connections(roads: list[Strip]) -> Connections:
    """All moves, and which roads lie inside junctions."""
    place = {lane.id: (strip.id, number) for strip in roads for number, lane in enumerate(strip.lanes, start=1)}
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for strip in roads:
        for number, lane in enumerate(strip.lanes, start=1):
            for goal, other in (place[name] for name in lane.successors if name in place):
                found.setdefault((strip.id, goal), []).append((number, other))
    moves = tuple(Move(start, goal, tuple(lanes)) for (start, goal), lanes in found.items())
    out: dict[int, list[int]] = {}
    into: dict[int, list[int]] = {}
    for move in moves:
        out.setdefault(move.start, []).append(move.goal)
        into.setdefault(move.goal, []).append(move.start)
    inside = {goal for goals in out.values() if len(goals) > 1 for goal in goals}
    inside |= {start for goal, starts in into.items() if len(starts) > 1 and goal not in inside for start in starts}
    return Connections(moves, _junctions(inside, moves))


def _junctions(inside: set[int], moves: tuple[Move, ...]) -> dict[int, int]:
    """Connecting roads that share where they come from or lead to are one junction."""
    owner = {road: road for road in inside}

    def root(road: int) -> int:
        while owner[road] != road:
            road = owner[road]
        return road

    first: dict[tuple[str, int], int] = {}
    for move in moves:
        for road, key in ((move.goal, ("from", move.start)), (move.start, ("to", move.goal))):
            if road in inside:
                owner[root(road)] = root(first.setdefault(key, road))
    names = {one: JUNCTION_IDS + i for i, one in enumerate(sorted({root(road) for road in inside}))}
    return {road: names[root(road)] for road in inside}
