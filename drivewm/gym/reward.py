"""The reward: way along the route minus offences, both from the exact state.

A step earns a tenth of the metres that it got on along the route, but no more than the speed limit allows. An offence costs
`OFFENCE` and ends the drive: a collision by as much as the gate of the `Drive` score falls (nothing when it was not the ego's
fault, half when only a thing was hit), leaving the drivable area, a red light. The gates of a whole drive (progress against a
reference driver, seconds against traffic) are not part of it. Standing still earns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from drivewm.datatypes import Action, Array, Provenance, Rollout, Scene, Trajectory, WorldState
from drivewm.geometry import box_corners_xy
from drivewm.metrics.gates import EDGE_M, no_at_fault_collision
from drivewm.metrics.grounds import ran_red
from drivewm.metrics.series import HALF_EGO_M, Series

PER_METRE, OFFENCE = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class Trip:
    """One step of one car, in T engine states."""

    centre: Array  # [T, 3], middle of the ego's box
    t_s: Array  # [T]
    until_contact: WorldState | None = None  # leading [.. T], up to the first in which the ego touches somebody


class Referee:
    """Rewards and offences of one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._area = shapely.union_all([shapely.Polygon(polygon) for polygon in scene.road.drivable]).buffer(EDGE_M)
        shapely.prepare(self._area)

    def earned(self, from_m: float, to_m: float, seconds: float) -> float:
        """For getting on along the route; going back costs as much as going on earns."""
        return PER_METRE * min(to_m - from_m, self._scene.speed_limit_mps * seconds)

    def offences(self, trip: Trip) -> dict[str, float]:
        """What went wrong on the way, and its price."""
        found: dict[str, float] = {}
        if trip.until_contact is not None:
            found["collision"] = OFFENCE * (1.0 - self._collision(trip.until_contact))
        corners = box_corners_xy(trip.centre, 2 * HALF_EGO_M)
        if self._scene.road.drivable and not shapely.contains_xy(self._area, corners[1:].reshape(-1, 2)).all():
            found["off_road"] = OFFENCE
        if self._scene.road.signals and self._ran_red(trip.centre, trip.t_s):
            found["red_light"] = OFFENCE
        return found

    def _ran_red(self, centre: Array, t_s: Array) -> bool:
        heading = np.stack([np.cos(centre[:, 2]), np.sin(centre[:, 2])], -1)
        return bool(ran_red(self._scene.road, centre[:, :2] + HALF_EGO_M[0] * heading, t_s).any())

    def _collision(self, states: WorldState) -> float:
        """The gate of the `Drive` score for a contact in the last of these states."""
        none = Action(np.zeros(0), np.zeros(0))
        plans = Trajectory(np.zeros((0, 0)), np.zeros((0, 0, 3)), np.zeros((0, 0)))
        origin = Provenance("", "", "", 0, "")
        drive = Rollout(self._scene, states, none, plans, 1, "collision", np.zeros(0), origin)
        return float(no_at_fault_collision(Series.of(drive, 0.0)).value or 0.0)
