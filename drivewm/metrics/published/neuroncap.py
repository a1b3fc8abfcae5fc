"""NeuroNCAP: five stars without a collision, else up to four by how much slower the impact is than without braking."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Rollout, Score
from drivewm.metrics.impacts import impacts
from drivewm.metrics.published.drives import told
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.series import Series

STARS, STARS_AFTER_IMPACT = 5.0, 4.0

FORMULA = Formula(
    name="neuroncap",
    measures="Whether a collision is avoided, or at least made slower.",
    total="impact",
    parts=(
        Part("impact", "gate", None, f"stars / {STARS:g}"),
        Part(
            "stars",
            "measure",
            None,
            f"{STARS:g} without a collision, else {STARS_AFTER_IMPACT:g} max(0, 1 - impact speed / reference speed)",
        ),
        Part("impact_speed_mps", "measure", None, "relative speed just before the first contact, whoever is at fault"),
        Part("reference_speed_mps", "measure", None, "the same with the ego as fast as at the start of the scene"),
    ),
    source="NeuroNCAP (Ljungbergh et al., ECCV 2024; github.com/atonderski/neuro-ncap, evaluator.py)",
    differs="Pedestrians and things count like vehicles, since our scenes have them; the reference speed takes the ego's "
    "speed at the start in the direction of the impact, where NeuroNCAP has a recorded drive; ego and agents have their own "
    "boxes.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge a drive; the reference driver is not looked at."""
    series = Series.of(rollout, reference.progress_m)
    hits = impacts(series)
    if not hits:
        return told(rollout, 1.0, ({"impact": 1.0}, {}), [], (), {"stars": STARS})
    first = hits[0]
    speed = float(np.hypot(*first.ego_velocity_mps))
    yaw = series.states.ego_xy_yaw_world[first.step - 1, 2]
    direction = first.ego_velocity_mps / speed if speed > 0 else np.array([np.cos(yaw), np.sin(yaw)])
    unbraked = float(np.hypot(*(series.states.ego_speed_mps[0] * direction - first.agent_velocity_mps)))
    stars = STARS_AFTER_IMPACT * max(0.0, 1.0 - first.speed_mps / unbraked) if unbraked > 0 else 0.0
    measures = {"stars": stars, "impact_speed_mps": first.speed_mps, "reference_speed_mps": unbraked}
    event = series.event("collision", first.step, first.agent)
    return told(rollout, stars / STARS, ({"impact": stars / STARS}, {}), [event], (), measures)
