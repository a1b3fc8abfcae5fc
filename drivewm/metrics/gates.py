"""What a drive must not do. Each gate takes the shared `Series` and gives 1, 0, or 0.5 for the milder half of an offence."""

from __future__ import annotations

from enum import Enum

import numpy as np
import shapely

from drivewm.datatypes import EGO_SHAPE, STATIC_CLASSES, Array
from drivewm.geometry import box_corners_xy
from drivewm.metrics.boxes import behind, overlap
from drivewm.metrics.grounds import ran_red
from drivewm.metrics.lanes import LaneField
from drivewm.metrics.series import HALF_EGO_M, STANDING_MPS, Judged, Series
from drivewm.protocols import POLICY_FAILURES

EDGE_M = 0.05  # how far a corner may stand beyond the drivable area
LANE_MARGIN_M = 0.1  # a body this little beyond its lane still counts as inside
SAME_DIRECTION_COS = np.cos(np.deg2rad(45.0))
WRONG_WAY_WINDOW_S = 1.0
WRONG_WAY_MILD_M, WRONG_WAY_M = 2.0, 6.0  # metres against traffic per window, nuPlan
ROUTE_ASKS_M = 1.0  # this close to the route, the route itself leads against the lane
LEAST_PROGRESS = 0.2  # nuPlan ego_is_making_progress
APPLICABLE_PROGRESS_M = 5.0  # a reference that moves less says nothing about progress (NAVSIM)


def no_at_fault_collision(series: Series) -> Judged:
    """1 without, 0 with an at-fault collision, 0.5 when only things (barrier, cone, debris) were hit.

    At fault after nuPlan and NAVSIM: the ego moves, and the agent stands, or is met with the ego's front, or is touched
    sideways. Not at fault: hit while standing, from behind, or by traffic of its own direction that comes over while the ego
    is wholly in one lane. nuPlan also excuses sideways contact with crossing traffic; then half a metre would decide whether
    a pedestrian walked into was one's fault, so here it is. What overlaps at the start does not count.
    """
    value, events = 1.0, []
    for agent in np.flatnonzero(series.overlap.any(0)):
        step = int(np.argmax(series.overlap[:, agent]))
        if step == 0:
            continue
        if not blame(series, step, int(agent)).at_fault:
            events.append(series.event("collision_not_at_fault", step, int(agent)))
            continue
        thing = int(series.states.agents.category[step, agent]) in STATIC_CLASSES
        value = min(value, 0.5 if thing else 0.0)
        events.append(series.event("collision", step, int(agent)))
    return Judged(value, tuple(sorted(events, key=lambda event: event.t_s)))


class Blame(Enum):
    """The rule of `no_at_fault_collision` that decided about a contact: whether the ego is at fault, and why in words."""

    STOOD = (False, "the ego stood")
    INTO_STANDING = (True, "the ego moved into somebody who stood")
    FROM_BEHIND = (False, "it ran into the ego's rear")
    FRONT = (True, "the ego met it with its front")
    ACROSS = (True, "the ego was moving and touched the side of traffic that does not go its way")
    OVER_THE_LINE = (True, "the ego was not wholly in one lane")
    CAME_OVER = (False, "it came over while the ego was wholly in one lane")

    @property
    def at_fault(self) -> bool:
        return self.value[0]

    @property
    def rule(self) -> str:
        return self.value[1]


