"""Results that take longer than a card: made elsewhere, laid beside the weights they are of, read by the card."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

from drivewm.evaluation.dream_card.sample import Sample
from drivewm.store import load_record


class OfWorld(Protocol):
    """A record that says of which world model it is."""

    @property
    def world(self) -> str: ...


OfWorldT = TypeVar("OfWorldT", bound=OfWorld)


def beside_weights(sample: Sample, kind: type[OfWorldT], name: str) -> OfWorldT | str:
    """The record in the file ``name`` beside the weights, or why there is none of these weights.

    Raises InputError for a file that is damaged.
    """
    folder, world = sample.pipeline.name_or_path, sample.pipeline.identity()
    if not folder or not (Path(folder) / name).is_file():
        return f"nobody has measured it: there is no {name} beside the weights"
    found = load_record(kind, Path(folder) / name)
    return found if found.world == world else f"{name} is of other weights, {found.world}"
