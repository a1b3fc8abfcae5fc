"""A dream card for people: one page with lights first, then pictures, numbers and method; and a short one in Markdown."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import cv2
from rich.table import Table as RichTable

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Rows
from drivewm.evaluation.dream_card.card import DreamCard
from drivewm.evaluation.figures import Photo, jpeg_uri
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.line_charts import LineChart, line_chart
from drivewm.evaluation.report import Group, Mark, Page, Section, Table, Tile, write_page
from drivewm.store import write_text

NO_TARGET = "no target"
WHOLE_WIDTH_PX = 1000  # a narrower picture would only be blown up over the whole width of the page
TONES = {"reached": "good", "open": "void", "missed": "bad", "not measured": ""}
VERDICTS = {"reached": "passed", "open": "void", "missed": "failed"}
CLAIM_COLUMNS = ("claim", "measured [95 %]", "target", "light", "each seed")
ALWAYS_NOT_SHOWN = (
    "Anything about real roads: reference and held-out drives are procedural.",
    "Whether another model of the same recipe would score alike: one set of weights was measured.",
)
HOW_TO_READ = (
    "A light is reached when the value meets its target, open when it misses the target and the interval holds it (or the "
    "worse end of the interval has a limit of its own and misses it), missed when the whole interval misses it. A question has "
    "the worst light of its claims. Intervals are 95 % bootstraps over drives within their seed, unless a table says otherwise. "
    "Rows: exact are frames of the reference, floor is the autoencoder on them, naive rows are worlds that must lose, dream is "
    "what is measured."
)


def write_pages(out: Path, card: DreamCard) -> tuple[Path, Path]:
    """``card.html``, which needs nothing but itself, and ``card.md``, which needs the pictures beside it."""
    write_text(out / "card.md", markdown(card))
    return write_page(out / "card.html", page(out, card)), out / "card.md"


def page(out: Path, card: DreamCard) -> Page:
    """Pictures are read from ``out``."""
    numbers = [_numbers(answer, f"{place}. ") for place, answer in enumerate(card.answers, 1)]
    method = tuple((answer.key, answer.method) for answer in card.everything if answer.method)
    took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in card.took_s.items())
    return Page(
        title=f"Dream card of {card.world}",
        about=_about(card),
        tiles=tuple(_tile(answer) for answer in card.answers),
        sections=(
            _pictures(out, card),
            *numbers,
            *(_numbers(answer, "Control: ") for answer in card.controls),
            Section("Method", HOW_TO_READ, terms=method, commands=(card.command, f"# took: {took}")),
            Section("What this does not show", terms=_not_shown(card)),
        ),
    )


def _about(card: DreamCard) -> str:
    seeds = ", ".join(map(str, card.seeds))
    quick = " A quick card: few drives, wide intervals." if card.quick else ""
    return (
        f"How far a score in this world may be trusted. {card.drives} held-out drives of {card.seconds:g} s under seeds {seeds}; "
        f"{card.readers}; commit {card.provenance.commit}, {card.provenance.device}, {card.provenance.created}.{quick}"
    )


def deciding(answer: Answer) -> Claim | None:
    """The claim that a question's light comes from; the first one where none has a target."""
    same = [claim for claim in answer.claims if claim.light == answer.light]
    return next(iter(same or answer.claims), None)


def _tile(answer: Answer) -> Tile:
    claim = deciding(answer)
    detail = "" if claim is None else f"{claim.name}: {claim.note or 'no reason given'}"
    if claim is not None and claim.estimate is not None:
        detail = f"{claim.name}: {number(claim.estimate)}" + (f", target {target(claim)}" if target(claim) else "")
    return Tile(answer.key.replace("_", " "), answer.light or NO_TARGET, detail, TONES.get(answer.light, ""))


def table(card: DreamCard) -> RichTable:
    """Lights for a terminal."""
    out = RichTable(title=f"Dream card of {card.world}", title_justify="left")
    for column in ("question", "light", "claim", "measured [95 %]", "target"):
        out.add_column(column)
    for answer in card.everything:
        claim = deciding(answer)
        told = ("", "", "") if claim is None else (claim.name, number(claim.estimate), target(claim))
        out.add_row(answer.key, answer.light or NO_TARGET, *told)
    return out


