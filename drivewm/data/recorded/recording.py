"""What a recorded drive holds, whatever format it comes from: the one thing that every reader of this folder returns."""

from __future__ import annotations

from dataclasses import dataclass

from drivewm.datatypes import Agents, Array, Conditions, RoadMap


@dataclass(frozen=True, slots=True)
class Recording:
    """T instants ``dt_s`` apart. World coordinates have their origin near the ego's start, so that numbers stay small.

    The road is cut to what lies around the drive.
    """

    name: str  # one word in small letters, digits and _, made from what the source calls it
    source: str  # format and origin, for people: "Argoverse 2 log adcf7d18-..."
    dt_s: float
    ego_xy_yaw_world: Array  # [T, 3], rear axle
    ego_speed_mps: Array  # [T]
    agents: Agents  # leading [T]; a row is one track, ``valid`` says when it was seen; box centres
    agent_names: tuple[str, ...]  # [N], what the source calls the tracks
    road: RoadMap
    speed_limit_mps: float
    conditions: Conditions
    left_out: tuple[str, ...] = ()  # what the source says and this cannot hold, a sentence each
