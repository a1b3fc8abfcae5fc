"""The Rater Feedback Score of the Waymo Open Dataset's end-to-end challenge: how close a way is to ways that people rated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, Rollout, Score
from drivewm.errors import InputError
from drivewm.geometry import ego_from_world
from drivewm.metrics.published.drives import told
from drivewm.metrics.published.formula import Formula, Part, Reference

RATE_HZ, LENGTH_S = 4, 5
CHECKED_S = (3, 5)
BASE_M = (1.0, 1.8)  # half size of the trust regions at these times, across
ALONG = 4.0  # times as much along
SLOW_MPS, FAST_MPS, LEAST_SCALE = 1.4, 11.0, 0.5  # the regions shrink to half for who starts slowly
DECAY, FLOOR, BEST = 0.1, 4.0, 10.0
MOST_RATED = 3

FORMULA = Formula(
    name="waymo_rater",
    measures="How people would rate a drive, by the nearest of the ways that they rated.",
    total=f"mean over {CHECKED_S[0]} and {CHECKED_S[1]} s of the best rating x {DECAY:g}^max(0, distance - 1); at least "
    f"{FLOOR:g} "
    f"of {BEST:g} for who is outside the trust region of every rated way; divided by {BEST:g}",
    parts=(
        Part(
            "rater_feedback",
            "term",
            None,
            f"distance: the greater of across / (b s) and along / ({ALONG:g} b s), b = {BASE_M[0]:g} m and {BASE_M[1]:g} m, s "
            f"from {LEAST_SCALE:g} at {SLOW_MPS:g} m/s to 1 at {FAST_MPS:g} m/s at the start",
        ),
        Part("trusted", "measure", None, "1 inside the trust region of a rated way at both times"),
    ),
    source="Waymo Open Dataset, vision-based end-to-end driving challenge 2025 (github.com/waymo-research/waymo-open-dataset at "
    "99a4cb3, metrics/python/rater_feedback_utils.py)",
    differs=f"The way that was driven in the first {LENGTH_S} s is rated, not a plan. Scenes carry no rated ways: it applies "
    "where "
    "a user gives them.",
)


@dataclass(frozen=True, slots=True)
class RatedWays:
    """Ways in the ego frame of the start, ``RATE_HZ`` points a second without t = 0, and their ratings from 0 to 10."""

    xy_ego: Sequence[Array]  # each [T, 2]; shorter ones stay at their last point
    ratings: Sequence[float]


def rater_feedback(
    way_xy: Array, rated: RatedWays, start_mps: float, *, rate_hz: int = RATE_HZ, floor: float = FLOOR
) -> tuple[float, bool]:
    """Score on the published scale of a way [T, 2] in the ego frame of its start, and whether it is trusted.

    Raises InputError for a way that is too short and for ways without a rating each.
    """
    steps = np.array(CHECKED_S) * rate_hz - 1
    if len(way_xy) <= steps[-1]:
        raise InputError(f"a way of {len(way_xy)} points is too short to be rated", hint=f"it must last {LENGTH_S} s")
    if not rated.xy_ego or len(rated.xy_ego) != len(rated.ratings):
        raise InputError(f"{len(rated.xy_ego)} rated ways have {len(rated.ratings)} ratings")
    ways = np.stack([_lasting(way, LENGTH_S * rate_hz) for way in rated.xy_ego[:MOST_RATED]])
    along = _directions(ways)[:, steps]
    delta = way_xy[steps] - ways[:, steps]
    lon = np.abs((along * delta).sum(-1))
    lat = np.abs(along[..., 0] * delta[..., 1] - along[..., 1] * delta[..., 0])
    share = (start_mps - SLOW_MPS) / (FAST_MPS - SLOW_MPS)
    across_m = np.array(BASE_M) * np.clip(LEAST_SCALE + (1 - LEAST_SCALE) * share, LEAST_SCALE, 1.0)
    distance = np.maximum(lon / (ALONG * across_m), lat / across_m)
    values = np.asarray(rated.ratings[:MOST_RATED], np.float64)[:, None] * DECAY ** np.maximum(0.0, distance - 1.0)
    trusted = bool((distance <= 1.0).all(1).any())
    value = float(values.max(0).mean())
    return (value if trusted else max(floor, value)), trusted


def score(rollout: Rollout, reference: Reference, rated: RatedWays | None = None) -> Score:
    """Judge the first five seconds of a drive; without rated ways, or for a shorter drive, it does not apply and is void."""
    states, t_s = rollout.states, np.arange(1, LENGTH_S * RATE_HZ + 1) / RATE_HZ
    reason = "no rated ways are given" if rated is None else ""
    if states.t_s[-1] - states.t_s[0] < LENGTH_S - 1e-6:
        reason = f"the drive is shorter than {LENGTH_S} s"
    if rated is None or reason:
        void = told(rollout, 0.0, ({}, {}), [], ("rater_feedback",), {})
        return replace(void, valid=False, void_reasons=(f"the score does not apply: {reason}",))
    own = ego_from_world(states.ego_xy_yaw_world[:, :2], states.ego_xy_yaw_world[0])
    way = np.stack([np.interp(t_s, states.t_s - states.t_s[0], own[:, axis]) for axis in (0, 1)], -1)
    value, trusted = rater_feedback(way, rated, float(states.ego_speed_mps[0]))
    measures = {"rater_feedback": value, "trusted": float(trusted)}
    return told(rollout, value / BEST, ({}, {"rater_feedback": value / BEST}), [], (), measures)


def _lasting(way_xy: Array, count: int) -> Array:
    way = np.asarray(way_xy, np.float64)[:count]
    return np.concatenate([way, np.repeat(way[-1:], count - len(way), axis=0)])


def _directions(ways: Array) -> Array:
    """Unit direction in which ways [P, T, 2] arrive at each point; who stands keeps the last one, at first straight ahead."""
    step = np.diff(ways, axis=1, prepend=np.zeros((len(ways), 1, 2)))
    length = np.linalg.norm(step, axis=-1)
    last = np.maximum.accumulate(np.where(length > 0, np.arange(step.shape[1]), -1), axis=1)
    moved = np.take_along_axis(step, np.maximum(last, 0)[..., None], 1)
    moved = np.where((last >= 0)[..., None], moved, np.array([1.0, 0.0]))
    return np.asarray(moved / np.linalg.norm(moved, axis=-1, keepdims=True))
