"""Suites: which scenarios are driven, how often, with which seeds. A suite is a YAML file; its scenes follow from it alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from drivewm.config import content_folder
from drivewm.datatypes import Scene
from drivewm.errors import InputError, did_you_mean
from drivewm.scenarios.catalogue import Wanted, find
from drivewm.scenarios.language import Scenario, load_scenario
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.scenarios.proposals import Proposal, drawn_from, proposal_for, scene_weights
from drivewm.scenarios.quantities import QuantityError
from drivewm.scenarios.schema import Part
from drivewm.scenarios.source import Source, read_source

Word = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]


class SuiteDocument(Part):
    """What a suite file may say."""

    name: Word
    about: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    scenarios: tuple[str, ...] = Field((), description="file patterns below the scenario folder")
    maps_to: tuple[str, ...] = Field((), description="and every scenario with such a public name, in whole or in part")
    tags: tuple[str, ...] = Field((), description="and every scenario with one of these tags")
    draw_from: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="by scenario and parameter: what to draw from instead; scenes are weighted to make up for it",
    )
    draws: int = Field(1, ge=1, le=10_000, description="scenes per scenario")
    seeds: tuple[int, ...] = Field((0,), min_length=1, max_length=100, description="each scene is driven once with each")

    @model_validator(mode="after")
    def _names_scenarios(self) -> SuiteDocument:
        if not (self.scenarios or self.maps_to or self.tags):
            hint = "say which under scenarios, maps_to or tags"
            raise PydanticCustomError("unknown_key", "no scenario is named", {"key": "scenarios", "hint": hint})
        return self


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite with its scenario files found."""

    name: str
    about: str
    sha8: str  # of the suite's content
    files: tuple[Path, ...]
    draws: int
    seeds: tuple[int, ...]
    proposals: Mapping[str, Proposal] = field(default_factory=dict)  # by name of scenario

    @property
    def id(self) -> str:
        return f"{self.name}@{self.sha8}"

    def scenes(self, seed: int = 0) -> list[Scene]:
        """All scenes, scenario by scenario; another ``seed`` draws other ones."""
        return list(self._draw(seed))

    def _draw(self, seed: int) -> Iterator[Scene]:
        for file in self.files:
            scenario = open_scenario(file)
            if isinstance(scenario, Scenario):
                scenario = drawn_from(scenario, self.proposals.get(scenario.name, {}))
            for index in range(self.draws):
                yield draw(scenario, index, seed)

    def weights(self, scenes: Sequence[Scene]) -> tuple[float, ...]:
        """What each of these scenes weighs; nothing when all are drawn from the scenarios' own distributions."""
        if not self.proposals:
            return ()
        found = {scene.id: 1.0 for scene in scenes}
        for scenario in (load_scenario(file) for file in self.files if file.suffix != ".xosc"):
            if proposal := self.proposals.get(scenario.name):
                mine = list({scene.id: scene for scene in scenes if scene.id.partition("@")[0] == scenario.name}.values())
                found |= dict(zip((scene.id for scene in mine), scene_weights(scenario, proposal, mine), strict=True))
        return tuple(found[scene.id] for scene in scenes)


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
    files = _matching(document, source, scenario_root)
    proposals = _proposals(document, files, source)
    return Suite(document.name, document.about, sha8, files, document.draws, document.seeds, proposals)


def _checked(source: Source) -> SuiteDocument:
    try:
        return SuiteDocument.model_validate(source.tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        context = first.get("ctx", {})
        place = (*first["loc"], *([context["key"]] if first["type"] == "unknown_key" else []))
        raise source.error(first["msg"], place, context.get("hint")) from None


def _matching(document: SuiteDocument, source: Source, scenario_root: str | Path | None) -> tuple[Path, ...]:
    """Files that any of the three lists names, in the order of the lists; every entry must name one."""
    root = Path(scenario_root) if scenario_root else content_folder("scenarios")
    known = find(root)
    chosen: dict[Path, None] = {}  # a set that keeps the order
    for index, pattern in enumerate(document.scenarios):
        matched = [file for file in known if file.relative_to(root).match(pattern)]
        if not matched:
            close = did_you_mean(pattern, [file.relative_to(root).as_posix() for file in known])
            raise source.error(f"no scenario matches {pattern!r}", ("scenarios", index), close or f"they are in {root}")
        chosen |= dict.fromkeys(matched)
    opened = {file: load_scenario(file) for file in known} if document.maps_to or document.tags else {}
    words = {
        "maps_to": sorted({name for one in opened.values() for name in one.maps_to}),
        "tags": sorted({tag for one in opened.values() for tag in one.tags}),
    }
    wanted = [("maps_to", index, name, Wanted(mapping=name)) for index, name in enumerate(document.maps_to)]
    wanted += [("tags", index, tag, Wanted(tag=tag)) for index, tag in enumerate(document.tags)]
    for key, index, word, filter in wanted:
        matched = [file for file, scenario in opened.items() if filter.fits(scenario)]
        if not matched:
            close = did_you_mean(word, words[key]) or f"known: {', '.join(words[key][:40])}"
            raise source.error(f"no scenario has {word!r} among its {key}", (key, index), close)
        chosen |= dict.fromkeys(matched)
    return tuple(chosen)


def _proposals(document: SuiteDocument, files: Sequence[Path], source: Source) -> dict[str, Proposal]:
    if not document.draw_from:
        return {}
    known = {scenario.name: scenario for scenario in map(load_scenario, files)}
    out = {}
    for name, said in document.draw_from.items():
        if name not in known:
            raise source.error(f"no scenario {name!r} in this suite", ("draw_from", name), did_you_mean(name, list(known)))
        try:
            out[name] = proposal_for(known[name], said)
        except QuantityError as error:
            raise source.error(str(error), ("draw_from", name), error.hint) from None
    return out
