"""Scores of policies x scenes as a table: from results of ours, or stored by somebody else as CSV or JSON."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from pathlib import Path
from typing import Any

from drivewm.errors import InputError, did_you_mean
from drivewm.evaluation.score import SuiteResult
from drivewm.store import read_json

NEEDED = ("policy", "scene", "score")
KNOWN = (*NEEDED, "family", "seed", "passed")
WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
FAILED = "failed"  # an event like any other: some gate was not kept


@dataclass(frozen=True, slots=True)
class Cell:
    """What a policy did in a scene, over its seeds."""

    score: float
    events: frozenset[str] = frozenset()  # kinds that happened with any seed


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """``cells`` by policy and scene; a drive that is void is simply not there."""

    name: str
    cells: Mapping[str, Mapping[str, Cell]]
    families: Mapping[str, str] = field(default_factory=dict)  # by scene
    told: frozenset[str] | None = None  # events that it tells of; None: all that happened
    weights: Mapping[str, float] = field(default_factory=dict)  # by scene; none: all weigh the same

    def of(self, policies: Sequence[str]) -> ScoreTable:
        """The rows of these policies; raises InputError that names those that are missing."""
        for policy in policies:
            if policy not in self.cells:
                hint = did_you_mean(policy, list(self.cells)) or f"it has {', '.join(sorted(self.cells))}"
                raise InputError(f"the table of {self.name} has no policy {policy!r}", hint=hint)
        return replace(self, cells={policy: self.cells[policy] for policy in policies})


def scenario_of(scene: str) -> str:
    """The scenario that a scene is a draw of: what stands before the number of the draw."""
    return scene.rpartition(":")[0] or scene


def table_of(results: Sequence[SuiteResult], *, void_too: bool = False) -> ScoreTable:
    """The table of results of one world; ``void_too``: as if no drive were void, to see what the gate does."""
    rows: dict[tuple[str, str], list[tuple[float, set[str]]]] = defaultdict(list)
    families, weights = dict[str, str](), dict[str, float]()
    for result in results:
        weights |= dict(zip((score.scene_id for score in result.scores), result.weights, strict=False))
        for score in result.scores:
            families[score.scene_id] = score.family
            if score.valid or void_too:
                events = {event.kind for event in score.events} | (set() if score.passed else {FAILED})
                rows[result.policy, score.scene_id].append((score.total, events))
    return replace(_table(results[0].world, [result.policy for result in results], rows, families), weights=weights)


def read_table(path: str | Path) -> ScoreTable:
    """A stored table: CSV with a line, or JSON with an object, for each drive.

    Needed: policy, scene, score in [0, 1] (a void drive has no line, or an empty score). Further: family, seed, passed, and any
    number of events, each in a column of its own with true or false. Raises InputError that names file and line.
    """
    path = Path(path)
    entries = _from_json(path) if path.suffix.lower() == ".json" else _from_csv(path)
    rows: dict[tuple[str, str], list[tuple[float, set[str]]]] = defaultdict(list)
    families, policies, seen = dict[str, str](), dict[str, None](), set[tuple[str, str, str]]()
    for number, entry in entries:
        missing = next((key for key in NEEDED if key not in entry), None)
        if missing:
            hint = did_you_mean(missing, list(entry)) or f"each drive has {', '.join(NEEDED)}"
            raise InputError(f"has no {missing}", file=path, line=number, hint=hint)
        policy, scene, seed = (_text(entry.get(key)) for key in ("policy", "scene", "seed"))
        if not policy or not scene:
            raise InputError("policy and scene must be named", file=path, line=number)
        if (policy, scene, seed) in seen:
            reason = f"policy {policy} has two scores in scene {scene}"
            raise InputError(reason, file=path, line=number, hint="tell repetitions apart by a column seed")
        seen.add((policy, scene, seed))
        policies[policy] = None
        families[scene] = _text(entry.get("family")) or scene.partition(".")[0]
        score = _score(entry["score"], path, number)
        if score is not None:
            rows[policy, scene].append((score, _events(entry, path, number)))
    columns = {key for _, entry in entries for key in entry}
    told = {key for key in columns if key not in KNOWN} | ({FAILED} if "passed" in columns else set())
    table = _table(path.name, list(policies), rows, families)
    return replace(table, told=frozenset(told))


def _table(
    name: str,
    policies: Sequence[str],
    rows: Mapping[tuple[str, str], Sequence[tuple[float, set[str]]]],
    families: Mapping[str, str],
) -> ScoreTable:
    if twice := next((policy for policy in policies if list(policies).count(policy) > 1), None):
        raise InputError(f"policy {twice} is given twice")
    cells: dict[str, dict[str, Cell]] = {policy: {} for policy in policies}
    for (policy, scene), drives in sorted(rows.items()):
        mean = fsum(score for score, _ in drives) / len(drives)
        cells[policy][scene] = Cell(mean, frozenset().union(*(events for _, events in drives)))
    return ScoreTable(name, cells, families)


def _from_csv(path: Path) -> list[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not text in UTF-8", file=path) from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if unnamed := [key for key in reader.fieldnames or [] if not key.strip()]:
        raise InputError(f"has {len(unnamed)} columns without a name", file=path, line=1)
    try:
        entries = [(reader.line_num, {key.strip(): value for key, value in row.items() if key}) for row in reader]
    except csv.Error as error:
        raise InputError(f"is no CSV: {error}", file=path, line=reader.line_num) from None
    if not entries:
        raise InputError("holds no drive", file=path, hint=f"a line with {', '.join(NEEDED)}, then one for each drive")
    return entries


def _from_json(path: Path) -> list[tuple[int, dict[str, Any]]]:
    document = read_json(path)
    if not isinstance(document, list) or not document or not all(isinstance(entry, dict) for entry in document):
        raise InputError("is no table", file=path, hint='a list of objects: [{"policy": ..., "scene": ..., "score": ...}]')
    return list(enumerate(document, start=1))


def _text(raw: Any) -> str:
    return "" if raw is None else str(raw).strip()


def _score(raw: Any, path: Path, number: int) -> float | None:
    if not _text(raw):
        return None
    try:
        value = float(raw)
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(raw, bool) or not 0.0 <= value <= 1.0:
        raise InputError(f"the score {str(raw)[:40]!r} is no number from 0 to 1", file=path, line=number)
    return value


def _events(entry: Mapping[str, Any], path: Path, number: int) -> set[str]:
    found = set()
    for key, raw in entry.items():
        if (key in KNOWN and key != "passed") or not _text(raw):
            continue
        happened = WORDS.get(_text(raw).lower())
        if happened is None:
            raise InputError(f"{key} is {str(raw)[:40]!r}", file=path, line=number, hint="an event is true or false")
        if happened != (key == "passed"):
            found.add(FAILED if key == "passed" else key)
    return found
