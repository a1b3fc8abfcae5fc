from dataclasses import replace
from pathlib import Path

import pytest

from drivewm.errors import InputError
from drivewm.evaluation.cases import Case, judged
from drivewm.evaluation.formula_table import readme, readme_text
from drivewm.evaluation.published import formulas, judge, judged_cases, judged_suite
from drivewm.evaluation.score import SuiteResult
from drivewm.evaluation.summary import summarise
from drivewm.metrics.published.formula import Part
from drivewm.store import save_record
from tests.metrics.published.judging import at_10_mps, standing_car, with_plans


def _case(gap_m: float) -> Case:
    return judged(with_plans(at_10_mps([standing_car(gap_m)]), [0.0]), 50.0)


def test_the_table_in_the_readme_is_the_one_of_the_code() -> None:
    assert readme().read_text("utf-8") == readme_text(readme()), "run python -m drivewm.evaluation.formula_table"


def test_weights_and_gates_in_the_words_are_those_of_a_judged_drive() -> None:
    """A formula that is told must be the one that is applied: the total follows from the parts that it names."""
    case = _case(300.0)
    for name, formula in formulas().items():
        if name not in ("pdms_v1", "epdms_v2", "nuplan_cls"):
            continue
        score = judged_cases([case], [name])[0][name]
        weights = {part.name: part.weight for part in formula.parts if part.role == "term"}
        gates = {part.name for part in formula.parts if part.role == "gate"}
        assert set(score.gates) <= gates and set(score.terms) <= set(weights)
        mean = sum(weights[term] * value for term, value in score.terms.items()) / sum(weights[term] for term in score.terms)
        assert score.total == pytest.approx(mean * min(score.gates.values()), abs=1e-9)
        assert all(isinstance(part, Part) and part.rule for part in formula.parts) and formula.source


def test_a_stored_drive_is_judged_by_several_scores_at_once() -> None:
    """Who drives on into the car ahead has nothing under every formula; who does not reach it only lags behind the reference,
    which may drive 13.9 m/s."""
    names = ["drive", "pdms_v1", "epdms_v2", "epdms_v2_navsim_2_2", "nuplan_cls"]
    crash, clear = judged_cases([_case(60.0), _case(300.0)], names)
    assert list(crash) == names and all(score.total == 0.0 and not score.passed for score in crash.values())
    assert all(score.passed and score.total > 1 - 5 / 12 for score in clear.values())
    assert crash["drive"] == _case(60.0).score


def test_scenes_weigh_under_every_formula_as_they_do_under_drive(tmp_path: Path) -> None:
    """The crash, which has 0, weighs three times as much as the clear drive: a quarter of what that has is left."""
    crash, clear = _case(60.0), _case(300.0)
    clear = replace(clear, rollout=replace(clear.rollout, scene=replace(clear.rollout.scene, id="clear")))
    cases = [crash, replace(clear, score=replace(clear.score, scene_id="clear"))]
    names, weights = ("crash.safetensors", "clear.safetensors"), (3.0, 1.0)
    for name, case in zip(names, cases, strict=True):
        save_record(tmp_path / name, case)
    scores, origin = tuple(case.score for case in cases), crash.rollout.provenance
    result = SuiteResult("two", "p", "w", summarise(scores, (0, 0), weights), scores, names, origin, (0, 0), weights)
    judged = judged_suite(tmp_path, result, ["nuplan_cls"])["nuplan_cls"]
    assert [score.scene_id for score in judged.scores] == [crash.score.scene_id, "clear"] and judged.scores[0].total == 0.0
    assert judged.summary.all.score is not None
    assert judged.summary.all.score.value == pytest.approx(judged.scores[1].total / 4)


def test_a_void_drive_is_void_under_every_formula() -> None:
    case = replace(_case(300.0), void_reasons=("agents: not seen",))
    assert not judged_cases([case], ["nuplan_cls"])[0]["nuplan_cls"].valid


def test_an_unknown_score_is_told_with_those_that_are_known() -> None:
    with pytest.raises(InputError, match="unknown metric 'pdms'"):
        judge("pdms")
