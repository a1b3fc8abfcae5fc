"""The page in a real browser: keys of a keyboard and fingers on a phone steer the car, and everything is in view."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from drivewm.service.app import PAGE
from drivewm.service.ride import Ride
from tests.service.browser import Tab, opened
from tests.service.test_service import served

TURN = (
    "(() => { const h = document.getElementById('heading'); return h && h.textContent ? 90 - parseFloat(h.textContent) : 0; })()"
)
BLANK = """[...document.querySelectorAll("canvas")].filter(canvas => {
const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
return pixels.every((value, i) => i % 4 === 3 || value === pixels[i % 4]); }).length"""


def text(tab: Tab, name: str) -> str:
    return str(tab.value(f"document.getElementById('{name}').innerText"))


def test_a_keyboard_steers(raster_ride: Ride, tmp_path: Path) -> None:
    """The ride starts to the east, so a left turn has a heading below 90 degrees."""
    with served(raster_ride) as address, opened(f"http://{address}/", tmp_path) as tab:
        tab.wait("document.querySelectorAll('figure').length === 6 && document.getElementById('rate').textContent")
        assert tab.value(BLANK) == 0
        tab.key("KeyA", down=True)
        tab.wait(f"{TURN} > 3")
        assert "left" in text(tab, "wheel") and tab.value("document.getElementById('rim').style.transform").startswith("rotate(-")
        tab.key("KeyA", down=False)
        tab.key("ArrowRight", down=True)
        tab.wait(f"{TURN} < -3")
        assert "right" in text(tab, "wheel")
        tab.key("ArrowRight", down=False)
        tab.key("Space", down=True)
        tab.wait("document.getElementById('speed').textContent === '0'")
        tab.key("KeyC", down=True)
        tab.wait("document.getElementById('sky').textContent.startsWith('rain')")
        tab.key("KeyP", down=True)
        tab.wait("document.getElementById('word').textContent.startsWith('Paused')")
        assert "no dream" in text(tab, "notice") and tab.value("document.querySelector('[data-do=regime]').disabled")


@pytest.mark.parametrize(("scheme", "ground"), [("dark", "rgb(20, 23, 27)"), ("light", "rgb(247, 248, 250)")])
def test_a_phone_shows_it_whole_and_a_finger_steers(dream_ride: Ride, tmp_path: Path, scheme: str, ground: str) -> None:
    with served(dream_ride, "sesame") as address, opened(f"http://{address}/?token=sesame", tmp_path, 390, 844, scheme) as tab:
        tab.wait("document.querySelectorAll('figure').length === 6 && document.getElementById('rate').textContent")
        assert tab.value("document.documentElement.scrollWidth") == 390
        assert tab.value("getComputedStyle(document.body).backgroundColor") == ground
        assert "A dream" in text(tab, "notice") and dream_ride.worlds["layout"].id in text(tab, "notice")
        x, y = tab.value("(({ x, y }) => [x + 20, y + 20])(document.querySelector('[data-key=left]').getBoundingClientRect())")
        tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        tab.wait(f"{TURN} > 3")
        tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        tab.wait("document.getElementById('wheel').textContent === 'straight'")


def test_an_address_may_hold_keys(raster_ride: Ride, tmp_path: Path) -> None:
    with served(raster_ride) as address, opened(f"http://{address}/?hold=right,nonsense", tmp_path) as tab:
        tab.wait(f"{TURN} < -3")


def test_the_page_needs_nothing_but_itself() -> None:
    page = PAGE.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)', page) and "@import" not in page and "eval(" not in page
    assert "innerHTML" not in page, "what the server says is shown as text"
