"""The same start steered eleven ways, and drives told to leave their path a little: does the picture go where it is told?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from drivewm.datatypes import Array, WorldState
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.commands import moved
from drivewm.evaluation.dream_card.deviation import Start, read_aside, roads_beside, shifted, starts, turned
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped
from drivewm.evaluation.dreaming import FREE, LAYOUT, Drives, Images
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_jpeg
from drivewm.evaluation.rank_measures import spearman
from drivewm.evaluation.steered import photographed

TURNS_RADPS = tuple(round(0.06 * level, 2) for level in range(-5, 6))
ASIDE_M = (-0.5, -0.25, 0.0, 0.25, 0.5)
FEW_TURNS_RADPS, FEW_ASIDE_M = TURNS_RADPS[::5], ASIDE_M[::2]
TURN_S, SHIFT_S = 1.6, 2.4
MOST_STARTS = 2  # of each seed
RANK_TARGET = 0.95
ROWS: tuple[tuple[str, str, Callable[[Sample], Images]], ...] = (
    ("raster", "exact", lambda sample: sample.drives.images),
    ("autoencoder", "floor", Sample.through_autoencoder),
    ("copy last frame", "naive", Sample.copied),
    (LAYOUT.name, "dream", lambda sample: sample.dreamed(LAYOUT)),
    (FREE.name, "dream", lambda sample: sample.dreamed(FREE)),
)
ROAD_CAMERAS = ("CAM_FRONT", "CAM_BACK")
QUESTION = "Does it go where it is steered?"
METHOD = (
    "{count} starts on held-out roads, dreamed again under the same noise for every way to steer. Sweep: after {context} "
    "reference frames the car keeps its speed and turns at one of {levels} rates from {low:.2f} to {high:.2f} rad/s for "
    "{turn_s:g} s; the motion reader's mean turn rate is ranked against the told one (Spearman's coefficient over the "
    "levels of a start, mean over starts), and the slope of read over told is taken about each start's mean. "
    "Deviation: the recorded drive, but that it is told to move up to 0.5 m aside within {shift_s:g} s. Where a picture was "
    "taken is read from the road in it: the segmentation reader's road in the cameras ahead and behind is compared with the "
    "map as seen from places up to 1 m aside and headings up to 0.08 rad off, and the best place counts, less that of the "
    "same drive told to stay on its path. Exact frames are those the raster world shows of the very path told."
)
NOT_SHOWN = (
    "The action-blind twin, which is told nothing that differs between the ways to steer and so cannot follow any.",
    "Steering over longer than some seconds, and off the road: the sweep ends about three metres aside.",
    "Offsets smaller than what the segmentation reader tells apart: see the rows of exact frames.",
)


@dataclass(frozen=True, slots=True)
class Ways:
    """The same starts told one way and another: a sample of the starts for each level."""

    levels: tuple[float, ...]
    samples: tuple[Sample, ...]
    begins: tuple[Start, ...]

    def shown(self, make: Callable[[Sample], Images]) -> list[Images]:
        return [make(sample) for sample in self.samples]


def answer(sample: Sample, out: Path, few: bool = False) -> Answer:
    """The sweep over eleven steering levels and the curve of small deviations; ``few``: three levels each."""
    levels, offsets_m = (FEW_TURNS_RADPS, FEW_ASIDE_M) if few else (TURNS_RADPS, ASIDE_M)
    each = min(MOST_STARTS, max(1, int(np.bincount(sample.of_seed).min()) // 2))
    turns = ways(sample, each, levels, TURN_S, lambda start, level: turned(start, sample.drives.context, level))
    asides = ways(
        sample, each, offsets_m, SHIFT_S, lambda start, level: shifted(start, sample.drives.context, level, SHIFT_S - 0.4)
    )
    steered = {name: turn_rates(turns, make) for name, _, make in ROWS}
    offsets = offsets_read(asides)
    claims = [_rank_claim(name, steered[name], turns) for name in (FREE.name, LAYOUT.name)]
    claims += [_share_claim(name, steered, turns) for name in (FREE.name, LAYOUT.name)]
    claims += [_offset_claim(name, offsets, asides) for name in (FREE.name, LAYOUT.name)]
    turn_rows = tuple(Row(name, kind, _turn_cells(steered[name], turns)) for name, kind, _ in ROWS)
    aside_rows = tuple(Row(name, kind, _aside_cells(offsets[name], asides)) for name, kind, _ in ROWS)
    return Answer(
        "sweep",
        QUESTION,
        tuple(claims),
        (
            Rows("Ways to steer", ("Spearman", "slope of read over told", "turn rate error, rad/s"), turn_rows),
            Rows("Up to 0.5 m aside", ("slope of read over told", "offset error, m"), aside_rows),
        ),
        (
            _chart("turn told and read", "rad/s", steered, turns),
            _chart("offset from the recorded path, told and read", "m", offsets, asides),
        ),
        (_fan(turns, out),),
        METHOD.format(
            count=len(turns.begins),
            context=sample.drives.context,
            levels=len(levels),
            low=levels[0],
            high=levels[-1],
            turn_s=TURN_S,
            shift_s=SHIFT_S - 0.4,
        ),
        NOT_SHOWN,
    )


def ways(
    sample: Sample, each: int, levels: tuple[float, ...], seconds: float, told: Callable[[Start, float], WorldState]
) -> Ways:
    """``each`` starts of every seed, told every level; frames and conditions are exact."""
    context, rig = sample.drives.context, sample.rig
    frames = context + round(seconds * rig.rate_hz)
    begins = [start for seed in sample.seeds for start in starts(sample, seed, each, frames)]
    of_seed = np.repeat(np.arange(len(sample.seeds)), each)
    samples = []
    for level in levels:
        clips = [photographed(start.scene, told(start, level), rig) for start in begins]
        drives = Drives({key: torch.stack([clip[key] for clip in clips]) for key in clips[0]}, context)
        samples.append(replace(sample, drives=drives, of_seed=of_seed, longer=None))
    return Ways(levels, tuple(samples), tuple(begins))


def turn_rates(turns: Ways, make: Callable[[Sample], Images]) -> Array:
    """Mean turn rate read after the first dreamed frame [starts, levels], rad/s."""
    read = [moved(images, one).read[:, 1:, 1].mean(1) for images, one in zip(turns.shown(make), turns.samples, strict=True)]
    return np.stack(read, 1)


def offsets_read(asides: Ways) -> dict[str, Array]:
    """Offset from the recorded path read in the last two frames [starts, levels] of each row, m, less that of staying on it."""
    first = asides.samples[0]
    views = [first.rig.names.index(name) for name in ROAD_CAMERAS]
    rig = replace(
        first.rig,
        names=ROAD_CAMERAS,
        intrinsics=first.rig.intrinsics[views],
        ego_from_camera=first.rig.ego_from_camera[views],
    )
    last = first.drives.images.shape[1] - 1
    moments = (last - 1, last)
    roads = [[roads_beside(start, moment, rig) for moment in moments] for start in asides.begins]
    out = {}
    for name, _, make in ROWS:
        table = np.zeros((len(asides.begins), len(asides.levels)))
        for column, images in enumerate(asides.shown(make)):
            for row, candidates in enumerate(roads):
                read = first.readers.segment(np.ascontiguousarray(images[row, moments[0] :][:, views]))
                table[row, column] = np.mean([read_aside(one, where) for one, where in zip(read, candidates, strict=True)])
        out[name] = table - table[:, [asides.levels.index(0.0)]]
    return out


def _ranks(read: Array, ways: Ways) -> Array:
    """Spearman's coefficient of every start; a picture that never changes follows in no order: 0."""
    return np.nan_to_num(spearman(np.broadcast_to(ways.levels, read.shape), read))