def _pictures(out: Path, card: DreamCard) -> Section:
    groups = []
    for answer in card.answers:
        pictures = [_read(out / name) for name, _ in answer.pictures]
        photos = (Photo(jpeg_uri(shown, 82), words) for shown, (_, words) in zip(pictures, answer.pictures, strict=True))
        if pictures:
            alone = len(pictures) == 1 and pictures[0].shape[1] >= WHOLE_WIDTH_PX
            groups.append(Group("photo", tuple(photos), answer.question, "one" if alone else "wide"))
    return Section("Pictures", groups=tuple(groups))


def _read(file: Path) -> Array:
    """An RGB picture [H, W, 3]."""
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"a question names the picture {file.name}, which is not there")
    return picture[..., ::-1]


def _numbers(answer: Answer, before: str) -> Section:
    charts = tuple(_chart(chart) for chart in answer.charts)
    groups = (Group("lines", charts, layout="wide"),) if charts else ()
    tables = (claims_table(answer), *(_table(rows) for rows in answer.tables))
    return Section(f"{before}{answer.question}", groups=groups, tables=tables)


def _chart(chart: Chart) -> LineChart:
    series = [(one.name, one.points) for one in chart.series]
    return line_chart((chart.title, chart.x_label, chart.y_label), series, chart.scatter)


def claims_table(answer: Answer) -> Table:
    rows = []
    for claim in answer.claims:
        seeds = ", ".join(f"{value:.3g}" for value in claim.by_seed)
        light = Mark(claim.light or NO_TARGET, VERDICTS.get(claim.light, ""))
        rows.append((claim.name, number(claim.estimate), target(claim), light, seeds))
    notes = [f"{claim.name}: {claim.note}." for claim in answer.claims if claim.note]
    return Table(CLAIM_COLUMNS, tuple(rows), " ".join(notes))


def _table(rows: Rows) -> Table:
    cells = tuple((row.name, row.kind, *(number(cell) for cell in row.cells)) for row in rows.rows)
    return Table((rows.title, "kind", *rows.columns), cells, rows.note)


def number(value: Estimate | float | str | None) -> str:
    """A cell in words."""
    if isinstance(value, Estimate):
        value = None if isnan(value.value) else f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]"
    elif isinstance(value, (int, float)):
        value = None if isnan(value) else f"{value:.3g}"
    return value or "–"


def target(claim: Claim) -> str:
    if claim.target is None:
        return ""
    sign = "≥" if claim.higher_is_better else "≤"
    low = "" if claim.least_low is None else f", worse end {sign} {claim.least_low:g}"
    return f"{sign} {claim.target:g}{low}"


def _not_shown(card: DreamCard) -> tuple[tuple[str, str], ...]:
    own = [(answer.key.replace("_", " "), words) for answer in card.answers for words in answer.not_shown]
    return (*own, *(("all", words) for words in ALWAYS_NOT_SHOWN))


def markdown(card: DreamCard) -> str:
    """Lights, every claim, one picture for each question, and what is not shown."""
    lines = [f"# Dream card of {card.world}", "", _about(card), "", f"Command: `{card.command}`", ""]
    lines += ["| question | light | claim | measured [95 %] | target |", "|---|---|---|---|---|"]
    for answer in (*card.answers, *card.controls):
        for place, claim in enumerate(answer.claims):
            first = (answer.question, f"**{answer.light or NO_TARGET}**") if place == 0 else ("", "")
            mark = f"{claim.name} ({claim.light})" if len(answer.claims) > 1 and claim.light else claim.name
            measured = number(claim.estimate) if claim.estimate else claim.note or "–"
            lines.append("| " + " | ".join((*first, mark, measured, target(claim))).replace("\n", " ") + " |")
    lines.append("")
    for answer in card.answers:
        for name, caption in answer.pictures[:1]:
            lines += [f"![{answer.key}]({name})", "", f"{caption}", ""]
    lines += ["## What this does not show", "", *(f"- {words}" for _, words in _not_shown(card)), ""]
    lines += ["Tables, charts and method: `card.html` beside this file, and `card.json` for machines.", ""]
    return "\n".join(lines)
