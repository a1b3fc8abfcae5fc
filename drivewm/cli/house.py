"""Commands about the installation and the workspace: info, doctor, init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivewm.cli.console import Json, finish


def add_to(app: typer.Typer) -> None:
    app.command()(info)
    app.command()(doctor)
    app.command()(init)


def info(as_json: Json = False) -> None:
    """What is installed here: versions, policies, worlds, scenarios, where runs go."""
    from rich.table import Table

    from drivewm.config import installation

    facts = installation()
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        table.add_row(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    finish(as_json, facts, table)


def doctor(as_json: Json = False) -> None:
    """Whether this machine can do the work: each part is tried, not just looked up. Exit code 1 when one does not work."""
    from rich.table import Table

    from drivewm.cli.checkup import checkup

    findings = checkup()
    table = Table("", "part", "finding", box=None)
    for finding in findings:
        table.add_row({True: "ok", False: "[red]FAILS[/]", None: "–"}[finding.works], finding.part, finding.text)
    finish(as_json, {"healthy": all(f.works is not False for f in findings), "findings": findings}, table)
    if any(finding.works is False for finding in findings):
        raise typer.Exit(1)


def init(folder: Annotated[Path, typer.Argument(help="The new folder.")], as_json: Json = False) -> None:
    """A new workspace: the scenarios and suites as files of your own to change, and what to do first."""
    from drivewm.cli.workspace import new_workspace

    files = new_workspace(folder)
    finish(as_json, {"folder": folder, "files": len(files)}, (folder / "README.md").read_text(encoding="utf-8"))