def _over_starts(figure: Callable[[Array], Array], ways: Ways) -> tuple[Estimate, tuple[float, ...]]:
    """`bootstrapped` over all starts alike, as a seed may have one alone; and each seed's own value."""
    first = ways.samples[0]
    everyone = replace(first, seeds=first.seeds[:1], of_seed=np.zeros_like(first.of_seed))
    return bootstrapped(figure, everyone)[0], bootstrapped(figure, first)[1]


def _mean(values: Array, ways: Ways) -> tuple[Estimate, tuple[float, ...]]:
    return _over_starts(lambda rows: np.asarray(values[rows].mean(-1)), ways)


def _slope(read: Array, ways: Ways) -> tuple[Estimate, tuple[float, ...]]:
    levels = np.array(ways.levels)
    of_start = (levels * (read - read.mean(1, keepdims=True))).sum(1) / (levels**2).sum()
    return _mean(of_start, ways)


def _error(read: Array, ways: Ways) -> Estimate:
    return _mean(np.abs(read - np.array(ways.levels)).mean(1), ways)[0]


def _rank_claim(name: str, read: Array, turns: Ways) -> Claim:
    value, by_seed = _mean(_ranks(read, turns), turns)
    return Claim(f"rank of the turn read with the turn told, {name}", value, RANK_TARGET, by_seed=by_seed)


