"""From a YAML file to a `Scenario`, and from a Scenario with values for its parameters to a concrete document."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from drivewm import registry
from drivewm.datatypes import Scene
from drivewm.errors import InputError, did_you_mean
from drivewm.scenarios.demands import MEASURES, example_values
from drivewm.scenarios.distributions import Distribution, distribution
from drivewm.scenarios.inheritance import with_bases
from drivewm.scenarios.quantities import NUMBER, Quantity, QuantityError, Value, evaluate, kind_of, references
from drivewm.scenarios.recorded import Log, load_log
from drivewm.scenarios.schema import Document, RecordedDocument
from drivewm.scenarios.source import Path_, Source, read_source

_LITERAL_KEYS = ("name", "about", "family", "maps_to", "tags", "vary", "where", "score", "log")  # taken as written, not resolved
_PLAIN_WORDS = {
    "a valid tuple": "a list",
    "a valid string": "a text",
    "a valid integer": "a whole number",
    "a valid boolean": "true or false",
    "a valid dictionary": "keys and values",
    ", unable to parse string as an integer": "",
    ", unable to interpret input": "",
    "String": "the text",
}
QUESTIONS, JUDGES = "drivewm.questions", "drivewm.policies"  # names that ``where`` may use: preventable(expert)
TRIES = 1000  # draws of the parameters before the constraints are called impossible
TRIALS = 12
DocumentT = TypeVar("DocumentT", Document, RecordedDocument)


@dataclass(frozen=True)
class Scenario:
    """A readable, checked document: a distribution over scenes."""

    name: str  # family.name
    family: str
    about: str
    maps_to: tuple[str, ...]
    parameters: Mapping[str, Distribution]
    constraints: tuple[str, ...]
    demands: tuple[str, ...]  # what the drive must keep to
    asking: frozenset[int]  # which constraints ask about the placed scene, so that parameters alone do not decide them
    sha8: str  # of the content, so that comments and layout do not change it
    source: Source
    tags: tuple[str, ...] = ()
    log: Log | None = None  # of a recorded drive; its document is a `RecordedDocument`
    origin: str = ""  # the outermost base: variants of one scenario draw the same traffic

    @property
    def id(self) -> str:
        return f"{self.name}@{self.sha8}"


def load_scenario(path: str | Path) -> Scenario:
    """Reads and checks a scenario file; `InputError` names file, line, place and what would be right."""
    return scenario_from(read_source(path))


def scenario_from(source: Source) -> Scenario:
    """Checks a document that was read already, on top of its base."""
    heritage = with_bases(source)
    source = heritage.source
    parameters = _parameters(source)
    log, asking = load_log(source), set[int]()
    content = json.dumps(source.tree, sort_keys=True, ensure_ascii=False).encode() + (log.sha.encode() if log else b"")
    name = source.tree.get("name")
    scenario = Scenario(
        name=name if isinstance(name, str) else "",
        family=str(source.tree.get("family") or str(name).partition(".")[0]),
        about=str(source.tree.get("about", "")),
        maps_to=_texts(source, "maps_to"),
        tags=_texts(source, "tags"),
        origin=heritage.origin,
        parameters=parameters,
        constraints=_comparisons(source, "where", _middle(parameters), asking.add),
        demands=_comparisons(source, "score", _with_measures(source, _middle(parameters))),
        asking=frozenset(asking),
        sha8=hashlib.sha256(content).hexdigest()[:8],
        source=source,
        log=log,
    )
    # A few concrete documents show whether every word and unit is right.
    rng = np.random.default_rng(0)
    for _ in range(TRIALS if parameters else 1):
        (resolve if log is None else resolve_recorded)(scenario, draw_parameters(scenario, rng))
    used = set(references(json.dumps(source.tree)))
    for parameter in parameters:
        if parameter not in used:
            hint = "use it as a value or leave it out"
            if source.file_of(("vary", parameter)) != source.file:
                hint = f"write '{parameter}:' under vary to take it away, or give it the one value that you want there"
            raise source.error(f"parameter ${parameter} is never used", ("vary", parameter), hint)
    return scenario


def _texts(source: Source, key: str) -> tuple[str, ...]:
    value = source.tree.get(key)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def draw_parameters(
    scenario: Scenario, rng: np.random.Generator, fixed: Mapping[str, Value] | None = None, refused: dict[str, int] | None = None
) -> dict[str, Value]:
    """Values for all parameters that satisfy ``where``, as far as it does not ask about the scene.

    ``refused`` counts what each constraint turned away.
    """
    counts: dict[str, int] = {} if refused is None else refused
    fixed = fixed or {}
    for unknown in set(fixed) - set(scenario.parameters):
        hint = did_you_mean(unknown, list(scenario.parameters))
        raise InputError(f"scenario {scenario.name} has no parameter {unknown!r}", file=scenario.source.file, hint=hint)
    for _ in range(TRIES):
        values = {name: fixed.get(name, chance.at(rng.random())) for name, chance in scenario.parameters.items()}
        broken = first_broken(scenario, values)
        if broken is None:
            return values
        text = scenario.constraints[broken]
        counts[text] = counts.get(text, 0) + 1
    worst = max(counts, key=lambda text: counts[text])
    reason = f"'where' leaves nothing: none of {TRIES} draws passes, {counts[worst]} fail {worst!r}"
    place = ("where", scenario.constraints.index(worst))
    raise scenario.source.error(reason, place, "widen the ranges or drop the constraint")


def first_broken(scenario: Scenario, values: Mapping[str, Value], scene: Scene | None = None) -> int | None:
    """The index of the first constraint that is violated: of those about the values, or with ``scene`` of those about it."""
    for index, text in enumerate(scenario.constraints):
        if (index in scenario.asking) != (scene is not None):
            continue
        try:
            if evaluate(text, values, None if scene is None else partial(_answer, scene)) is not True:
                return index
        except QuantityError as error:
            raise scenario.source.error(error.reason, ("where", index), error.hint) from None
        except InputError as error:  # of who was asked
            raise scenario.source.error(error.reason, ("where", index), error.hint) from None
    return None


def _answer(scene: Scene, question: str, word: str) -> bool:
    return bool(registry.resolve(QUESTIONS, question)(scene, word))


def resolve(scenario: Scenario, values: Mapping[str, Value]) -> Document:
    """The concrete document in which every ``$parameter`` has its value."""
    return _concrete(scenario, values, Document)


def resolve_recorded(scenario: Scenario, values: Mapping[str, Value]) -> RecordedDocument:
    """The same for a scenario that stands on a recorded drive."""
    return _concrete(scenario, values, RecordedDocument)


def _concrete(scenario: Scenario, values: Mapping[str, Value], kind: type[DocumentT]) -> DocumentT:
    source = scenario.source
    concrete = {
        key: item if key in _LITERAL_KEYS else _resolved(item, values, (key,), source) for key, item in source.tree.items()
    }
    try:
        return kind.model_validate(concrete)
    except ValidationError as error:
        raise _translated(error, source) from None


def _parameters(source: Source) -> dict[str, Distribution]:
    vary = source.tree.get("vary") or {}
    if not isinstance(vary, dict):
        raise source.error("'vary' holds names and ranges", ("vary",), 'for example gap: "[8 .. 25] m"')
    out: dict[str, Distribution] = {}
    for name, raw in vary.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
            raise source.error(f"{name!r} is not a name for a parameter", ("vary", name), "use letters, digits and _")
        try:
            out[name] = distribution(raw)
        except QuantityError as error:
            raise source.error(error.reason, ("vary", name), error.hint) from None
    return out


def _middle(parameters: Mapping[str, Distribution]) -> dict[str, Value]:
    return {name: chance.at(0.5) for name, chance in parameters.items()}


def _with_measures(source: Source, values: Mapping[str, Value]) -> dict[str, Value]:
    for name in values if source.tree.get("score") else ():
        if name in MEASURES:
            raise source.error(f"${name} is {MEASURES[name][1]}, measured in every drive", ("vary", name), "choose another name")
    return {**values, **example_values()}


def _comparisons(
    source: Source, key: str, known: Mapping[str, Value], asks: Callable[[int], None] | None = None
) -> tuple[str, ...]:
    """The texts of a list of comparisons, each tried out once; ``asks`` hears the number of each that asks about a scene."""
    texts = source.tree.get(key) or []
    if not isinstance(texts, list):
        raise source.error(f"'{key}' holds a list", (key,), "start each comparison with '- '")
    for index, text in enumerate(texts):

        def ask(question: str, word: str, index: int = index) -> bool:
            """Nobody is asked while a file is read; the names must be right."""
            for group, name, what in ((QUESTIONS, question, "question"), (JUDGES, word, "driver")):
                if name not in (names := registry.names(group)):
                    raise QuantityError(f"there is no {what} {name!r}", did_you_mean(name, names) or f"known: {', '.join(names)}")
            if asks is not None:
                asks(index)
            return True

        try:
            if not isinstance(text, str):
                raise QuantityError(f"{text!r} is not a comparison", "for example $gap > 0.5 s * $speed")
            value = evaluate(text, known, None if asks is None else ask)
        except QuantityError as error:
            raise source.error(error.reason, (key, index), error.hint) from None
        if not isinstance(value, bool):
            raise source.error(f"{text!r} is {kind_of(value)}, not a comparison", (key, index), "for example $gap > 10 m")
        if key == "score" and not set(references(text)) & set(MEASURES):
            measures = ", ".join(f"${name}" for name in MEASURES)
            raise source.error(f"{text!r} says nothing about the drive", (key, index), f"measured are {measures}")
    return tuple(texts)


def _resolved(raw: Any, values: Mapping[str, Value], place: Path_, source: Source) -> Any:
    if isinstance(raw, dict):
        return {key: _resolved(item, values, (*place, key), source) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_resolved(item, values, (*place, index), source) for index, item in enumerate(raw)]
    if not isinstance(raw, str) or "$" not in raw:
        return raw
    try:
        value = evaluate(raw, values)
    except QuantityError as error:
        raise source.error(error.reason, place, error.hint) from None
    if isinstance(value, Quantity) and value.dimension == NUMBER:
        return int(value.value) if value.value.is_integer() else value.value
    return value


def _translated(error: ValidationError, source: Source) -> InputError:
    """One sentence for the first thing that pydantic found."""
    first = error.errors(include_url=False)[0]
    place: Path_ = tuple(first["loc"])
    context = first.get("ctx", {})
    raw = source.at(place)
    hint = str(context.get("hint", "")) or None
    reason = str(context.get("reason", first["msg"]))
    if first["type"] == "unknown_key":
        place, reason = (*place, context["key"]), f"unknown key '{context['key']}'"
    elif first["type"] == "no_value":
        place, reason = (*place, context["key"]), f"key '{context['key']}' has no value"
    elif first["type"] == "missing":
        reason, place = f"key '{place[-1]}' is missing", place[:-1]
    elif first["type"] in ("literal_error", "enum"):
        known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        hint = did_you_mean(str(first["input"]), known) or f"possible: {', '.join(known)}"
        reason = f"{str(first['input'])!r} is not possible here"
    elif "hint" not in context:
        for word, plain in _PLAIN_WORDS.items():
            reason = reason.replace(word, plain)
        reason = f"{str(first['input'])[:60]!r} does not fit: {reason[0].lower()}{reason[1:]}"
    if isinstance(raw, str) and "$" in raw and raw not in reason:
        reason = f"{raw}: {reason}"
    return source.error(reason, place, hint)
