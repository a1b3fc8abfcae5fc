"""The driving score of CARLA's Leaderboard, versions 2.0 and 2.1: route completion times a penalty for infractions."""

from __future__ import annotations

from drivewm.datatypes import Rollout, Score
from drivewm.metrics.published import carla_infractions as carla
from drivewm.metrics.published.carla_infractions import Infractions, infractions
from drivewm.metrics.published.drives import product, told
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.series import Series

# leaderboard/utils/statistics_manager.py: each infraction multiplies (2.0), or adds to the sum by which 1 is divided (2.1).
FACTORS_2_0 = {
    "collision_pedestrian": 0.5,
    "collision_vehicle": 0.6,
    "collision_static": 0.65,
    "red_light": 0.7,
    "stop_sign": 0.8,
    "scenario_timeout": 0.7,
    "yield_to_emergency_vehicle": 0.7,
}
SUMMANDS_2_1 = {
    "collision_pedestrian": 1.0,
    "collision_vehicle": 0.7,
    "collision_static": 0.6,
    "red_light": 0.4,
    "stop_sign": 0.25,
    "scenario_timeout": 0.4,
    "yield_to_emergency_vehicle": 0.4,
}
MIN_SPEED_2_0 = 0.7  # what is left at no speed, per checkpoint
MIN_SPEED_2_1 = 0.4
FULL = 100.0  # of the published scale

RULES = {
    "collision_pedestrian": f"who is on foot is hit at {carla.STANDING_MPS:g} m/s or more; once per agent, and over "
    f"{carla.APART_M:g} m from the collision before",
    "collision_vehicle": "a vehicle, motorcycle or bicycle is hit; counted as those on foot",
    "collision_static": "a barrier, a cone or debris is hit; counted as those on foot",
    "red_light": "the front bumper crosses a stop line at red",
    "stop_sign": "a stop sign is run",
    "scenario_timeout": "a scenario is not finished in time",
    "yield_to_emergency_vehicle": "an emergency vehicle is kept from passing",
}
COMPLETION = Part(
    "route_completion",
    "term",
    None,
    f"way along the route over that of the reference driver; 1 over {carla.COMPLETE_SHARE:.0%} and within {carla.NEAR_M:g} m",
)
OUTSIDE = Part(
    "outside_route_lanes",
    "gate",
    None,
    f"1 less the share of the way with the middle over {carla.OUTSIDE_M:g} m outside all lanes or against traffic",
)
SLOW = f"where the mean speed over one of {carla.CHECKPOINTS} stretches of the route is below the surrounding traffic's"
DIFFERS = (
    "A route ends where the reference driver came to, since scenes end by time; the way around an obstacle is not "
    "against traffic; a drive ends at the first collision; animals count as pedestrians; surrounding traffic are unnamed "
    "vehicles that drive; "
    "routes are too short for CARLA's blocked and deviated ends; without a factor because they cannot occur: "
    + ", ".join(name.replace("_", " ") for name in carla.NEVER_HERE)
    + "."
)
SOURCE = (
    "CARLA Leaderboard {0} (github.com/carla-simulator/leaderboard, branch leaderboard-{0}, statistics_manager.py; criteria: "
    "carla-simulator/scenario_runner, same branch, atomic_criteria.py)"
)

FORMULA_2_0 = Formula(
    name="carla_ds_2_0",
    measures="How much of a route is driven, and how lawfully.",
    total="route_completion x product of the factors of all infractions; published in percent",
    parts=(
        COMPLETION,
        *(Part(name, "gate", factor, f"factor {factor:g} each time that {RULES[name]}") for name, factor in FACTORS_2_0.items()),
        OUTSIDE,
        Part("min_speed", "gate", MIN_SPEED_2_0, f"factor 1 - {1 - MIN_SPEED_2_0:g} (1 - ratio) {SLOW}"),
    ),
    source=SOURCE.format("2.0"),
    differs=DIFFERS,
)
FORMULA_2_1 = Formula(
    name="carla_ds_2_1",
    measures="How much of a route is driven, and how lawfully; many infractions weigh less than in 2.0.",
    total="route_completion x outside_route_lanes / (1 + sum of the penalties of all infractions); published in percent",
    parts=(
        COMPLETION,
        OUTSIDE,
        Part("infractions", "gate", None, "1 / (1 + sum of penalties)"),
        *(Part(name, "penalty", value, f"{value:g} each time that {RULES[name]}") for name, value in SUMMANDS_2_1.items()),
        Part("min_speed", "penalty", MIN_SPEED_2_1, f"{MIN_SPEED_2_1:g} (1 - ratio) {SLOW}"),
    ),
    source=SOURCE.format("2.1"),
    differs=DIFFERS,
)


def score_2_0(rollout: Rollout, reference: Reference) -> Score:
    """Every infraction is a factor."""
    found = infractions(Series.of(rollout, reference.progress_m))
    gates = {name: FACTORS_2_0[name] ** count for name, count in found.counts.items()}
    if found.outside_share is not None:
        gates["outside_route_lanes"] = 1 - found.outside_share
    if found.slow is not None:
        gates["min_speed"] = product({str(i): 1 - (1 - MIN_SPEED_2_0) * (1 - ratio) for i, ratio in enumerate(found.slow)})
    return _judged(rollout, found, gates)


def score_2_1(rollout: Rollout, reference: Reference) -> Score:
    """Infractions add up before they count."""
    found = infractions(Series.of(rollout, reference.progress_m))
    penalty = sum(SUMMANDS_2_1[name] * count for name, count in found.counts.items())
    penalty += sum(MIN_SPEED_2_1 * (1 - ratio) for ratio in found.slow or ())
    gates = {"infractions": 1 / (1 + penalty)}
    if found.outside_share is not None:
        gates["outside_route_lanes"] = 1 - found.outside_share
    return _judged(rollout, found, gates)


def _judged(rollout: Rollout, found: Infractions, gates: dict[str, float]) -> Score:
    terms = {} if found.completion is None else {"route_completion": found.completion}
    total = product(gates) * (1.0 if found.completion is None else found.completion)
    absent = {"route_completion": found.completion, "outside_route_lanes": found.outside_share, "min_speed": found.slow}
    missing = (*(name for name, value in absent.items() if value is None), *carla.NEVER_HERE)
    missing += () if "red_light" in found.counts else ("red_light",)
    measures = {name: float(count) for name, count in found.counts.items()}
    measures |= {"driving_score": FULL * total, "infraction_penalty": product(gates)}
    return told(rollout, total, (gates, terms), list(found.events), missing, measures)
