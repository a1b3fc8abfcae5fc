"""A YAML file as plain data that remembers its lines. Everything that is not a small, plain document is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, NodeEvent

from drivewm.errors import InputError

MAX_BYTES = 100_000
MAX_DEPTH = 12
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """The document as nested dict, list, str, int, float, bool, None, and the line on which each place stands."""

    file: Path
    tree: dict[str, Any]
    lines: Mapping[Path_, int]
    files: Mapping[Path_, Path] = field(default_factory=dict)  # of places that come from a base

    def file_of(self, place: Path_) -> Path:
        """The file that `line` counts in."""
        known = next((place[:n] for n in range(len(place), -1, -1) if place[:n] in self.lines), ())
        return self.files.get(known, self.file)

    def line(self, place: Path_) -> int | None:
        """The line of a place, or of the nearest place around it that exists."""
        return next((self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), None)

    def at(self, place: Path_) -> Any:
        """What stands at a place; None where nothing does."""
        value: Any = self.tree
        for key in place:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def error(self, reason: str, place: Path_ = (), hint: str | None = None) -> InputError:
        """The error to raise about a place in this file."""
        return InputError(reason, file=self.file_of(place), line=self.line(place), place=dotted(place) or None, hint=hint or None)


def dotted(place: Path_) -> str:
    """``actors.other.steps[1]`` for people."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")


def read_source(path: str | Path) -> Source:
    """Reads a YAML file; raises `InputError` naming file and line for whatever is wrong with it."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {(error.strerror or str(error)).lower()}", file=file) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES // 1000} kB, which no scenario needs", file=file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"is not a text file: byte {error.start} is not UTF-8", file=file) from None
    bad = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        raise InputError(f"is not a text file: it holds the control character {bad[0]!r}", file=file, line=line)
    return parse_source(text, file)


def parse_source(text: str, file: Path) -> Source:
    """Like `read_source` for text that was read already, for example from an editor."""
    try:
        _refuse_the_unusual(text, file)
        tree = YAML(typ="rt", pure=True).load(text)
    except DuplicateKeyError as error:
        key = re.search(r'found duplicate key "?([^"]*?)"? with', str(error.problem))
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise InputError(f"key '{key[1] if key else '?'}' is given twice", file=file, line=line) from None
    except MarkedYAMLError as error:
        raise _syntax_error(error, text, file) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"is not YAML: {' '.join(str(error).split())[:200]}", file=file) from None
    if tree is None:
        raise InputError("is empty", file=file, hint="a scenario needs at least name, about, road, ego and end")
    if not isinstance(tree, Mapping):
        raise InputError("does not hold keys and values", file=file, line=1, hint="write for example 'name: cut_in.motorway'")
    lines: dict[Path_, int] = {(): 1}
    return Source(file, _plain(tree, (), lines, file), lines)


def _refuse_the_unusual(text: str, file: Path) -> None:
    """Aliases (which can blow a small file up), tags, several documents, and deep nesting, before anything is built."""
    depth = documents = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise InputError("holds several documents, one per file is needed", file=file, line=line)
        elif isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            raise InputError("YAML anchors (&) and aliases (*) are not used in scenarios", file=file, line=line)
        elif getattr(event, "tag", None):
            raise InputError(f"YAML tags such as {str(event.tag)[:40]!r} are not used in scenarios", file=file, line=line)
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise InputError(f"is nested more than {MAX_DEPTH} levels deep", file=file, line=line)
        elif isinstance(event, CollectionEndEvent):
            depth -= 1


def _syntax_error(error: MarkedYAMLError, text: str, file: Path) -> InputError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    # The parser stumbles at or after the culprit, so the lines just before are searched too.
    nearby = text.splitlines()[max(0, (line or 1) - 3) : line or 1]
    unquoted = next((found for part in nearby if (found := re.search(r":\s*(\[[^\]\"']*\.\.[^\]]*\][^,}#]*)", part))), None)
    hint = f'put quotes around a range: "{unquoted[1].strip()}"' if unquoted else None
    if hint is None and "\t" in "".join(nearby):
        hint = "indent with spaces, not tabs"
    problem = " ".join(str(error.problem or error.context or "syntax error").split())
    return InputError(f"is not YAML: {problem}", file=file, line=line, hint=hint)


def _plain(value: Any, place: Path_, lines: dict[Path_, int], file: Path) -> Any:
    line = lines[place]
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                key = str(key)
            try:
                lines[(*place, key)] = value.lc.key(key)[0] + 1  # type: ignore[attr-defined]
            except (KeyError, AttributeError, TypeError):
                lines[(*place, key)] = line
            out[key] = _plain(item, (*place, key), lines, file)
        return out
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = []
        for index, item in enumerate(value):
            try:
                lines[(*place, index)] = value.lc.item(index)[0] + 1  # type: ignore[attr-defined]
            except (KeyError, AttributeError, TypeError):
                lines[(*place, index)] = line
            items.append(_plain(item, (*place, index), lines, file))
        return items
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value) if isinstance(value, float) else int(value)
    if hasattr(value, "isoformat"):  # an unquoted date
        return str(value)
    raise InputError(f"{str(value)[:40]!r} is not a value that scenarios use", file=file, line=line, place=dotted(place) or None)