def _share_claim(name: str, read: dict[str, Array], turns: Ways) -> Claim:
    levels = np.array(turns.levels)
    rows_of = {key: (levels * read[key]).sum(1) for key in (name, "autoencoder")}
    value, by_seed = _over_starts(
        lambda rows: rows_of[name][rows].mean(-1) / np.maximum(rows_of["autoencoder"][rows].mean(-1), 1e-9), turns
    )
    return Claim(f"slope of turns over the floor's, {name}", value, by_seed=by_seed)


def _offset_claim(name: str, read: dict[str, Array], asides: Ways) -> Claim:
    value, by_seed = _slope(read[name], asides)
    return Claim(f"offset read per metre told, {name}", value, by_seed=by_seed)


def _turn_cells(read: Array, turns: Ways) -> tuple[Estimate, ...]:
    return _mean(_ranks(read, turns), turns)[0], _slope(read, turns)[0], _error(read, turns)


def _aside_cells(read: Array, asides: Ways) -> tuple[Estimate, ...]:
    return _slope(read, asides)[0], _error(read, asides)


def _chart(title: str, unit: str, read: dict[str, Array], ways: Ways) -> Chart:
    series = []
    for name in ("raster", "autoencoder", LAYOUT.name, FREE.name):
        points = []
        for level, values in zip(ways.levels, read[name].T, strict=True):
            value = _mean(values, ways)[0]
            points.append((level, value.value, value.low, value.high))
        series.append(Series(name, tuple(points)))
    return Chart(title, f"told, {unit}", f"read, {unit}", tuple(series))


def _fan(turns: Ways, out: Path) -> tuple[str, str]:
    """The front camera at the end of the sweep of the first start: some levels beside each other, a row for each world."""
    view, last = turns.samples[0].rig.names.index("CAM_FRONT"), len(turns.levels) - 1
    picks = sorted({round(last * share) for share in (0.0, 0.2, 0.5, 0.8, 1.0)}, reverse=True)
    rows = []
    for name, _, make in (ROWS[0], ROWS[3], ROWS[4]):
        panels = [enlarged(np.asarray(make(turns.samples[pick])[0, -1, view]), 90, 135) for pick in picks]
        names = [f"{name} {turns.levels[pick]:+.2f}" if pick == picks[0] else f"{turns.levels[pick]:+.2f}" for pick in picks]
        rows.append(beside([labelled(panel, text) for panel, text in zip(panels, names, strict=True)]))
    write_jpeg(out / "sweep-fan.jpg", stacked(rows))
    ways_shown = f"One start steered {len(picks)} of the {len(turns.levels)} ways"
    return "sweep-fan.jpg", f"{ways_shown}, front camera after {TURN_S:g} s; turn in rad/s, left is positive."
