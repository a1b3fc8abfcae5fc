"""Junctions around (0, 0): four-way, T and roundabout. Ego arrives on the west arm along +x."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from shapely import Point

from drivewm.datatypes import Array, Lane, Marking, Signal
from drivewm.scenarios.roads_lines import arc_line, bezier_line, end_pose, joined, offset_line, ribbon, straight_line, turn_line
from drivewm.scenarios.roads_options import RoadOptions
from drivewm.scenarios.roads_plan import Plan, carriageway_markings, main_offset_m, side_by_side, solid_near_end, zebra

FILLET_M = 7.0
_TURN_ANGLE = {"straight": 0.0, "left": np.pi / 2, "right": -np.pi / 2}


@dataclass(frozen=True)
class _Arm:
    """One road into the junction; ``outward_rad`` is its direction from the centre."""

    outward_rad: float
    incoming: str
    outgoing: str
    lanes_in: int
    lanes_out: int
    stop_m: float  # from the centre to where lanes end and begin


def _arms(options: RoadOptions, sides: tuple[str, ...], stop_main_m: float, stop_side_m: float) -> list[_Arm]:
    arms = [
        _Arm(np.pi, "main", "exit_back", options.lanes, options.oncoming, stop_main_m),
        _Arm(0.0, "oncoming", "exit_straight", options.oncoming, options.lanes, stop_main_m),
        _Arm(np.pi / 2, "from_left", "exit_left", 1, 1, stop_side_m),
        _Arm(-np.pi / 2, "from_right", "exit_right", 1, 1, stop_side_m),
    ]
    return [arm for arm in arms if arm.incoming not in ("from_left", "from_right") or arm.incoming[5:] in sides]


def _outward(arm: _Arm, options: RoadOptions) -> Array:
    """The dividing line of an arm from its stop line outwards."""
    unit = np.array([np.cos(arm.outward_rad), np.sin(arm.outward_rad)])
    far = max(options.length_m / 2.0, arm.stop_m + 30.0)
    return straight_line(tuple(arm.stop_m * unit), tuple(far * unit))


def _arm_lanes(arm: _Arm, options: RoadOptions) -> list[Lane]:
    line, width = _outward(arm, options), options.lane_width_m
    main_in, main_out = arm.incoming == "main", arm.outgoing == "exit_straight"
    offsets_in = [main_offset_m(options, i) if main_in else (i + 0.5) * width for i in range(arm.lanes_in)]
    offsets_out = [main_offset_m(options, i) if main_out else (i + 0.5) * width for i in range(arm.lanes_out)]
    inward = [joined(offset_line(line, d)[::-1]) for d in offsets_in]
    outward = [joined(offset_line(line, -d)) for d in offsets_out]
    return side_by_side(arm.incoming, inward, options, rightmost_first=main_in) + side_by_side(
        arm.outgoing, outward, options, rightmost_first=main_out
    )


def _target(arm: _Arm, turn: str, arms: list[_Arm]) -> _Arm | None:
    heading = arm.outward_rad + np.pi + _TURN_ANGLE[turn]
    for other in arms:
        if abs(np.exp(1j * other.outward_rad) - np.exp(1j * heading)) < 1e-6 and other.lanes_out:
            return other
    return None


def _pairs(arm: _Arm, exit_arm: _Arm, turn: str) -> list[tuple[int, int]]:
    """Which lane leads where: straight keeps its index, turns use the lanes on their side."""
    if not arm.lanes_in:
        return []
    if turn == "straight":
        return [(i, i) for i in range(min(arm.lanes_in, exit_arm.lanes_out))]
    rightmost_in = 0 if arm.incoming == "main" else arm.lanes_in - 1
    leftmost_in = arm.lanes_in - 1 - rightmost_in
    rightmost_out = 0 if exit_arm.outgoing == "exit_straight" else exit_arm.lanes_out - 1
    leftmost_out = exit_arm.lanes_out - 1 - rightmost_out
    return [(leftmost_in, leftmost_out) if turn == "left" else (rightmost_in, rightmost_out)]


def _with_connectors(lanes: list[Lane], arms: list[_Arm], options: RoadOptions, roundabout_radius_m: float = 0.0) -> list[Lane]:
    """Lanes linked through one connector per permitted movement."""
    table = {lane.id: lane for lane in lanes}
    for arm in arms:
        for turn in _TURN_ANGLE:
            exit_arm = _target(arm, turn, arms)
            for i, j in _pairs(arm, exit_arm, turn) if exit_arm else []:
                assert exit_arm is not None
                approach, leaving = table[f"{arm.incoming}.{i}"], table[f"{exit_arm.outgoing}.{j}"]
                begin, end = end_pose(approach.centre_xy), end_pose(leaving.centre_xy[::-1])
                end = np.append(end[:2], end[2] + np.pi)
                if roundabout_radius_m:
                    line = _around(begin, end, arm.outward_rad, exit_arm.outward_rad, roundabout_radius_m)
                else:
                    slack = 2.0 if turn == "left" else _clear_m(options)  # a right turn follows the rounded corner
                    line = turn_line(begin, end, slack, slack)
                name = f"{approach.id}>{turn}"
                table[name] = Lane(name, line, options.lane_width_m, options.speed_limit_mps, (leaving.id,))
                table[approach.id] = replace(approach, successors=(*approach.successors, name))
    return list(table.values())


def _around(begin: Array, end: Array, arm_in_rad: float, arm_out_rad: float, radius_m: float) -> Array:
    """From an entry to an exit, counter-clockwise around the island."""
    blend = 0.62
    first, last = arm_in_rad + blend, arm_out_rad - blend
    sweep = (last - first) % (2 * np.pi)
    on_ring = np.array([radius_m * np.cos(first), radius_m * np.sin(first), first + np.pi / 2])
    ring = arc_line(on_ring, radius_m, sweep)
    off_ring = np.array([*ring[-1], first + sweep + np.pi / 2])
    return joined(bezier_line(begin, on_ring), ring, bezier_line(off_ring, end))


def _paint(plan: Plan, arms: list[_Arm], options: RoadOptions, *, stops: bool) -> None:
    """Paving, lane lines, stop lines, crosswalks and lights of every arm."""
    width = options.lane_width_m
    for arm in arms:
        line = _outward(arm, options)
        unit = line[-1] - line[0]
        unit = unit / np.hypot(*unit)
        left, right = arm.lanes_in * width + options.margin_m, arm.lanes_out * width + options.margin_m
        plan.paved.append(ribbon(np.vstack([np.zeros((1, 2)), line]), left, right))
        plan.ends.append(end_pose(line))
        plan.frontages.append((line, left, right))
        for marking in carriageway_markings(line, options, arm.lanes_out, arm.lanes_in):
            plan.markings += solid_near_end(marking, 24.0, at_start=True)
        stop_line = offset_line(line[:2], arm.lanes_in * width)[:1]
        stop_line = np.vstack([line[:1], stop_line])
        if stops and arm.lanes_in and (options.signals or arm.incoming in ("from_left", "from_right")):
            plan.markings.append(Marking(stop_line + 0.3 * unit, "stop", 0.4))
        if options.crosswalks:
            middle = (left - right) / 2.0 * np.array([-unit[1], unit[0]]) + (arm.stop_m - 2.7) * unit
            plan.crosswalks.append(zebra(np.append(middle, arm.outward_rad), 3.0, left + right))
        if options.signals and arm.lanes_in:
            plan.signals.append(_signal(arm, stop_line, unit, options))


def _signal(arm: _Arm, stop_line: Array, unit: Array, options: RoadOptions) -> Signal:
    beside = stop_line[1] + (stop_line[1] - stop_line[0]) / np.hypot(*(stop_line[1] - stop_line[0])) * (options.margin_m + 0.9)
    ids = tuple(f"{arm.incoming}.{i}" for i in range(arm.lanes_in))
    offset = 0.0 if arm.incoming in ("main", "oncoming") else 15.0
    pose = np.append(beside - 0.4 * unit, arm.outward_rad - np.pi if arm.outward_rad > 0 else arm.outward_rad + np.pi)
    return Signal(pose, stop_line, ids, (12.0, 3.0, 15.0), offset)


def _clear_m(options: RoadOptions) -> float:
    """From the rounded corner to the stop line: room for a crosswalk."""
    return 5.0 if options.crosswalks else 1.0


def _junction(options: RoadOptions, sides: tuple[str, ...]) -> Plan:
    width, beyond = options.lane_width_m, FILLET_M + _clear_m(options)
    main_half = max(options.lanes, options.oncoming) * width + options.margin_m
    arms = _arms(options, sides, width + options.margin_m + beyond, main_half + beyond)
    plan = Plan(fillet_m=FILLET_M)
    plan.lanes = _with_connectors([lane for arm in arms for lane in _arm_lanes(arm, options)], arms, options)
    _paint(plan, arms, options, stops=True)
    return plan


def four_way(options: RoadOptions) -> Plan:
    return _junction(options, ("left", "right"))


def t_junction(options: RoadOptions) -> Plan:
    """Ego's road runs through; the side road joins on the side of ``turn``."""
    return _junction(options, (options.turn,))


def roundabout(options: RoadOptions) -> Plan:
    """One lane in, out and around; the ring has ``radius_m`` (18 m if not given)."""
    radius, width = options.radius_m or 18.0, options.lane_width_m
    single = replace(options, lanes=1, oncoming=1, signals=False)
    stop = radius + width / 2.0 + 6.0 + (3.0 if options.crosswalks else 0.0)
    arms = _arms(single, ("left", "right"), stop, stop)
    plan = Plan(fillet_m=10.0)
    plan.lanes = _with_connectors([lane for arm in arms for lane in _arm_lanes(arm, single)], arms, single, radius)
    _paint(plan, arms, single, stops=False)
    island = Point(0.0, 0.0).buffer(radius - width / 2.0 - 1.2, quad_segs=16)
    disc = Point(0.0, 0.0).buffer(radius + width / 2.0 + 1.0, quad_segs=16)
    plan.paved = [shape.difference(island) for shape in [*plan.paved, disc]]
    plan.islands = [island]
    return plan
