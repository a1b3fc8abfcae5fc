"""ADS, the Arena Driving Score of DriveArena: how good the plans along a drive are, times route completion."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Array, Rollout, Score
from drivewm.metrics.comfort import COMFORT_BOUNDS
from drivewm.metrics.published.along import LEAST_WAY_M, judged, of_shares
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.published.planned import LOOK_AHEAD_S, Planned
from drivewm.metrics.routes import Routes

WEIGHTS = {"ttc": 5.0, "comfort": 2.0, "progress": 5.0}
NONE_BELOW, HALF_BELOW = 0.2, 0.5  # shares of the body's area on the road
MOST_ACCEL_MPS2 = COMFORT_BOUNDS["lateral_accel_mps2"][1]  # as published: the lateral bound is held against acceleration

FORMULA = Formula(
    name="ads",
    measures="How safe, smooth and swift the plans of a drive are, and how far it comes.",
    total="route_completion x mean over plans of no_collision x drivable_area x (5 ttc + 2 comfort + 5 progress) / 12",
    parts=(
        Part("no_collision", "gate", None, "0 for a plan that meets anybody where they will be"),
        Part(
            "drivable_area",
            "gate",
            None,
            f"0 for a plan with less than {NONE_BELOW:g} of the body's area on the road, 0.5 below {HALF_BELOW:g}",
        ),
        Part(
            "ttc",
            "term",
            WEIGHTS["ttc"],
            f"0 for a plan that meets anybody when it is moved on by {' or '.join(f'{s:g}' for s in LOOK_AHEAD_S)} s of its "
            "velocity and the others are not",
        ),
        Part(
            "comfort",
            "term",
            WEIGHTS["comfort"],
            f"0 when differences of a plan's points leave nuPlan's bounds; acceleration up to {MOST_ACCEL_MPS2:g} m/s², lateral "
            "acceleration is not looked at",
        ),
        Part(
            "progress",
            "term",
            WEIGHTS["progress"],
            f"the plan's way along the route over the reference driver's from the same place; 1 where both are below "
            f"{LEAST_WAY_M:g} m",
        ),
        Part("route_completion", "term", None, "way along the route over the reference driver's"),
    ),
    source="DriveArena (Yang et al. 2024, arXiv 2408.00415, Arena Driving Score; github.com/PJLab-ADG/DriveArena at bab94c5, "
    "TrafficManager/score_calculator.py)",
    differs="The reference driver's drive stands for the traffic engine's own plan, and without it progress does not apply; "
    "progress "
    "is at most 1; everybody counts, not only cars; gates and terms are told as means over plans.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge the plans of a drive; void where it has none."""
    planned, routes = Planned.of(rollout), Routes.of([rollout.scene])
    parts = {
        "no_collision": 1.0 - planned.collides(),
        "drivable_area": of_shares(planned.share_on_road(), NONE_BELOW, HALF_BELOW) if len(planned.t_s) else None,
        "ttc": 1.0 - planned.too_close(),
        "comfort": planned.comfortable(MOST_ACCEL_MPS2).astype(float),
        "progress": None if reference.rollout is None else _progress(planned, reference.rollout, routes),
    }
    completion = None
    if reference.progress_m >= LEAST_WAY_M:
        s_m = routes.sd(rollout.states.ego_xy_yaw_world[None, :, :2])[0, :, 0]
        completion = min(1.0, max(0.0, float(s_m.max() - s_m[0])) / reference.progress_m)
    return judged(planned, parts, WEIGHTS, completion)


def _progress(planned: Planned, driver: Rollout, routes: Routes) -> Array:
    """How far plans [F] lead along the route, over how far the reference driver came from there in the same time."""
    frames, points = planned.t_s.shape
    s_m = routes.sd(planned.centre[..., :2].reshape(1, -1, 2))[0, :, 0].reshape(frames, points)
    theirs = routes.sd(EGO_SHAPE.centre_xy_yaw(driver.states.ego_xy_yaw_world)[None, :, :2])[0, :, 0]
    theirs, t_s = np.maximum.accumulate(theirs), driver.states.t_s
    passes_s = t_s[np.minimum(np.searchsorted(theirs, s_m[:, 0]), len(theirs) - 1)]
    lasts_s = np.minimum(planned.t_s[:, -1], t_s[-1] - passes_s)  # as long as the reference driver's drive goes on
    there_m = np.interp(passes_s + lasts_s, t_s, theirs) - np.interp(passes_s, t_s, theirs)
    here_m = np.array([np.interp(last, t, s) for last, t, s in zip(lasts_s, planned.t_s, s_m, strict=True)]) - s_m[:, 0]
    known = there_m > 1e-6
    share = np.clip(here_m / np.where(known, there_m, 1.0), 0.0, 1.0)
    return np.where((np.maximum(here_m, there_m) < LEAST_WAY_M) | ~known, 1.0, share)
