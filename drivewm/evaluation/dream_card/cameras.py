"""Do the cameras agree? Where two of them see the same place, by exact depth, their colours are compared.

A blurred picture has small differences everywhere; so each is held against that of pixels of the same pictures paired wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Claim, Row, Rows
from drivewm.evaluation.dream_card.reading import Measured, cell, extent, frames_of, share_of, shares
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped
from drivewm.evaluation.dream_card.strips import write_strips
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.overlap import SamePlaces, same_places
from drivewm.evaluation.pictures import beside

SECONDS, EVERY = 8.0, 5  # of the dream; frames between those looked at
FEW, FEW_SECONDS = 3, 4.0  # drives of each seed that are dreamed a second time from another noise
OTHER_NOISE = 1_000_003  # added to the seeds
TARGET = 1.5  # of the difference in frames through the autoencoder; our own, that of the motion
Sums = tuple[Array, Array, Array]  # of differences, of those of pixels paired wrongly, and of places, per drive [B]


def answer(sample: Sample, out: Path) -> Answer:
    """The question of this module, asked of ``sample``; pictures go to ``out``."""
    sample = sample.some(len(sample.drives.images), frames_of(sample, SECONDS))
    places = _places(sample)
    shown: dict[str, tuple[str, Images]] = {
        "reference frames": ("exact", sample.drives.images),
        "through the autoencoder": ("floor", sample.through_autoencoder()),
        "last frame for ever": ("naive", sample.copied()),
        "free": ("dream", sample.dreamed(FREE)),
        LAYOUT.name: ("dream", sample.dreamed(LAYOUT)),
    }
    sums = {name: _sums(sample, images, places) for name, (_, images) in shown.items()}
    floor = sums["through the autoencoder"]
    rows = [Row(name, kind, _cells(sample, sums[name], floor)) for name, (kind, _) in shown.items()]
    apart_rows, apart_claims = _apart(sample)
    return Answer(
        key="cameras",
        question="Do the cameras agree with one another?",
        claims=(
            *(
                _claim(sample, f"difference of two cameras at one place, over the autoencoder's, {name}", sums[name], floor)
                for name in (LAYOUT.name, "free")
            ),
            *apart_claims,
        ),
        tables=(
            Rows("Difference of two cameras at one place", _columns("the autoencoder's"), tuple(rows), extent(sample)),
            apart_rows,
        ),
        pictures=(_picture(sample, out, shown),),
        method="The layout's exact depth says where each pixel's place falls in the other cameras; unless something nearer hides "
        "it there, the two colours are compared, once a second. The difference is told as a share of that of the same pixels "
        "paired wrongly, since a blurred picture differs little anywhere; claims hold these shares against one another. The "
        "second table shows the same drives with every second camera from another dream, as if cameras knew of no other.",
        not_shown=(
            "Agreement away from the narrow seams where cameras overlap.",
            "What free dreams show differently from what happened is compared at the depth that it would have had.",
        ),
    )


def _places(sample: Sample) -> list[list[SamePlaces]]:
    """Of each drive, of every frame that is looked at."""
    depth = sample.drives.told["log_depth"][:, sample.drives.context :: EVERY].numpy()
    return [[same_places(moment, sample.rig) for moment in drive] for drive in depth]


def _sums(sample: Sample, shown: Images, places: Sequence[Sequence[SamePlaces]]) -> Sums:
    looked_at = shown[:, sample.drives.context :: EVERY]
    out = np.zeros((3, len(looked_at)))
    for row, (drive, moments) in enumerate(zip(looked_at, places, strict=True)):
        for frame, same in zip(drive, moments, strict=True):
            found = same.differences(frame)
            out[:, row] += found.sum(), same.mismatched().differences(frame).sum(), len(found)
    return out[0], out[1], out[2]


def _over(sample: Sample, mine: Sums, theirs: Sums) -> Measured:
    """The difference as a share of that of pixels paired wrongly, over the same share of other frames."""

    def figure(rows: Array) -> Array:
        return shares(*(shares(same[rows].sum(-1), wrong[rows].sum(-1)) for same, wrong, _ in (mine, theirs)))

    return bootstrapped(figure, sample)


def _cells(sample: Sample, mine: Sums, other: Sums) -> tuple[Estimate | None, ...]:
    same, wrong, count = mine
    if not count.any():
        return None, None, None
    return cell(share_of(same, count, sample)), cell(share_of(same, wrong, sample)), _over(sample, mine, other)[0]


def _columns(other: str) -> tuple[str, ...]:
    return "of 255", "of pixels paired wrongly", f"that over {other}"


def _claim(sample: Sample, name: str, mine: Sums, floor: Sums) -> Claim:
    if not mine[2].any():
        return Claim(name, None, TARGET, higher_is_better=False, note="no two cameras of this rig see the same place")
    estimate, by_seed = _over(sample, mine, floor)
    return Claim(name, estimate, TARGET, higher_is_better=False, by_seed=by_seed)


def _apart(sample: Sample) -> tuple[Rows, tuple[Claim, ...]]:
    """The dream beside one whose cameras do not know of one another: every second camera comes from another noise."""
    few = sample.some(FEW, frames_of(sample, FEW_SECONDS))
    other = replace(few, seeds=tuple(seed + OTHER_NOISE for seed in few.seeds))
    places, rows, claims = _places(few), [], []
    for regime in (FREE, LAYOUT):
        own = few.dreamed(regime)
        mixed = own.copy()
        mixed[:, :, 1::2] = other.dreamed(regime)[:, :, 1::2]
        mine, theirs = _sums(few, own, places), _sums(few, mixed, places)
        for name, kind, sums in ((regime.name, "dream", mine), (f"{regime.name}, cameras of two dreams", "control", theirs)):
            rows.append(Row(name, kind, _cells(few, sums, theirs)))
        name = f"the same, over that with cameras of two dreams, {regime.name}"
        if mine[2].any():
            estimate, by_seed = _over(few, mine, theirs)
            claims.append(Claim(name, estimate, higher_is_better=False, by_seed=by_seed))
    return Rows("Do they know of one another?", _columns("cameras of two dreams'"), tuple(rows), extent(few)), tuple(claims)


def _picture(sample: Sample, out: Path, shown: Mapping[str, tuple[str, Images]]) -> tuple[str, str]:
    """The three front cameras side by side at the end of some drives."""
    drives = np.unique(np.linspace(0, len(sample.drives.images) - 1, 3).round().astype(int))
    count = min(3, len(sample.rig.names))
    rows = [(name, [beside(list(images[drive, -1, :count]), 1) for drive in drives]) for name, (_, images) in shown.items()]
    caption = "The front cameras side by side at the end of some drives: what one shows at its edge, the next goes on with."
    return write_strips(out / "cameras-seams.jpg", rows), caption
