"""Does the validity gate let good drives count and catch broken ones? Read from what `drivewm gate` has measured."""

from __future__ import annotations

from pathlib import Path

from drivewm.evaluation.breaking import WHOLE
from drivewm.evaluation.broken import MATTERS_MOMENTS, MATTERS_PX
from drivewm.evaluation.calibration import LEAST_CAUGHT, MOST_FALSE_VOIDS, NAMES
from drivewm.evaluation.dream_card.answer import Answer, Claim, Row, Rows
from drivewm.evaluation.dream_card.gate_picture import gate_picture
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.gate import LOWER_IS_WORSE, Caught, Limits, load_limits
from drivewm.evaluation.intervals import wilson

KEY, QUESTION = "gate", "Does the validity gate let good drives count and catch broken ones?"
METHOD = """\
Drives of the catalogue as the reference shows them, through the world's autoencoder, whole and broken on purpose, each in one
way. The limits were set on one half of the scenarios; the figures are of the other half. How often the dream's own drives are
void stands with the ranking of policies."""


def answer(sample: Sample, out: Path) -> Answer:
    """No rate is measured here; limits that belong to other readers than those of the card are told and not quoted."""
    made, readers = load_limits(), sample.readers.fingerprint()
    if made.provenance.ids["readers"] != readers:
        note = f"the limits were set with {made.provenance.ids['readers']}, the card has {readers}; run: drivewm gate"
        unknown = Claim("whole drives called void", None, MOST_FALSE_VOIDS, False, note=note)
        return Answer(KEY, QUESTION, (unknown,), method=METHOD)
    tried = made.tried_on
    cells = tuple(Row(one.kind, "control", (wilson(one.void, one.drives), one.drives, _spoke(one, made))) for one in tried)
    beyond = {name: "below" if name in LOWER_IS_WORSE else "above" for name in NAMES}
    limits = tuple(Row(name, "control", (beyond[name], getattr(made.thresholds, name))) for name in NAMES)
    return Answer(
        KEY,
        QUESTION,
        tuple(map(_claim, made.tried_on)),
        (
            Rows("Drives called void", ("share", "drives", "measure that spoke most"), cells),
            Rows("Limits", ("a drive is void", "limit"), limits),
        ),
        pictures=(gate_picture(sample, out),),
        method=METHOD,
        not_shown=(
            f"agents of less than {MATTERS_PX} px, or at fewer than {MATTERS_MOMENTS} judged moments, may be missing or extra",
            "pictures are broken in seven ways; a dream may be broken in others",
        ),
    )


def _claim(one: Caught) -> Claim:
    whole = one.kind == WHOLE
    name = "whole drives called void" if whole else f"{one.kind}: caught"
    return Claim(name, wilson(one.void, one.drives), MOST_FALSE_VOIDS if whole else LEAST_CAUGHT, not whole)


def _spoke(one: Caught, made: Limits) -> str:
    spoke = made.reasons.get(one.kind, {})
    return max(spoke, key=lambda name: spoke[name]) if spoke else ""
