"""Values of attributes: literals, ``$name`` and ``${expression}`` (ASAM OpenSCENARIO 1.2, section 9.1)."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

Value = str | float | bool
LONGEST = 2000  # characters of an expression
_NAME = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_BINARY: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: math.fmod,
}
_COMPARE: dict[type, Callable[[Value, Value], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: lambda a, b: float(a) < float(b),
    ast.LtE: lambda a, b: float(a) <= float(b),
    ast.Gt: lambda a, b: float(a) > float(b),
    ast.GtE: lambda a, b: float(a) >= float(b),
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "round": lambda x: float(math.floor(x + 0.5)),
    "floor": lambda x: float(math.floor(x)),
    "ceil": lambda x: float(math.ceil(x)),
    "sqrt": math.sqrt,
    "pow": math.pow,
    "abs": abs,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "max": max,
    "min": min,
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan")},
}
_CONSTANTS: dict[str, Value] = {"pi": math.pi, "PI": math.pi, "e": math.e, "true": True, "false": False}


class ExpressionError(Exception):
    """An expression that cannot be evaluated; the message says why."""


def evaluated(raw: str, values: Mapping[str, Value]) -> Value:
    """The value of an attribute's text; text without ``$`` stays as it is. Raises `ExpressionError`."""
    raw = raw.strip()
    if raw.startswith("${") and raw.endswith("}"):
        return _expression(raw[2:-1], values)
    if raw.startswith("$"):
        name = raw[1:]
        if name not in values:
            raise ExpressionError(f"there is no parameter {name!r}")
        return values[name]
    return raw


def _expression(text: str, values: Mapping[str, Value]) -> Value:
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression is longer than {LONGEST} characters")
    python = re.sub(r"&&", " and ", re.sub(r"\|\|", " or ", _NAME.sub(r"_p_\1", text))).strip()
    try:
        tree = ast.parse(python, mode="eval")
        value = _value(tree.body, values)
    except (SyntaxError, RecursionError, MemoryError):
        raise ExpressionError(f"{text[:60]!r} is not an expression") from None
    except (ZeroDivisionError, OverflowError, ValueError, TypeError) as error:
        raise ExpressionError(f"{text[:60]!r} cannot be evaluated: {str(error)[:80]}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(f"{text[:60]!r} is not finite")
    return value


def _value(node: ast.expr, values: Mapping[str, Value]) -> Value:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return node.value if isinstance(node.value, bool | str) else float(node.value)
    if isinstance(node, ast.Name):
        name = node.id.removeprefix("_p_")
        if node.id != name:
            if name not in values:
                raise ExpressionError(f"there is no parameter {name!r}")
            return values[name]
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        raise ExpressionError(f"{name!r} is not known in an expression")
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        return float(_BINARY[type(node.op)](as_number(_value(node.left, values)), as_number(_value(node.right, values))))
    if isinstance(node, ast.UnaryOp):
        operand = _value(node.operand, values)
        if isinstance(node.op, ast.Not):
            return not as_truth(operand)
        return -as_number(operand) if isinstance(node.op, ast.USub) else as_number(operand)
    if isinstance(node, ast.BoolOp):
        terms = [as_truth(_value(term, values)) for term in node.values]
        return all(terms) if isinstance(node.op, ast.And) else any(terms)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
        return bool(_COMPARE[type(node.ops[0])](_value(node.left, values), _value(node.comparators[0], values)))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and not node.keywords:
        return float(_FUNCTIONS[node.func.id](*(as_number(_value(one, values)) for one in node.args)))
    raise ExpressionError("something in an expression that expressions do not have")


def as_number(value: Value) -> float:
    """A number from a value; raises `ExpressionError`."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ExpressionError(f"{str(value)[:40]!r} is not a number")
    return number


def as_truth(value: Value) -> bool:
    """True or false from a value; raises `ExpressionError`."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("true", "1", "1.0"):
        return True
    if text in ("false", "0", "0.0"):
        return False
    raise ExpressionError(f"{text[:40]!r} is neither true nor false")


def compared(rule: str, left: Value, right: Value) -> bool:
    """A rule of OpenSCENARIO between two values: as numbers where both are, else as text."""
    try:
        a, b = as_number(left), as_number(right)
    except ExpressionError:
        same = str(left).strip().lower() == str(right).strip().lower()
        return same if rule == "equalTo" else (not same if rule == "notEqualTo" else False)
    near = abs(a - b) < 1e-9
    return {
        "equalTo": near,
        "notEqualTo": not near,
        "greaterThan": a > b,
        "lessThan": a < b,
        "greaterOrEqual": a >= b or near,
        "lessOrEqual": a <= b or near,
    }.get(rule, False)
