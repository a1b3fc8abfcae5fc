"""Records as plain JSON values and back, bit for bit, and hashes that name them. No files here: `drivewm.store` writes them.

A record is a frozen dataclass of numbers, text, enums, arrays, tuples, dicts and other records. What a field may hold is read
from its annotation, so a file cannot smuggle in types; a field annotated `Any` comes back as plain JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from drivewm.datatypes import LATER, Array, is_record
from drivewm.errors import InputError, did_you_mean

RecordT = TypeVar("RecordT")
Json = Any
Tensors = dict[str, Array]

_ARRAY_KEYS = {"dtype", "shape", "values"}


def encode_record(record: Any, tensors: Tensors | None = None) -> Json:
    """A record as plain JSON values; `decode_record` gives it back.

    An array becomes ``{"dtype", "shape", "values"}``, or is set aside in ``tensors`` by its dotted place when that is given.
    """
    return _encode(record, type(record), "", tensors)


def _encode(value: Any, hint: Any, place: str, tensors: Tensors | None) -> Json:
    hint = _chosen(hint, value)
    origin = typing.get_origin(hint) or hint
    if is_record(value):
        kind: Any = type(value)
        hints, absent = _field_hints(kind), _absent_when_empty(kind)
        kept = [name for name in hints if name not in absent or np.size(getattr(value, name))]
        return {name: _encode(getattr(value, name), hints[name], f"{place}.{name}".lstrip("."), tensors) for name in kept}
    if isinstance(value, np.ndarray) or origin is np.ndarray:
        return _encode_array(np.asarray(value), place, tensors)
    if isinstance(value, Enum):
        return value.value if isinstance(value, StrEnum) else value.name
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) or (origin is float and isinstance(value, int) and not isinstance(value, bool)):
        return _encode_float(float(value))
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        inner = typing.get_args(hint)[1] if typing.get_args(hint) else Any
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{place}: a dict in a record needs text keys, not {wrong[0]!r}")
        return {str(key): _encode(item, inner, f"{place}.{key}", tensors) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item, inner, f"{place}.{i}", tensors) for i, (item, inner) in enumerate(_items(value, hint))]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{place or type(value).__name__}: a record cannot hold {type(value).__name__}")


def _encode_float(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # "nan", "inf", "-inf": JSON has no such numbers


def _encode_array(array: Array, place: str, tensors: Tensors | None) -> Json:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{place}: a record cannot hold an array of {array.dtype}")
    if tensors is not None:
        tensors[place] = np.asarray(array, array.dtype.newbyteorder("="), order="C")
        return {"tensor": place}
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = _map_floats(values)
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def _map_floats(values: Any) -> Any:
    return [_map_floats(item) for item in values] if isinstance(values, list) else _encode_float(values)


@lru_cache(maxsize=256)
def _field_hints(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


@lru_cache(maxsize=256)
def _absent_when_empty(cls: Any) -> frozenset[str]:
    return frozenset(field.name for field in fields(cls) if field.metadata == LATER)


def _chosen(hint: Any, value: Any) -> Any:
    """The member of a union that ``value`` (encoded or not) belongs to; other annotations as they are."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    options = [option for option in typing.get_args(hint) if option is not type(None)]
    if len(options) == 1:
        return options[0]
    records = [option for option in options if is_dataclass(option)]
    if isinstance(value, Mapping) and len(records) == 1:
        return records[0]
    return type(value) if type(value) in options else Any


def _items(values: Sequence[Any], hint: Any) -> list[tuple[Any, Any]]:
    """Each item of a list or tuple with its annotation."""
    arguments = typing.get_args(hint)
    if not arguments:
        return [(item, Any) for item in values]
    if typing.get_origin(hint) is not tuple or arguments[-1] is Ellipsis:
        return [(item, arguments[0]) for item in values]
    if len(values) != len(arguments):
        raise ValueError(f"needs {len(arguments)} items, has {len(values)}")
    return list(zip(values, arguments, strict=True))


