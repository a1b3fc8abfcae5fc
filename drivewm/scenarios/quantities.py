"""Numbers with units, and arithmetic on them that refuses to add metres to seconds.

A quantity is written ``50 km/h``; an expression may use parameters and arithmetic: ``$speed - 20 km/h``, ``1.5 s * $speed``.
Values are held in SI; a dimension is the pair of exponents (metre, second) plus one for the degree, so that angles stay angles.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from drivewm.errors import did_you_mean

Dimension = tuple[int, int, int]  # exponents of metre, second, radian

NUMBER: Dimension = (0, 0, 0)
LENGTH: Dimension = (1, 0, 0)
TIME: Dimension = (0, 1, 0)
SPEED: Dimension = (1, -1, 0)
ACCELERATION: Dimension = (1, -2, 0)
ANGLE: Dimension = (0, 0, 1)

KINDS: dict[Dimension, tuple[str, str]] = {  # what it is called, and an example
    NUMBER: ("a plain number", "0.5"),
    LENGTH: ("a length", "20 m"),
    TIME: ("a time", "2 s"),
    SPEED: ("a speed", "50 km/h"),
    ACCELERATION: ("an acceleration", "-4 m/s2"),
    ANGLE: ("an angle", "20 deg"),
}
UNITS: dict[str, tuple[float, Dimension]] = {
    "m": (1.0, LENGTH),
    "cm": (0.01, LENGTH),
    "km": (1000.0, LENGTH),
    "s": (1.0, TIME),
    "ms": (0.001, TIME),
    "min": (60.0, TIME),
    "m/s": (1.0, SPEED),
    "km/h": (1 / 3.6, SPEED),
    "mph": (0.44704, SPEED),
    "m/s2": (1.0, ACCELERATION),
    "deg": (math.pi / 180, ANGLE),
    "rad": (1.0, ANGLE),
    "%": (0.01, NUMBER),
}
MAX_TEXT = 200

_UNIT_PATTERN = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_LITERAL = re.compile(rf"(?<![\w.$])(\d+\.?\d*(?:[eE][+-]?\d+)?)\s*({_UNIT_PATTERN})?(?![\w%])")
_REFERENCE = re.compile(r"\$([A-Za-z][A-Za-z0-9_]*)")
_STRAY_UNIT = re.compile(r"(?<![\w.$])\d+\.?\d*\s*([A-Za-z%][A-Za-z0-9/%^²]*)")


class QuantityError(ValueError):
    """A text that is no quantity; the reader of a file adds where it stands. ``hint`` says what would be right."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


@dataclass(frozen=True, slots=True)
class Quantity:
    """A finite value in SI units and its dimension."""

    value: float
    dimension: Dimension = NUMBER

    def __str__(self) -> str:
        if self.dimension == SPEED:
            return f"{self.value * 3.6:.6g} km/h"
        unit = next((u for u, (factor, dim) in UNITS.items() if dim == self.dimension and factor == 1.0), "")
        return f"{self.value:.6g} {unit}".strip()


Value = Quantity | str | bool  # what a parameter or an expression can be
Ask = Callable[[str, str], bool]  # the answer to ``question(word)``


def kind_of(value: Value) -> str:
    """The name of a kind of value, for sentences."""
    if isinstance(value, Quantity):
        return KINDS.get(value.dimension, ("a value of mixed units", ""))[0]
    return "a truth value" if isinstance(value, bool) else f"the word '{value}'"


def references(text: str) -> list[str]:
    """The parameters that a text mentions as ``$name``, in order."""
    return _REFERENCE.findall(text)


