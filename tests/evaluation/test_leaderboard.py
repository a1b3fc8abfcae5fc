"""Controls land where they should, and the page says so only where the drives can tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from drivewm.datatypes import Event, Observation, Score
from drivewm.evaluation.cases import drive
from drivewm.evaluation.leaderboard import Contest, Entry, placings, run_contest
from drivewm.evaluation.leaderboard_page import leaderboard
from drivewm.evaluation.score import ScoreOptions, SuiteResult
from drivewm.evaluation.suite import load_suite
from drivewm.evaluation.summary import summarise
from drivewm.policies.load import load_policy
from drivewm.policies.observation import Observer
from drivewm.scenarios.catalogue import scenario_files
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.sim.engine import Engine
from drivewm.sim.raster import RasterWorld
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import provenance
from drivewm.testing import BlankWorld

SCENARIOS = ["lead_vehicle.brakes", "vulnerable.adult_at_crosswalk", "calm.steady_following"]


def entry(policy: str, scores: list[Score]) -> Entry:
    result = SuiteResult("s@1", policy, "blank", summarise(scores), tuple(scores), (), provenance(0), (0,) * len(scores))
    return Entry(policy, "blank", Path("nowhere"), result)


def test_who_stands_is_last_outside_calm_traffic_and_who_sees_the_future_first() -> None:
    scenes = [draw(open_scenario(file), 0, 0) for file in scenario_files(SCENARIOS)]
    entries = []
    for name in ("constant_velocity", "still", "expert"):
        driven = drive(scenes, load_policy(name), BlankWorld(nuscenes_rig(2, 2)), seed=0)
        entries.append(entry(name, [one.case.score for one in driven]))
    means = {one.policy: score.value for one in entries if (score := one.result.summary.all.score)}
    assert len(means) == 3 and means["expert"] == max(means.values()) > 0.9 and means["still"] == min(means.values()) < 0.1
    landed = {one.claim: one.holds for one in placings(entries)}
    assert landed["outside calm traffic expert above still"] is True
    assert all(holds is not False for holds in landed.values())


def test_who_is_shown_black_frames_plans_as_its_twin_does_in_the_dark() -> None:
    scene = draw(open_scenario(scenario_files(SCENARIOS)[0]), 0, 0)
    world, state = RasterWorld(nuscenes_rig()), Engine([scene]).start().world
    seeing, blind = load_policy("teacher"), load_policy("blind")
    lit = Observer([scene], seeing.spec.history).observe(world.start([scene], state, 0)[0], state)
    plans = [policy.act(seen, policy.start(1, 0))[0] for policy, seen in ((seeing, lit), (blind, lit), (seeing, darkened(lit)))]
    assert np.array_equal(plans[1].xy_yaw_ego, plans[2].xy_yaw_ego) and np.array_equal(plans[1].speed_mps, plans[2].speed_mps)
    assert lit.images.max() > 100 and blind.spec.id == f"blind.{seeing.spec.id}"


def darkened(seen: Observation) -> Observation:
    return replace(seen, images=np.zeros_like(seen.images))


def test_who_sees_who_cuts_across_stops_for_it_and_its_blind_twin_drives_into_it() -> None:
    """Somebody leaves the motorway across the ego's lane: within 5 s the black frames end in a contact, both times."""
    (file,) = scenario_files(["exit.cuts_across"])
    scenes = [replace(draw(open_scenario(file), index, 0), horizon_s=5.0) for index in (0, 1)]
    world, entries = RasterWorld(nuscenes_rig()), []
    for name in ("teacher", "blind"):
        driven = [one.case for one in drive(scenes, load_policy(name), world, seed=0)]
        entries.append(entry(name, [case.score for case in driven]))
        assert [case.rollout.ended for case in driven] == [{"teacher": "horizon", "blind": "collision"}[name]] * 2
    assert {one.claim: one.holds for one in placings(entries)} == {"teacher above blind": True}


