"""Broken tables, maps and CAN bus end in one sentence, never in a traceback, and the check survives all of them.

Values and whole records of a small set are changed at random. DRIVEWM_MUTATIONS=5000 tries more than the everyday run.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivewm.data.assemble import VERSION
from drivewm.data.check import check_folder
from drivewm.data.places import open_place
from drivewm.data.reader import NuScenesFolder
from drivewm.errors import InputError

MUTATIONS = int(os.environ.get("DRIVEWM_MUTATIONS", "200"))
CHUNKS = 4
LONGEST_S = 10.0
ODD: list[Any] = [
    None,
    "",
    [],
    {},
    -1,
    0,
    True,
    1e300,
    10**25,
    "x" * 40,
    "0" * 32,
    [1, 2],
    [None] * 3,
    float("nan"),
    [[]],
    "v1.0",
]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_broken_tables_are_refused_in_a_sentence_or_read(small_set: Path, tmp_path: Path, chunk: int) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_set, copy, ignore=shutil.ignore_patterns("drives", "units"))
    files = sorted(
        [*(copy / VERSION).glob("*.json"), *copy.glob("maps/expansion/*.json"), *copy.glob("can_bus/scene-2000_pose.json")]
    )
    refused = 0
    for number in range(chunk, MUTATIONS, CHUNKS):
        rng = np.random.default_rng([7, number])
        file = files[rng.integers(len(files))]
        whole = file.read_text()
        file.write_text(_mutated(whole, rng))
        open_place.cache_clear()
        started = time.monotonic()
        try:
            with warnings.catch_warnings(action="ignore"):
                check_folder(copy, decode=False)
                NuScenesFolder(copy).clip("scene-2000", 0, 3)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
        except Exception as error:
            raise AssertionError(f"mutation {number} of {file.name} ends in {error!r}") from error
        assert time.monotonic() - started < LONGEST_S
        file.write_text(whole)
    assert refused > 0.2 * MUTATIONS / CHUNKS


def _mutated(text: str, rng: np.random.Generator) -> str:
    """One place of a JSON document taken out or given an odd value; sometimes the text itself is cut or changed."""
    if rng.random() < 0.1:
        at = int(rng.integers(len(text)))
        return text[:at] if rng.random() < 0.5 else text[:at] + str(rng.choice(list('{}[],"x'))) + text[at + 1 :]
    document = json.loads(text)
    holder, key = document, None
    for _ in range(12):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = keys[int(rng.integers(len(keys)))]
        if not isinstance(holder[key], (dict, list)) or rng.random() < 0.1:
            break
        holder = holder[key]
    if key is None or (isinstance(holder, list) and not isinstance(key, int)) or not holder:
        return "[]"
    key = key if not isinstance(holder, list) or key < len(holder) else 0
    if rng.random() < 0.25:
        del holder[key]
    else:
        holder[key] = ODD[int(rng.integers(len(ODD)))]
    return json.dumps(document)
