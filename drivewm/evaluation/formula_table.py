"""The table of published scores in eval/README.md, made of the constants of the code.

python -m drivewm.evaluation.formula_table
"""

from __future__ import annotations

from pathlib import Path

from drivewm.config import content_folder
from drivewm.errors import InputError
from drivewm.evaluation.published import formulas
from drivewm.metrics.published.formula import Formula
from drivewm.store import write_text

BEGIN, END = "<!-- formulas: begin -->", "<!-- formulas: end -->"


def table_text() -> str:
    """All registered formulas as Markdown, alphabetical."""
    return "\n".join(_section(formula) for formula in formulas().values())


def readme_text(path: Path) -> str:
    """The file with its table brought up to date; what people wrote around it stays."""
    text = path.read_text("utf-8")
    if BEGIN not in text or END not in text:
        raise InputError("has no place for the table of scores", file=path, hint=f"add the lines {BEGIN} and {END}")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table_text()}\n{END}{rest.partition(END)[2]}"


def readme() -> Path:
    return content_folder("eval") / "README.md"


def _section(formula: Formula) -> str:
    lines = [f"### `{formula.name}`", "", formula.measures, "", f"    {formula.total}", ""]
    lines += ["| part | kind | weight | rule |", "|---|---|---:|---|"]
    for part in formula.parts:
        weight = "" if part.weight is None else f"{part.weight:g}"
        lines.append(f"| {part.name} | {part.role} | {weight} | {part.rule.replace('|', chr(92) + '|')} |")
    lines += ["", f"Source: {formula.source}.".replace("..", ".")]
    if formula.differs:
        lines += ["", f"Here: {formula.differs}"]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    write_text(readme(), readme_text(readme()))
