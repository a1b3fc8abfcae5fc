"""The closed-loop score of nuPlan. Traffic that reacts and traffic that does not are scored by the same formula."""

from __future__ import annotations

import numpy as np
import shapely

from drivewm.datatypes import Rollout, Score
from drivewm.metrics.published.drives import events_of, product, setting_of, told, ways_of, weighted
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.published.nuplan_parts import (
    FAULTS_TO_ZERO,
    LEAST_TTC_S,
    PROJECTED_S,
    SPEEDING_MPS,
    WRONG_WAY_M,
    WRONG_WAY_MILD_M,
    WRONG_WAY_WINDOW_S,
    Contacts,
    driving_direction,
    speed_limit,
    time_to_collision,
)
from drivewm.metrics.published.pdm import STOPPED_MPS, Found, Setting, comfort
from drivewm.metrics.published.rules import ACCEL_RULE, AT_FAULT_CASES, PULLED_SIDEWAYS, in_one_line
from drivewm.metrics.published.ways import Ways

GATES = ("no_at_fault_collision", "drivable_area", "driving_direction", "making_progress")
WEIGHTS = {"progress": 5.0, "ttc": 5.0, "speed_limit": 4.0, "comfort": 2.0}
OFF_ROAD_M = 0.3
LEAST_PROGRESS_M = 2.0  # ways below it count as this much
MAKING_PROGRESS = 0.2

FORMULA = Formula(
    name="nuplan_cls",
    measures="How safe, lawful, swift and smooth a drive is in closed loop.",
    total=in_one_line(GATES, WEIGHTS),
    parts=(
        Part(
            "no_at_fault_collision",
            "gate",
            None,
            f"0 with a person, cyclist or vehicle hit at fault, 1 less 1/{FAULTS_TO_ZERO['things']} for each thing; "
            f"{AT_FAULT_CASES}; lanes that follow each other are one",
        ),
        Part("drivable_area", "gate", None, f"0 when a corner of the body is {OFF_ROAD_M:g} m or more off the drivable area"),
        Part(
            "driving_direction",
            "gate",
            None,
            f"most metres within {WRONG_WAY_WINDOW_S:g} s against the lane that the ego is in: below {WRONG_WAY_MILD_M:g} m 1, "
            f"below {WRONG_WAY_M:g} m 0.5, else 0",
        ),
        Part("making_progress", "gate", None, f"0 when progress is below {MAKING_PROGRESS:g}"),
        Part(
            "progress",
            "term",
            WEIGHTS["progress"],
            f"way along the route over that of the reference driver, both at least {LEAST_PROGRESS_M:g} m, at most 1; 0 for "
            f"more than {LEAST_PROGRESS_M:g} m backwards",
        ),
        Part(
            "ttc",
            "term",
            WEIGHTS["ttc"],
            f"0 when bodies moved on at constant velocity meet within {LEAST_TTC_S:g} s (looked at every 0.1 s up to "
            f"{PROJECTED_S:g} s), or at an at-fault collision; agents that are ahead (under 30°) or, while the ego is on "
            f"several lanes, off the road or in a junction, not behind; not those met before, not at or below {STOPPED_MPS:g} "
            "m/s",
        ),
        Part("speed_limit", "term", WEIGHTS["speed_limit"], f"1 - mean overspeed / {SPEEDING_MPS:g} m/s, at least 0"),
        Part("comfort", "term", WEIGHTS["comfort"], ACCEL_RULE + ", accelerations in the middle of the body"),
    ),
    source="nuPlan devkit 1.2 (Karnchanachari et al., ICRA 2024; github.com/motional/nuplan-devkit, planning/metrics and "
    "closed_loop_*_weighted_average.yaml)",
    differs="The reference driver stands for the recorded human; progress is measured on the route, not on the human's lanes; "
    "on a junction lane its own speed limit holds, not those beside it; "
    f"{PULLED_SIDEWAYS}.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge a drive of any length."""
    at, ways = setting_of(rollout), ways_of(rollout)
    contacts = Contacts.of(ways, at)
    found = {
        "no_at_fault_collision": contacts.judged(),
        "drivable_area": off_road(ways, at),
        "driving_direction": driving_direction(ways, at),
        "ttc": time_to_collision(ways, at, contacts),
        "speed_limit": speed_limit(ways, at),
        "comfort": comfort(ways, at, at_centre=True),
    }
    own_m, other_m = _gained_m(rollout, at), reference.progress_m
    if reference.rollout is not None:
        other_m = _gained_m(reference.rollout, at)
    values = {name: float(part.value[0]) for name, part in found.items()}
    backwards = own_m < -LEAST_PROGRESS_M
    values["progress"] = 0.0 if backwards else min(1.0, max(own_m, LEAST_PROGRESS_M) / max(other_m, LEAST_PROGRESS_M))
    values["making_progress"] = float(values["progress"] >= MAKING_PROGRESS)
    road = rollout.scene.road
    needs = {"driving_direction": road.lanes, "speed_limit": road.lanes, "drivable_area": road.drivable}
    absent = tuple(name for name, known in needs.items() if not known)
    gates = {name: values[name] for name in GATES if name not in absent}
    terms = {name: values[name] for name in WEIGHTS if name not in absent}
    total = product(gates) * weighted(terms, WEIGHTS)
    measures = {"progress_m": own_m, "reference_progress_m": other_m, "total": total}
    return told(rollout, total, (gates, terms), events_of(rollout, found), absent, measures)


def off_road(ways: Ways, at: Setting) -> Found:
    """0 when a corner is `OFF_ROAD_M` or more off the drivable area."""
    corners = ways.corners()
    if at.places.drivable is None:
        return Found.fallen(np.zeros(corners.shape[:2], bool))
    return Found.fallen(~shapely.dwithin(at.places.drivable, shapely.points(corners), OFF_ROAD_M).all(-1))


def _gained_m(rollout: Rollout, at: Setting) -> float:
    """Metres that the middle of the body gains along the route; below 0 backwards."""
    ends = ways_of(rollout).centre[:, [0, -1], :2]
    s_m = at.routes.sd(ends)[0, :, 0]
    return float(s_m[1] - s_m[0])
