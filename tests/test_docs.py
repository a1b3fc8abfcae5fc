"""What the documents say holds: their code runs, their commands exist, their paths and links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, cwd=ROOT, check=False).stdout.split()
DOCUMENTS = [ROOT / name for name in TRACKED] or sorted(ROOT.glob("*.md"))
TREE = (Path(__file__).with_name("help_tree.txt")).read_text().splitlines()
COMMANDS = {tuple(word for word in line.split() if word.islower() and not word.startswith("-")): line.split() for line in TREE}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def test_the_loop_of_the_readme_runs(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "README.md", "python")
    assert len(block.strip().splitlines()) <= 16
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DRIVEWM_RUNS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2 and all(re.fullmatch(r"cut_in\.motorway@\w{8}:\d#0 (\d\.\d\d|void: .*)", line) for line in lines), (
        lines
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_paths_and_links_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for written in re.findall(r"^    (drivewm .*?)(?:  +.*)?$|`(drivewm [^`]+)`", text, re.M):
        check_command(next(part for part in written if part).split("#")[0].strip())
    for path in re.findall(r"`((?:drivewm|scenarios|policies|eval|tests)/[A-Za-z0-9_./-]+)`", text):
        assert (ROOT / path).exists(), path
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (document.parent / target).exists(), target


def check_command(line: str) -> None:
    """A command line of the documents names a real command with real options."""
    words = line.split()
    names = next((tuple(words[:n]) for n in (3, 2, 1) if tuple(words[:n]) in COMMANDS), None)
    assert names is not None and (len(names) > 1 or len(words) == 1 or words[1].startswith("-")), f"no such command: {line}"
    known = {word for word in COMMANDS[names] if word.startswith("--")} | {"--help"}
    for option in re.findall(r"--[a-z-]+", line):
        assert option in known, f"{line}: no option {option}"


def test_the_suite_in_the_documents_is_one(tmp_path: Path) -> None:
    from drivewm.evaluation.suite import load_suite

    (block,) = blocks(ROOT / "eval" / "README.md", "yaml")
    (tmp_path / "mine.yaml").write_text(block)
    suite = load_suite(tmp_path / "mine.yaml", ROOT / "scenarios")
    assert suite.draws == 4 and len(suite.files) >= 8 and suite.seeds == (0, 1, 2)


def test_a_new_author_gets_from_the_example_to_a_score_in_five_commands(tmp_path: Path) -> None:
    """The commands of the guide, as they stand there: the expert solves its example, and who does nothing does not."""
    guide = (ROOT / "scenarios" / "README.md").read_text(encoding="utf-8")
    commands = [
        line.split("#")[0].split() for line in re.findall(r"^    drivewm (.*)$", guide.partition("**Quantities**")[0], re.M)
    ]
    assert [words[0] for words in commands] == ["init", "scenario", "scenario", "score", "score"]
    folder, totals = tmp_path, []
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-c", "from drivewm.cli import main; main()", *words, "--json"],
            capture_output=True, text=True, cwd=folder, timeout=300, check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "DRIVEWM_RUNS": str(tmp_path / "runs")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if words[0] == "init":
            folder = tmp_path / words[1]
            (folder / "scenarios" / "cut_in" / "mine.yaml").write_text(blocks(ROOT / "scenarios" / "README.md", "yaml")[0])
        if words[0] == "score":
            totals.append(json.loads(done.stdout.splitlines()[-1])["passed"]["value"])
    assert totals[0] >= 0.9 and totals[1] <= 0.5, totals


def test_the_readme_opens_with_what_a_newcomer_needs() -> None:
    opening = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:12]
    assert opening[0] == "# drivewm" and opening[2].endswith(".")
    assert any("make demo" in line for line in opening) and any("make test" in line for line in opening)


def test_no_word_that_the_glossary_avoids_in_what_users_read() -> None:
    avoided = ("hallucinat", "ground truth renderer", "episode", "NPC")
    for document in DOCUMENTS:
        if document == ROOT / "drivewm" / "README.md":
            continue  # the glossary itself
        text = document.read_text(encoding="utf-8")
        assert not [word for word in avoided if word in text], document


def test_the_licence_is_the_whole_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text and len(text) > 11_000