def test_a_claim_is_undecided_where_the_drives_cannot_tell_and_fails_where_they_contradict() -> None:
    def scores(values: list[float], family: str = "cut_in") -> list[Score]:
        return [Score(f"a@1:{i}#0", family, True, value, True, {}, {}) for i, value in enumerate(values)]

    mixed = [entry("teacher", scores([0.9, 0.1, 0.8, 0.2])), entry("blind", scores([0.1, 0.9, 0.2, 0.8]))]
    assert [one.holds for one in placings(mixed)] == [None]
    wrong = [entry("teacher", scores([0.1, 0.2, 0.1])), entry("blind", scores([0.8, 0.9, 0.9]))]
    assert [one.holds for one in placings(wrong)] == [False] and "**no**" in leaderboard(wrong, "drivewm leaderboard")
    # Void drives and calm families say nothing about who stands still.
    void = [entry("idm", [replace(one, valid=False) for one in scores([1.0, 1.0])]), entry("still", scores([0.0, 0.0]))]
    calm = [entry("idm", scores([1.0, 1.0], "calm")), entry("still", scores([0.9, 0.9], "calm"))]
    for entries in (void, calm):
        assert [(one.holds, one.difference) for one in placings(entries)] == [(None, None)]


def test_the_page_tells_families_mishaps_and_why_drives_are_void() -> None:
    """Three drives: one collides and breaks two demands, one is void. Shares are of the drives that count, and of all."""
    hit = (
        Event("collision", 1.0, 1),
        Event("demand not kept: $min_gap > 2 m", 2.0),
        Event("demand not kept: $progress > 9 m", 2.0),
    )
    scores = [
        Score("a@1:0#0", "cut_in", True, 0.5, False, {}, {}, events=hit),
        Score("b@1:0#0", "merge", True, 0.9, True, {}, {}),
        Score("b@1:1#0", "merge", False, 0.9, True, {}, {}, void_reasons=("weather reads as fog: 0.9",)),
    ]
    page = leaderboard([entry("idm", scores)], "drivewm leaderboard")
    assert "| cut_in | 0.50 |" in page and "| merge | 0.90 |" in page
    assert "| collision | 50% |" in page and "| demand not kept | 100% |" in page and "| weather reads as fog | 33% |" in page


def test_a_drive_that_is_void_for_one_is_left_out_for_both() -> None:
    """Over two seeds of one scene; only the seed that counts for both tells, and there the blind one is ahead by 0.2."""

    def drives(values: tuple[float, float], counts: tuple[bool, bool]) -> list[Score]:
        return [Score("a@1:0#0", "cut_in", ok, value, True, {}, {}) for value, ok in zip(values, counts, strict=True)]

    both = [entry("teacher", drives((1.0, 0.2), (True, True))), entry("blind", drives((0.0, 0.4), (False, True)))]
    (placing,) = placings([replace(one, result=replace(one.result, seeds=(0, 1))) for one in both])
    assert placing.difference is not None and abs(placing.difference.value + 0.2) < 1e-9


def test_one_call_drives_all_and_asking_again_drives_nobody(tmp_path: Path) -> None:
    file = tmp_path / "scenarios" / "near" / "stopped.yaml"
    file.parent.mkdir(parents=True)
    lines = ["name: near.stopped", "about: A car stands ahead.", "road: {kind: straight}", "ego: {speed: 50 km/h}", "actors:"]
    lines += ["  other: {is: car, lane: same, ahead: 8 m, speed: 0 km/h}", "end: {after: 1.2 s}", ""]
    file.write_text("\n".join(lines))
    (tmp_path / "s.yaml").write_text("name: one\nabout: One.\nscenarios: ['*/*.yaml']\n")
    contest = Contest(("still", "constant_velocity"), ("raster",), load_suite(tmp_path / "s.yaml", tmp_path / "scenarios"))
    entries = run_contest(contest, tmp_path / "out", ScoreOptions())
    cases = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("cases/*")}
    again = run_contest(contest, tmp_path / "out", ScoreOptions())
    assert len(cases) == 2 and all(path.stat().st_mtime_ns == when for path, when in cases.items())
    page = leaderboard(again, "drivewm leaderboard --suite s.yaml")
    assert [one.result.scores for one in entries] == [one.result.scores for one in again]
    assert "| still | control: stops and stays |" in page and "drivewm leaderboard --suite s.yaml" in page