def blame(series: Series, step: int, agent: int) -> Blame:
    """The rule that applies when ego and agent touch for the first time at ``step`` (not the first state)."""
    states = series.states
    # The speed of the approach: a loop may already have stopped the ego at the instant of contact.
    if max(states.ego_speed_mps[step - 1], states.ego_speed_mps[step]) <= STANDING_MPS:
        return Blame.STOOD
    agents, rear = states.agents, states.ego_xy_yaw_world[step]
    pose, half = agents.xy_yaw_world[step, agent], 0.5 * agents.size_lwh_m[step, agent, :2]
    if agents.speed_mps[step, agent] <= STANDING_MPS:
        return Blame.INTO_STANDING
    if bool(behind(rear, pose[:2])):
        return Blame.FROM_BEHIND
    front = rear.copy()
    front[:2] += (EGO_SHAPE.rear_axle_to_centre_m + HALF_EGO_M[0]) * np.array([np.cos(rear[2]), np.sin(rear[2])])
    if bool(overlap(front, np.array([0.0, HALF_EGO_M[1]]), pose, half)):
        return Blame.FRONT
    if np.cos(pose[2] - rear[2]) < SAME_DIRECTION_COS:
        return Blame.ACROSS
    corners = box_corners_xy(series.centre[step], 2 * HALF_EGO_M)
    return Blame.CAME_OVER if LaneField.of(series.scene.road).within_one(corners, LANE_MARGIN_M) else Blame.OVER_THE_LINE


def on_drivable_area(series: Series) -> Judged:
    """0 from the first instant at which a corner of the ego lies outside every drivable polygon by more than `EDGE_M`."""
    polygons = series.scene.road.drivable
    if not polygons:
        return Judged(None)
    corners = shapely.points(box_corners_xy(series.centre, 2 * HALF_EGO_M))
    inside = np.zeros(corners.shape, bool)
    for polygon in polygons:
        area = shapely.Polygon(polygon)
        shapely.prepare(area)
        inside |= shapely.dwithin(area, corners, EDGE_M)
    return _fallen(series, ~inside.all(1), "off_road")


def driving_direction(series: Series) -> Judged:
    """nuPlan: at most 2 m against traffic in any second gives 1, at most 6 m 0.5, more 0.

    Metres do not count while something standing or slow on the route makes the ego go around it, nor where the route itself
    leads through that lane.
    """
    if not series.scene.road.lanes or len(series.t_s) < 2:
        return Judged(None)
    wrong = LaneField.of(series.scene.road).against_traffic(series.centre)
    wrong &= ~series.hindered & (np.abs(series.route_sd[:, 1]) > ROUTE_ASKS_M)
    metres = np.where(wrong[1:], series.states.ego_speed_mps[1:] * np.diff(series.t_s), 0.0)
    window = max(1, round(WRONG_WAY_WINDOW_S / series.scene.dt_s))
    most = np.convolve(metres, np.ones(window))[: len(metres)]
    worst = float(most.max(initial=0.0))
    if worst <= WRONG_WAY_MILD_M:
        return Judged(1.0)
    step = int(np.argmax(most > WRONG_WAY_MILD_M)) + 1
    return Judged(0.5 if worst <= WRONG_WAY_M else 0.0, (series.event("wrong_way", step),))


def red_light(series: Series) -> Judged:
    """0 when the front bumper crosses a stop line while its light is red."""
    if not series.scene.road.signals:
        return Judged(None)
    heading = np.stack([np.cos(series.centre[:, 2]), np.sin(series.centre[:, 2])], -1)
    front = series.centre[:, :2] + HALF_EGO_M[0] * heading
    crossed = ran_red(series.scene.road, front, series.t_s)
    return _fallen(series, np.concatenate([[False], crossed]), "red_light")


def making_progress(series: Series) -> Judged:
    """0 when the ego gets less than a fifth as far as the reference driver: standing still must not pay."""
    if series.reference_progress_m < APPLICABLE_PROGRESS_M:
        return Judged(None)
    if series.progress_m >= LEAST_PROGRESS * series.reference_progress_m:
        return Judged(1.0)
    return Judged(0.0, (series.event("no_progress", len(series.t_s) - 1),))


def policy_ran(series: Series) -> Judged:
    """0 when the policy failed to give a usable plan: none that could be followed, an exception, or none in time."""
    if series.ended not in POLICY_FAILURES:
        return Judged(1.0)
    return Judged(0.0, (series.event(series.ended, len(series.t_s) - 1),))


def _fallen(series: Series, offence: Array, kind: str) -> Judged:
    if not offence.any():
        return Judged(1.0)
    return Judged(0.0, (series.event(kind, int(np.argmax(offence))),))