def evaluate(text: str, parameters: Mapping[str, Value] | None = None, ask: Ask | None = None) -> Value:
    """The value of an expression.

    Knows numbers with units, ``$parameters``, ``+ - * /``, comparisons, ``and or not``, brackets, bare words (as text), and with
    ``ask`` questions about a scene, ``question(word)``.
    Raises `QuantityError` for anything else, for unlike dimensions, and for values that are not finite.
    """
    if len(text) > MAX_TEXT:
        raise QuantityError(f"an expression of {len(text)} characters is longer than the {MAX_TEXT} allowed")
    if "__" in text or re.search(r"(?<!\w)_", text):
        raise QuantityError(f"{text!r} is not an expression")
    names: dict[str, Value] = {}

    def literal(match: re.Match[str]) -> str:
        factor, dimension = UNITS[match[2]] if match[2] else (1.0, NUMBER)
        names[key := f"_q{len(names)}"] = Quantity(float(match[1]) * factor, dimension)
        return key

    def reference(match: re.Match[str]) -> str:
        known = parameters or {}
        if match[1] not in known:
            others = f"known: {', '.join(known)}" if known else "define it under 'vary'"
            hint = did_you_mean(match[1], list(known)) or others
            raise QuantityError(f"parameter ${match[1]} is not defined", hint)
        names[key := f"_q{len(names)}"] = known[match[1]]
        return key

    replaced = _REFERENCE.sub(reference, _LITERAL.sub(literal, text))
    try:
        tree = ast.parse(replaced.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise QuantityError(f"{text!r} is not an expression", _unit_hint(text)) from None
    return _finite(_Evaluation(names, text, ask).of(tree.body), text)


def quantity(text: Any, dimension: Dimension, parameters: Mapping[str, Value] | None = None) -> float:
    """The SI value of ``text`` (a text, a number or a `Quantity`), which must have the given dimension."""
    value: Value
    if isinstance(text, Quantity):
        value = text
    elif isinstance(text, int | float) and not isinstance(text, bool):
        value = _finite(Quantity(float(text)), str(text))
    elif isinstance(text, str):
        value = evaluate(text, parameters)
    else:
        raise QuantityError(f"{text!r} is not {KINDS[dimension][0]}", f"for example {KINDS[dimension][1]}")
    if isinstance(value, Quantity) and value.dimension == dimension:
        return value.value
    name, example = KINDS[dimension]
    if isinstance(value, Quantity) and value.dimension == NUMBER:
        raise QuantityError(f"{str(text)!r} has no unit, {name} is needed", f"for example {example}")
    hint = _unit_hint(text) if isinstance(text, str) and isinstance(value, str) else None
    raise QuantityError(f"{str(text)!r} is {kind_of(value)}, {name} is needed", hint or f"for example {example}")


def _unit_hint(text: str) -> str | None:
    for unit in _STRAY_UNIT.findall(text):
        if unit not in UNITS:
            return f"unknown unit {unit!r}, {did_you_mean(unit, list(UNITS)) or 'known units: ' + ', '.join(UNITS)}"
    return None


def _finite(value: Value, text: str) -> Value:
    if isinstance(value, Quantity) and not math.isfinite(value.value):
        raise QuantityError(f"{text!r} is not a finite number")
    return value


_ORDER: dict[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class _Evaluation:
    """Walks the few syntax nodes that an expression may have."""

    names: Mapping[str, Value]
    text: str
    ask: Ask | None = None

    def of(self, node: ast.AST) -> Value:
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.BinOp):
            return self.arithmetic(node.op, self.of(node.left), self.of(node.right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            value = self.number(self.of(node.operand))
            return Quantity(sign * value.value, value.dimension)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return not self.truth(node.operand)
        if isinstance(node, ast.BoolOp):
            values = [self.truth(part) for part in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        if isinstance(node, ast.Compare):
            sides = [self.of(part) for part in (node.left, *node.comparators)]
            return all(self.compare(op, a, b) for op, a, b in zip(node.ops, sides[:-1], sides[1:], strict=True))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in self.names:
            return self.answer(node.func.id, node)
        raise QuantityError(f"{self.text!r} is not an expression", _unit_hint(self.text))

    def answer(self, question: str, node: ast.Call) -> bool:
        if self.ask is None:
            raise QuantityError(f"{question}() asks about a whole scene", "questions stand under 'where'")
        words = [self.of(argument) for argument in node.args]
        if len(words) != 1 or node.keywords or not isinstance(words[0], str):
            raise QuantityError(f"{self.text!r} needs one word in the brackets", f"for example {question}(expert)")
        return self.ask(question, words[0])

    def number(self, value: Value) -> Quantity:
        if not isinstance(value, Quantity):
            hint = _unit_hint(self.text) or "parameters are written $name"
            raise QuantityError(f"{self.text!r} calculates with {kind_of(value)}", hint)
        return value

    def truth(self, node: ast.AST) -> bool:
        value = self.of(node)
        if not isinstance(value, bool):
            raise QuantityError(f"{self.text!r} uses {kind_of(value)} where a comparison is needed")
        return value

    def arithmetic(self, op: ast.operator, left: Value, right: Value) -> Quantity:
        a, b = self.number(left), self.number(right)
        if isinstance(op, ast.Add | ast.Sub):
            if a.dimension != b.dimension:
                raise QuantityError(f"{self.text!r} adds or subtracts {kind_of(a)} and {kind_of(b)}")
            return Quantity(a.value + b.value if isinstance(op, ast.Add) else a.value - b.value, a.dimension)
        if isinstance(op, ast.Mult | ast.Div):
            sign = 1 if isinstance(op, ast.Mult) else -1
            m, s, r = (x + sign * y for x, y in zip(a.dimension, b.dimension, strict=True))
            if sign < 0 and b.value == 0:
                raise QuantityError(f"{self.text!r} divides by zero")
            return Quantity(a.value * b.value if sign > 0 else a.value / b.value, (m, s, r))
        raise QuantityError(f"{self.text!r} is not an expression", _unit_hint(self.text) or "the arithmetic signs are + - * /")

    def compare(self, op: ast.cmpop, a: Value, b: Value) -> bool:
        if type(op) not in _ORDER:
            raise QuantityError(f"{self.text!r} is not an expression", "comparisons are < <= > >= == !=")
        if isinstance(a, Quantity) and isinstance(b, Quantity):
            if a.dimension != b.dimension:
                raise QuantityError(f"{self.text!r} compares {kind_of(a)} with {kind_of(b)}")
            return _ORDER[type(op)](a.value, b.value)
        if type(a) is not type(b) or not isinstance(op, ast.Eq | ast.NotEq):
            raise QuantityError(f"{self.text!r} compares {kind_of(a)} with {kind_of(b)}")
        return _ORDER[type(op)](a, b)
