"""The `Drive` score of a finished rollout: product of gates times weighted mean of terms.

Gates and the weights of time to collision, progress and comfort are those of PDMS (NAVSIM, Dauner et al. 2024); lane keeping with
its weight is taken from EPDMS, making progress and the formulas of driving direction and speed limit from the closed-loop score
of nuPlan. Ours: a red light is a gate, the speed limit weighs 2, and what a scenario's author demands of the drive is a gate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drivewm.datatypes import Rollout, Score
from drivewm.metrics import gates, terms
from drivewm.metrics.boxes import gap_m
from drivewm.metrics.impacts import impacts
from drivewm.metrics.series import HALF_EGO_M, Judged, Series
from drivewm.scenarios.demands import broken

Metric = Callable[[Series], Judged]

DRIVE_GATES: dict[str, Metric] = {
    "no_at_fault_collision": gates.no_at_fault_collision,
    "drivable_area": gates.on_drivable_area,
    "driving_direction": gates.driving_direction,
    "red_light": gates.red_light,
    "making_progress": gates.making_progress,
    "policy_ran": gates.policy_ran,
}
DRIVE_TERMS: dict[str, tuple[Metric, float]] = {
    "ttc": (terms.time_to_collision, 5.0),
    "progress": (terms.progress, 5.0),
    "comfort": (terms.comfort, 2.0),
    "lane_keeping": (terms.lane_keeping, 2.0),
    "speed_limit": (terms.speed_limit, 2.0),
}


def score(rollout: Rollout, *, reference_progress_m: float, void_reasons: tuple[str, ...] = ()) -> Score:
    """Judge a rollout against a reference driver that got ``reference_progress_m`` along the route of the same scene.

    A gate or term that does not apply (no lights, no lanes, a reference that hardly moves) is absent and listed. A rollout with
    ``void_reasons`` is not valid: its numbers describe the states, not what the policy was shown.
    """
    series = Series.of(rollout, reference_progress_m)
    judged = {name: metric(series) for name, metric in DRIVE_GATES.items()}
    judged |= {name: metric(series) for name, (metric, _) in DRIVE_TERMS.items()}
    values = {name: outcome.value for name, outcome in judged.items() if outcome.value is not None}
    passed = {name: values[name] for name in DRIVE_GATES if name in values}
    rated = {name: values[name] for name in DRIVE_TERMS if name in values}
    weights = np.array([DRIVE_TERMS[name][1] for name in rated])
    # Time, speed or lane terms always exist for a drive of one step; the weighted mean is therefore defined.
    quality = float(np.dot(weights, list(rated.values())) / weights.sum())
    events = [event for outcome in judged.values() for event in outcome.events]
    measures = _measures(series)
    demanded = _demanded(series, measures)
    if demanded.value is not None:
        passed["demands"] = demanded.value
        events += demanded.events
    return Score(
        scene_id=rollout.scene.id,
        family=rollout.scene.family,
        valid=not void_reasons,
        total=float(np.prod(list(passed.values()))) * quality,
        passed=all(value == 1.0 for value in passed.values()),
        gates=passed,
        terms=rated,
        inapplicable=tuple(name for name in judged if name not in values),
        void_reasons=void_reasons,
        events=tuple(sorted(events, key=lambda event: event.t_s)),
        measures=measures,
    )


def _measures(series: Series) -> dict[str, float]:
    """Plain quantities; one that does not exist in this drive (no agent, no conflict, no impact) is absent."""
    out = {"progress_m": series.progress_m, "reference_progress_m": series.reference_progress_m}
    out["hardest_braking_mps2"] = float(max(0.0, -series.states.ego_accel_mps2.min()))
    agents = series.states.agents
    if np.isfinite(series.ttc_s).any():
        out["min_ttc_s"] = float(series.ttc_s.min())
    if agents.valid.any():
        gaps = gap_m(series.centre[:, None], HALF_EGO_M, agents.xy_yaw_world, 0.5 * agents.size_lwh_m[..., :2])
        out["min_gap_m"] = float(np.where(agents.valid, gaps, np.inf).min())
    if hits := impacts(series):
        out["impact_speed_mps"] = hits[0].speed_mps
    return out


def _demanded(series: Series, measures: dict[str, float]) -> Judged:
    """Whether the drive keeps to what its scenario demands; each demand that it breaks is an event at the drive's end."""
    if not series.scene.demands:
        return Judged(None)
    measured = {
        "min_gap": measures.get("min_gap_m", np.inf),
        "min_ttc": measures.get("min_ttc_s", np.inf),
        "impact_speed": measures.get("impact_speed_mps", 0.0),
        "hardest_braking": measures["hardest_braking_mps2"],
        "progress": measures["progress_m"],
        "end_speed": float(series.states.ego_speed_mps[-1]),
    }
    missed = broken(series.scene.demands, measured)
    last = len(series.t_s) - 1
    return Judged(float(not missed), tuple(series.event(f"demand not kept: {text}", last) for text in missed))
