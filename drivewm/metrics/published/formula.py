"""What a published score is, in words that a table can be made of; and what it may compare a drive with."""

from __future__ import annotations

from dataclasses import dataclass

from drivewm.datatypes import Rollout


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a score. ``rule`` carries the thresholds of the code that applies it."""

    name: str
    role: str  # "gate" (a factor) | "term" (weighted) | "penalty" (taken off) | "measure" (told, not counted)
    weight: float | None
    rule: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A score as it was published."""

    name: str
    measures: str  # in one sentence
    total: str  # the formula in one line
    parts: tuple[Part, ...]
    source: str  # paper or repository, version, section
    differs: str  # what differs here and why; "" if nothing


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference driver in the same scene: how far it came along the route, and its drive where a score looks at it."""

    progress_m: float
    rollout: Rollout | None = None
