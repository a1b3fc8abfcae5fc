"""PDMS: the score of NAVSIM v1."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, Rollout, Score
from drivewm.metrics.published import pdm
from drivewm.metrics.published.drives import events_of, product, setting_of, told, ways_of, weighted
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.published.rules import (
    ACCEL_RULE,
    AT_FAULT_RULE,
    DRIVABLE_RULE,
    PULLED_SIDEWAYS,
    TTC_RULE,
    as_measured,
    in_one_line,
)

WEIGHTS = {"progress": 5.0, "ttc": 5.0, "comfort": 2.0}

FORMULA = Formula(
    name="pdms_v1",
    measures="How safe, swift and smooth a drive is, without the traffic rules.",
    total=in_one_line(pdm.GATES[:2], WEIGHTS),
    parts=(
        Part("no_at_fault_collision", "gate", None, AT_FAULT_RULE),
        Part("drivable_area", "gate", None, DRIVABLE_RULE),
        Part(
            "progress",
            "term",
            WEIGHTS["progress"],
            "way along the route x gates, over the most that this drive or the reference driver has of it; if that is at most "
            f"{pdm.LEAST_PROGRESS_M:g} m: 1 while the gates hold, else 0",
        ),
        Part("ttc", "term", WEIGHTS["ttc"], TTC_RULE),
        Part("comfort", "term", WEIGHTS["comfort"], ACCEL_RULE + ", all at the rear axle"),
    ),
    source="NAVSIM v1.1 (Dauner et al., NeurIPS 2024; github.com/autonomousvision/navsim, branch v1.1, pdm_scorer.py)",
    differs="A whole drive in closed loop instead of 4 s from one frame; the reference driver stands for PDM-Closed; whether an "
    "agent stands is seen at the contact, not where it was first seen; the last 0.9 s look ahead as far as the drive goes; "
    f"{PULLED_SIDEWAYS}.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge a drive; without the reference's drive its way counts as one whose gates hold."""
    at, ways = setting_of(rollout), ways_of(rollout)
    own = pdm.parts_v1(ways, at)
    raw_m, gate = own.progress_m, own.gate()
    if reference.rollout is None:
        raw_m, gate = np.append(raw_m, reference.progress_m), np.append(gate, 1.0)
    else:
        other = pdm.parts_v1(ways_of(reference.rollout), setting_of(reference.rollout, at.places))
        raw_m, gate = np.append(raw_m, other.progress_m), np.append(gate, other.gate())
    values = {name: float(part.value[0]) for name, part in own.found.items()}
    gates = {name: values[name] for name in pdm.GATES if name in values}
    terms = {"progress": float(progress(raw_m, gate)[0]), "ttc": values["ttc"], "comfort": values["comfort"]}
    total = product(gates) * weighted(terms, WEIGHTS)
    return told(rollout, total, (gates, terms), events_of(rollout, own.found), (), as_measured(raw_m, total))


def progress(raw_m: Array, gate: Array) -> Array:
    """Progress [M] of ways judged together."""
    earned_m = raw_m * gate
    most_m = float(earned_m.max())
    return np.asarray(earned_m / most_m if most_m > pdm.LEAST_PROGRESS_M else (gate > 0).astype(np.float64))
