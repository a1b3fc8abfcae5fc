"""What DriveArena's ADS and HUGSIM's HD-Score have in common: the mean score of the plans of a drive times route completion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.datatypes import Array, Event, Rollout, Score
from drivewm.metrics.published.drives import told
from drivewm.metrics.published.planned import Planned
from drivewm.protocols import POLICY_FAILURES

LEAST_WAY_M = 5.0  # a shorter way says nothing about completion
GATES = ("no_collision", "drivable_area")


def of_shares(share: Array | None, none_below: float, half_below: float) -> Array | None:
    """Drivable area of plans [F] from shares of the body on it [F, K + 1]."""
    if share is None:
        return None
    least = share.min(1)
    return np.where(least < none_below, 0.0, np.where(least < half_below, 0.5, 1.0))


def judged(planned: Planned, parts: dict[str, Array | None], weights: dict[str, float], completion: float | None) -> Score:
    """A drive from the parts [F] of its plans; those that are None do not apply.

    The gates and terms told are means over plans, the total is the mean of their products. Void where nothing was planned.
    """
    rollout = planned.rollout
    missing = tuple(name for name, value in parts.items() if value is None)
    missing += () if completion is not None else ("route_completion",)
    known = {name: value for name, value in parts.items() if value is not None}
    if not len(planned.t_s):
        void = told(rollout, 0.0, ({}, {}), [], tuple(parts), {})
        return replace(void, valid=rollout.ended in POLICY_FAILURES, void_reasons=_why(rollout))
    terms = [name for name in known if name in weights]
    mean = np.asarray(sum(weights[name] * known[name] for name in terms) / sum(weights[name] for name in terms))
    pdms = float((mean * np.prod([known[name] for name in GATES if name in known], axis=0)).mean())
    gates = {name: float(known[name].mean()) for name in GATES if name in known}
    rated = {name: float(known[name].mean()) for name in terms}
    measures = {"pdms": pdms}
    if completion is not None:
        rated["route_completion"] = measures["route_completion"] = completion
    total = pdms * (1.0 if completion is None else completion)
    return told(rollout, total, (gates, rated), _events(rollout, known), missing, measures)


def _why(rollout: Rollout) -> tuple[str, ...]:
    return () if rollout.ended in POLICY_FAILURES else ("the score does not apply: the drive has no plans",)


def _events(rollout: Rollout, known: dict[str, Array]) -> list[Event]:
    """The first plan at which each part fell."""
    out = []
    for name, value in known.items():
        if name != "progress" and (value < 1).any():
            step = min(int(np.argmax(value < 1)) * rollout.plan_every, len(rollout.states.t_s) - 1)
            out.append(Event(f"plan_{name}", float(rollout.states.t_s[step])))
    return out
