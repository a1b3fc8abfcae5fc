"""What is training inside the dream worth? Read from a result made by training policies, which takes longer than a card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drivewm.datatypes import Provenance
from drivewm.evaluation.dream_card.answer import Answer, Claim
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.dream_card.stored import beside_weights
from drivewm.evaluation.intervals import Estimate

FILE = "training_worth.json"  # a `TrainingWorth` written by `save_record`
CLAIMS = {
    "share_of_gain": ("gain of score by training in the dream, of that by as much training in the reference", 0.6),
    "rare_points": ("held-out rare scenes passed after it, percentage points more", 15.0),
    "calm_progress": ("progress in calm.* scenes, change", 0.0),
}


@dataclass(frozen=True, slots=True)
class TrainingWorth:
    """A policy trained in the dream and its twin trained for as long in the reference, both then driven in the reference.

    All on scenes that neither saw; intervals are over scenes.
    """

    world: str  # identity of the weights
    budget: str  # of either training, in words
    share_of_gain: Estimate  # (score after training in the dream - before) / (after training in the reference - before)
    rare_points: Estimate  # share of rare scenes passed after training in the dream less that before, in percentage points
    calm_progress: Estimate  # progress in calm.* scenes after training in the dream less that before
    provenance: Provenance


def answer(sample: Sample, out: Path) -> Answer:
    found = beside_weights(sample, TrainingWorth, FILE)
    if isinstance(found, str):
        claims = [Claim(name, None, target, note=found) for name, target in CLAIMS.values()]
    else:
        note = f"{found.budget}; commit {found.provenance.commit}"
        claims = [Claim(name, getattr(found, key), target, note=note) for key, (name, target) in CLAIMS.items()]
    return Answer(
        key="training_worth",
        question="What is training in it worth?",
        claims=tuple(claims),
        method=f"Read from {FILE} beside the weights. Policies that trained in the dream are driven in the reference.",
        not_shown=("What another policy, or a longer training, would gain.",),
    )
