"""A finished dream card as a record: what was asked of which world, and every answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from drivewm.datatypes import Provenance
from drivewm.errors import InputError
from drivewm.evaluation.dream_card.answer import Answer
from drivewm.records import decode_record, encode_record
from drivewm.store import read_json, write_json

FILE = "card.json"
RECORD = "DreamCard"


@dataclass(frozen=True, slots=True)
class DreamCard:
    """``answers`` to the questions in their order, ``controls`` of the card itself; ``lights`` and ``took_s`` by key."""

    world: str
    readers: str
    command: str
    quick: bool
    drives: int
    seconds: float
    seeds: tuple[int, ...]
    answers: tuple[Answer, ...]
    controls: tuple[Answer, ...]
    lights: dict[str, str]
    took_s: dict[str, float]
    provenance: Provenance

    @property
    def everything(self) -> tuple[Answer, ...]:
        return self.answers + self.controls


def save_card(folder: Path, card: DreamCard) -> Path:
    """As ``card.json`` in ``folder``."""
    write_json(folder / FILE, {"record": RECORD, "value": encode_record(card)})
    return folder / FILE


def load_card(place: Path) -> DreamCard:
    """From its file or folder. Raises InputError for anything else."""
    file = place / FILE if place.is_dir() else place
    value = read_json(file)
    if not is_card(value):
        raise InputError("is no dream card of this form", file=file, hint="make one with: drivewm card")
    return decode_record(DreamCard, value["value"], file=file)


def is_card(value: object) -> bool:
    return isinstance(value, dict) and value.get("record") == RECORD and set(value) == {"record", "value"}


def holds_card(place: str) -> bool:
    """Whether a folder or file holds a card (and not a table of scores, which is JSON too)."""
    path = Path(place)
    file = path / FILE if path.is_dir() else path
    if not file.is_file() or file.suffix != ".json":
        return False
    try:
        return is_card(json.loads(file.read_bytes()))
    except ValueError:
        return False
