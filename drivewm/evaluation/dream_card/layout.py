"""Does the dream follow boxes and map? What the reader finds of each told class, beside what it finds in reference frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.patches import found_by_size
from drivewm.evaluation.dream_card.reading import Counts, cell, claim, counted, extent, frames_of, segmented, told_classes
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.dream_card.strips import busiest, painted, write_strips
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images, Regime
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.readers import READ_CLASSES
from drivewm.worldmodel.conditions import FREE_REGIME

SECONDS = 8.0  # of dream
EVERY = 2  # of the frames after the context, so many apart, are read
FEW, FEW_SECONDS = 3, 4.0  # drives of each seed from which single conditions are taken away
KINDS = READ_CLASSES[1:]
WORDS = {"road": "drivable ground", "vehicle": "vehicles", "pedestrian": "people"}
TARGET = 0.9  # of the IoU in reference frames
EXACT, FLOOR, DREAM = "reference frames", "through the autoencoder", LAYOUT.name
BLIND = Regime("action-blind", FREE_REGIME | {"motion"})
WITHOUT = (
    Regime("layout-driven, without the list of boxes", frozenset({"boxes"})),
    Regime("layout-driven, without the lines of the map", frozenset({"polylines"})),
    Regime("layout-driven, without the raster", frozenset({"layout"})),
)
PICTURES, LARGE_PX = 6, (600, 150)  # a large vehicle, a large person


def answer(sample: Sample, out: Path) -> Answer:
    """The question of this module, asked of ``sample``; pictures go to ``out``."""
    sample = sample.some(len(sample.drives.images), frames_of(sample, SECONDS))
    shown: dict[str, tuple[str, Images]] = {
        EXACT: ("exact", sample.drives.images),
        FLOOR: ("floor", sample.through_autoencoder()),
        "last frame for ever": ("naive", sample.copied()),
        "action-blind: past and sky": ("naive", sample.dreamed(BLIND)),
        "free: past, motion and sky": ("naive", sample.dreamed(FREE)),
        DREAM: ("dream", sample.dreamed(LAYOUT)),
    }
    counts = {name: counted(sample, images, _part(sample)) for name, (_, images) in shown.items()}
    looked_at = {name: shown[name][1] for name in (EXACT, FLOOR, DREAM)}
    note = f"{extent(sample)}. IoU of what is read with what was told, and as a share of {EXACT}."
    return Answer(
        key="layout",
        question="Does it follow boxes and map?",
        claims=_claims(sample, counts),
        tables=(
            Rows("Read where told", _COLUMNS, _rows(sample, {n: kind for n, (kind, _) in shown.items()}, counts), note),
            _taken_away(sample),
        ),
        charts=tuple(_by_size(sample, looked_at, kind) for kind in ("vehicle", "pedestrian")),
        pictures=(_picture(sample, out, looked_at),),
        method="A segmentation network that learned from reference frames alone reads every second frame after the context. Told "
        "is the layout: boxes of agents and polygons of the map, projected into the cameras. Figures are sums of pixels over "
        "drives; intervals are 95 % bootstraps over drives within their seed.",
        not_shown=(
            "Outlines: an agent is told as its box, so reference frames do not reach an IoU of 1 either.",
            "Classes that the reader does not know: signals, poles, buildings, trees.",
        ),
    )


_COLUMNS = (*(f"IoU {name}" for name in KINDS), *(f"share, {words}" for words in WORDS.values()))


def _part(sample: Sample) -> slice:
    return slice(sample.drives.context, None, EVERY)


def _claims(sample: Sample, counts: Mapping[str, Counts]) -> tuple[Claim, ...]:
    """Shares of the IoU in reference frames, held against the target; then of the floor's, to tell whose loss it is."""
    against: list[tuple[str, str, float | None]] = [(EXACT, name, TARGET) for name in WORDS]
    against += [(EXACT, name, None) for name in ("two_wheeler", "obstacle")]
    against += [(FLOOR, name, None) for name in ("vehicle", "pedestrian")]
    out = []
    for other, name, target in against:
        words = WORDS.get(name, name.replace("_", "-") + "s")
        title = (
            f"IoU of {words}, as a share of that {'in' if other == EXACT else 'of'} {'frames ' if other == FLOOR else ''}{other}"
        )
        share = counts[DREAM].iou_over(counts[other], name, sample)
        out.append(claim(title, share, target, f"no {words} in these drives"))
    return tuple(out)


def _rows(sample: Sample, kinds: Mapping[str, str], counts: Mapping[str, Counts]) -> tuple[Row, ...]:
    rows = []
    for name, kind in kinds.items():
        found: list[Estimate | None] = [cell(counts[name].iou(each, sample)) for each in KINDS]
        found += [cell(counts[name].iou_over(counts[EXACT], each, sample)) for each in WORDS]
        rows.append(Row(name, kind, tuple(found)))
    return tuple(rows)


def _taken_away(sample: Sample) -> Rows:
    """Which of the three ways to tell the layout carries it."""
    few = sample.some(FEW, frames_of(sample, FEW_SECONDS))
    kinds, counts = {EXACT: "exact"}, {EXACT: counted(few, few.drives.images, _part(few))}
    for regime in (LAYOUT, *WITHOUT):
        kinds[regime.name] = "dream" if regime == LAYOUT else "naive"
        counts[regime.name] = counted(few, few.dreamed(regime), _part(few))
    note = f"{extent(few)}. The raster shows all; boxes and lines tell it again as numbers."
    return Rows("One condition taken away", _COLUMNS, _rows(few, kinds, counts), note)


def _by_size(sample: Sample, shown: Mapping[str, Images], kind: str) -> Chart:
    """How much is found of patches of one class by their size: small ones are lost first."""
    series = tuple(Series(name, found_by_size(sample, images, kind, _part(sample))) for name, images in shown.items())
    return Chart(
        f"Found of {WORDS[kind]}, by size", "size of a patch in one camera, log2 px", "share of told pixels read", series
    )


def _picture(sample: Sample, out: Path, shown: Mapping[str, Images]) -> tuple[str, str]:
    """The views with most of agents, of each kind up to what is large, one of each drive; and what is read in them."""
    part = _part(sample)
    told = told_classes(sample, part)
    vehicles, people = (
        np.isin(told, [READ_CLASSES.index(name) for name in names]).sum((-1, -2))
        for names in (("vehicle",), ("two_wheeler", "pedestrian"))
    )
    agents = np.minimum(vehicles / LARGE_PX[0], 1.0) + np.minimum(people / LARGE_PX[1], 1.0)
    best: Array = agents.reshape(len(agents), -1).argmax(1)
    drives = busiest(agents.reshape(len(agents), -1).max(1), PICTURES)[:, 0]
    places = [(int(drive), *np.unravel_index(best[drive], agents.shape[1:])) for drive in drives]
    rows = [("told", [painted(told[place]) for place in places])]
    for name, images in shown.items():
        frames = [images[:, part][place] for place in places]
        read = [segmented(sample.readers, images[:, part][place[:2]][None])[0][place[2]] for place in places]
        rows += [(name, frames), ("read in it", [painted(labels) for labels in read])]
    caption = "One moment each of several drives: told; reference, autoencoder and dream, each with what is read in it below."
    return write_strips(out / "layout-read.jpg", rows), caption
