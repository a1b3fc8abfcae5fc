import re
from pathlib import Path

import numpy as np
import pytest

from drivewm.evaluation.pictures import write_png
from drivewm.evaluation.report import Curve, Film, Page, Section, Table, Tile, write_page
from drivewm.evaluation.video import write_video


def page(*sections: Section) -> Page:
    tile = Tile("score", "0.93", "95 %: 0.90 to 0.95", "good")
    return Page("A title", "What this is.", sections, (tile,), (("world", "dream@1"),))


def test_a_page_needs_nothing_but_the_films_beside_it(tmp_path: Path) -> None:
    write_video(tmp_path / "films" / "a.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3, 5.0)
    write_png(tmp_path / "films" / "a.png", np.zeros((32, 32, 3), np.uint8))
    film = Film("cut_in.motorway", "films/a.mp4", "films/a.png", "failed", (("collision", "at 3.2 s"),))
    html = write_page(tmp_path / "report.html", page(Section("Drives", films=(film,)))).read_text()
    assert set(re.findall(r'(?:src|href|poster)="([^"]*)"', html)) == {"films/a.mp4", "films/a.png"}
    assert "http" not in html and "<script" not in html and "@import" not in html
    assert "cut_in.motorway" in html and "at 3.2 s" in html and "dream@1" in html


def test_a_page_that_points_to_a_missing_film_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"films/a\.mp4"):
        write_page(tmp_path / "report.html", page(Section("Drives", films=(Film("x", "films/a.mp4"),))))
    assert list(tmp_path.iterdir()) == []


def test_names_from_outside_are_text_and_never_markup(tmp_path: Path) -> None:
    table = Table(("family",), (("<img onerror=alert(1)>",),), "a & b")
    html = write_page(tmp_path / "report.html", page(Section("<b>", tables=(table,)))).read_text()
    assert "<img" not in html and "&lt;img onerror=alert(1)&gt;" in html and "a &amp; b" in html


def test_a_falling_loss_falls_from_the_upper_left_to_the_lower_right() -> None:
    points = [tuple(map(float, p.split(","))) for p in Curve("loss", (3.0, 2.0, 1.0)).svg_points(100.0, 50.0).split()]
    assert points == [(0.0, 0.0), (50.0, 25.0), (100.0, 50.0)]


def test_a_long_curve_is_thinned_and_keeps_both_ends() -> None:
    points = Curve("loss", tuple(np.linspace(5, 1, 10_000).tolist())).svg_points(100.0, 50.0).split()
    assert len(points) <= 300 and points[0] == "0.0,0.0" and points[-1] == "100.0,50.0"
