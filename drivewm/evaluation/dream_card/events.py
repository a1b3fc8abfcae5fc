"""Does the same happen, at the same time? Events of the ladder's drives in the world and in the reference, drive by drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.evaluation.agreement import GroupAgreement
from drivewm.evaluation.dream_card.answer import Answer, Claim, Row, Rows
from drivewm.evaluation.dream_card.climb import Climb
from drivewm.evaluation.dream_card.ranking import agreed, told
from drivewm.evaluation.intervals import Estimate, bootstrap_mean
from drivewm.evaluation.score_table import FAILED

KEY = "events"
QUESTION = "Does the same happen in it as in the reference?"
TARGET = 0.6
GATES = (FAILED, "collision", "off_road", "red_light", "wrong_way", "no_progress")  # what a target is asked of
ENOUGH = 10  # drives of the reference in which it happens
BOOTSTRAP_SEED = 0
METHOD = (
    "Cohen's kappa compares, drive by drive of the ladder, whether an event happened in both worlds, beyond what chance alone "
    "would agree on; its interval comes from drawing scenarios and policies both again. The error of time compares when it first "
    "happened, in drives in which it happened in both. The target is asked of failing and of each gate that at least "
    f"{ENOUGH} drives of pixel policies do not keep in the reference."
)
NOT_SHOWN = (
    "A policy that is handed the truth does the same in both worlds: its drives are shown in a column of their own.",
    "Kappa is low for rare events even where nearly all drives agree.",
)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often an event happened, and how much earlier or later in the world [n], where it happened in both."""

    judged: int
    reference: int
    later_s: tuple[float, ...]


def events(climb: Climb) -> Answer:
    """The answer from driven ladders; what cannot be told is a claim without figure and with a reason."""
    pixels = climb.pixels()
    tallies = tallied(pixels)
    found, why = agreed(pixels)
    everybody, _ = agreed(climb)
    without_gate, _ = agreed(pixels, void_too=True)
    seeds = [agreed(pixels.seed(index))[0] for index in range(climb.seeds)]
    claims = []
    for kind in GATES:
        tally = tallies.get(kind, Tally(0, 0, ()))
        if kind != FAILED and tally.reference < ENOUGH:
            continue
        each = tuple(one.all.kappas[kind].value for one in seeds if one and kind in one.all.kappas)
        kappa = told(found.all.kappas.get(kind)) if found else None
        counts = f"in {tally.judged} drives of the world, {tally.reference} of the reference"
        note = counts if kappa else why or "all drives alike, so there is nothing to agree on"
        claims.append(Claim(f"kappa, {_shown(kind)}", kappa, TARGET, by_seed=each, note=note))
    hit = tallies.get("collision")
    late = _error(hit) if hit else None
    claims.append(Claim("time of a collision, error", late, higher_is_better=False, note="s, mean of drives with one in both"))
    rows = [
        Row(
            _shown(kind),
            "dream",
            (
                *(_kappa(one.all if one else None, kind) for one in (found, without_gate, everybody)),
                f"{tally.judged} / {tally.reference}",
                _error(tally),
                float(np.median(tally.later_s)) if tally.later_s else None,
            ),
        )
        for kind, tally in sorted(tallies.items(), key=lambda item: (item[0] not in GATES, -item[1].reference))
    ]
    columns = ("event", "kappa", "kappa, void drives counted too", "kappa, all policies", "drives, world / reference")
    table = Rows("By event", (*columns, "error of time, s", "later in the world, s"), tuple(rows), "pixel policies unless said")
    return Answer(KEY, QUESTION, tuple(claims), (table,), (), (), METHOD, NOT_SHOWN)


def tallied(climb: Climb) -> dict[str, Tally]:
    """By kind of event, over the drives that count in both worlds."""
    counts: dict[str, list[int]] = {}
    later: dict[str, list[float]] = {}
    for judged_row, reference_row in zip(climb.judged, climb.reference, strict=True):
        for judged, reference in zip(judged_row, reference_row, strict=True):
            for a, b in zip(judged.scores, reference.scores, strict=True):
                if not (a.valid and b.valid):
                    continue
                first, second = ({event.kind: event.t_s for event in reversed(one.events)} for one in (a, b))
                happened = [{*kinds, *(() if one.passed else (FAILED,))} for kinds, one in ((first, a), (second, b))]
                for kind in happened[0] | happened[1]:
                    count = counts.setdefault(kind, [0, 0])
                    count[0] += kind in happened[0]
                    count[1] += kind in happened[1]
                for kind in first.keys() & second.keys():
                    later.setdefault(kind, []).append(first[kind] - second[kind])
    return {kind: Tally(here, there, tuple(later.get(kind, ()))) for kind, (here, there) in counts.items()}


def _error(tally: Tally) -> Estimate | None:
    return bootstrap_mean(np.abs(tally.later_s), BOOTSTRAP_SEED, bounds=(0.0, np.inf)) if len(tally.later_s) > 1 else None


def _kappa(group: GroupAgreement | None, kind: str) -> Estimate | None:
    return told(group.kappas.get(kind)) if group else None


def _shown(kind: str) -> str:
    return "some gate not kept" if kind == FAILED else kind.replace("_", " ")
