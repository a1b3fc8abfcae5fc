"""The ladder of policies: its recipes, and what the card says of worlds whose agreement is known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivewm.datatypes import Array, Event, Score
from drivewm.errors import InputError
from drivewm.evaluation.dream_card.answer import Answer, Claim
from drivewm.evaluation.dream_card.climb import Climb, parts
from drivewm.evaluation.dream_card.events import events, tallied
from drivewm.evaluation.dream_card.ranking import ranking
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.ladder import Rung, load_ladder
from drivewm.evaluation.score import SuiteResult
from drivewm.evaluation.summary import summarise
from drivewm.store import provenance

SCENES = [[f"{family}.{name}@0:0#{seed}" for family in ("calm", "cut_in") for name in "abc"] for seed in range(3)]
PIXELS = [Rung(f"p{n:02}", "onboard", "pixels", control=n == 0) for n in range(12)]
SEERS = [Rung(f"t{n:02}", "expert", "truth") for n in range(12)]


def driven(policy: str, world: str, skill: float, *, valid: bool = True, late_s: float = 0.0) -> tuple[SuiteResult, ...]:
    """Each seed's result of a policy that gets ``skill`` everywhere; below 0.5 it collides at 3 s."""
    out = []
    for scenes in SCENES:
        hit = (Event("collision", 3.0 + late_s),) if skill < 0.5 else ()
        scores = tuple(Score(scene, scene.partition(".")[0], valid, skill, skill >= 0.5, {}, {}, events=hit) for scene in scenes)
        seeds = (0,) * len(scores)
        out.append(SuiteResult("s", policy, world, summarise(scores, seeds), scores, (), provenance(0), seeds))
    return tuple(out)


def climbed(rungs: list[Rung], dreamed: Array, truly: Array, **how: bool | float) -> Climb:
    judged = tuple(driven(rung.name, "dream", float(s), **how) for rung, s in zip(rungs, dreamed, strict=True))  # type: ignore[arg-type]
    reference = tuple(driven(rung.name, "raster", float(s)) for rung, s in zip(rungs, truly, strict=True))
    return Climb(tuple(rungs), judged, reference)


def said(answer: Answer, name: str) -> Claim:
    return next(claim for claim in answer.claims if claim.name == name)


def value(claim: Claim) -> Estimate:
    assert claim.estimate is not None
    return claim.estimate


SKILL = np.linspace(0.2, 0.9, 12)


def test_a_world_that_ranks_as_the_reference_reaches_the_target() -> None:
    found = said(ranking(climbed(PIXELS, SKILL, SKILL), "s"), "Spearman, pixel policies")
    assert value(found).value == pytest.approx(1) and found.light == "reached" and found.by_seed == pytest.approx((1, 1, 1))


def test_policies_that_see_the_truth_do_not_help_a_world_that_shows_something_else() -> None:
    """Twelve that see pixels are ranked upside down, twelve that see the truth alike: only a figure over all looks better."""
    both = climbed(PIXELS + SEERS, np.concatenate([SKILL[::-1], SKILL]), np.concatenate([SKILL, SKILL]))
    answer = ranking(both, "s")
    target, beside = (said(answer, f"Spearman, {who} policies") for who in ("pixel", "all"))
    assert value(target).value == pytest.approx(-1) and target.light == "missed"
    assert value(beside).value == pytest.approx(0, abs=0.01) and beside.light == ""


def test_too_few_policies_get_no_coefficient_and_a_void_ladder_gets_none_either() -> None:
    few = said(ranking(climbed(PIXELS[:7], SKILL[:7], SKILL[:7]), "s"), "Spearman, pixel policies")
    assert few.estimate is None and few.light == "not measured" and "7 policies are too few" in few.note
    void = climbed(PIXELS, SKILL, SKILL, valid=False)
    told = said(ranking(void, "s"), "Spearman, pixel policies")
    assert told.estimate is None and "all 216 drives in dream are void" in told.note
    counted = said(ranking(void, "s"), "Spearman, pixel policies, void drives counted too")
    assert value(counted).value == pytest.approx(1)
    assert said(events(void), "kappa, some gate not kept").estimate is None


def test_events_that_happen_half_a_second_later() -> None:
    """5 of 12 policies collide, in 18 scenes each, in both worlds: kappa is 1, and every collision is half a second off."""
    late = climbed(PIXELS, SKILL, SKILL, late_s=0.5)
    answer = events(late)
    kappa, error = said(answer, "kappa, collision"), said(answer, "time of a collision, error")
    assert value(kappa).value == pytest.approx(1) and kappa.light == "reached"
    assert value(error).value == pytest.approx(0.5) and tallied(late)["collision"].later_s == pytest.approx([0.5] * 90)


def test_the_ladder_has_enough_policies_that_know_the_world_by_its_pixels(tmp_path: Path) -> None:
    ladder = load_ladder(made=tmp_path)
    pixels = [rung for rung in ladder.rungs if rung.sees == "pixels"]
    assert len(ladder.rungs) + len(ladder.missing) >= 20 and len(pixels) >= 10
    assert sum(rung.quick for rung in ladder.rungs) == 8 and sum(rung.control for rung in ladder.rungs) == 1
    assert len({rung.policy().spec.id for rung in ladder.rungs}) == len(ladder.rungs)  # and each is what its recipe says
    suite = ladder.scenes()
    split = [set(part.files) for _, part in parts(suite, quick=False)]
    assert sum(map(len, split)) == len(set.union(*split)) == len(suite.files) and len(split) == 3


def test_a_recipe_that_calls_the_expert_a_pixel_policy_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "ladder.yaml"
    training = "trained: {ages: 1, drives: 1, steps: 1, batch: 1, seed: 0}\n"
    head = "name: mine\nabout: a\nsuite: smoke\npolicies:\n"
    recipe.write_text(head + "  - {policy: expert, sees: pixels}\n" + training)
    with pytest.raises(InputError, match="sees pixels, but it is handed the truth"):
        load_ladder(recipe).rungs[0].policy()
    recipe.write_text(head + "  - {policy: idm, sees: truth}\n" * 2 + training)
    with pytest.raises(InputError, match="given twice"):
        load_ladder(recipe)
