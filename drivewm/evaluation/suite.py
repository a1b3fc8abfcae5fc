"""Suites: which scenarios are driven, how often, with which seeds. A suite is a YAML file; its scenes follow from it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from drivewm.config import content_folder
from drivewm.datatypes import Scene
from drivewm.errors import InputError, did_you_mean
from drivewm.scenarios.catalogue import find
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.scenarios.schema import Part
from drivewm.scenarios.source import Source, read_source

Word = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]


class SuiteDocument(Part):
    """What a suite file may say."""

    name: Word
    about: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    scenarios: tuple[str, ...] = Field(min_length=1, description="file patterns below the scenario folder")
    draws: int = Field(1, ge=1, le=10_000, description="scenes per scenario")
    seeds: tuple[int, ...] = Field((0,), min_length=1, max_length=100, description="each scene is driven once with each")


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite with its scenario files found."""

    name: str
    about: str
    sha8: str  # of the suite's content
    files: tuple[Path, ...]
    draws: int
    seeds: tuple[int, ...]

    @property
    def id(self) -> str:
        return f"{self.name}@{self.sha8}"

    def scenes(self, seed: int = 0) -> list[Scene]:
        """All scenes, scenario by scenario; another ``seed`` draws other ones."""
        return list(self._draw(seed))

    def _draw(self, seed: int) -> Iterator[Scene]:
        for file in self.files:
            scenario = open_scenario(file)
            for index in range(self.draws):
                yield draw(scenario, index, seed)


def suite_of(files: Sequence[Path], draws: int = 1) -> Suite:
    """A suite made of scenario files alone; a single one gives it its name."""
    files = tuple(dict.fromkeys(files))
    opened = [open_scenario(file) for file in files]
    name = opened[0].name if len(opened) == 1 else "scenarios"
    sha8 = hashlib.sha256(json.dumps([*(one.id for one in opened), draws]).encode()).hexdigest()[:8]
    return Suite(name, opened[0].about if len(opened) == 1 else f"{len(opened)} scenarios", sha8, files, draws, (0,))


def suite_names() -> list[str]:
    """Suites that come with the content folder."""
    return sorted(file.stem for file in (content_folder("eval") / "suites").glob("*.yaml"))


def load_suite(name_or_path: str | Path, scenario_root: str | Path | None = None) -> Suite:
    """A suite by name or by file; raises InputError that names the file, the line and what would be right."""
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = content_folder("eval") / "suites" / f"{name_or_path}.yaml"
        if not path.is_file():
            known = suite_names()
            hint = did_you_mean(str(name_or_path), known) or f"known: {', '.join(known)}"
            raise InputError(f"unknown suite {str(name_or_path)!r}", hint=hint)
    source = read_source(path)
    document = _checked(source)
    sha8 = hashlib.sha256(json.dumps(source.tree, sort_keys=True).encode()).hexdigest()[:8]
    files = _matching(document.scenarios, source, scenario_root)
    return Suite(document.name, document.about, sha8, files, document.draws, document.seeds)


def _checked(source: Source) -> SuiteDocument:
    try:
        return SuiteDocument.model_validate(source.tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        context = first.get("ctx", {})
        place = (*first["loc"], *([context["key"]] if first["type"] == "unknown_key" else []))
        raise source.error(first["msg"], place, context.get("hint")) from None


def _matching(patterns: tuple[str, ...], source: Source, scenario_root: str | Path | None) -> tuple[Path, ...]:
    root = Path(scenario_root) if scenario_root else content_folder("scenarios")
    known = find(root)
    chosen: dict[Path, None] = {}  # a set that keeps the order
    for index, pattern in enumerate(patterns):
        matched = [file for file in known if file.relative_to(root).match(pattern)]
        if not matched:
            close = did_you_mean(pattern, [file.relative_to(root).as_posix() for file in known])
            raise source.error(f"no scenario matches {pattern!r}", ("scenarios", index), close or f"they are in {root}")
        chosen |= dict.fromkeys(matched)
    return tuple(chosen)
