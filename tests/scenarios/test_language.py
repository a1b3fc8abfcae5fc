"""Reading scenario files: what is wrong is said in one sentence with file, line, place and what would be right."""

from pathlib import Path

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.scenarios.source import MAX_BYTES

GOOD = """\
name: cut_in.example
about: A car changes into our lane.
vary:
  speed: "[50 .. 90] km/h"
  gap: "[10 .. 30] m"
  side: [left, right]
where:
  - $gap > 0.4 s * $speed
road: {kind: straight, lanes: 3}
ego: {lane: 2, speed: $speed}
actors:
  other:
    is: car
    lane: $side
    ahead: $gap
    speed: $speed - 20 km/h
    steps:
      - {when: {after: 1 s}, drift: 1 m, within: 2 s}
end: {after: 8 s}
"""


def _write(folder: Path, text: str | bytes) -> Path:
    file = folder / "example.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def _message(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        draw_scene(load_scenario(_write(folder, text)), 0, 0)
    message = str(caught.value)
    assert "example.yaml" in message and "\n" not in message and len(message) < 600
    return message


def test_a_good_file_is_a_distribution(tmp_path: Path) -> None:
    scenario = load_scenario(_write(tmp_path, GOOD))
    assert (scenario.name, scenario.family) == ("cut_in.example", "cut_in")
    assert list(scenario.parameters) == ["speed", "gap", "side"]
    scenes = [draw_scene(scenario, index, 0) for index in range(8)]
    assert {scene.parameters["side"] for scene in scenes} == {"left", "right"}
    assert all(scene.parameters["gap"] > 0.4 * scene.parameters["speed"] for scene in scenes)  # type: ignore[operator]


