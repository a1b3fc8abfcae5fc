"""How critical a drive is: series over time for each agent, and the worst of each.

Definitions after Westhofen et al. 2023 ("Criticality Metrics for Automated Driving", doi 10.1007/s11831-022-09788-7). Gaps and
speeds along and across are those on the ego's route, between the ends of boxes, so that a bend in the road is no conflict.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array
from drivewm.geometry import point_at_s, wrap_angle_rad
from drivewm.metrics import rss
from drivewm.metrics.boxes import overlap
from drivewm.metrics.series import HALF_EGO_M, STANDING_MPS, Series

CROSSING_RAD = np.deg2rad(30.0)  # ways that meet at less, or at more than 180 degrees less this, do not cross
CHUNK = 4096  # agents' instants that are compared with all of the ego's at once


@dataclass(frozen=True, slots=True)
class Criticality:
    """T + 1 instants, N agents. What does not exist is inf (times, margins) or 0 (deceleration)."""

    t_s: Array  # [T + 1]
    track_id: Array  # [N]
    ttc_s: Array  # [T + 1, N] time to collision, as `Series`
    thw_s: Array  # [T + 1, N] time headway: gap to who leads over the ego's speed
    drac_mps2: Array  # [T + 1, N] deceleration to avoid a crash with who leads: closing speed^2 / (2 gap)
    # Gap less the safe distance along the route and across; dangerous while both are negative. These rules are for traffic that
    # goes along the route or stands; who crosses it has other ones, and inf here.
    rss_along_m: Array  # [T + 1, N]
    rss_across_m: Array  # [T + 1, N]
    pet_s: Array  # [N] post-encroachment time: from one leaving the ground that both use until the other comes
    pet_at_s: Array  # [N] when the other comes

    @property
    def rss_margin_m(self) -> Array:
        """The better of both margins [T + 1, N]; negative means dangerous."""
        return np.maximum(self.rss_along_m, self.rss_across_m)


@dataclass(frozen=True, slots=True)
class _Sight:
    """Ego [T + 1, 1] and agents [T + 1, N] on the route; speeds are positive forward and to the left."""

    ahead_m: Array  # how far the agent's middle is ahead of the ego's
    left_m: Array
    gap_along_m: Array  # between the ends; negative where they are beside each other
    gap_across_m: Array
    ego_along_mps: Array
    ego_across_mps: Array
    along_mps: Array
    across_mps: Array
    stands: Array  # bool: the agent


def criticality(series: Series, parameters: rss.RssParameters = rss.DEFAULT) -> Criticality:
    """The series of a drive."""
    sight, there = _sight(series), series.states.agents.valid
    along = there & ((np.abs(sight.across_mps) < np.tan(CROSSING_RAD) * np.abs(sight.along_mps)) | sight.stands)
    leads = there & (sight.gap_across_m < 0) & (sight.ahead_m > 0) & (sight.along_mps >= 0)
    gap_m = np.maximum(0.0, sight.gap_along_m)
    moving = sight.ego_along_mps > STANDING_MPS
    thw_s = np.where(leads & moving, gap_m / np.where(moving, sight.ego_along_mps, 1.0), np.inf)
    closing = np.maximum(0.0, sight.ego_along_mps - sight.along_mps)
    drac = np.divide(closing**2, 2 * gap_m, out=np.full(gap_m.shape, np.inf), where=gap_m > 0)
    pet_s, pet_at_s = _post_encroachment(series)
    return Criticality(
        t_s=series.t_s,
        track_id=series.states.agents.track_id[0],
        ttc_s=series.ttc_s,
        thw_s=thw_s,
        drac_mps2=np.where(leads & (closing > 0), drac, 0.0),
        rss_along_m=np.where(along, sight.gap_along_m - _safe_along_m(sight, parameters), np.inf),
        rss_across_m=np.where(along, sight.gap_across_m - _safe_across_m(sight, parameters), np.inf),
        pet_s=pet_s,
        pet_at_s=pet_at_s,
    )


def criticality_measures(found: Criticality) -> dict[str, float]:
    """The worst of each series and when it was (``..._t_s``); what never existed is absent."""
    out: dict[str, float] = {}
    dangerous, drac = (
        found.rss_margin_m < 0,
        np.where(np.isfinite(found.drac_mps2) & (found.drac_mps2 > 0), found.drac_mps2, -np.inf),
    )
    series = {"min_ttc_s": found.ttc_s, "min_thw_s": found.thw_s, "max_drac_mps2": -drac, "rss_margin_m": found.rss_margin_m}
    series["rss_along_m"] = np.where(found.rss_across_m < 0, found.rss_along_m, np.inf)
    for name, values in series.items():
        worst = values.min(1, initial=np.inf)
        if np.isfinite(worst).any():
            step = int(np.argmin(worst))
            out[name] = float(-worst[step] if name == "max_drac_mps2" else worst[step])
            out[f"{name.rpartition('_')[0]}_t_s"] = float(found.t_s[step])
    if np.isfinite(found.pet_s).any():
        agent = int(np.argmin(found.pet_s))
        out["pet_s"], out["pet_t_s"] = float(found.pet_s[agent]), float(found.pet_at_s[agent])
    if found.track_id.size:
        out["rss_dangerous_share"] = float(dangerous.any(1).mean())
    return out


def _sight(series: Series) -> _Sight:
    agents, route = series.states.agents, series.scene.route_xy
    ego_s_m = series.route_sd[:, :1]
    ego_turn = series.centre[:, 2:] - point_at_s(route, ego_s_m)[..., 2]
    turn = agents.xy_yaw_world[..., 2] - point_at_s(route, series.agent_sd[..., 0])[..., 2]
    reach_m = EGO_SHAPE.rear_axle_to_centre_m
    ahead_m = series.agent_sd[..., 0] - ego_s_m - reach_m * np.cos(ego_turn)
    left_m = series.agent_sd[..., 1] - series.route_sd[:, 1:] - reach_m * np.sin(ego_turn)
    half = 0.5 * agents.size_lwh_m[..., :2]
    along, across = (a + b for a, b in zip(_reach(ego_turn, HALF_EGO_M), _reach(turn, half), strict=True))
    ego_mps = series.states.ego_speed_mps[:, None]
    return _Sight(
        ahead_m=ahead_m,
        left_m=left_m,
        gap_along_m=np.abs(ahead_m) - along,
        gap_across_m=np.abs(left_m) - across,
        ego_along_mps=ego_mps * np.cos(ego_turn),
        ego_across_mps=ego_mps * np.sin(ego_turn),
        along_mps=agents.speed_mps * np.cos(turn),
        across_mps=agents.speed_mps * np.sin(turn),
        stands=agents.speed_mps <= STANDING_MPS,
    )


def _reach(turn_rad: Array, half_m: Array) -> tuple[Array, Array]:
    """How far boxes reach along and across a direction that they are turned from."""
    cos, sin = np.abs(np.cos(turn_rad)), np.abs(np.sin(turn_rad))
    return cos * half_m[..., 0] + sin * half_m[..., 1], sin * half_m[..., 0] + cos * half_m[..., 1]


def _safe_along_m(sight: _Sight, p: rss.RssParameters) -> Array:
    ego, other = np.maximum(0.0, sight.ego_along_mps), np.abs(sight.along_mps)
    follows = rss.safe_behind_m(ego, other, p.ego_response_s, p)
    leads = rss.safe_behind_m(other, ego, p.other_response_s, p)
    # An agent that comes against the ego counts until it is past.
    against, ahead = sight.along_mps < -STANDING_MPS, sight.ahead_m > 0
    return np.where(against, np.where(ahead, rss.safe_oncoming_m(ego, other, p), 0.0), np.where(ahead, follows, leads))


def _safe_across_m(sight: _Sight, p: rss.RssParameters) -> Array:
    side = np.where(sight.left_m < 0, -1.0, 1.0)
    return rss.safe_beside_m(side * sight.ego_across_mps, -side * sight.across_mps, p)


def _post_encroachment(series: Series) -> tuple[Array, Array]:
    """Post-encroachment time with each agent whose way crosses the ego's, and when the second of both comes: [N], [N].

    The least time between two instants at which ego and agent are on the same ground: when the first leaves the crossing and the
    second enters it, they touch the same line. Exact to one step.
    """
    agents, centre = series.states.agents, series.centre
    pet_s, at_s = (np.full(agents.valid.shape[1], np.inf) for _ in range(2))
    radius = np.hypot(*HALF_EGO_M) + 0.5 * np.hypot(agents.size_lwh_m[..., 0], agents.size_lwh_m[..., 1])
    low, high = centre[:, :2].min(0) - radius[..., None], centre[:, :2].max(0) + radius[..., None]
    place = agents.xy_yaw_world[..., :2]
    inside = ((place >= low) & (place <= high)).all(-1) & agents.valid & (agents.speed_mps > STANDING_MPS)
    instants, rows = np.nonzero(inside)
    for start in range(0, len(rows), CHUNK):
        t, n = instants[start : start + CHUNK], rows[start : start + CHUNK]
        pose = agents.xy_yaw_world[t, n]
        dx, dy = (centre[:, None, axis] - pose[:, axis] for axis in (0, 1))
        turn = np.abs(wrap_angle_rad(centre[:, None, 2] - pose[:, 2]))
        crosses = (turn > CROSSING_RAD) & (turn < np.pi - CROSSING_RAD)
        near = crosses & (dx * dx + dy * dy < radius[t, n] ** 2) & (series.states.ego_speed_mps > STANDING_MPS)[:, None]
        ego, k = np.nonzero(near)
        same = overlap(centre[ego], HALF_EGO_M, pose[k], 0.5 * agents.size_lwh_m[t[k], n[k], :2])
        ego, k = ego[same], k[same]
        between_s, second_s = np.abs(series.t_s[ego] - series.t_s[t[k]]), np.maximum(series.t_s[ego], series.t_s[t[k]])
        order = np.lexsort((-second_s, -between_s))  # what is written last stays: the least
        agent, between_s, second_s = n[k[order]], between_s[order], second_s[order]
        better = between_s < pet_s[agent]
        pet_s[agent[better]], at_s[agent[better]] = between_s[better], second_s[better]
    return pet_s, at_s
