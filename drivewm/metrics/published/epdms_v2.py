"""EPDMS: the score of NAVSIM v2, as its description has it and as release 2.2 computed it.

Release 2.2 has two defects, both in what forgives the driver that in which the human failed as well:

- `TOTAL_UNFORGIVEN` (issue 151, repaired on the main branch on 2025-09-29): the parts that are told are forgiven, the total is
  not; it is made of the parts as they were.
- `COMFORT_UNFORGIVEN` (still so on the main branch): docs/metrics.md forgives every part, but the human is judged without its
  history, so that its history comfort is always 1, and extended comfort is put in after the forgiving.

``compat="fixed"`` follows the description.
``compat="navsim-2.2"`` has both defects, to stand beside figures that were published with it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from drivewm.datatypes import Rollout, Score
from drivewm.metrics.published import pdm
from drivewm.metrics.published.drives import events_of, product, setting_of, told, ways_of, weighted
from drivewm.metrics.published.follow_up import APART_S, extended_comfort
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.published.ride import EXTENDED_BOUNDS
from drivewm.metrics.published.rules import (
    ACCEL_RULE,
    AT_FAULT_RULE,
    DRIVABLE_RULE,
    PULLED_SIDEWAYS,
    TTC_RULE,
    as_measured,
    in_one_line,
)

Compat = Literal["fixed", "navsim-2.2"]

WEIGHTS = {"progress": 5.0, "ttc": 5.0, "lane_keeping": 2.0, "history_comfort": 2.0, "extended_comfort": 2.0}
TOTAL_UNFORGIVEN = "the human filter does not reach the total (NAVSIM issue 151)"
COMFORT_UNFORGIVEN = "the human filter does not reach history and extended comfort (docs/metrics.md against pdm_score.py)"
COMFORTS = ("history_comfort", "extended_comfort")

FORMULA = Formula(
    name="epdms_v2",
    measures="How safe, lawful, swift, smooth and steady a drive is, leaving out in what the reference driver failed too.",
    total=in_one_line(pdm.GATES, WEIGHTS),
    parts=(
        Part("no_at_fault_collision", "gate", None, AT_FAULT_RULE),
        Part("drivable_area", "gate", None, DRIVABLE_RULE),
        Part(
            "driving_direction",
            "gate",
            None,
            f"most metres within {pdm.WRONG_WAY_WINDOW_S:g} s outside the lanes of the route and outside junctions: below "
            f"{pdm.WRONG_WAY_MILD_M:g} m 1, below {pdm.WRONG_WAY_M:g} m 0.5, else 0",
        ),
        Part(
            "traffic_lights",
            "gate",
            None,
            "0 in a junction lane of the route whose light is red, or when the front crosses the stop line of one without",
        ),
        Part(
            "progress",
            "term",
            WEIGHTS["progress"],
            "way along the route over the most that this drive or the reference driver has with its gates, at most 1; 1 if "
            f"that is at most {pdm.LEAST_PROGRESS_M:g} m",
        ),
        Part("ttc", "term", WEIGHTS["ttc"], TTC_RULE + f"; not in the last {pdm.LOOK_AHEAD_S[-1]:g} s"),
        Part(
            "lane_keeping",
            "term",
            WEIGHTS["lane_keeping"],
            f"0 when the middle of the body is over {pdm.OFF_LANE_M:g} m beside the route for {pdm.OFF_LANE_S:g} s on end; "
            "junctions are skipped",
        ),
        Part("history_comfort", "term", WEIGHTS["history_comfort"], ACCEL_RULE + ", accelerations in the middle of the body"),
        Part(
            "extended_comfort",
            "term",
            WEIGHTS["extended_comfort"],
            f"share of plans that differ from the one at most {APART_S:g} s before by no more than "
            f"{EXTENDED_BOUNDS['accel_mps2']:g} m/s², {EXTENDED_BOUNDS['jerk_mps3']:g} m/s³, "
            f"{EXTENDED_BOUNDS['yaw_rate_radps']:g} rad/s, {EXTENDED_BOUNDS['yaw_accel_radps2']:g} rad/s² (root mean square); "
            "its weight is left out where there are no two",
        ),
        Part(
            "human_filter",
            "measure",
            None,
            "a part in which the reference driver has 0 is 1; `epdms_v2_navsim_2_2` keeps two defects of release 2.2: "
            f"{TOTAL_UNFORGIVEN}; {COMFORT_UNFORGIVEN}",
        ),
    ),
    source="NAVSIM v2.2 (Cao et al., CoRL 2025; github.com/autonomousvision/navsim, docs/metrics.md, pdm_scorer.py, "
    "pdm_score.py)",
    differs="A whole drive in closed loop instead of two stages of 4 s; the reference driver stands for the human and for "
    "PDM-Closed; a drive has no history before it begins; extended comfort is a share, not 0 or 1; whether an agent stands is "
    f"seen at the contact; {PULLED_SIDEWAYS}.",
)


def score(rollout: Rollout, reference: Reference, compat: Compat = "fixed") -> Score:
    """Judge a drive. Without the reference's drive nothing is forgiven, and its way counts as one whose gates hold."""
    at, ways = setting_of(rollout), ways_of(rollout)
    own = pdm.parts_v2(ways, at)
    found = dict(own.found)
    extended = extended_comfort(rollout)
    if extended is not None:
        found["extended_comfort"] = extended
    raw_m, gate, failed = np.append(own.progress_m, reference.progress_m), np.append(own.gate(), 1.0), set[str]()
    if reference.rollout is not None:
        other = pdm.parts_v2(ways_of(reference.rollout), setting_of(reference.rollout, at.places))
        raw_m[1], gate[1] = other.progress_m[0], other.gate()[0]
        failed = _failed(other, compat)
        # Following all plans of the reference takes the most time; where nothing is to be forgiven it would change nothing.
        if compat == "fixed" and extended is not None and extended.value[0] < 1.0:
            failed |= _failed_extended(reference.rollout)
    most_m = float((raw_m * gate).max())
    values = {name: float(part.value[0]) for name, part in found.items()}
    values["progress"] = min(1.0, float(raw_m[0]) / most_m) if most_m > pdm.LEAST_PROGRESS_M else 1.0
    shown = {name: 1.0 if name in failed else value for name, value in values.items()}
    absent = [name for name, there in _applies(rollout).items() if not there]
    absent += ["extended_comfort"] * (extended is None) + ["human_filter"] * (reference.rollout is None)
    counted = {name: value for name, value in shown.items() if name not in absent}
    gates = {name: counted[name] for name in pdm.GATES if name in counted}
    terms = {name: counted[name] for name in WEIGHTS if name in counted}
    unforgiven = product({name: values[name] for name in gates}) * weighted({name: values[name] for name in terms}, WEIGHTS)
    forgiven = product(gates) * weighted(terms, WEIGHTS)
    total = unforgiven if compat == "navsim-2.2" else forgiven
    events = [event for event in events_of(rollout, found) if event.kind not in failed]
    measures = as_measured(raw_m, total) | {"forgiven_total": forgiven, "unforgiven_total": unforgiven}
    return told(rollout, total, (gates, terms), events, tuple(absent), measures)


def score_navsim_2_2(rollout: Rollout, reference: Reference) -> Score:
    """As release 2.2 has it, with its two defects."""
    return score(rollout, reference, compat="navsim-2.2")


def _applies(rollout: Rollout) -> dict[str, bool]:
    """Gates that need something of the place."""
    road = rollout.scene.road
    return {"driving_direction": bool(road.lanes), "traffic_lights": bool(road.signals), "drivable_area": bool(road.drivable)}


def _failed(parts: pdm.Parts, compat: Compat) -> set[str]:
    """Parts in which the reference driver has 0."""
    out = {name for name, part in parts.found.items() if part.value[0] == 0.0}
    return out - set(COMFORTS) if compat == "navsim-2.2" else out


def _failed_extended(drive: Rollout) -> set[str]:
    extended = extended_comfort(drive)
    return {"extended_comfort"} if extended is not None and extended.value[0] == 0.0 else set()
