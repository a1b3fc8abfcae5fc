"""Two dream cards beside each other, claim by claim."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table as RichTable

from drivewm.evaluation.dream_card.answer import Answer, Claim
from drivewm.evaluation.dream_card.card import DreamCard
from drivewm.evaluation.dream_card.page import NO_TARGET, TONES, VERDICTS, number, target
from drivewm.evaluation.report import Mark, Page, Section, Table, Tile, write_page

COLUMNS = ("claim", "target", "first [95 %]", "light", "second [95 %]", "light", "the second is")
METHOD = (
    "A claim is called better or worse only where the two intervals do not touch; both cards measured their own intervals over "
    "drives, so a difference that pairing the drives would show may go unnamed here. Cards of other drives or readers cannot be "
    "compared in fine differences."
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One claim of two cards; None where a card does not make it."""

    key: str
    name: str
    first: Claim | None
    second: Claim | None

    @property
    def verdict(self) -> str:
        """What the second is: "better", "worse", "no change", or "not told"."""
        if self.first is None or self.second is None or self.first.estimate is None or self.second.estimate is None:
            return "not told"
        before, after = self.first.estimate, self.second.estimate
        if after.low > before.high:
            return "better" if self.second.higher_is_better else "worse"
        if after.high < before.low:
            return "worse" if self.second.higher_is_better else "better"
        return "no change"


def differences(first: DreamCard, second: DreamCard) -> tuple[Difference, ...]:
    """Every claim of either card, in the order of the first."""
    ours, theirs = (
        {(answer.key, claim.name): claim for answer in card.everything for claim in answer.claims} for card in (first, second)
    )
    return tuple(Difference(*name, ours.get(name), theirs.get(name)) for name in dict.fromkeys((*ours, *theirs)))


def unlike(first: DreamCard, second: DreamCard) -> tuple[str, ...]:
    """In what else than their worlds two cards differ."""
    told = (
        ("readers", first.readers, second.readers),
        ("drives", first.provenance.ids.get("drives", ""), second.provenance.ids.get("drives", "")),
        ("seconds", f"{first.seconds:g}", f"{second.seconds:g}"),
        ("seeds", str(first.seeds), str(second.seeds)),
    )
    return tuple(f"{what} differ: {a} and {b}" for what, a, b in told if a != b)


def write_beside(path: Path, first: DreamCard, second: DreamCard, command: str) -> Path:
    """The page at ``path``; lights of both first, then every claim."""
    found = differences(first, second)
    about = f"First {first.world} (commit {first.provenance.commit}), second {second.world} (commit {second.provenance.commit}). "
    about += ". ".join(unlike(first, second)) or "Same readers, drives and seeds."
    questions = {answer.key: answer.question for card in (second, first) for answer in card.everything}
    sections = [
        Section(questions[key], tables=(_table([one for one in found if one.key == key]),))
        for key in dict.fromkeys(one.key for one in found)
    ]
    tiles = tuple(_tile(answer, second) for answer in first.answers)
    how = Section("How to read this", METHOD, commands=(command,))
    return write_page(path, Page("Two dream cards", about, (*sections, how), tiles))


def _tile(answer: Answer, second: DreamCard) -> Tile:
    before, after = (light or NO_TARGET for light in (answer.light, second.lights.get(answer.key, "not measured")))
    value = before if before == after else f"{before} → {after}"
    return Tile(answer.key.replace("_", " "), value, tone=TONES.get(after, ""))


def _table(found: list[Difference]) -> Table:
    rows = []
    for one in found:
        claim = one.second or one.first
        assert claim is not None
        cells: list[str | Mark] = [one.name, target(claim)]
        for side in (one.first, one.second):
            light = "" if side is None else side.light
            cells += [number(side.estimate if side else None), Mark(light, VERDICTS.get(light, ""))]
        verdict = {"better": "passed", "worse": "failed"}.get(one.verdict, "")
        rows.append((*cells, Mark(one.verdict, verdict)))
    return Table(COLUMNS, tuple(rows))


def table(first: DreamCard, second: DreamCard) -> RichTable:
    """For a terminal: claims with a target, or that differ."""
    out = RichTable(title=f"{second.world} against {first.world}", title_justify="left")
    for column in ("question", "claim", "first", "second", "the second is"):
        out.add_column(column)
    for one in differences(first, second):
        claim = one.second or one.first
        if claim is not None and (claim.target is not None or one.verdict in ("better", "worse")):
            shown = (number(side.estimate if side else None) for side in (one.first, one.second))
            out.add_row(one.key, one.name, *shown, one.verdict)
    return out
