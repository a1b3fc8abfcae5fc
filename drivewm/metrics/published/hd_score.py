"""HD-Score of HUGSIM: how good the plans along a drive are, times how much of the route it completes."""

from __future__ import annotations

from drivewm.datatypes import Rollout, Score
from drivewm.metrics.comfort import COMFORT_BOUNDS
from drivewm.metrics.published.along import LEAST_WAY_M, judged, of_shares
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.published.planned import LOOK_AHEAD_S, Planned
from drivewm.metrics.routes import Routes

WEIGHTS = {"ttc": 5.0, "comfort": 2.0}
NONE_BELOW, HALF_BELOW = 0.3, 0.5  # shares of the four quarters of the body that touch the ground
COMPLETE_SHARE = 0.9  # of the recorded way

FORMULA = Formula(
    name="hd_score",
    measures="How safe and smooth the plans of a drive are, and how far it comes.",
    total="route_completion x mean over plans of no_collision x drivable_area x (5 ttc + 2 comfort) / 7",
    parts=(
        Part(
            "no_collision",
            "gate",
            None,
            "0 for a plan that meets anybody where they will be, or where they are at its last point before the drive ends",
        ),
        Part(
            "drivable_area",
            "gate",
            None,
            f"0 for a plan with less than {NONE_BELOW:g} of the body's quarters on the road, 0.5 below {HALF_BELOW:g}",
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
            "0 when differences of a plan's points leave nuPlan's bounds; lateral acceleration is not looked at",
        ),
        Part(
            "route_completion", "term", None, f"min(1, way along the route / ({COMPLETE_SHARE:g} x the reference driver's way))"
        ),
    ),
    source="HUGSIM (Zhou et al. 2024, arXiv 2412.01718; github.com/hyzhou404/HUGSIM at 62c690d, sim/utils/score_calculator.py)",
    differs="The reference driver's way stands for the recorded one; there are no point clouds: ground is the drivable area, and "
    "the background cannot be hit; everybody counts, not only cars; gates and terms are told as means over plans.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge the plans of a drive; void where it has none."""
    planned = Planned.of(rollout)
    parts = {
        "no_collision": 1.0 - planned.collides(lasting=True),
        "drivable_area": of_shares(planned.share_on_road(rows=2), NONE_BELOW, HALF_BELOW) if len(planned.t_s) else None,
        "ttc": 1.0 - planned.too_close(lasting=True),
        "comfort": planned.comfortable(COMFORT_BOUNDS["accel_mps2"][1]).astype(float),
    }
    completion = None
    if reference.progress_m >= LEAST_WAY_M:
        s_m = Routes.of([rollout.scene]).sd(rollout.states.ego_xy_yaw_world[None, :, :2])[0, :, 0]
        completion = min(1.0, max(0.0, float(s_m.max() - s_m[0])) / (COMPLETE_SHARE * reference.progress_m))
    return judged(planned, parts, WEIGHTS, completion)
