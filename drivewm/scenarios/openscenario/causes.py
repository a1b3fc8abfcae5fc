"""What sets a step of a script off, as far as the state engine can tell by itself: a time, or the ego near or soon there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import TriggerKind
from drivewm.scenarios.openscenario.movers import Mover, Waits, gap_m, time_to_collision_s
from drivewm.scenarios.openscenario.reading import Reading
from drivewm.scenarios.openscenario.stage import Stage
from drivewm.scenarios.xml import Element, child, children, tag

CLEARLY_M, NOT_AT_ONCE_S = 1e-3, 0.15  # when a distance that was only rehearsed is taken for the reason


@dataclass(frozen=True)
class Reacts:
    """A condition that the state engine has too; its value is measured between the reference points of ``who``."""

    kind: TriggerKind
    value: float
    who: frozenset[str] = frozenset()

    def waits(self, mover: Mover, ego: Mover) -> Waits:
        """The same between the middles of the boxes, as the engine measures, if it is so at this moment."""
        shift = 0.0
        if self.kind is TriggerKind.DISTANCE:
            shift = gap_m(mover, ego) - float(np.hypot(*(mover.pose[:2] - ego.pose[:2])))
        elif self.kind is TriggerKind.TTC:
            middles = time_to_collision_s(mover, ego, mover.centre[:2], ego.centre[:2])
            shift = middles - time_to_collision_s(mover, ego, mover.pose[:2], ego.pose[:2])
        return Waits(self.kind, self.value + shift if math.isfinite(shift) else self.value)


@dataclass(frozen=True)
class Cause:
    """Why an action begins."""

    watches_ego: bool = False
    reacts: Reacts | None = None
    gated: bool = False  # it cannot begin before the event that goes first in its manoeuvre
    never: Reacts | None = None  # what it waits for, where the rehearsal never came to it

    def waits(self, stage: Stage, mover: Mover) -> Waits | None:
        """What a step of ``mover`` that begins now waits for; None where only the time is known."""
        ego, reacts = stage.movers[stage.ego], self.reacts
        if mover is ego:
            return None
        if self.never is not None:
            known = self.never.kind is TriggerKind.TIME or self.never.who == {mover.name, ego.name}
            return Waits(self.never.kind, self.never.value) if known else None
        if reacts is not None and reacts.kind is TriggerKind.TIME:
            new = self.gated or reacts.value > stage.t_s - stage.dt_s - 1e-6
            return Waits(TriggerKind.TIME, reacts.value) if new else None
        if reacts is not None and reacts.who == {mover.name, ego.name}:
            return reacts.waits(mover, ego)
        return rehearsed_gap(stage, mover, self.watches_ego)


def rehearsed_gap(stage: Stage, mover: Mover, watches: bool) -> Waits | None:
    """The distance to the ego at which something happens now, if it watches the ego and was never as near."""
    ego = stage.movers[stage.ego]
    if not watches or mover is ego or not ego.present or stage.t_s <= NOT_AT_ONCE_S:
        return None
    gap = gap_m(mover, ego)
    # Halfway to the distance before, so that the instant does not hang on the last digit.
    return Waits(TriggerKind.DISTANCE, gap + CLEARLY_M / 2) if gap < mover.nearest_m - CLEARLY_M else None


def reacts_of(reading: Reading, element: Element, ego: str) -> Reacts | None:
    """The engine's own condition behind a ByValueCondition or ByEntityCondition, if it has it."""
    time = child(element, "SimulationTimeCondition")
    if time is not None:
        exact = reading.text(time, "rule", "") == "greaterOrEqual"
        return Reacts(TriggerKind.TIME, reading.number(time, "value")) if exact else None
    who, condition = child(element, "TriggeringEntities"), child(element, "EntityCondition")
    if who is None or condition is None or not children(condition):
        return None
    names = [reading.text(one, "entityRef", "") for one in children(who, "EntityRef")]
    what = children(condition)[0]
    target = child(what, "TimeToCollisionConditionTarget", "EntityRef") if tag(what) == "TimeToCollisionCondition" else what
    kinds = {"RelativeDistanceCondition": TriggerKind.DISTANCE, "TimeToCollisionCondition": TriggerKind.TTC}
    if tag(what) not in kinds or target is None or len(names) != 1:
        return None
    straight = tag(what) == "TimeToCollisionCondition" or reading.text(what, "relativeDistanceType", "") == "euclidianDistance"
    free, lanes = reading.truth(what, "freespace", False), reading.truth(what, "alongRoute", False)
    along = lanes or reading.text(what, "coordinateSystem", "entity") not in ("entity", "world")
    falling = reading.text(what, "rule", "lessThan") in ("lessThan", "lessOrEqual")
    pair = frozenset((names[0], reading.text(target, "entityRef", "")))
    if not straight or free or along or not falling or ego not in pair:
        return None
    return Reacts(kinds[tag(what)], reading.number(what, "value"), pair)
