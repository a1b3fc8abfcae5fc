"""The card as people see it: what a light means, the page in a real browser, two cards beside each other, and bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivewm.cli import run
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.beside import differences
from drivewm.evaluation.dream_card.card import DreamCard, load_card, save_card
from drivewm.evaluation.dream_card.page import write_pages
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.pictures import write_jpeg
from drivewm.store import provenance
from tests.service.browser import opened


def at_least(value: float, low: float, high: float, target: float | None, least_low: float | None = None) -> Claim:
    return Claim("figure", Estimate(value, low, high, 24), target, least_low=least_low)


@pytest.mark.parametrize(
    ("claim", "light"),
    [
        (at_least(0.93, 0.88, 0.97, 0.9), "reached"),
        (at_least(0.88, 0.80, 0.92, 0.9), "open"),  # the interval holds the target
        (at_least(0.80, 0.70, 0.89, 0.9), "missed"),
        (at_least(0.95, 0.70, 0.98, 0.9, least_low=0.75), "open"),  # the value is there, its worse end is not
        (at_least(float("nan"), float("nan"), float("nan"), 0.9), "not measured"),
        (at_least(0.5, 0.4, 0.6, None), ""),
        (Claim("drift", Estimate(1.5, 1.2, 1.9, 24), 2.0, higher_is_better=False), "reached"),
        (Claim("drift", Estimate(2.5, 2.2, 2.9, 24), 2.0, higher_is_better=False), "missed"),
    ],
)
def test_a_light_follows_from_value_interval_and_target(claim: Claim, light: str) -> None:
    assert claim.light == light


def test_a_question_is_as_good_as_its_worst_measured_claim() -> None:
    missing = Claim("later", None, 0.9, note="no policy was trained here")
    known = (at_least(0.95, 0.92, 0.97, 0.9), at_least(0.80, 0.70, 0.89, 0.9), missing)
    assert Answer("k", "?", known).light == "missed"
    assert Answer("k", "?", (known[0], missing)).light == "reached"
    assert Answer("k", "?", (missing,)).light == "not measured"
    assert Answer("k", "?", (at_least(0.5, 0.4, 0.6, None), missing)).light == "not measured"
    assert Answer("k", "?", (at_least(0.5, 0.4, 0.6, None),)).light == ""


def a_card(out: Path, iou: Estimate) -> DreamCard:
    """Two questions, one with a picture, a table and charts."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 288, 3), np.uint8)
    write_jpeg(out / "layout-0.jpg", noise)
    claims = (
        Claim("vehicle IoU on dream over on reference", iou, 0.9, by_seed=(0.6, 0.7, 0.65)),
        Claim("control ranks at the bottom", None, 1.0, note="fewer than eight policies"),
    )
    rows = (Row("reference frames", "exact", (Estimate(0.81, 0.78, 0.84, 24), 1.0)), Row("dream", "dream", (iou, None)))
    line = Series("dream", tuple((float(t), 0.8 - 0.02 * t, 0.75 - 0.02 * t, 0.85 - 0.02 * t) for t in range(0, 21, 5)))
    charts = (
        Chart("IoU over time", "s", "vehicle IoU", (line,)),
        Chart(
            "scores of policies",
            "reference",
            "dream",
            (Series("see pixels", ((0.2, 0.3, 0.2, 0.4), (0.8, 0.7, 0.6, 0.8))),),
            True,
        ),
    )
    answers = (
        Answer("layout", "Does it follow boxes and map?", claims, (Rows("IoU", ("vehicle", "road"), rows),), charts,
               (("layout-0.jpg", "A drive."),), "Read by networks.", ("Silhouettes.",)),
        Answer("looks", "Does it look like the reference?", (at_least(0.5, 0.4, 0.6, None),)),
    )  # fmt: skip
    lights = {answer.key: answer.light for answer in answers}
    origin = provenance(0, world="dream-tiny@0", drives="d")
    return DreamCard(
        "dream-tiny@0", "readers@0", "drivewm card", False, 24, 20.0, (0, 1, 2), answers, (), lights, {"layout": 3.0}, origin
    )


def test_a_card_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    card = a_card(tmp_path, Estimate(0.65, 0.6, 0.7, 24))
    save_card(tmp_path, card)
    assert load_card(tmp_path) == card


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_phone_shows_lights_first_and_every_chart(tmp_path: Path, scheme: str) -> None:
    html, markdown = write_pages(tmp_path, a_card(tmp_path, Estimate(0.65, 0.6, 0.7, 24)))
    with opened(html.as_uri(), tmp_path / "browser", 390, 844, scheme) as tab:
        tab.wait("document.querySelectorAll('.tile').length == 2 && document.querySelector('.photo img').complete")
        assert tab.value("document.documentElement.scrollWidth") == 390
        assert tab.value("document.querySelector('.tile.bad .value').innerText") == "missed"
        assert tab.value("document.querySelector('.photo img').naturalWidth") == 288
        wide = (
            "[...document.querySelectorAll('.lines .way, .lines .dot')].filter(x => x.getBoundingClientRect().width > 0).length"
        )
        assert tab.value(wide) == 1 + 5 + 2  # a line with five points, two points of a scatter plot
        order = tab.value(
            "[...document.querySelectorAll('.tiles, .photo, .lines, dl.terms')].map(x => x.className.split(' ')[0])"
        )
        assert order == ["tiles", "photo", "chart", "chart", "terms", "terms"]
    assert "| Does it follow boxes and map? | **missed** |" in markdown.read_text()


def test_a_claim_is_better_only_where_intervals_do_not_touch(tmp_path: Path) -> None:
    before, touching, above = (a_card(tmp_path, Estimate(v, v - 0.05, v + 0.05, 24)) for v in (0.65, 0.74, 0.85))
    assert [one.verdict for one in differences(before, touching)][:2] == ["no change", "not told"]
    assert differences(before, above)[0].verdict == "better"
    assert differences(above, before)[0].verdict == "worse"
    folders = []
    for name, card in (("a", before), ("b", above)):
        save_card(tmp_path / name, replace(card, world=f"world-{name}"))
        folders.append(str(tmp_path / name))
    assert run(["compare", "--worlds", *folders, "--out", str(tmp_path / "out")]) == 0
    assert "world-b" in (tmp_path / "out" / "cards.html").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--world", "raster"], "the world 'raster' is the reference itself"),
        (["--world", "dream:free"], "a card asks a world in every regime"),
        (["--world", "drem"], "there is no world 'drem'"),
        (["--only", "layuot"], "the card has no question 'layuot'"),
    ],
)
def test_what_has_no_card_is_refused_in_a_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["card", *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_card_of_an_earlier_form_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "card.json").write_text('{"rows": {}, "claims": {}}')
    assert run(["compare", "--worlds", str(tmp_path), str(tmp_path)]) == 2
    assert "is no dream card of this form" in capsys.readouterr().err
