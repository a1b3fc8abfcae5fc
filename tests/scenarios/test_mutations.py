"""Broken scenario files end in one sentence, never in a traceback.

The catalogue's files are mutated at random, in their text and in their structure. DRIVEWM_MUTATIONS=5000 tries more of them
than the thousand of the everyday run. None may take longer than `LONGEST_S`.
"""

import copy
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivewm.errors import InputError
from drivewm.scenarios import catalogue
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.scenarios.source import read_source

FILES = catalogue.find(Path(__file__).parents[2] / "scenarios")
MUTATIONS = int(os.environ.get("DRIVEWM_MUTATIONS", "1000"))
CHUNKS = 5
LONGEST_S = 5.0
ODD: list[Any] = [
    None, True, False, 0, -1, 3, 0.5, 1e308, -1e308, 10**30, "", " ", "$", "$speed", "$nobody", "$speed $gap", "[1 .. 2] m",
    "[2 .. 1] m", "[ .. ]", "nan", "inf m", "1e999 m", "1/0 m", "0 m / 0 s", "10 km/h", "-5 m", "0 s", "59 s", "2000 m", "90 deg",
    [], {}, [[]], {"a": {}}, [None], ["left", 3], {"clear": 1}, {"clear": -1}, {"normal": "1 m"}, "left", "same", "oncoming",
    "car", "pedestrian", "tunnel", "roundabout", "exit", "ramp", "crest", "calm.tunnel", "../x.yaml", "__import__('os')", "_x",
    "$speed.real", "1 m < 2 m", "not true", "(" * 150, "9" * 300, "é\u2028", "~", "2020-01-01", "a: b", "*x", "!t",
]  # fmt: skip
PIECES = [
    "",
    "$",
    "[",
    "}",
    ":",
    "\n",
    "  ",
    "- ",
    "'",
    '"',
    "1e9",
    "-",
    " km/h",
    " .. ",
    "null",
    "&a",
    "*a",
    "\t",
    "é",
    "0",
    "{",
    ",",
]


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inner for place in [(*at, key), *places(value, (*at, key))]]


def value_at(tree: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        tree = tree[key]
    return tree


def other_structure(tree: dict[str, Any], rng: np.random.Generator) -> str:
    """The document with one to three places replaced, removed, renamed or filled from elsewhere in it."""
    out = copy.deepcopy(tree)
    for _ in range(int(rng.integers(1, 4))):
        known = places(out)
        if not known:
            break
        place = known[int(rng.integers(len(known)))]
        holder, key = value_at(out, place[:-1]), place[-1]
        kind = int(rng.integers(5))
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[str(key)[: int(rng.integers(0, 4))] + "x"] = holder.pop(key)
        elif kind == 2:
            holder[key] = copy.deepcopy(value_at(out, known[int(rng.integers(len(known)))]))
        else:
            holder[key] = ODD[int(rng.integers(len(ODD)))]
    return json.dumps(out, ensure_ascii=False)


def other_text(text: str, rng: np.random.Generator) -> str:
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(len(text))), int(rng.integers(0, 8))
        text = text[:at] + PIECES[int(rng.integers(len(PIECES)))] + text[at + length :]
    return text


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_mutated_file_is_refused_in_a_sentence_or_drawn(tmp_path: Path, chunk: int) -> None:
    refused, tried = 0, MUTATIONS // CHUNKS
    (tmp_path / "family").mkdir()
    file = tmp_path / "family" / "mutant.yaml"
    for number in range(tried):
        rng = np.random.default_rng([chunk, number])
        origin = FILES[int(rng.integers(len(FILES)))]
        text = other_text(origin.read_text(), rng) if number % 3 == 0 else other_structure(read_source(origin).tree, rng)
        file.write_text(text)
        begin = time.process_time()
        try:
            draw_scene(load_scenario(file), 0, 0)
        except InputError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, (chunk, number)
            assert error.file is not None, (chunk, number, str(error))
            refused += 1
        except Exception as error:
            raise AssertionError(f"mutant {chunk}/{number} of {origin.name} ends in {error!r}:\n{text}") from error
        assert time.process_time() - begin < LONGEST_S, (chunk, number)
    assert 0.4 * tried < refused < tried
