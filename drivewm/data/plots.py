"""Where the drives of a data set lie on its maps, and these maps as files: every drive has a plot of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.categories import token
from drivewm.data.expansion import MapExpansion
from drivewm.data.masks import write_mask
from drivewm.data.tables import Placement
from drivewm.datatypes import Array
from drivewm.store import atomic_folder

# The devkit's NuScenesMap accepts only these four names. They are slots for our maps and say nothing about the place.
_LOCATIONS = ("boston-seaport", "singapore-onenorth", "singapore-hollandvillage", "singapore-queenstown")
_SCENES_PER_LOCATION = 125
_PLOT_MARGIN_M = 55.0  # two plots are as far apart as the reader looks around a drive


@dataclass(frozen=True, slots=True)
class Plot:
    place: Placement
    region_xy: tuple[float, float, float, float]  # from x, y to x, y on the map


def laid_out(corners: dict[str, tuple[Array, Array]]) -> tuple[dict[str, Plot], dict[str, tuple[float, float]]]:
    """A plot for every drive, and the size of every location's map: rows of plots, the deepest plots first.

    ``corners`` holds by name of the drive the lower and upper corner [2] of what belongs to it, in its own coordinates.
    """
    names = list(corners)
    used = _LOCATIONS[: min(len(_LOCATIONS), -(-len(names) // _SCENES_PER_LOCATION))]
    each = -(-len(names) // max(len(used), 1))
    plots: dict[str, Plot] = {}
    canvas: dict[str, tuple[float, float]] = {}
    for slot, location in enumerate(used):
        members = names[slot * each : (slot + 1) * each]  # neighbours share a map, so that reading in order opens one at a time
        sizes = {name: np.ceil(corners[name][1] - corners[name][0] + 2 * _PLOT_MARGIN_M) for name in members}
        row_width = max(float(np.sqrt(sum(size.prod() for size in sizes.values()))), *(float(s[0]) for s in sizes.values()), 1.0)
        x, y, depth, widest = 0.0, 0.0, 0.0, 0.0
        for name in sorted(members, key=lambda name: (-sizes[name][1], name)):
            wide, deep = (float(v) for v in sizes[name])
            if x > 0 and x + wide > row_width:
                x, y, depth = 0.0, y + depth, 0.0
            shift = np.array([x, y]) + _PLOT_MARGIN_M - corners[name][0]
            place = Placement(location, (float(shift[0]), float(shift[1])))
            plots[name] = Plot(place, (x, y, x + wide, y + deep))
            x, depth, widest = x + wide, max(depth, deep), max(widest, x + wide)
        canvas[location] = (widest, y + depth)
    return plots, canvas


def write_map_files(root: Path, expansions: dict[str, MapExpansion], drivable: dict[str, list[Array]]) -> None:
    """maps/ of a data set: the expansion and the drivable mask of every location."""
    with atomic_folder(root / "maps", replace=True) as folder:
        (folder / "expansion").mkdir()
        for location, expansion in expansions.items():
            text = json.dumps(expansion.document(), allow_nan=False)
            (folder / "expansion" / f"{location}.json").write_text(text, encoding="utf-8")
            write_mask(folder / f"{token('map', location)}.png", drivable[location], expansion.canvas_edge_m)
