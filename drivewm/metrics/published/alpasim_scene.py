"""The scene score of NVIDIA AlpaSim: progress along the recorded way, or nothing after an own fault."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import EGO_SHAPE, Event, Rollout, Score
from drivewm.metrics.boxes import overlap
from drivewm.metrics.gates import on_drivable_area
from drivewm.metrics.impacts import impacts
from drivewm.metrics.published.drives import product, told
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.series import HALF_EGO_M, Series

SATURATION = 0.8  # SceneScoreConfig.progress_saturation_threshold
LEAST_WAY_M = 5.0  # SceneScoreConfig.min_gt_distance_for_full_score_m

FORMULA = Formula(
    name="alpasim_scene",
    measures="Whether the way of the recorded drive is driven without an own collision and without leaving the road.",
    total="collision_at_fault x offroad x progress",
    parts=(
        Part("collision_at_fault", "gate", None, "0 when the first contact is not with the rear bumper alone"),
        Part("offroad", "gate", None, "0 when a corner leaves the drivable area; what comes after a collision does not count"),
        Part(
            "progress",
            "term",
            None,
            f"min(1, share of the reference's way / {SATURATION:g}); 1 where that is below {LEAST_WAY_M:g} m",
        ),
        Part("distance_m", "measure", None, "way driven until the first incident"),
        Part(
            "incident",
            "measure",
            None,
            "1 after any collision or leaving the road; their distances over their sum are km per incident",
        ),
        Part("incident_at_fault", "measure", None, "the same without collisions at the rear"),
    ),
    source="AlpaSim (github.com/NVlabs/alpasim at 3032e0c, src/eval: scene_score.py, schema.py, processing.py, collision.py)",
    differs="The reference driver's way stands for the recorded one; off the road is where a corner leaves the drivable "
    "area, not where the body touches the road's edge.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge a drive; everything ends with its first incident."""
    series = Series.of(rollout, reference.progress_m)
    events: list[Event] = []
    last = len(series.t_s) - 1
    off = on_drivable_area(series)
    left = round(off.events[0].t_s / series.scene.dt_s) if off.events else last + 1
    hits = [hit for hit in impacts(series) if hit.step <= left]
    hits = [hit for hit in hits if hit.step == hits[0].step]
    incident = min([left, *(hit.step for hit in hits)])
    blamed = [hit for hit in hits if not _rear_only(series, hit.step, hit.agent)]
    gates = {"collision_at_fault": 0.0 if blamed else 1.0}
    events += [series.event("collision_at_fault" if hit in blamed else "collision_rear", hit.step, hit.agent) for hit in hits]
    if off.value is not None:
        gates["offroad"] = 0.0 if left <= incident and off.events else 1.0
        events += [series.event("offroad", left)] if gates["offroad"] == 0.0 else []
    end = min(incident, last)
    gained_m = max(0.0, float(series.route_sd[end, 0] - series.route_sd[0, 0]))
    terms: dict[str, float] = {}
    missing: tuple[str, ...] = () if off.value is not None else ("offroad",)
    if reference.progress_m >= LEAST_WAY_M:
        terms["progress"] = min(1.0, min(1.0, gained_m / reference.progress_m) / SATURATION)
    else:
        missing += ("progress",)
    steps = np.diff(series.centre[: end + 1, :2], axis=0)
    measures = {
        "distance_m": float(np.hypot(steps[:, 0], steps[:, 1]).sum()),
        "incident": float(incident <= last),
        "incident_at_fault": float(min(gates.values()) == 0.0),
    }
    return told(rollout, product(gates) * terms.get("progress", 1.0), (gates, terms), events, missing, measures)


def _rear_only(series: Series, step: int, agent: int) -> bool:
    """Whether an agent touches the rear bumper and not the front one."""
    agents = series.states.agents
    pose, half = agents.xy_yaw_world[step, agent], 0.5 * agents.size_lwh_m[step, agent, :2]
    ends = []
    for side in (1.0, -1.0):
        bumper = series.centre[step].copy()
        bumper[:2] += side * 0.5 * EGO_SHAPE.length_m * np.array([np.cos(bumper[2]), np.sin(bumper[2])])
        ends.append(bool(overlap(bumper, np.array([0.0, HALF_EGO_M[1]]), pose, half)))
    return ends[1] and not ends[0]
