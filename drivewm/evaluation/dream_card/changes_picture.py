"""Pictures of drives with one agent changed: without and with it, in exact frames and in the dream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.strips import busiest, write_strips

COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Views:
    """What to look at: the agents ``who`` [B] where they stand in variant ``where``, in the picture about ``variant``."""

    where: str
    variant: str
    instance: Array  # [B, T, V, H, W], of variant ``where``
    who: Sequence[int]


def picture(out: Path, views: Views, exact: Mapping[str, Array], dream: Mapping[str, Array], first: int) -> tuple[str, str]:
    """Writes the views that show most of the agents, one of each drive; gives the file and its caption."""
    size = np.stack([(instance == who).sum((-1, -2)) for instance, who in zip(views.instance, views.who, strict=True)])
    size[:, :first] = 0
    drives = busiest(size.reshape(len(size), -1).max(1), COLUMNS)[:, 0]
    places = [(int(drive), *np.unravel_index(size[drive].argmax(), size.shape[1:])) for drive in drives]
    rows = []
    for variant in ("plain", views.variant):
        for world, shown in (("reference", exact), ("dream", dream)):
            name = f"{world}, {'unchanged' if variant == 'plain' else variant}"
            rows.append((name, [shown[variant][place] for place in places]))
    caption = f"One agent {views.variant}: the largest view of it in {len(places)} drives, without and with the change."
    return write_strips(out / f"changes-{views.variant}.jpg", rows), caption
