"""Drawing from another distribution than the scenario's own, and what each scene then weighs.

A rare kind of scene is drawn more often than it happens; its weight p/q makes up for it. Constraints under ``where`` and the
placement refuse alike under both, so that weights are known up to a factor for each scenario: they are made to average one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

from drivewm.datatypes import Scene
from drivewm.errors import did_you_mean
from drivewm.scenarios.distributions import Choice, Distribution, Uniform, distribution
from drivewm.scenarios.language import Scenario
from drivewm.scenarios.quantities import Quantity, QuantityError

Proposal = Mapping[str, Distribution]  # by parameter


def proposal_for(scenario: Scenario, said: Mapping[str, Any]) -> Proposal:
    """Reads what a suite says, by parameter; raises `QuantityError` when it cannot stand in for the scenario's own."""
    proposal = {}
    for name, raw in said.items():
        if name not in scenario.parameters:
            hint = did_you_mean(name, list(scenario.parameters)) or f"it has {', '.join(scenario.parameters) or 'none'}"
            raise QuantityError(f"scenario {scenario.name} has no parameter {name!r}", hint)
        own, other = scenario.parameters[name], distribution(raw)
        if _support(own) != _support(other):
            hint = "every value of the scenario must be possible, and no other"
            raise QuantityError(f"{name} is {other} here and {own} in scenario {scenario.name}", hint)
        proposal[name] = other
    return proposal


def drawn_from(scenario: Scenario, proposal: Proposal) -> Scenario:
    """The scenario with other distributions; its id tells it from the scenario as it is written."""
    if not proposal:
        return scenario
    sha8 = hashlib.sha256(f"{scenario.sha8} {sorted(proposal.items())}".encode()).hexdigest()[:8]
    return replace(scenario, parameters={**scenario.parameters, **proposal}, sha8=sha8)


def scene_weights(scenario: Scenario, proposal: Proposal, scenes: Sequence[Scene]) -> list[float]:
    """What each scene drawn from ``proposal`` weighs; the average is one."""
    ratios = []
    for scene in scenes:
        ratio = 1.0
        for name, other in proposal.items():
            value = scene.parameters[name]
            ratio *= density(scenario.parameters[name], value) / density(other, value)
        ratios.append(ratio)
    return [ratio * len(ratios) / sum(ratios) for ratio in ratios]


def density(chance: Distribution, value: float | str) -> float:
    """Probability density (SI) of a value as scenes remember it; of a choice, its probability."""
    if isinstance(chance, Choice):
        return sum(w for v, w in zip(chance.values, chance.weights, strict=True) if _plain(v) == value) / sum(chance.weights)
    assert isinstance(value, float)
    if isinstance(chance, Uniform):
        return 1.0 / ((chance.high.value - chance.low.value) or 1.0)
    bell = NormalDist(chance.mean.value, chance.sd.value)
    return bell.pdf(value) / (bell.cdf(chance.clip.high.value) - bell.cdf(chance.clip.low.value))


def _support(chance: Distribution) -> Any:
    """What a distribution can give, to be compared."""
    if isinstance(chance, Choice):
        return {_plain(value) for value, weight in zip(chance.values, chance.weights, strict=True) if weight > 0}
    limits = chance if isinstance(chance, Uniform) else chance.clip
    return limits.low.dimension, round(limits.low.value, 9), round(limits.high.value, 9)


def _plain(value: Any) -> float | str:
    return value.value if isinstance(value, Quantity) else str(value)
