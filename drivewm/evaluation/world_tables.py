"""Tables of the same policies in two worlds: driven where a world is named, read where a file is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from drivewm.errors import InputError
from drivewm.evaluation.compare import gather
from drivewm.evaluation.score import ScoreOptions
from drivewm.evaluation.score_table import ScoreTable, read_table, table_of
from drivewm.evaluation.suite import Suite
from drivewm.execution import Progress
from drivewm.policies.load import load_policy

TABLES = {".csv", ".json"}


def world_tables(
    worlds: tuple[str, str],
    policies: Sequence[str],
    suite: Suite | None,
    options: ScoreOptions,
    folder_of: Callable[[str, str], Path],
    stage: Callable[[str], Progress],
) -> tuple[ScoreTable, ScoreTable]:
    """Both tables, with the same policies; ``folder_of(policy, world)`` keeps drives. Without ``policies`` those of the files."""
    stored = [Path(world).suffix.lower() in TABLES for world in worlds]
    if not policies and not all(stored):
        raise InputError("no policy is named", hint="only two stored tables say themselves which policies they know")
    if folder := next((name for name in policies if Path(name).is_dir()), None):
        raise InputError("is a folder of one world, and two are compared", file=folder, hint="name the policy instead")
    ids = [load_policy(name).spec.id for name in policies]
    tables = [read_table(world) if file else None for world, file in zip(worlds, stored, strict=True)]
    if ids:
        tables = [table.of(ids) if table else None for table in tables]  # what is missing is told before anything is driven

    def driven(world: str) -> ScoreTable:
        entries = gather(
            policies, suite, world, options, lambda name: folder_of(name, world), lambda name: stage(f"{name} in {world}")
        )
        return table_of([entry.result for entry in entries])

    judged, reference = (table or driven(world) for table, world in zip(tables, worlds, strict=True))
    return judged, reference
