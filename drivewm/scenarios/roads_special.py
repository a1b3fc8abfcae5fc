"""Roads that leave little room or light: the ramp that the ego joins by, a tunnel, and a narrow road for both directions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Lane
from drivewm.scenarios.roads_options import RoadOptions
from drivewm.scenarios.roads_plan import Plan
from drivewm.scenarios.roads_through import carriageway, merge, straight, through_origin

NARROW_LANE_M = 2.5
TUNNEL_M, TUNNEL_HEIGHT_M, TUNNEL_SIDE_M = 140.0, 5.2, 0.9  # length, clear height, from the paved edge to the wall
_FROM_THE_RAMP = {"main": "from_left", "from_right": "main"}


def ramp(options: RoadOptions) -> Plan:
    """The place of `merge` seen from the ramp: ``main.0`` joins ``exit_straight.0``; the motorway is ``from_left.*``."""
    plan = merge(options)
    plan.lanes = [_renamed(lane) for lane in plan.lanes]
    return plan


def _renamed(lane: Lane) -> Lane:
    def new(name: str) -> str:
        head, dot, rest = name.partition(".")
        return _FROM_THE_RAMP.get(head, head) + dot + rest

    left, right = (None if side is None else new(side) for side in (lane.left, lane.right))
    return replace(lane, id=new(lane.id), successors=tuple(map(new, lane.successors)), left=left, right=right)


def tunnel(options: RoadOptions) -> Plan:
    """A straight road that goes into a tunnel at x = 0 and comes out of it after at most 140 m."""
    plan = carriageway(through_origin(options), options)
    long = min(TUNNEL_M, options.length_m / 2.0 - 20.0)
    left, right = (count * options.lane_width_m + options.margin_m + TUNNEL_SIDE_M for count in (options.oncoming, options.lanes))
    plan.tunnels.append(np.array([long / 2.0, (left - right) / 2.0, 0.0, long, left + right, TUNNEL_HEIGHT_M]))
    return plan


def narrow(options: RoadOptions) -> Plan:
    """One lane of at most 2.5 m for each direction and no line between them: two cars pass each other with care."""
    tight = replace(options, lanes=1, oncoming=1, lane_width_m=min(options.lane_width_m, NARROW_LANE_M))
    plan = straight(tight)
    plan.markings.clear()
    return plan
