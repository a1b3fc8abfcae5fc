"""Parameter distributions as what a draw varies (ASAM OpenSCENARIO 1.2, sections 7.5 and 10.6), and parameter constraints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from drivewm.scenarios.distributions import Choice, Distribution, Normal, Uniform
from drivewm.scenarios.openscenario.expressions import Value, compared
from drivewm.scenarios.openscenario.reading import Reading
from drivewm.scenarios.quantities import NUMBER, Quantity
from drivewm.scenarios.xml import Element, child, children, tag

MOST_VALUES = 10_000


@dataclass(frozen=True)
class Joint:
    """Values that several parameters take together."""

    sets: tuple[dict[str, Value], ...]


@dataclass(frozen=True)
class Variation:
    """Everything that differs from draw to draw."""

    single: Mapping[str, Distribution]
    joint: tuple[Joint, ...] = ()

    def draw(self, rng: np.random.Generator) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name, chance in self.single.items():
            drawn = chance.at(float(rng.random()))
            values[name] = drawn.value if isinstance(drawn, Quantity) else drawn
        for one in self.joint:
            values.update(one.sets[int(rng.integers(len(one.sets)))])
        return values

    @property
    def parameters(self) -> dict[str, Distribution]:
        """By name, for tables and listings."""
        together: dict[str, Distribution] = {}
        for joint in self.joint:
            for name in joint.sets[0]:
                values = [str(one.get(name, "")) for one in joint.sets]
                together[name] = Choice(
                    tuple(dict.fromkeys(values)), tuple(float(values.count(v)) for v in dict.fromkeys(values))
                )
        return {**self.single, **together}


def variation(reading: Reading, element: Element) -> Variation:
    """Reads a ParameterValueDistribution."""
    single: dict[str, Distribution] = {}
    joint: list[Joint] = []
    for group in children(element, "Deterministic", "Stochastic"):
        reading.use(group)
        for one in children(group):
            kind = tag(one)
            if kind in ("DeterministicSingleParameterDistribution", "StochasticDistribution"):
                found = _single(reading, one)
                if found is not None:
                    single[reading.text(one, "parameterName")] = found
            elif kind == "DeterministicMultiParameterDistribution":
                joint += _joint(reading, one)
            else:
                reading.note(one, "not supported as a distribution")
    return Variation(single, tuple(joint))


def _joint(reading: Reading, element: Element) -> list[Joint]:
    out = []
    reading.use(element)
    for group in reading.children(element, "ValueSetDistribution"):
        sets = []
        for one in children(group, "ParameterValueSet"):
            reading.use_all(one)
            sets.append({str(a.get("parameterRef", "")): reading.value(a, "value") for a in children(one, "ParameterAssignment")})
        if not sets:
            reading.fail(group, "has no ParameterValueSet")
        out.append(Joint(tuple(sets)))
    return out


def _single(reading: Reading, element: Element) -> Distribution | None:
    inner = children(element)
    if not inner:
        reading.fail(element, "has no distribution")
    shape = reading.use(inner[0])
    reader = {
        "DistributionSet": _set,
        "DistributionRange": _range,
        "ProbabilityDistributionSet": _weighted,
        "UniformDistribution": _uniform,
        "NormalDistribution": _normal,
        "LogNormalDistribution": _log_normal,
        "PoissonDistribution": _poisson,
        "Histogram": _histogram,
    }.get(tag(shape))
    if reader is None:
        reading.note(element, f"{tag(shape)} is not supported; the declared value stays")
        return None
    reading.use_all(element)
    return reader(reading, shape)


def _set(reading: Reading, shape: Element) -> Distribution:
    values = tuple(reading.text(one, "value") for one in children(shape, "Element"))
    if not values:
        reading.fail(shape, "has no Element")
    return Choice(values, (1.0,) * len(values))


def _limits(reading: Reading, shape: Element) -> tuple[float, float]:
    limits = child(shape, "Range")
    if limits is None:
        reading.fail(shape, "<Range> is missing")
    low, high = reading.number(limits, "lowerLimit"), reading.number(limits, "upperLimit")
    if low > high:
        reading.fail(limits, f"runs from {low:g} to {high:g}")
    return low, high


def _range(reading: Reading, shape: Element) -> Distribution:
    low, high = _limits(reading, shape)
    step = reading.number(shape, "stepWidth")
    if step <= 0:
        reading.fail(shape, f"stepWidth is {step:g}, it must be positive")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > MOST_VALUES:
        reading.fail(shape, f"has {count} values", f"at most {MOST_VALUES}")
    values = tuple(f"{low + i * step:.12g}" for i in range(count))
    return Choice(values, (1.0,) * count)


def _weighted(reading: Reading, shape: Element) -> Distribution:
    rows = [(reading.text(e, "value"), reading.number(e, "weight")) for e in children(shape, "Element")]
    if not rows or any(weight < 0 for _, weight in rows) or sum(weight for _, weight in rows) <= 0:
        reading.fail(shape, "needs weights that are not negative and not all zero")
    return Choice(tuple(value for value, _ in rows), tuple(weight for _, weight in rows))


def _uniform(reading: Reading, shape: Element) -> Distribution:
    low, high = _limits(reading, shape)
    return Uniform(Quantity(low, NUMBER), Quantity(high, NUMBER))


def _bell(reading: Reading, shape: Element) -> tuple[float, float, float, float]:
    mean, variance = reading.number(shape, "expectedValue"), reading.number(shape, "variance")
    if variance <= 0:
        reading.fail(shape, f"variance is {variance:g}, it must be positive")
    sd = math.sqrt(variance)
    low, high = _limits(reading, shape) if child(shape, "Range") is not None else (mean - 4 * sd, mean + 4 * sd)
    return mean, sd, low, high


def _normal(reading: Reading, shape: Element) -> Distribution:
    mean, sd, low, high = _bell(reading, shape)
    return Normal(Quantity(mean, NUMBER), Quantity(sd, NUMBER), Uniform(Quantity(low, NUMBER), Quantity(high, NUMBER)))


def _log_normal(reading: Reading, shape: Element) -> Distribution:
    """As 200 equally likely quantiles; expectedValue and variance are those of the logarithm."""
    mean, sd, low, high = _bell(reading, shape)
    bell = NormalDist(mean, sd)
    values = [math.exp(min(bell.inv_cdf((i + 0.5) / 200), 20.0)) for i in range(200)]
    if child(shape, "Range") is not None:
        values = [v for v in values if low <= v <= high] or [low]
    return Choice(tuple(f"{v:.9g}" for v in values), (1.0,) * len(values))


def _poisson(reading: Reading, shape: Element) -> Distribution:
    mean = reading.number(shape, "expectedValue")
    if not 0 < mean < 500:
        reading.fail(shape, f"expectedValue is {mean:g}, it must be between 0 and 500")
    low, high = _limits(reading, shape) if child(shape, "Range") is not None else (0.0, mean + 8 * math.sqrt(mean) + 8)
    counts = range(max(0, math.ceil(low)), min(math.floor(high), 2000) + 1)
    if not counts:
        reading.fail(shape, "its range holds no count")
    return Choice(tuple(str(k) for k in counts), tuple(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in counts))


def _histogram(reading: Reading, shape: Element) -> Distribution:
    """Bins as 20 equally spaced values each."""
    values: list[str] = []
    weights: list[float] = []
    for one in children(shape, "Bin")[:500]:
        (low, high), weight = _limits(reading, one), reading.number(one, "weight")
        values += [f"{low + (high - low) * (i + 0.5) / 20:.9g}" for i in range(20)]
        weights += [max(weight, 0.0) / 20] * 20
    if sum(weights) <= 0:
        reading.fail(shape, "needs bins of positive weight")
    return Choice(tuple(values), tuple(weights))


def broken_constraint(reading: Reading, root: Element) -> tuple[str, int] | None:
    """Name and line of the first declared parameter whose value breaks its constraints; None when all hold.

    A parameter is right when one of its ConstraintGroups holds in full (OpenSCENARIO 1.2, ConstraintGroup).
    """
    group = child(root, "ParameterDeclarations")
    for one in [] if group is None else children(group, "ParameterDeclaration"):
        groups = children(one, "ConstraintGroup")
        value = reading.values.get(str(one.get("name", "")), "")
        if groups and not any(all(_holds(reading, rule, value) for rule in children(g, "ValueConstraint")) for g in groups):
            return str(one.get("name")), int(one.sourceline or 0)
    return None


def _holds(reading: Reading, rule: Element, value: Value) -> bool:
    return compared(str(rule.get("rule", "")), value, reading.value(rule, "value"))
