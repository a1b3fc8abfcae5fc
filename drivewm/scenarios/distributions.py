"""What a parameter under ``vary:`` may be: a range, a bell curve with limits, a choice, or one value.

Every distribution is a quantile function: ``at(u)`` for u in [0, 1). Drawing is ``at(rng.random())``; a search over scenarios
moves in the unit cube instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from drivewm.scenarios.quantities import KINDS, UNITS, Quantity, QuantityError, Value, evaluate, kind_of, references, unit_hint

_RANGE = re.compile(r"^\s*\[(?P<low>.+?)\.\.(?P<high>.+?)\]\s*(?P<unit>.*)$")


@dataclass(frozen=True, slots=True)
class Uniform:
    """``"[30 .. 60] km/h"``: every value between the two is equally likely."""

    low: Quantity
    high: Quantity

    def at(self, u: float) -> Value:
        return Quantity(self.low.value + u * (self.high.value - self.low.value), self.low.dimension)

    def has(self, value: Value) -> bool:
        return isinstance(value, Quantity) and self.low.value - 1e-9 <= value.value <= self.high.value + 1e-9

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Normal:
    """``{normal: 50 km/h, sd: 8 km/h, clip: "[30 .. 70] km/h"}``: a bell curve cut off at the limits."""

    mean: Quantity
    sd: Quantity
    clip: Uniform

    def at(self, u: float) -> Value:
        bell = NormalDist(self.mean.value, self.sd.value)
        low, high = bell.cdf(self.clip.low.value), bell.cdf(self.clip.high.value)
        probability = min(max(low + u * (high - low), 1e-12), 1 - 1e-12)
        value = min(max(bell.inv_cdf(probability), self.clip.low.value), self.clip.high.value)
        return Quantity(value, self.mean.dimension)

    def has(self, value: Value) -> bool:
        return self.clip.has(value)

    def __str__(self) -> str:
        return f"about {self.mean}, {self.clip}"


@dataclass(frozen=True, slots=True)
class Choice:
    """``[left, right]``, ``{clear: 3, rain: 1}`` or a single value."""

    values: tuple[Value, ...]
    weights: tuple[float, ...]

    def at(self, u: float) -> Value:
        threshold = u * sum(self.weights)
        for value, weight in zip(self.values, self.weights, strict=True):
            threshold -= weight
            if threshold < 0:
                return value
        return self.values[-1]

    def has(self, value: Value) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(str(value) for value in self.values)


Distribution = Uniform | Normal | Choice


def distribution(raw: Any) -> Distribution:
    """Reads what stands behind a parameter's name; raises `QuantityError`."""
    if isinstance(raw, str) and raw.lstrip().startswith("["):
        return _uniform(raw)
    if isinstance(raw, Mapping):
        return _normal(raw) if "normal" in raw else _weighted(raw)
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        if not raw:
            raise QuantityError("an empty list has nothing to choose from")
        return Choice(_alike([_value(item) for item in raw]), (1.0,) * len(raw))
    return Choice((_value(raw),), (1.0,))


def _value(raw: Any) -> Value:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int | float):
        raw = str(raw)
    if not isinstance(raw, str) or not raw.strip():
        raise QuantityError(f"{raw!r} is not a value", "write '[30 .. 60] km/h', a list, or weights like {clear: 3, rain: 1}")
    if references(raw):
        raise QuantityError(f"{raw!r} mentions another parameter", "relate parameters under 'where' or where they are used")
    return evaluate(raw) if re.match(r"^\s*[-+(.\d]", raw) else raw.strip()


def _quantity(raw: Any) -> Quantity:
    value = _value(raw)
    if not isinstance(value, Quantity):
        raise QuantityError(f"{raw!r} is not a number with a unit", "for example '8 km/h'")
    return value


def _uniform(raw: Any) -> Uniform:
    match = _RANGE.match(raw) if isinstance(raw, str) else None
    if match is None:
        raise QuantityError(f"{raw!r} is not a range", 'write it like "[30 .. 60] km/h"')
    unit = match["unit"].strip()
    if unit and unit not in UNITS:
        raise QuantityError(f"{raw!r} is not a range", unit_hint(f"1 {unit}"))
    low, high = (_quantity(f"{match[side].strip()} {unit}") for side in ("low", "high"))
    if low.dimension != high.dimension:
        raise QuantityError(f"{raw!r} runs from {kind_of(low)} to {kind_of(high)}")
    if low.value > high.value:
        raise QuantityError(f"{raw!r} has its larger end first")
    return Uniform(low, high)


def _normal(raw: Mapping[str, Any]) -> Normal:
    if set(raw) != {"normal", "sd", "clip"}:
        raise QuantityError(f"a bell curve has the keys normal, sd and clip, not {', '.join(map(str, raw))}")
    mean, sd, clip = _quantity(raw["normal"]), _quantity(raw["sd"]), _uniform(raw["clip"])
    if not mean.dimension == sd.dimension == clip.low.dimension:
        raise QuantityError(f"normal, sd and clip differ in kind: {kind_of(mean)}, {kind_of(sd)}, {kind_of(clip.low)}")
    if sd.value <= 0:
        raise QuantityError(f"sd is {sd}, it must be positive")
    if not abs(clip.low.value - mean.value) <= 8 * sd.value and not clip.has(mean):
        raise QuantityError(f"the limits {clip} are more than 8 sd away from {mean}")
    return Normal(mean, sd, clip)


def _weighted(raw: Mapping[str, Any]) -> Choice:
    if not raw:
        raise QuantityError("an empty mapping has nothing to choose from")
    for value, weight in raw.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < 1e6:
            raise QuantityError(f"the weight of {value} is {weight!r}", "weights are numbers such as {clear: 3, rain: 1}")
    if sum(raw.values()) <= 0:
        raise QuantityError("all weights are zero")
    return Choice(_alike([_value(value) for value in raw]), tuple(float(weight) for weight in raw.values()))


def _alike(values: list[Value]) -> tuple[Value, ...]:
    kinds = {value.dimension if isinstance(value, Quantity) else type(value) for value in values}
    if len(kinds) > 1:
        names = ", ".join(KINDS.get(k, ("?", ""))[0] if isinstance(k, tuple) else "a word" for k in kinds)
        raise QuantityError(f"choices of different kinds: {names}", "give all of them the same kind of unit")
    return tuple(values)
