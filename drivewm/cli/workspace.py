"""`drivewm init`: a folder that looks like the content part of this project."""

from __future__ import annotations

import shutil
from pathlib import Path

from drivewm.config import shipped_content
from drivewm.store import atomic_folder

README = """# {name}

A workspace for `drivewm`. What lies here goes before what came with the installation.

    scenarios/    one YAML file per situation, one folder per family
    eval/suites/  which scenarios are driven, how often, with which seeds
    policies/     your own policies and their weights
    runs/         everything drivewm writes (not under version control)

First steps, in this folder:

    drivewm scenario check scenarios          are all files right?
    drivewm scenario preview cut_in.motorway  a film of one of them, in seconds
    drivewm score --policy expert --suite smoke --world raster
    drivewm demo                              the whole loop, small
"""


def new_workspace(folder: Path) -> list[Path]:
    """Make ``folder`` with content and README; returns its files. Raises InputError when it already holds something."""
    with atomic_folder(folder) as temporary:
        for kind, names in (("scenarios", "*"), ("eval", "suites")):
            source = shipped_content(kind)
            for part in sorted(source.glob(names)):
                target = temporary / kind / part.name
                target.parent.mkdir(exist_ok=True)
                if part.is_dir():
                    shutil.copytree(part, target)
                else:
                    shutil.copy(part, target)
        (temporary / "policies").mkdir()
        (temporary / "README.md").write_text(README.format(name=folder.absolute().name), encoding="utf-8")
        (temporary / ".gitignore").write_text("/runs/\n/data/\n", encoding="utf-8")
    return sorted(path for path in folder.rglob("*") if path.is_file())
