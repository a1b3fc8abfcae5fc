from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from drivewm.datatypes import Event, Score
from drivewm.evaluation.summary import summarise, table


def score(scene: str, total: float, passed: bool = True, **changes: object) -> Score:
    base = Score(scene, scene.split(".")[0], True, total, passed, {"no_collision": float(passed)}, {"progress": total})
    return replace(base, **changes)  # type: ignore[arg-type]


def test_void_drives_are_counted_and_never_scored() -> None:
    void = score("cut_in.a:0", 1.0, valid=False, void_reasons=("vehicles are not where the state says: 10% seen",))
    summary = summarise([score("cut_in.a:1", 0.4), score("cut_in.a:2", 0.6), void])
    assert summary.all.score is not None and summary.all.score.value == pytest.approx(0.5)
    assert (summary.all.drives, summary.all.void, summary.all.void_rate) == (3, 1, pytest.approx(1 / 3))
    assert summary.void_reasons == {"vehicles are not where the state says": 1}


def test_when_all_is_void_there_is_no_number_at_all() -> None:
    summary = summarise([score("calm.a:0", 1.0, valid=False, void_reasons=("ghosts: 3",))])
    assert summary.all.score is None and summary.all.passed is None and summary.worst_family is None
    console = Console(width=140, record=True)
    console.print(table(summary, "t"))
    assert "all void" in console.export_text()


def test_three_seeds_of_one_scene_are_one_case() -> None:
    seeds = [score("calm.a:0", t, p) for t, p in ((0.0, False), (0.9, True), (0.9, True))]
    summary = summarise([*seeds, score("calm.b:0", 1.0)])
    assert summary.all.scenes == 2 and summary.all.drives == 4
    assert summary.all.score is not None and summary.all.score.value == pytest.approx((0.6 + 1.0) / 2)
    assert summary.all.passed is not None and summary.all.passed.value == pytest.approx((2 / 3 + 1) / 2)


def test_the_worst_family_is_named_and_failures_are_counted() -> None:
    hit = score("cut_in.a:0", 0.0, False, events=(Event("collision", 3.2, 1),))
    summary = summarise([hit, score("calm.a:0", 0.9), score("junction.a:0", 0.8)])
    assert summary.worst_family == "cut_in" and summary.all.events == {"collision": 1}
    assert [f.name for f in summary.families] == ["calm", "cut_in", "junction"]
    assert summary.all.gates == {"no_collision": pytest.approx(2 / 3)}


def test_a_term_that_does_not_apply_is_left_out_of_its_mean() -> None:
    without = score("calm.b:0", 0.5, terms={}, inapplicable=("progress",))
    assert summarise([score("calm.a:0", 0.8), without]).all.terms == {"progress": pytest.approx(0.8)}


def test_what_the_seed_alone_does_is_stated_over_scenes_that_count_with_every_seed() -> None:
    """Means 0.5 and 0.7 over the first two scenes: a standard deviation of 0.2 / sqrt 2. The third is void once."""
    totals = {"calm.a:0": (0.4, 0.6), "calm.b:0": (0.6, 0.8), "calm.c:0": (1.0, 1.0)}
    scores = [score(scene, both[seed]) for seed in (0, 1) for scene, both in totals.items()]
    scores[5] = replace(scores[5], valid=False)
    seeds = summarise(scores, [0, 0, 0, 1, 1, 1]).seeds
    assert seeds is not None and seeds.scenes == 2 and seeds.means == pytest.approx({"0": 0.5, "1": 0.7})
    assert seeds.spread == pytest.approx(0.2 / 2**0.5)
    assert summarise(scores[:3], [0, 0, 0]).seeds is None


def test_scenes_drawn_too_often_weigh_less() -> None:
    """Mean (3 * 1.0 + 1 * 0.0) / 4; the two tell as much as 4^2 / (9 + 1) = 1.6 scenes."""
    summary = summarise([score("calm.a:0", 1.0), score("calm.b:0", 0.0, False)], [0, 0], [3.0, 1.0])
    assert summary.all.score is not None and summary.all.score.value == pytest.approx(0.75)
    assert summary.all.passed is not None and summary.all.passed.value == pytest.approx(0.75)
    assert summary.all.weighted_as == pytest.approx(1.6)


def test_the_order_of_the_drives_changes_no_figure() -> None:
    rng = np.random.default_rng(0)
    scores = [
        score(
            f"{family}.a:{k}", float(rng.uniform()), bool(rng.random() < 0.7), events=(Event(str(rng.choice(["x", "y"])), 1.0),)
        )
        for family in ("calm", "cut_in")
        for k in range(7)
        for _ in range(3)
    ]
    seeds, weights = [0, 1, 2] * 14, np.repeat(rng.uniform(1, 4, 14), 3).tolist()
    straight = summarise(scores, seeds, weights)
    for _ in range(5):
        order = rng.permutation(len(scores))
        shuffled = summarise([scores[i] for i in order], [seeds[i] for i in order], [weights[i] for i in order])
        assert shuffled == straight and list(shuffled.all.events) == list(straight.all.events)
