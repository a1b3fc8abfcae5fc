"""How badly people are hurt by an impact, and how near a drive comes to one."""

from __future__ import annotations

from drivewm.datatypes import Rollout, Score
from drivewm.metrics import severity as curves
from drivewm.metrics.criticality import criticality, criticality_measures
from drivewm.metrics.impacts import impacts
from drivewm.metrics.published.drives import product, told
from drivewm.metrics.published.formula import Formula, Part, Reference
from drivewm.metrics.rss import DEFAULT as RSS
from drivewm.metrics.series import Series

FORMULA = Formula(
    name="severity",
    measures="The chance that the first impact injures nobody seriously (MAIS 3+), and how near to one a drive comes.",
    total="occupants x other",
    parts=(
        Part(
            "occupants",
            "gate",
            None,
            f"1 - 1 / (1 + exp({-curves.OCCUPANT:g} - {curves.OCCUPANT_PER_MPS:g} dv - place)), dv in m/s, place 0 in front, "
            f"{curves.SIDE:g} at the side (45 to 135°), {curves.REAR:g} at the rear",
        ),
        Part(
            "other",
            "gate",
            None,
            "the same for a vehicle that is hit; on foot or two wheels "
            f"1 - 1 / (1 + exp({-curves.EXPOSED:g} - {curves.EXPOSED_PER_MPS:g} dv))",
        ),
        Part("ego_delta_v_mps", "measure", None, "impact speed x mass of the other / both masses"),
        Part("other_delta_v_mps", "measure", None, "impact speed x mass of the ego / both masses"),
        Part(
            "death_risk",
            "measure",
            None,
            f"of a pedestrian met by the front: 1 / (1 + exp({-curves.DEATH:g} - {curves.DEATH_PER_KMH:g} v)), v in km/h",
        ),
        Part("min_ttc_s", "measure", None, "time to collision, all moving on as they do"),
        Part("min_thw_s", "measure", None, "gap to who leads over the ego's speed"),
        Part("max_drac_mps2", "measure", None, "closing speed² / (2 gap) to who leads"),
        Part("pet_s", "measure", None, "from one leaving the ground where ways cross until the other comes"),
        Part(
            "rss_margin_m",
            "measure",
            None,
            f"the better of both gaps less its safe distance; response {RSS.ego_response_s:g} s "
            f"(others {RSS.other_response_s:g} s), along {RSS.accel_mps2:g}, {RSS.brake_least_mps2:g}, "
            f"{RSS.brake_most_mps2:g}, across {RSS.lateral_accel_mps2:g}, "
            f"{RSS.lateral_brake_mps2:g} m/s², {RSS.fluctuation_m:g} m; negative is dangerous",
        ),
        Part("rss_along_m", "measure", None, "the margin along the route while that across is negative"),
        Part("rss_dangerous_share", "measure", None, "share of the drive with a negative margin"),
    ),
    source="Geisslinger et al. 2023 (Nature Machine Intelligence 5, 137-144; github.com/TUMFTM/EthicalTrajectoryPlanning, "
    "harm_parameters.json); death: Rosén and Sander 2009; series: Westhofen et al. 2023; RSS: Shalev-Shwartz et al. "
    "2017 with values of ad-rss-lib",
    differs=f"Cars weigh at least {curves.LEAST_CAR_KG:g} kg; trailers and machines weigh as trucks; a barrier does not give "
    "way; with cones, debris and animals no curve applies; RSS for people on foot is that for vehicles.",
)


def score(rollout: Rollout, reference: Reference) -> Score:
    """Judge a drive by its first impact; later ones follow from it."""
    series = Series.of(rollout, reference.progress_m)
    measures = criticality_measures(criticality(series))
    hits = impacts(series)
    if not hits:
        return told(rollout, 1.0, ({"occupants": 1.0, "other": 1.0}, {}), [], (), measures)
    first = hits[0]
    events = [series.event("collision", first.step, first.agent)]
    measures["impact_speed_mps"] = first.speed_mps
    harm = curves.harm(series, first)
    if harm is None:
        return told(rollout, 1.0, ({}, {}), events, ("occupants", "other"), measures)
    measures |= {"ego_delta_v_mps": harm.ego_delta_v_mps, "other_delta_v_mps": harm.other_delta_v_mps}
    if harm.death_risk is not None:
        measures["death_risk"] = harm.death_risk
    gates = {"occupants": 1 - harm.ego_risk}
    if harm.other_risk is not None:
        gates["other"] = 1 - harm.other_risk
    return told(rollout, product(gates), (gates, {}), events, () if "other" in gates else ("other",), measures)
