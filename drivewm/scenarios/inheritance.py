"""A scenario that says only what is different: ``base:`` names another one, and its own words are laid over that one's.

Mappings are laid over key by key, and a key without a value (``follower:``) takes away what the base has; everything else is
replaced, except that the constraints under ``where`` are added. Names, tags and what it is about belong to one file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drivewm.config import content_folder
from drivewm.errors import did_you_mean
from drivewm.scenarios.source import Path_, Source, read_source

MOST_LEVELS = 4
_OWN_KEYS = ("name", "about", "family", "tags")  # never inherited


@dataclass(frozen=True)
class Heritage:
    """A document with its bases laid under it, and the name of the outermost base (its own without one)."""

    source: Source
    origin: str


def with_bases(source: Source, above: tuple[Path, ...] = ()) -> Heritage:
    """The complete document; `InputError` when a base is missing, is no scenario, or leads back here."""
    wanted = source.tree.get("base")
    if wanted is None:
        return Heritage(source, str(source.tree.get("name", "")))
    file = _file_of(wanted, source)
    chain = (*above, source.file.absolute())
    if file.absolute() in chain:
        raise source.error(f"base {wanted!r} leads back to this file", ("base",), "a base stands on its own")
    if len(chain) > MOST_LEVELS:
        raise source.error(f"more than {MOST_LEVELS} bases stand on each other", ("base",), "name the first one")
    under = with_bases(read_source(file), chain)
    return Heritage(_laid_over(source, under.source), under.origin)


def _file_of(wanted: Any, source: Source) -> Path:
    if not isinstance(wanted, str) or not wanted.strip():
        raise source.error(f"{wanted!r} does not name a scenario", ("base",), "for example lead_vehicle.brakes")
    if wanted.endswith((".yaml", ".yml")):
        file = source.file.parent / wanted
        if not file.is_file():
            raise source.error(f"base {wanted!r} does not exist", ("base",), "the path starts at this file's folder")
        return file
    known: dict[str, Path] = {}
    for root in (content_folder("scenarios"), source.file.parent.parent, source.file.parent):
        known |= {f"{path.parent.name}.{path.stem}": path for path in root.glob("*/*.yaml")}
    known |= {path.stem: path for path in source.file.parent.glob("*.yaml")}
    if wanted not in known:
        hint = did_you_mean(wanted, sorted(known)) or "a base is family.name, or a path that ends in .yaml"
        raise source.error(f"there is no scenario {wanted!r} to start from", ("base",), hint)
    return known[wanted]


def _laid_over(own: Source, under: Source) -> Source:
    """``own`` over ``under``; every place remembers the file and the line that it comes from."""
    below = {key: value for key, value in under.tree.items() if key not in _OWN_KEYS}
    above = {key: value for key, value in own.tree.items() if key != "base"}
    lines = {place: line for place, line in under.lines.items() if place[:1] and place[0] not in _OWN_KEYS}
    files = {place: under.file_of(place) for place in lines}
    layers = _Layers(own, lines, files)
    where = _where(below.get("where"), above.get("where"), layers)
    tree = layers.merged(below, above, ())
    if where is not None:
        tree["where"] = where
    layers.lines[()] = own.lines[()]
    return replace(own, tree=tree, lines=layers.lines, files=layers.files)


def _where(below: Any, above: Any, layers: _Layers) -> list[Any] | None:
    """Both lists of constraints, the base's first; None when one of them is no list, or nothing is inherited."""
    if not isinstance(below, list) or not isinstance(above, list):
        return None
    layers.keep_where = len(below)
    return [*below, *above]


@dataclass
class _Layers:
    own: Source
    lines: dict[Path_, int]
    files: dict[Path_, Path]
    keep_where: int = 0

    def merged(self, below: Mapping[str, Any], above: Mapping[str, Any], place: Path_) -> dict[str, Any]:
        out = dict(below)
        for key, value in above.items():
            here = (*place, key)
            if value is None and key in below:
                del out[key]
                self.forget(here)
            elif isinstance(value, dict) and isinstance(below.get(key), dict) and not self.is_one_value(here):
                self.mark(here)
                out[key] = self.merged(below[key], value, here)
            else:
                if not (here == ("where",) and self.keep_where):
                    self.forget(here)
                out[key] = value
                self.adopt(here)
        return out

    @staticmethod
    def is_one_value(place: Path_) -> bool:
        """What varies is a whole: weights or a bell curve are not mixed with those of the base."""
        return len(place) == 2 and place[0] == "vary"

    def mark(self, place: Path_) -> None:
        self.lines[place], self.files[place] = self.own.line(place) or 1, self.own.file

    def forget(self, place: Path_) -> None:
        for known in [p for p in self.lines if p[: len(place)] == place]:
            del self.lines[known], self.files[known]

    def adopt(self, place: Path_) -> None:
        """Lines of everything at and below a place of the own document."""
        shift = self.keep_where if place == ("where",) else 0
        for known, line in self.own.lines.items():
            if known[: len(place)] == place:
                moved = (*known[:1], int(known[1]) + shift, *known[2:]) if shift and len(known) > 1 else known
                self.lines[moved], self.files[moved] = line, self.own.file
