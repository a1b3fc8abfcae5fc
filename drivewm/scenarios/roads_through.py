"""Roads without crossing traffic: straight, curve, crosswalk, parking row, roadworks, on-ramp and off-ramp."""

from __future__ import annotations

import numpy as np
from shapely.affinity import scale

from drivewm.datatypes import Array, Lane, Marking, Signal
from drivewm.geometry import polyline_s_m
from drivewm.scenarios.roads_lines import arc_line, joined, offset_line, part_of, ribbon, shifted_line, straight_line
from drivewm.scenarios.roads_options import RoadOptions
from drivewm.scenarios.roads_plan import Plan, carriageway_markings, main_offset_m, outward_ends, side_by_side, zebra

PARKING_WIDTH_M = 2.3
BAY_LENGTH_M = 6.0
RAMP_ZONE_M = 160.0  # a longer road does not have a longer lane to join or leave by


def carriageway(reference_xy: Array, options: RoadOptions, *, extra_right_m: float = 0.0) -> Plan:
    """Both directions of travel along a reference line that divides them."""
    left = options.oncoming * options.lane_width_m + options.margin_m
    right = options.lanes * options.lane_width_m + options.margin_m + extra_right_m
    forward = [joined(offset_line(reference_xy, -main_offset_m(options, i))) for i in range(options.lanes)]
    back = [joined(offset_line(reference_xy, (i + 0.5) * options.lane_width_m)[::-1]) for i in range(options.oncoming)]
    return Plan(
        paved=[ribbon(reference_xy, left, right)],
        ends=outward_ends(reference_xy),
        frontages=[(reference_xy, left, right)],
        lanes=side_by_side("main", forward, options, rightmost_first=True)
        + side_by_side("oncoming", back, options, rightmost_first=False),
        markings=carriageway_markings(reference_xy, options, options.lanes, options.oncoming),
    )


def through_origin(options: RoadOptions) -> Array:
    """The dividing line of a straight road whose middle is the origin."""
    half = options.length_m / 2.0
    return straight_line((-half, 0.0), (half, 0.0))


def straight(options: RoadOptions) -> Plan:
    return carriageway(straight_line((0.0, 0.0), (options.length_m, 0.0)), options)


def curve(options: RoadOptions) -> Plan:
    """Straight, one bend of at most 90 degrees to the side of ``turn``, straight again."""
    radius = options.radius_m or 60.0
    widest = max(options.lanes, options.oncoming) * options.lane_width_m + options.margin_m
    radius = max(radius, widest + 4.0)
    lead = 0.3 * options.length_m
    angle = min(np.pi / 2, 0.5 * options.length_m / radius)
    bend = arc_line(np.array([lead, 0.0, 0.0]), radius, angle if options.turn == "left" else -angle)
    tail = max(20.0, options.length_m - lead - angle * radius)
    heading = angle if options.turn == "left" else -angle
    last = bend[-1] + tail * np.array([np.cos(heading), np.sin(heading)])
    return carriageway(joined(np.zeros((1, 2)), bend, last[None]), options)


def crosswalk(options: RoadOptions) -> Plan:
    """A zebra crossing at x = 0; with ``signals`` it has lights."""
    half = options.length_m / 2.0
    plan = carriageway(straight_line((-half, 0.0), (half, 0.0)), options)
    low, high = -options.lanes * options.lane_width_m, options.oncoming * options.lane_width_m
    plan.crosswalks.append(zebra(np.array([0.0, (low + high) / 2.0, 0.0]), 4.0, high - low + 2 * options.margin_m))
    stops = [(-3.2, low, 0.0, 0.0, "main", options.lanes), (3.2, 0.0, high, np.pi, "oncoming", options.oncoming)]
    for x, y_from, y_to, yaw, name, count in stops:
        if not count:
            continue
        line = np.array([[x, y_from], [x, y_to]])
        plan.markings.append(Marking(line, "stop", 0.3))
        if options.signals:
            side = (low - 1.1) if name == "main" else (high + 1.1)
            ids = tuple(f"{name}.{i}" for i in range(count))
            plan.signals.append(Signal(np.array([x + 0.3 * np.cos(yaw), side, yaw]), line, ids, (14.0, 3.0, 10.0)))
    return plan


def parking_row(options: RoadOptions) -> Plan:
    """A row of bays beside ``main.0``; ``parking.0`` is a lane to stand in, never to drive along."""
    half = options.length_m / 2.0
    reference = straight_line((-half, 0.0), (half, 0.0))
    plan = carriageway(reference, options, extra_right_m=PARKING_WIDTH_M)
    kerb = options.lanes * options.lane_width_m
    bays = offset_line(reference, -(kerb + PARKING_WIDTH_M / 2.0))
    plan.lanes.append(Lane("parking.0", bays, PARKING_WIDTH_M, 1.4))
    plan.markings.append(Marking(offset_line(reference, -kerb), "solid", 0.12))
    for x in np.arange(-half + BAY_LENGTH_M, half - 1.0, BAY_LENGTH_M):
        plan.markings.append(Marking(np.array([[x, -kerb], [x, -kerb - PARKING_WIDTH_M]]), "solid", 0.12))
    return plan


