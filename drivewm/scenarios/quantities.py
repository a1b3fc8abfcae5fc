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
from functools import lru_cache, partial
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
    return _constant(text) if not parameters and ask is None else _evaluated(text, _Given(parameters or {}, ask))


@lru_cache(maxsize=4096)
def _constant(text: str) -> Value:
    return _evaluated(text, _Given({}))


def _evaluated(text: str, given: _Given) -> Value:
    expression, known = _parsed(text), given.parameters
    for name in expression.references:
        if name not in known:
            others = f"known: {', '.join(known)}" if known else "define it under 'vary'"
            raise QuantityError(f"parameter ${name} is not defined", did_you_mean(name, list(known)) or others)
    return _finite(expression.value(given), text)


_VARIABLE = "_v"  # stands for the $ of a parameter; no text may begin a word with an underscore


@dataclass(frozen=True, slots=True)
class _Given:
    """What an expression may refer to."""

    parameters: Mapping[str, Value]
    ask: Ask | None = None


_Calculation = Callable[[_Given], Value]


@dataclass(frozen=True, slots=True)
class _Expression:
    value: _Calculation
    references: tuple[str, ...]


@lru_cache(maxsize=4096)
def _parsed(text: str) -> _Expression:
    """The syntax of a text; drawing thousands of scenes evaluates the same few texts."""
    if len(text) > MAX_TEXT:
        raise QuantityError(f"an expression of {len(text)} characters is longer than the {MAX_TEXT} allowed")
    if "__" in text or re.search(r"(?<!\w)_", text):
        raise QuantityError(f"{text!r} is not an expression")
    literals: dict[str, Value] = {}

    def literal(match: re.Match[str]) -> str:
        factor, dimension = UNITS[match[2]] if match[2] else (1.0, NUMBER)
        literals[key := f"_q{len(literals)}"] = Quantity(float(match[1]) * factor, dimension)
        return key

    replaced = _REFERENCE.sub(lambda match: _VARIABLE + match[1], _LITERAL.sub(literal, text))
    try:
        tree = ast.parse(replaced.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise QuantityError(f"{text!r} is not an expression", unit_hint(text)) from None
    return _Expression(_Compiler(literals, text).of(tree.body), tuple(dict.fromkeys(references(text))))


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
    hint = unit_hint(text) if isinstance(text, str) and isinstance(value, str) else None
    raise QuantityError(f"{str(text)!r} is {kind_of(value)}, {name} is needed", hint or f"for example {example}")


def unit_hint(text: str) -> str | None:
    """What the author may have meant by the first unknown unit in a text; None when all are known."""
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
class _Compiler:
    """Turns the few syntax nodes that an expression may have into one function of the parameters."""

    literals: Mapping[str, Value]
    text: str

    def of(self, node: ast.AST) -> _Calculation:
        if isinstance(node, ast.Name):
            return self.name(node.id)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value
            return lambda given: word
        if isinstance(node, ast.BinOp):
            left, right, act = self.of(node.left), self.of(node.right), self.arithmetic(node.op)
            return lambda given: act(self.number(left(given)), self.number(right(given)))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            sign, operand = -1.0 if isinstance(node.op, ast.USub) else 1.0, self.of(node.operand)
            return lambda given: _times(Quantity(sign), self.number(operand(given)))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            opposite = self.of(node.operand)
            return lambda given: not self.truth(opposite(given))
        if isinstance(node, ast.BoolOp):
            parts, join = [self.of(part) for part in node.values], all if isinstance(node.op, ast.And) else any
            return lambda given: join([self.truth(part(given)) for part in parts])
        if isinstance(node, ast.Compare):
            sides, orders = [self.of(part) for part in (node.left, *node.comparators)], [self.order(op) for op in node.ops]
            return lambda given: self.compared(orders, [side(given) for side in sides])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in self.literals:
            return self.answer(node.func.id, node)
        raise QuantityError(f"{self.text!r} is not an expression", unit_hint(self.text))

    def name(self, name: str) -> _Calculation:
        if name in self.literals:
            literal = self.literals[name]
            return lambda given: literal
        if name.startswith(_VARIABLE):
            parameter = name[len(_VARIABLE) :]
            return lambda given: given.parameters[parameter]
        return lambda given: name

    def answer(self, question: str, node: ast.Call) -> _Calculation:
        words = [self.of(argument) for argument in node.args]

        def asked(given: _Given) -> bool:
            if given.ask is None:
                reason = f"{self.text!r} is not an expression here: {question}() asks about a whole scene"
                raise QuantityError(reason, "questions stand under 'where'")
            known = [word(given) for word in words]
            if len(known) != 1 or node.keywords or not isinstance(known[0], str):
                raise QuantityError(f"{self.text!r} needs one word in the brackets", f"for example {question}(expert)")
            return given.ask(question, known[0])

        return asked

    def number(self, value: Value) -> Quantity:
        if not isinstance(value, Quantity):
            hint = unit_hint(self.text) or "parameters are written $name"
            raise QuantityError(f"{self.text!r} calculates with {kind_of(value)}", hint)
        return value

    def truth(self, value: Value) -> bool:
        if not isinstance(value, bool):
            raise QuantityError(f"{self.text!r} uses {kind_of(value)} where a comparison is needed")
        return value

    def arithmetic(self, op: ast.operator) -> Callable[[Quantity, Quantity], Quantity]:
        if isinstance(op, ast.Add | ast.Sub):
            return partial(self.sum, 1.0 if isinstance(op, ast.Add) else -1.0)
        if isinstance(op, ast.Mult):
            return _times
        if isinstance(op, ast.Div):
            return self.ratio
        raise QuantityError(f"{self.text!r} is not an expression", unit_hint(self.text) or "the arithmetic signs are + - * /")

    def sum(self, sign: float, a: Quantity, b: Quantity) -> Quantity:
        if a.dimension != b.dimension:
            raise QuantityError(f"{self.text!r} adds or subtracts {kind_of(a)} and {kind_of(b)}")
        return Quantity(a.value + sign * b.value, a.dimension)

    def ratio(self, a: Quantity, b: Quantity) -> Quantity:
        if b.value == 0:
            raise QuantityError(f"{self.text!r} divides by zero")
        (m, s, r), (m2, s2, r2) = a.dimension, b.dimension
        return Quantity(a.value / b.value, (m - m2, s - s2, r - r2))

    def order(self, op: ast.cmpop) -> Callable[[Any, Any], bool]:
        if type(op) not in _ORDER:
            raise QuantityError(f"{self.text!r} is not an expression", "comparisons are < <= > >= == !=")
        return _ORDER[type(op)]

    def compared(self, orders: list[Callable[[Any, Any], bool]], values: list[Value]) -> bool:
        return all(self.compare(order, a, b) for order, a, b in zip(orders, values[:-1], values[1:], strict=True))

    def compare(self, order: Callable[[Any, Any], bool], a: Value, b: Value) -> bool:
        if isinstance(a, Quantity) and isinstance(b, Quantity):
            if a.dimension != b.dimension:
                raise QuantityError(f"{self.text!r} compares {kind_of(a)} with {kind_of(b)}")
            return order(a.value, b.value)
        if type(a) is not type(b) or order not in (operator.eq, operator.ne):
            raise QuantityError(f"{self.text!r} compares {kind_of(a)} with {kind_of(b)}")
        return order(a, b)


def _times(a: Quantity, b: Quantity) -> Quantity:
    (m, s, r), (m2, s2, r2) = a.dimension, b.dimension
    return Quantity(a.value * b.value, (m + m2, s + s2, r + r2))