def test_comments_and_layout_do_not_change_the_id(tmp_path: Path) -> None:
    plain = load_scenario(_write(tmp_path, GOOD)).id
    other = GOOD.replace("about:", "# a comment\nabout:").replace("{lane: 2, speed: $speed}", "\n  lane: 2\n  speed: $speed")
    assert load_scenario(_write(tmp_path, other)).id == plain
    assert load_scenario(_write(tmp_path, GOOD.replace("8 s", "9 s"))).id != plain


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("    ahead: $gap", "    ahed: $gap", 15, "actors.other.ahed: unknown key 'ahed' (did you mean 'ahead'"),
        ("end: {after: 8 s}", "end: {after: 8 s}\nwolrd: {}", 20, "did you mean 'world'"),
        ("8 s}", "8 m}", 19, "end.after: '8 m' is a length, a time is needed (for example 2 s)"),
        ("8 s}", "8}", 19, "'8' has no unit"),
        ("8 s}", "8 hours}", 19, "unknown unit 'hours'"),
        ("8 s}", "300 s}", 19, "300 s is out of range (it must lie between 1 s and 60 s)"),
        ("end: {after: 8 s}", "end: {}", 19, "end: key 'after' is missing"),
        ("end: {after: 8 s}", "end:", 19, "key 'end' has no value"),
        ("end: {after: 8 s}", "", 1, "key 'end' is missing"),
        ("end: {after: 8 s}", "end: 8 s", 19, "stands where keys and values are needed"),
        ("speed: $speed - 20", "speed: $sped - 20", 16, "parameter $sped is not defined (did you mean 'speed'"),
        ("speed: $speed - 20 km/h", "speed: $gap", 16, "actors.other.speed: $gap: "),
        ("[left, right]", "[lefft, lefft]", 14, "there is no lane 'lefft' on this straight road (did you mean 'left'"),
        ("side: [left, right]", "side: [oncomin]", 14, "did you mean 'oncoming'"),
        ("lane: 2", "lane: 1", 14, "the ego has no lane to its right"),
        ("side: [left, right]", "side: [right, right]\n  more: [1, 1]", 7, "parameter $more is never used"),
        ("lane: 2", "lane: 4", 10, "ego.lane: the ego is in lane 4 of 3"),
        ("kind: straight", "kind: stright", 9, "'stright' is not possible here (did you mean 'straight'"),
        ("is: car", "is: cat", 13, "'cat' is not possible here (did you mean 'car'"),
        ("lanes: 3", "lanes: many", 9, "road.lanes: 'many' does not fit"),
        ("    ahead: $gap\n", "", 12, "needs exactly one of ahead, behind, before, meet; none of them is given"),
        ("    ahead: $gap\n", "    ahead: $gap\n    behind: $gap\n", 12, "ahead and behind are given"),
        ("drift: 1 m", "drift: 1 m, change_lane: left", 18, "change_lane and drift are given"),
        ("lane: 2, speed", "lane: 2, turn: left, speed", 10, "there is no way left here"),
        ("lane: 2, speed", "lane: 2, reaches: 3 s, speed", 10, "a straight road has no place to reach"),
        ("straight, lanes", "straight, signal: {shows: red}, lanes", 9, "a straight road has no traffic light"),
        ("straight, lanes", "straight, sight: 60 m, lanes", 9, "a straight road has no crest to see over"),
        ("  gap:", "  speed:", 5, "key 'speed' is given twice"),
        ('  gap: "[10 .. 30] m"', "  gap: [10 .. 30] m", 5, 'put quotes around a range: "[10 .. 30] m"'),
        ("  gap:", "  gap : [\n  ", None, "is not YAML"),
        ("  gap:", "\tgap:", None, "is not YAML"),
        ("[10 .. 30] m", "[30 .. 10] m", 5, "vary.gap: '[30 .. 10] m' has its larger end first"),
        ("  side: [left, right]", "  side: [left, right]\n  unused: 3 m", 7, "parameter $unused is never used"),
        ("$gap > 0.4 s * $speed", "$gap > 0.4 s", 8, "where[0]: '$gap > 0.4 s' compares a length with a time"),
        ("$gap > 0.4 s * $speed", "$gap", 8, "'$gap' is a length, not a comparison"),
        ("$gap > 0.4 s * $speed", "$gap > 40 m", 8, "'where' leaves nothing: none of 1000 draws passes"),
        ("name: cut_in.example", "name: Cut in", 1, "'Cut in' does not fit"),
        ("name: cut_in.example", "name: &a cut_in.example", 1, "anchors"),
        ("name: cut_in.example", "name: !!python/name:os.system x", 1, "YAML tags"),
        ("end:", "  twin: {is: car, lane: same, ahead: 0 m}\nend:", 19, "cannot be placed: twin would stand in somebody else"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, old: str, new: str, line: int | None, says: str) -> None:
    assert old in GOOD
    message = _message(tmp_path, GOOD.replace(old, new, 1))
    assert says in message
    if line is not None:
        assert f"example.yaml:{line}:" in message


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- a\n- b\n", "does not hold keys and values"),
        (b"just words", "does not hold keys and values"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a text file"),
        (b"name: a\x00b", "is not a text file"),
        (b"a: 1\n---\nb: 2\n", "several documents"),
        (b"a: " + b"[" * 5000, "nested more than"),
        (b"x" * (MAX_BYTES + 1), "larger than"),
        (b"a: &x [1]\nb: [*x, *x]\n", "anchors"),
        (b"a: .nan\n", "not a value"),
        ("name: \N{BELL}".encode("utf-16"), "is not a text file"),
    ],
)
def test_files_that_are_no_scenario(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in _message(tmp_path, content)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: no such file"):
        load_scenario(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read: is a directory"):
        load_scenario(tmp_path)


def test_mutilated_files_are_refused_or_drawn_but_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pieces = ["", "$", "[", "}", ":", "\n", "  ", "- ", "'", '"', "1e9", "-", "km/h", " .. ", "null", "&a", "\t", "é", "0", "{"]
    refused = 0
    for _ in range(250):
        text = GOOD
        for _ in range(int(rng.integers(1, 4))):
            at, length = int(rng.integers(len(text))), int(rng.integers(0, 6))
            text = text[:at] + pieces[int(rng.integers(len(pieces)))] + text[at + length :]
        try:
            draw_scene(load_scenario(_write(tmp_path, text)), 0, 0)
        except InputError as error:
            assert "example.yaml" in str(error) and "\n" not in str(error)
            refused += 1
    assert 100 < refused < 250
