"""A folder of scenarios: finding them, checking them, and the files beside them that are generated (index and JSON Schema)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from drivewm.config import content_folder
from drivewm.errors import InputError, did_you_mean
from drivewm.scenarios.language import Scenario, load_scenario
from drivewm.scenarios.openscenario.imported import draw_imported, load_openscenario
from drivewm.scenarios.openscenario.table import is_catalog
from drivewm.scenarios.openscenario.table import scenario_files as openscenario_files
from drivewm.scenarios.quantities import Quantity
from drivewm.scenarios.sampling import Rejections, draw_scene, rejections
from drivewm.scenarios.schema import Document, Measure, Part, RecordedDocument
from drivewm.store import write_text

_OF_VARIANT = "OfVariant"
SCHEMA_FILE, INDEX_FILE, GALLERY_FILE = "scenario.schema.json", "README.md", "gallery.jpg"
SCHEMA_HEADER = "# yaml-language-server: $schema=../scenario.schema.json\n"
INDEX_BEGIN, INDEX_END = "<!-- index: begin (generated) -->", "<!-- index: end -->"
_BLANK_INDEX = f"# Scenarios\n\n{INDEX_BEGIN}\n{INDEX_END}\n"


@dataclass(frozen=True)
class Checked:
    """What `check` found in one file: the scenario and how its draws went, or the error that stopped it."""

    file: Path
    scenario: Scenario | None
    rejections: Rejections | None
    error: InputError | None


def find(root: str | Path | None = None) -> list[Path]:
    """All scenario files below a folder (the workspace's or the shipped catalogue if None), sorted."""
    folder = content_folder("scenarios") if root is None else Path(root)
    if not folder.is_dir():
        raise InputError("is not a folder of scenarios", file=folder)
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def scenario_files(arguments: Sequence[str]) -> list[Path]:
    """Files behind names ("cut_in.motorway"), files and folders, in the order given; raises InputError for anything else."""
    out: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            out += find(path) or [file for file in openscenario_files([path]) if not is_catalog(file)]
        elif path.suffix in (".yaml", ".yml", ".xosc"):
            if not path.is_file():
                raise InputError("does not exist", file=path)
            out.append(path)
        else:
            known = {f"{file.parent.name}.{file.stem}": file for file in find(content_folder("scenarios"))}
            if argument not in known:
                hint = did_you_mean(argument, list(known)) or "`drivewm scenario list` shows all"
                raise InputError(f"there is no scenario {argument!r}", hint=hint)
            out.append(known[argument])
    return out


def check(path: str | Path, draws: int = 20, seed: int = 0) -> Iterator[Checked]:
    """Reads a file, or every file of a folder, and draws scenes from it."""
    for file in find(path) if Path(path).is_dir() else [Path(path)]:
        scenario: Scenario | None = None
        try:
            if file.suffix.lower() == ".xosc":
                imported = load_openscenario(file)
                for index in range(draws):
                    draw_imported(imported, index, seed)
                yield Checked(file, None, None, None)
                continue
            scenario = load_scenario(file)
            for index in range(draws):
                draw_scene(scenario, index, seed)
            yield Checked(file, scenario, rejections(scenario, max(draws, 1), seed), None)
        except InputError as error:
            yield Checked(file, scenario, None, error)


@dataclass(frozen=True)
class Wanted:
    """What a list of scenarios is narrowed to; an empty field asks for nothing. Case does not matter."""

    family: str = ""  # its name
    mapping: str = ""  # a part of one of the public names
    tag: str = ""  # one of its tags

    def fits(self, scenario: Scenario) -> bool:
        mapped = self.mapping.lower() in "\n".join(scenario.maps_to).lower()
        return mapped and self.family in ("", scenario.family) and (not self.tag or self.tag.lower() in scenario.tags)


def narrowed(scenarios: list[Scenario], wanted: Wanted) -> list[Scenario]:
    """Those that fit; `InputError` when none does, with what there is."""
    fitting = [one for one in scenarios if wanted.fits(one)]
    if scenarios and not fitting:
        families, tags = sorted({s.family for s in scenarios}), sorted({tag for s in scenarios for tag in s.tags})
        close = did_you_mean(wanted.family, families) or did_you_mean(wanted.tag, tags)
        hint = close or f"families: {', '.join(families)}; tags: {', '.join(tags) or 'none'}"
        raise InputError("no scenario fits these filters", hint=hint)
    return fitting


def json_schema() -> dict[str, Any]:
    """JSON Schema (valid as Draft 2020-12 and as Draft 7) of a scenario file, for completion in editors.

    A file with a ``base`` may leave out what the base says, and take things away by keys without value.
    """
    parts = _parts(Document) | _parts(RecordedDocument)
    variants = {f"{name}{_OF_VARIANT}": _of_variant(part) for name, part in parts.items()}
    for kind in (Document, RecordedDocument):
        variants[f"{kind.__name__}{_OF_VARIANT}"]["required"] = ["name", "about", "base"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "drivewm scenario",
        "if": {"type": "object", "required": ["base"]},
        "then": {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}{_OF_VARIANT}"} for kind in (Document, RecordedDocument)]},
        "else": {
            "if": {"type": "object", "required": ["log"]},
            "then": {"$ref": "#/$defs/RecordedDocument"},
            "else": {"$ref": "#/$defs/Document"},
        },
        "$defs": {**parts, **variants},
    }


def _parts(document: type[Part]) -> dict[str, dict[str, Any]]:
    """The schema of a kind of document and of everything in it, by name."""
    schema = document.model_json_schema(by_alias=True)
    models = {model.__name__: model for model in Part.__subclasses__()}
    parts = {**schema.pop("$defs"), document.__name__: schema}
    for name, part in parts.items():
        if name in models:
            fields = {field.alias or key: field for key, field in models[name].model_fields.items()}
            part["properties"] = {key: _for_authors(value, fields[key]) for key, value in part["properties"].items()}
    return parts


def _of_variant(node: Any) -> Any:
    """The same part in a file with a base: nothing is required, everything may be taken away."""
    if isinstance(node, list):
        return [_of_variant(item) for item in node]
    if not isinstance(node, dict):
        return f"{node}{_OF_VARIANT}" if isinstance(node, str) and node.startswith("#/$defs/") else node
    out = {key: _of_variant(value) for key, value in node.items() if key != "required"}
    if isinstance(node.get("properties"), dict):
        out["properties"] = {key: _or_nothing(value) for key, value in out["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _or_nothing(out["additionalProperties"])
    return out


def _or_nothing(node: dict[str, Any]) -> dict[str, Any]:
    about = {key: value for key, value in node.items() if key in ("description", "default")}
    return {**about, "anyOf": [{key: value for key, value in node.items() if key not in about}, {"type": "null"}]}


def _for_authors(node: dict[str, Any], field: FieldInfo) -> dict[str, Any]:
    """A property as an author writes it: defaults with units, no nulls, and ``$name`` where a word or number stands."""
    about = {"description": node["description"]} if "description" in node else {}
    measure = next((m for m in field.metadata if isinstance(m, Measure)), None)
    if measure is not None and isinstance(field.default, float):
        about["default"] = str(Quantity(field.default, measure.dimension))
    elif measure is None and node.get("default") not in (None, [], {}):
        about["default"] = node["default"]
    apart = ("description", "default", "title")
    options = [{k: v for k, v in option.items() if k not in apart} for option in node.get("anyOf", [node])]
    options = [option for option in options if option != {"type": "null"}]
    closed = {"integer", "number", "boolean"}
    if any(o.get("type") in closed or "enum" in o or o.get("$ref", "").endswith(("/Weather", "/Light")) for o in options):
        options.append({"type": "string", "pattern": "^\\$[A-Za-z]"})
    return {**about, **options[0]} if len(options) == 1 else {**about, "anyOf": options}


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2, sort_keys=False) + "\n"


def index_text(root: Path) -> str:
    """The README of a scenario folder with its table brought up to date; what people wrote around the table stays."""
    path = root / INDEX_FILE
    text = path.read_text("utf-8") if path.is_file() else _BLANK_INDEX
    if INDEX_BEGIN not in text or INDEX_END not in text:
        raise InputError("has no place for the index", file=path, hint=f"add the lines {INDEX_BEGIN} and {INDEX_END}")
    before, _, rest = text.partition(INDEX_BEGIN)
    after = rest.partition(INDEX_END)[2]
    return f"{before}{INDEX_BEGIN}\n{_table(root)}{INDEX_END}{after}"


def write_index(root: str | Path | None = None) -> list[Path]:
    """Regenerates README index and JSON Schema of a scenario folder; the files written."""
    folder = content_folder("scenarios") if root is None else Path(root)
    index = index_text(folder)
    write_text(folder / SCHEMA_FILE, schema_text())
    write_text(folder / INDEX_FILE, index)
    return [folder / SCHEMA_FILE, folder / INDEX_FILE]


def _table(root: Path) -> str:
    families: dict[str, list[tuple[Path, Scenario]]] = {}
    for file in find(root):
        scenario = load_scenario(file)
        families.setdefault(scenario.family, []).append((file, scenario))
    count = sum(map(len, families.values()))
    lines = [f"\n{count} scenarios in {len(families)} families.\n"]
    for family, members in sorted(families.items()):
        gallery = members[0][0].parent / GALLERY_FILE
        shown = [f"![{family}]({gallery.relative_to(root).as_posix()})\n"] if gallery.is_file() else []
        lines += [f"\n### {family}\n", *shown, "| scenario | what happens | what varies | public names |", "|---|---|---|---|"]
        for file, one in members:
            link = f"[{one.name.partition('.')[2]}]({file.relative_to(root).as_posix()})"
            varied = "; ".join(f"{name}: {_words(str(chance))}" for name, chance in one.parameters.items())
            lines.append(f"| {link} | {one.about} | {varied} | {', '.join(one.maps_to)} |")
    return "\n".join(lines) + "\n\n"


def _words(text: str) -> str:
    """``30 km/h to 60 km/h`` as ``30 to 60 km/h``."""
    return re.sub(r"^(\S+) (\S+) to (\S+) \2$", r"\1 to \3 \2", text)
