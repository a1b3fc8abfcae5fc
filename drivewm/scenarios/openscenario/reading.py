"""Reading a scenario file so that nothing is lost: what no one has read by the end is listed with its line.

A `Reading` is a view of one file with values for its parameters; readings of catalog entries share notes and marks with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from drivewm.errors import InputError, did_you_mean
from drivewm.scenarios.openscenario.expressions import ExpressionError, Value, as_number, as_truth, evaluated
from drivewm.scenarios.xml import Element, child, children, read_xml, tag

DEEPEST = 8
SILENT = frozenset({"FileHeader", "License", "ParameterDeclarations", "VariableDeclarations", "CatalogLocations"})


class Unsupported(Exception):
    """Something that a scene cannot express; whoever reads the surrounding action or condition lists and skips it."""

    def __init__(self, element: Element, why: str) -> None:
        super().__init__(why)
        self.element, self.why = element, why


@dataclass(frozen=True, order=True)
class Note:
    """An element that has no effect, or another one than the file says, and why."""

    file: str
    line: int
    element: str
    why: str


@dataclass
class Shared:
    """What all readings of one import share."""

    used: set[Element] = field(default_factory=set)  # holding the elements keeps their identity
    notes: dict[tuple[str, int, str], Note] = field(default_factory=dict)
    files: dict[Path, bytes] = field(default_factory=dict)
    catalogs: dict[tuple[str, str], tuple[Element, Path]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    file: Path
    values: Mapping[str, Value]
    shared: Shared
    depth: int = 0  # of catalog entries in catalog entries

    def error(self, element: Element, reason: str, hint: str | None = None) -> InputError:
        return InputError(reason, file=self.file, line=element.sourceline, place=tag(element), hint=hint)

    def fail(self, element: Element, reason: str, hint: str | None = None) -> NoReturn:
        raise self.error(element, reason, hint)

    def use(self, element: Element) -> Element:
        """Marks an element as read."""
        self.shared.used.add(element)
        return element

    def use_all(self, element: Element) -> None:
        self.shared.used.update(e for e in element.iter() if isinstance(e.tag, str))

    def note(self, element: Element, why: str) -> None:
        """Lists an element; it and all in it count as read."""
        self.use_all(element)
        note = Note(self.file.name, int(element.sourceline or 0), tag(element), why)
        self.shared.notes.setdefault((note.file, note.line, note.element), note)

    def child(self, element: Element, *path: str) -> Element | None:
        """The element at the end of a way of tags, marked with all on the way."""
        for name in path:
            found = child(element, name)
            if found is None:
                return None
            element = self.use(found)
        return element

    def need(self, element: Element, *path: str) -> Element:
        found = self.child(element, *path)
        if found is None:
            self.fail(element, f"<{'/'.join(path)}> is missing")
        return found

    def children(self, element: Element, *names: str) -> list[Element]:
        return [self.use(one) for one in children(element, *names)]

    def one_of(self, element: Element, *names: str) -> Element:
        """The first child, which must have one of these tags; raises `Unsupported` for another one."""
        inner = children(element)
        if not inner:
            raise Unsupported(element, "is empty")
        if names and tag(inner[0]) not in names:
            raise Unsupported(inner[0], "not supported")
        return self.use(inner[0])

    def value(self, element: Element, name: str, default: Value | None = None) -> Value:
        self.use(element)
        raw = element.get(name)
        if raw is None:
            if default is None:
                self.fail(element, f"attribute '{name}' is missing")
            return default
        try:
            return evaluated(raw, self.values)
        except ExpressionError as problem:
            if name in ("name", "storyboardElementRef"):  # only to be told apart by; some tools put texts together here
                return raw
            unknown = raw.strip().lstrip("$")
            raise self.error(element, f"{name}: {problem}", did_you_mean(unknown, list(self.values))) from None

    def text(self, element: Element, name: str, default: str | None = None) -> str:
        value = self.value(element, name, default)
        if isinstance(value, bool):
            return "true" if value else "false"
        return f"{value:g}" if isinstance(value, float) else value

    def number(self, element: Element, name: str, default: float | None = None) -> float:
        value = self.value(element, name, default)
        try:
            number = as_number(value)
        except ExpressionError as problem:
            raise self.error(element, f"{name}: {problem}") from None
        if abs(number) > 1e9:
            self.fail(element, f"{name}: {number:g} is beyond all measure")
        return number

    def whole(self, element: Element, name: str, default: int | None = None) -> int:
        number = self.number(element, name, default)
        if abs(number - round(number)) > 1e-6:
            self.fail(element, f"{name}: {number:g} is not a whole number")
        return round(number)

    def truth(self, element: Element, name: str, default: bool | None = None) -> bool:
        try:
            return as_truth(self.value(element, name, default))
        except ExpressionError as problem:
            raise self.error(element, f"{name}: {problem}") from None

    def path(self, element: Element, name: str) -> Path:
        """A file that an attribute names, relative to this file."""
        text = self.text(element, name)
        if "\0" in text or len(text) > 1000:
            self.fail(element, f"{name}: not a path")
        return self.file.parent / text.replace("\\", "/")

    def within(self, declared: Mapping[str, Value]) -> Reading:
        """The same file with more parameters."""
        return Reading(self.file, {**self.values, **declared}, self.shared, self.depth)

    def declarations(self, element: Element, given: Mapping[str, Value] | None = None) -> dict[str, Value]:
        """Names and values of an element's ParameterDeclarations; later ones may use earlier ones; ``given`` goes first."""
        group, scope = child(element, "ParameterDeclarations"), self
        out: dict[str, Value] = dict(given or {})
        if group is not None:
            self.use_all(group)
            for one in children(group, "ParameterDeclaration"):
                name = str(one.get("name", "")).lstrip("$")  # 1.0 files write it either way
                if given is None or name not in given:
                    out[name] = scope.value(one, "value")
                scope = scope.within(out)
        return out

    def referenced(self, element: Element, *names: str) -> tuple[Reading, Element] | None:
        """What stands inside an element, or in a catalog to which it refers; None (and a note) if the entry is unknown.

        The reading that comes back has the parameters of the entry.
        """
        inner = child(element, *names[:1]) if len(names) == 1 else next(iter(children(element, *names)), None)
        if inner is not None:
            self.use(inner)
            return self.within(self.declarations(inner)), inner
        reference = child(element, "CatalogReference")
        if reference is None:
            self.fail(element, f"<{' or '.join(names)}> or <CatalogReference> is missing")
        return self.entry(reference)

    def entry(self, reference: Element) -> tuple[Reading, Element] | None:
        """The catalog entry behind a CatalogReference."""
        self.use_all(reference)
        key = (self.text(reference, "catalogName"), self.text(reference, "entryName"))
        if key not in self.shared.catalogs:
            entries = [entry for catalog, entry in self.shared.catalogs if catalog == key[0]]
            known = did_you_mean(key[1], entries) or ""
            self.note(reference, f"no catalog has the entry {key[0]}/{key[1]}{'; ' + known if known else ''}")
            return None
        found, file = self.shared.catalogs[key]
        assigned: dict[str, Value] = {}
        for one in children(reference, "ParameterAssignments"):
            for assignment in children(one, "ParameterAssignment"):
                assigned[str(assignment.get("parameterRef", ""))] = self.value(assignment, "value")
        if self.depth >= DEEPEST:
            self.fail(reference, "catalog entries refer to each other without end")
        inner = Reading(file, {**self.values, **assigned}, self.shared, self.depth + 1)
        return inner.within(inner.declarations(found, assigned)), self.use(found)

    def unread(self, root: Element) -> None:
        """Lists the outermost elements below ``root`` that nobody has read."""
        for one in children(root):
            if one in self.shared.used:
                self.unread(one)
            elif tag(one) not in SILENT:
                self.note(one, "has no effect here")


def load_catalogs(reading: Reading, root: Element) -> None:
    """Indexes the entries of all catalogs that a scenario names; a folder that is missing is listed."""
    locations = child(root, "CatalogLocations")
    for location in [] if locations is None else children(locations):
        directory = child(location, "Directory")
        if directory is None:
            continue
        folder = reading.path(directory, "path")
        if not folder.is_dir():
            reading.note(location, f"the folder {directory.get('path')!r} is missing")
            continue
        for file in sorted(folder.glob("*.xosc"))[:200]:
            _index(reading, file)


def _index(reading: Reading, file: Path) -> None:
    if file in reading.shared.files:
        return
    root = read_xml(file, "OpenSCENARIO")
    reading.shared.files[file] = file.read_bytes()
    for catalog in children(root, "Catalog"):
        for entry in children(catalog):
            reading.shared.catalogs.setdefault((str(catalog.get("name")), str(entry.get("name"))), (entry, file))
