"""What an author asks of a drive, beyond the rules that hold everywhere: comparisons between what is measured and the parameters.

A demand is written like a constraint, ``$min_gap > 0.5 s * $speed``. When a scene is drawn the parameters get their values; the
measures get theirs when the drive is judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from drivewm.scenarios.quantities import ACCELERATION, LENGTH, SPEED, TIME, Dimension, Quantity, QuantityError, Value, evaluate

MEASURES: dict[str, tuple[Dimension, str]] = {
    "min_gap": (LENGTH, "the smallest distance between the bodies of the ego and anybody else"),
    "min_ttc": (TIME, "the smallest time to collision"),
    "impact_speed": (SPEED, "the relative speed at which a collision happens; 0 without one"),
    "hardest_braking": (ACCELERATION, "the hardest braking, as a positive number"),
    "progress": (LENGTH, "the way along the route"),
    "end_speed": (SPEED, "the ego's speed at the end"),
}
_SI = {LENGTH: "m", TIME: "s", SPEED: "m/s", ACCELERATION: "m/s2"}


def with_values(demand: str, parameters: Mapping[str, Value]) -> str:
    """The demand with every parameter replaced by its value; measures stay."""

    def value(match: re.Match[str]) -> str:
        found = parameters.get(match[1])
        if found is None:
            return match[0]
        if not isinstance(found, Quantity):
            return repr(found) if isinstance(found, str) else str(found)
        unit = _SI.get(found.dimension, str(Quantity(1.0, found.dimension)).partition(" ")[2])
        return f"({found.value!r} {unit})".replace(" )", ")")

    return re.sub(r"\$([A-Za-z][A-Za-z0-9_]*)", value, demand)


def broken(demands: tuple[str, ...], measured: Mapping[str, float]) -> tuple[str, ...]:
    """The demands that a drive with these measures (SI; infinite where there was nobody) does not keep.

    One that cannot be calculated for this drive, such as a share of a speed that is zero, is not kept.
    """
    known = {name: Quantity(min(measured[name], 1e9), dimension) for name, (dimension, _) in MEASURES.items()}
    return tuple(text for text in demands if not _kept(text, known))


def _kept(demand: str, known: Mapping[str, Value]) -> bool:
    try:
        return evaluate(demand, known) is True
    except QuantityError:
        return False


def example_values() -> dict[str, Value]:
    """A value for every measure, to see whether a demand is a comparison at all."""
    return {name: Quantity(1.0, dimension) for name, (dimension, _) in MEASURES.items()}
