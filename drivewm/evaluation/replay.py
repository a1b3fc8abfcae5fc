"""Judging a stored drive again, without a policy, a world or a camera frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drivewm.evaluation.cases import Case, rescored
from drivewm.store import load_record


@dataclass(frozen=True, slots=True)
class Replay:
    """A stored case, the same case judged now, and whether the two scores are equal bit for bit."""

    stored: Case
    now: Case
    equal: bool


def replay(path: str | Path) -> Replay:
    """Re-score the case stored at ``path``; raises InputError if there is none."""
    stored = load_record(Case, path)
    now = rescored(stored)
    return Replay(stored, now, stored.score == now.score)
