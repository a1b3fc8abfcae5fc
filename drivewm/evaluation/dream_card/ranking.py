"""Does the world rank policies as the reference does? Agreement over the ladder, for policies that see pixels first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import fsum

from drivewm.errors import InputError
from drivewm.evaluation.agreement import ENOUGH_POLICIES, LEAST_POLICIES, MEASURES, Agreement, Measured, agreement
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.climb import Climb, together
from drivewm.evaluation.intervals import Estimate, bootstrap_mean, wilson
from drivewm.evaluation.score import SuiteResult
from drivewm.evaluation.score_table import table_of

KEY = "ranking"
QUESTION = "Does it rank policies as the reference does?"
TARGET, LEAST_LOW = 0.9, 0.75
RANK = "Spearman"
BOOTSTRAP_SEED = 0
SHOWN = {"pixels": "see pixels alone", "truth": "are handed the truth", "nothing": "see nothing"}
METHOD = (
    "Every policy of policies/ladder.yaml drives the scenes of eval/suites/{suite}.yaml, {scenes} in all, in the world and in "
    "the reference, with the same seeds; each of {seeds} seeds has its part of the scenarios. Means are over drives that count "
    "in both. "
    "Intervals of coefficients come from drawing scenarios and policies both again; those of means from drawing scenes again. "
    "MMRV is the mean over policies of the largest score difference in the reference to a policy that the world ranks otherwise."
)
NOT_SHOWN = (
    "Policies that are handed the truth drive alike in both worlds, whatever the frames show: they raise a coefficient over all "
    "policies without saying anything of the world. The target is asked of those that see pixels alone.",
    "Some pixel policies are made worse in their plans, by delay, noise or inertia, and that shows in any world that is roughly "
    "right; the harder test is the row of those that differ in weights and sight alone.",
    "Where a world is asked to tell policies apart that are closer than its intervals, it cannot: the ladder is wide on purpose.",
)


def ranking(climb: Climb, suite: str) -> Answer:
    """The answer from driven ladders; what cannot be told is a claim without figure and with a reason."""
    pixels = climb.pixels()
    claims = [
        _claim("Spearman, pixel policies", pixels, target=True),
        _claim("Spearman, pixel policies, void drives counted too", pixels, void_too=True),
        _claim("Spearman, all policies", climb),
        _claim("Spearman, all policies, void drives counted too", climb, void_too=True),
        _control_claim(pixels),
        Claim("void drives", _void(climb), higher_is_better=False, note="share of drives whose frames do not show the state"),
    ]
    tables = [_coefficients(climb, pixels), _families(pixels), _policies(climb)]
    scenes = len({score.scene_id for row in climb.judged[0] for score in row.scores})
    method = METHOD.format(suite=suite, scenes=scenes, seeds=climb.seeds)
    return Answer(KEY, QUESTION, tuple(claims), tuple(tables), (_scatter(climb),), (), method, (*NOT_SHOWN, *_left_out(climb)))


@lru_cache(maxsize=16)  # several tables ask for the same
def agreed(climb: Climb, void_too: bool = False) -> tuple[Agreement | None, str]:
    """How far both worlds agree about policies that have drives which count, and what cannot be told, in a sentence."""
    judged = [together(row) for row in climb.judged]
    reference = [together(row) for row in climb.reference]
    void = [not void_too and not _counting(a, b) for a, b in zip(judged, reference, strict=True)]
    if all(void):
        drives = sum(len(result.scores) for result in judged)
        return None, f"all {drives} drives in {judged[0].world} are void" if judged else "the ladder has no such policy"
    kept = [[one for one, gone in zip(rows, void, strict=True) if not gone] for rows in (judged, reference)]
    try:
        found = agreement(table_of(kept[0], void_too=void_too), table_of(kept[1], void_too=void_too))
    except InputError as error:
        return None, error.reason
    few = len(found.policies) < LEAST_POLICIES
    return found, found.remarks[0] if few else ""


def told(found: Measured | None) -> Estimate | None:
    """With the interval over scenarios and policies both."""
    return Estimate(found.value, *found.intervals["both"], found.count) if found else None


def _claim(name: str, climb: Climb, *, void_too: bool = False, target: bool = False) -> Claim:
    found, why = agreed(climb, void_too)
    measured = told(found.all.ranking.get(RANK)) if found else None
    if found is None or measured is None:
        return Claim(name, None, TARGET if target else None, note=why or "all of them score alike, so there is no order")
    seeds = [agreed(climb.seed(index), void_too)[0] for index in range(climb.seeds)]
    each = tuple(one.all.ranking[RANK].value for one in seeds if one and RANK in one.all.ranking)
    note = f"{measured.count} policies"
    if measured.count < ENOUGH_POLICIES:
        note += f": few, read the interval ({ENOUGH_POLICIES} are better)"
    return Claim(name, measured, TARGET if target else None, True, each, LEAST_LOW if target else None, note)


def _control_claim(pixels: Climb) -> Claim:
    """How much better a policy drives in the world than the control, which is the same policy shown noise."""
    name = "the control that is shown noise, below its seeing twin"
    control = next((i for i, rung in enumerate(pixels.rungs) if rung.control), None)
    weights = pixels.rungs[control].name.partition(":")[0] if control is not None else ""
    twin = next((i for i, rung in enumerate(pixels.rungs) if rung.name == weights), None)
    if control is None or twin is None:
        return Claim(name, None, 0.0, note="no control is driven")
    seeing, shown_noise = together(pixels.judged[twin]), together(pixels.judged[control])
    both = _counting(seeing, shown_noise)
    apart = [seeing.scores[index].total - shown_noise.scores[index].total for index in both]
    estimate = bootstrap_mean(apart, BOOTSTRAP_SEED, bounds=(-1.0, 1.0))
    kin = [i for i, rung in enumerate(pixels.rungs) if rung.own_plans and i != control and rung.name.split(":")[0] == weights]
    below = sum(_mean(together(pixels.judged[i])) < _mean(shown_noise) for i in kin)
    note = f"difference of scores over drives that count for both; {below} of {len(kin)} twins that see something are below it"
    return Claim(name, estimate, 0.0, least_low=0.0, note=note if estimate else "all their drives are void")


def _coefficients(climb: Climb, pixels: Climb) -> Rows:
    rows = []
    own = climb.pixels(own_plans=True)
    for name, some in (("pixel policies", pixels), ("of them, plans not made worse", own), ("all policies", climb)):
        for void_too in (False, True):
            found, why = agreed(some, void_too)
            cells = [told(found.all.ranking.get(measure)) if found else None for measure in MEASURES]
            count = f"{len(found.policies)}" if found else why
            counted = "void drives counted too" if void_too else "drives that count"
            rows.append(Row(f"{name}, {counted}", "dream", (*cells, count)))
    return Rows("Agreement of rankings", ("", *MEASURES, "policies"), tuple(rows), "MMRV in units of the score, 0 is best")


def _families(pixels: Climb) -> Rows:
    found, why = agreed(pixels)
    rows = [
        Row(group.name, "dream", (*(told(group.ranking.get(measure)) for measure in MEASURES), str(group.scenes)))
        for group in (found.families if found else ())
    ]
    note = why or "few scenes each: read the intervals"
    return Rows("By family, pixel policies", ("family", *MEASURES, "scenes"), tuple(rows), note)


def _policies(climb: Climb) -> Rows:
    both = [(rung, together(a), together(b)) for rung, a, b in zip(climb.rungs, climb.judged, climb.reference, strict=True)]
    rows = []
    for rung, judged, reference in sorted(both, key=lambda one: -_mean(one[2])):
        count, every = _counting(judged, reference), range(len(judged.scores))
        scores = [_score(result, chosen) for chosen in (count, every) for result in (reference, judged)]
        cells = (SHOWN[rung.sees], *scores, f"{len(every) - len(count)} of {len(every)}")
        rows.append(Row(rung.name, "control" if rung.control else "dream", cells))
    columns = ("policy", "they", "reference", "world", "reference, all drives", "world, all drives", "void")
    return Rows("The ladder", columns, tuple(rows), "mean `Drive` score, 0 to 1, over drives that count unless said")


def _scatter(climb: Climb) -> Chart:
    series = []
    for group in SHOWN:
        points = []
        for rung, *driven in zip(climb.rungs, climb.judged, climb.reference, strict=True):
            judged, reference = (together(row) for row in driven)
            count = _counting(judged, reference)
            shown, truly = _score(judged, count), _score(reference, count)
            if rung.sees == group and shown and truly:
                points.append((truly.value, shown.value, shown.low, shown.high))
        if points:
            series.append(Series(f"policies that {SHOWN[group]}", tuple(sorted(points))))
    return Chart("Mean scores of the ladder", "score in the reference", "score in the world", tuple(series), scatter=True)


def _counting(judged: SuiteResult, reference: SuiteResult) -> list[int]:
    """Which drives count in both worlds."""
    both = zip(judged.scores, reference.scores, strict=True)
    return [index for index, (a, b) in enumerate(both) if a.valid and b.valid]


def _score(result: SuiteResult, chosen: Sequence[int]) -> Estimate | None:
    weights = [result.weights[index] for index in chosen] if result.weights else None
    return bootstrap_mean([result.scores[index].total for index in chosen], BOOTSTRAP_SEED, bounds=(0.0, 1.0), weights=weights)


def _mean(result: SuiteResult) -> float:
    return fsum(score.total for score in result.scores) / len(result.scores)


def _void(climb: Climb) -> Estimate | None:
    scores = [score for row in climb.judged for result in row for score in result.scores]
    return wilson(sum(not score.valid for score in scores), len(scores))


def _left_out(climb: Climb) -> tuple[str, ...]:
    said = f"Not driven, for their files are not made: {', '.join(climb.missing)} (drivewm train ladder)."
    return (said,) if climb.missing else ()