def roadworks(options: RoadOptions) -> Plan:
    """A straight road whose lane ``main.0`` is closed from x = 0 on, by paint; cones and barriers are actors' business."""
    half = options.length_m / 2.0
    plan = carriageway(straight_line((-half, 0.0), (half, 0.0)), options)
    outer = -options.lanes * options.lane_width_m
    inner = outer + options.lane_width_m
    plan.markings.append(Marking(np.array([[-30.0, outer], [0.0, inner]]), "solid", 0.25))
    plan.markings.append(Marking(np.array([[0.0, inner], [40.0, inner]]), "solid", 0.25))
    plan.markings.append(Marking(np.array([[40.0, inner], [60.0, outer]]), "solid", 0.25))
    return plan


def _ramp(options: RoadOptions, zone_m: float) -> tuple[Plan, Array, Array]:
    """A motorway with an on-ramp whose nose is at x = 0: the plan without lanes, the ramp, and its joining lane."""
    half = max(options.length_m / 2.0, zone_m + 40.0)
    reference = straight_line((-half, 0.0), (half, 0.0))
    plan = carriageway(reference, options)
    y_main = -main_offset_m(options, 0)
    y_ramp = y_main - options.lane_width_m
    bend = arc_line(np.array([-5.0, y_ramp, np.pi]), 160.0, np.radians(14.0))
    heading = np.pi + np.radians(14.0)
    far = bend[-1] + max(30.0, half - 50.0) * np.array([np.cos(heading), np.sin(heading)])
    ramp = joined(joined(np.array([[0.0, y_ramp]]), bend, far[None])[::-1])
    joining = joined(np.array([[0.0, y_ramp], [0.65 * zone_m, y_ramp]]), shifted_line(0.65 * zone_m, zone_m, y_ramp, y_main))
    side = options.lane_width_m / 2.0 + min(options.margin_m, 1.0)
    plan.paved += [ribbon(ramp, side, side), ribbon(joining, side, side)]
    plan.fillet_m = 2.0
    plan.ends.append(outward_ends(ramp)[0])
    between = -options.lanes * options.lane_width_m
    plan.markings.append(Marking(np.array([[0.0, between], [0.75 * zone_m, between]]), "dashed", 0.25))
    return plan, ramp, joining


def _split(lanes: list[Lane], x_from_m: float, x_to_m: float, options: RoadOptions) -> list[Lane]:
    """``main.*`` cut into approach, connector and exit where the x coordinate passes two values; other lanes as they are."""
    count = options.lanes
    out: list[list[Lane]] = [[], [], []]
    others = [lane for lane in lanes if not lane.id.startswith("main.")]
    stretches: list[list[Array]] = [[], [], []]
    for lane in lanes[:count]:
        start = lane.centre_xy[0, 0]
        cuts = [0.0, x_from_m - start, x_to_m - start, polyline_s_m(lane.centre_xy)[-1]]
        for j in range(3):
            stretches[j].append(joined(part_of(lane.centre_xy, cuts[j], cuts[j + 1])))
    out[0] = side_by_side("main", stretches[0], options, rightmost_first=True)
    out[2] = side_by_side("exit_straight", stretches[2], options, rightmost_first=True)
    names = [f"main.{i}>straight" for i in range(count)]
    for i in range(count):
        left, right = names[i + 1] if i + 1 < count else None, names[i - 1] if i else None
        out[1].append(
            Lane(names[i], stretches[1][i], options.lane_width_m, options.speed_limit_mps, (f"exit_straight.{i}",), left, right)
        )
        first = out[0][i]
        out[0][i] = Lane(first.id, first.centre_xy, first.width_m, first.speed_limit_mps, (names[i],), first.left, first.right)
    return [*out[0], *out[1], *out[2], *others]


def merge(options: RoadOptions) -> Plan:
    """An on-ramp from the right: ``from_right.0`` joins ``main.0`` over the stretch from x = 0 on."""
    zone = min(0.4 * options.length_m, RAMP_ZONE_M)
    plan, ramp, joining = _ramp(options, zone)
    plan.lanes = _split(plan.lanes, 0.0, zone, options)
    speed, width = options.speed_limit_mps, options.lane_width_m
    plan.lanes.append(Lane("from_right.0", ramp, width, speed, ("from_right.0>straight",)))
    plan.lanes.append(Lane("from_right.0>straight", joining, width, speed, ("exit_straight.0",)))
    return plan


def exit_ramp(options: RoadOptions) -> Plan:
    """An off-ramp to the right: ``main.0>right`` leads to ``exit_right.0``, whose nose is at x = 0."""
    zone = min(0.4 * options.length_m, RAMP_ZONE_M)
    plan, ramp, leaving = _ramp(options, zone)
    mirror = np.array([-1.0, 1.0])
    plan.paved = [scale(shape, -1.0, 1.0, origin=(0.0, 0.0)) for shape in plan.paved]
    plan.ends = [np.array([-p[0], p[1], np.pi - p[2]]) for p in plan.ends]
    plan.markings = plan.markings[:-1] + [Marking(plan.markings[-1].xy * mirror, "dashed", 0.25)]
    plan.lanes = _split(plan.lanes, -zone, 0.0, options)
    speed, width = options.speed_limit_mps, options.lane_width_m
    plan.lanes.append(Lane("main.0>right", joined((leaving * mirror)[::-1]), width, speed, ("exit_right.0",)))
    plan.lanes.append(Lane("exit_right.0", joined((ramp * mirror)[::-1]), width, speed))
    first = plan.lanes[0]
    links = (*first.successors, "main.0>right")
    plan.lanes[0] = Lane(first.id, first.centre_xy, width, speed, links, first.left, first.right)
    return plan
