"""Edits of a scene that plays already: another sky from a moment on, somebody who comes, goes, or stands elsewhere.

    3s weather=snow light=night
    2s insert pedestrian 15 m ahead 2 m left facing right at 1.4 m/s
    2s move lead 5 m ahead 1 m right
    2s remove nearest pedestrian

Ahead and left are of the ego's route, bumper to bumper from the ego; who is moved goes along its own path. Whom an edit means is
settled when its time has come: `lead` is the next one ahead on the route.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from drivewm.datatypes import Light, Weather
from drivewm.errors import InputError, did_you_mean
from drivewm.scenarios.bodies import BODIES
from drivewm.scenarios.quantities import LENGTH, SPEED, TIME, QuantityError, quantity

SKY: dict[str, type[Weather] | type[Light]] = {"weather": Weather, "light": Light}
FACINGS = ("along", "against", "left", "right")
VERBS = ("insert", "move", "remove")
_TIME = re.compile(r"(\d+(?:\.\d+)?\s*(?:ms|min|s))(?![\w/])\s*(.*)", re.DOTALL)
_PLACE = re.compile(r"(\S*\d\S*(?:\s+[A-Za-z]+)?)\s+(ahead|behind|left|right)\b")
_FACING = re.compile(r"\bfacing\s+(\S+)")
_SPEED = re.compile(r"\bat\s+(.+)$")


@dataclass(frozen=True, slots=True)
class Sky:
    """Other weather or light."""

    given: dict[str, Any]  # "weather" to Weather, "light" to Light


@dataclass(frozen=True, slots=True)
class Remove:
    who: str


@dataclass(frozen=True, slots=True)
class Move:
    """A shift along the agent's path and to its left."""

    who: str
    along_m: float
    left_m: float


@dataclass(frozen=True, slots=True)
class Insert:
    """A body ``ahead_m`` of the ego, bumper to bumper (negative: behind it; None: beside it), ``left_m`` of the route."""

    kind: str
    ahead_m: float | None
    left_m: float
    facing: str = "along"
    speed_mps: float = 0.0


@dataclass(frozen=True, slots=True)
class Edit:
    """One change from ``at_s`` on, and how its author wrote it."""

    at_s: float
    change: Sky | Remove | Move | Insert
    text: str


def timed(text: str, now_s: float = 0.0) -> list[tuple[float, str]]:
    """The items of a text, parted by semicolons or lines, each with its time in s; ``now_s`` where none is said."""
    items = []
    for item in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        found = _TIME.fullmatch(item)
        items.append((quantity(found[1], TIME), found[2].strip()) if found else (now_s, item))
    return items


def parse_edits(text: str, now_s: float = 0.0) -> tuple[Edit, ...]:
    """The edits of a text; `InputError` says which one is none, and what would be right."""
    return tuple(parse_edit(at_s, item) for at_s, item in timed(text, now_s))


def is_edit(item: str) -> bool:
    """Whether the first word of an item, or its key, is one of an edit."""
    return bool(item) and (item.split()[0] in VERBS or item.partition("=")[0].strip() in SKY)


def parse_edit(at_s: float, item: str) -> Edit:
    """The edit that ``item`` stands for, without its time."""
    verb, _, rest = item.partition(" ")
    if "=" in verb:
        return Edit(at_s, Sky(dict(_sky(word, item) for word in item.split())), item)
    if verb not in VERBS:
        known = [*VERBS, *SKY]
        raise _wrong(item, f"{verb!r} is no edit", did_you_mean(verb, known) or f"they are {_listed(known)}")
    try:
        return Edit(at_s, _change(verb, rest.strip(), item), item)
    except QuantityError as error:
        raise _wrong(item, error.reason, error.hint) from None


def _sky(word: str, item: str) -> tuple[str, Weather | Light]:
    key, _, value = word.partition("=")
    if key not in SKY:
        raise _wrong(item, f"{key!r} cannot be changed so", did_you_mean(key, list(SKY)) or f"known: {_listed(list(SKY))}")
    known = [str(one) for one in SKY[key]]
    if value not in known:
        raise _wrong(item, f"{value!r} is no {key}", did_you_mean(value, known) or f"there are {_listed(known)}")
    return key, SKY[key](value)


def _change(verb: str, rest: str, item: str) -> Remove | Move | Insert:
    if verb == "insert":
        return _insert(rest, item)
    shifts, who = _places(rest)
    if not who:
        raise _wrong(item, f"does not say whom to {verb}", "for example lead, nearest pedestrian, all cars, track_12")
    if verb == "remove":
        if shifts:
            raise _wrong(item, "removes somebody from a place", "say only who: lead, nearest car, all")
        return Remove(who)
    if not shifts:
        raise _wrong(item, "does not say where to", "for example 5 m ahead 1 m left")
    return Move(who, shifts.get("along", 0.0), shifts.get("left", 0.0))


def _insert(rest: str, item: str) -> Insert:
    given: dict[str, Any] = {}
    if found := _SPEED.search(rest):
        given["speed_mps"], rest = quantity(found[1], SPEED), rest[: found.start()]
    if found := _FACING.search(rest):
        if found[1] not in FACINGS:
            raise _wrong(item, f"nobody faces {found[1]!r}", did_you_mean(found[1], list(FACINGS)) or _listed(list(FACINGS)))
        given["facing"], rest = found[1], rest[: found.start()] + rest[found.end() :]
    shifts, kind = _places(rest)
    if kind not in BODIES:
        raise _wrong(
            item, f"nothing is called {kind!r}", did_you_mean(kind, list(BODIES)) or f"there are {_listed(list(BODIES))}"
        )
    if not shifts:
        raise _wrong(item, "does not say where", "for example 15 m ahead 2 m left")
    return Insert(kind, shifts.get("along"), shifts.get("left", 0.0), **given)


def _places(text: str) -> tuple[dict[str, float], str]:
    """Shifts "along" and "left" in m, and the words that are left."""
    shifts: dict[str, float] = {}
    for length, side in _PLACE.findall(text):
        axis, sign = ("along" if side in ("ahead", "behind") else "left"), (1.0 if side in ("ahead", "left") else -1.0)
        shifts[axis] = shifts.get(axis, 0.0) + sign * quantity(length, LENGTH)
    return shifts, " ".join(_PLACE.sub(" ", text).split())


def _listed(words: list[str]) -> str:
    return ", ".join(words)


def _wrong(item: str, reason: str, hint: str | None) -> InputError:
    return InputError(reason, place=f"edit {item!r}", hint=hint)