class _Decoder:
    """Builds values of the annotated types; every complaint names the file and the place in it."""

    def __init__(self, file: str | Path | None, tensors: Mapping[str, Array]) -> None:
        self.file, self.tensors = file, tensors

    def fail(self, place: str, reason: str, hint: str | None = None) -> InputError:
        return InputError(reason, file=self.file, place=place or None, hint=hint)

    def value(self, value: Json, hint: Any, place: str) -> Any:
        if value is None and type(None) in typing.get_args(hint):
            return None
        hint = _chosen(hint, value)
        origin = typing.get_origin(hint) or hint
        if is_dataclass(origin):
            return self.record(value, typing.cast(type, origin), place)
        if origin is np.ndarray:
            return self.array(value, place)
        if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
            inner = (typing.get_args(hint) or (str, Any))[1]
            return {key: self.value(item, inner, f"{place}.{key}") for key, item in self.expect(value, dict, place).items()}
        if origin in (list, tuple):
            items = self.expect(value, list, place)
            try:
                pairs = _items(items, hint)
            except ValueError as error:
                raise self.fail(place, str(error)) from error
            return origin(self.value(item, inner, f"{place}.{i}") for i, (item, inner) in enumerate(pairs))
        return self.scalar(value, hint, place)

    def scalar(self, value: Json, hint: Any, place: str) -> Any:
        if hint is Any or isinstance(hint, TypeVar):
            return value
        if hint is Path:
            return Path(self.expect(value, str, place))
        if isinstance(hint, type) and issubclass(hint, Enum):
            known = {(m.value if issubclass(hint, StrEnum) else m.name): m for m in hint}
            if isinstance(value, str) and value in known:
                return known[value]
            raise self.fail(place, f"{value!r} is not one of {', '.join(known)}", did_you_mean(str(value), list(known)))
        if hint is float and (value in ("nan", "inf", "-inf") or (type(value) is int)):
            return float(value)
        return self.expect(value, hint, place)

    def expect(self, value: Json, kind: type, place: str) -> Any:
        if type(value) is not kind:
            words = {
                dict: "an object",
                list: "a list",
                str: "text",
                float: "a number",
                int: "a whole number",
                bool: "true or false",
            }
            raise self.fail(place, f"needs {words.get(kind, getattr(kind, '__name__', str(kind)))}, has {_shown(value)}")
        return value

    def record(self, value: Json, cls: type, place: str) -> Any:
        hints, values = _field_hints(cls), self.expect(value, dict, place)
        prefix = f"{place}." if place else ""
        for name in values:
            if name not in hints:
                raise self.fail(f"{prefix}{name}", f"{cls.__name__} has no such field", did_you_mean(name, list(hints)))
        for field in fields(cls):
            if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
                raise self.fail(f"{prefix}{field.name}", f"is missing in this {cls.__name__}")
        return cls(**{name: self.value(item, hints[name], f"{prefix}{name}") for name, item in values.items()})

    def array(self, value: Json, place: str) -> Array:
        value = self.expect(value, dict, place)
        if set(value) == {"tensor"}:
            name = self.expect(value["tensor"], str, place)
            if name not in self.tensors:
                raise self.fail(place, f"tensor {_shown(name)} is missing in the file")
            return self.tensors[name]
        if set(value) != _ARRAY_KEYS:
            raise self.fail(place, "an array needs exactly dtype, shape and values")
        try:
            return _array_of(value["values"], np.dtype(str(value["dtype"])), value["shape"])
        except (TypeError, ValueError, OverflowError) as error:
            raise self.fail(place, "values do not fit dtype and shape") from error


def _array_of(values: Any, dtype: np.dtype[Any], shape: Any) -> Array:
    """The array, or a ValueError when the values are not all of that kind and range; numpy alone would wrap or round."""
    kinds: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float, str}}  # str: "nan" stands as text
    flat = np.asarray(values, object).ravel()
    if dtype.kind not in kinds or not {type(item) for item in flat} <= kinds[dtype.kind]:
        raise ValueError("values of another kind")
    if dtype.kind in "iu" and flat.size and not np.iinfo(dtype).min <= flat.min() <= flat.max() <= np.iinfo(dtype).max:
        raise ValueError("values out of range")
    return np.asarray(values, dtype).reshape(shape)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def decode_record(
    cls: type[RecordT], value: Json, *, file: str | Path | None = None, tensors: Mapping[str, Array] | None = None
) -> RecordT:
    """The inverse of `encode_record`; raises InputError naming ``file`` and the place inside it."""
    return typing.cast(RecordT, _Decoder(file, tensors or {}).record(value, cls, ""))


def content_hash(value: Any) -> str:
    """SHA-256 (hex) of a record, or of plain values and arrays; equal content gives equal hashes on every machine."""
    digest = hashlib.sha256()
    tensors: Tensors = {}
    body = _encode(value, type(value), "", tensors)
    digest.update(json.dumps([type(value).__name__, body], sort_keys=True, allow_nan=False).encode())
    for place in sorted(tensors):
        array = tensors[place]
        digest.update(f"{place} {array.dtype.name} {array.shape}".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
