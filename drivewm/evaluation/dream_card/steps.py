"""How many denoising steps does it take? Quality against speed at 1, 2, 4 and 16 of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.reading import claim
from drivewm.evaluation.dream_card.sample import Sample, mean_over, ratio_over
from drivewm.evaluation.dream_card.signs import Signs, read_signs
from drivewm.evaluation.dreaming import Dreamed, Drives, Images, Regime, dream_drives
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.pictures import enlarged, labelled, stacked, write_jpeg

SECONDS = 8.0
STEPS, MANY = (1, 2, 4), 16
MANY_SHARE, MANY_SECONDS = 4, 4.0  # every how many-th drive is dreamed in many steps too, and how long
BATCH, TIMED = 8, 6  # cars at once and frames for the speed
TARGET_HZ = {"tiny": 10.0, "base": 60.0}  # six-camera frames a second of one car in four steps
KINDS = ("road", "vehicle", "pedestrian")
METHOD = (
    "The same drives, told their layout, are dreamed in other numbers of steps by the same weights. Shares are IoU of the "
    "dream over IoU of the reference, both read by the same network. Speed is that of dreaming and decoding on this "
    "machine, from the median time between two frames after the first; its interval is from the slowest to the fastest of "
    "them."
)
NOT_SHOWN = (
    "The speed of another machine, or of one that is busy.",
    "What more steps give the free dream.",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """Frames of one number of steps (None: of no dream) and what is read in them."""

    name: str
    kind: str
    steps: int | None
    images: Images
    signs: Signs


def answer(sample: Sample, out: Path, many: bool = True) -> Answer:
    """``many``: also dream some drives in `MANY` steps, which takes as long as everything else of this question."""
    context, rate = sample.drives.context, sample.rig.rate_hz
    sample = sample.some(len(sample.drives.images), context + round(SECONDS * rate))
    each = max(1, len(sample.drives.images) // len(sample.seeds) // MANY_SHARE)
    few = sample.some(each, context + round(MANY_SECONDS * rate))
    kept = np.concatenate([np.flatnonzero(sample.of_seed == index)[:each] for index in range(len(sample.seeds))])
    frames = few.drives.images.shape[1]
    base: list[tuple[str, str, int | None, Images]] = [
        ("reference frames", "exact", None, sample.drives.images),
        ("through the autoencoder", "floor", None, sample.through_autoencoder()),
        ("last frame for ever", "naive", None, sample.copied()),
        *((f"K = {steps}", "dream", steps, sample.dreamed(_in(steps))) for steps in STEPS),
    ]
    every = [Shown(*row, read_signs(sample, row[-1])) for row in base]
    again = [(*row[:-1], row[-1][kept, :frames]) for row in base]
    if many:
        again.append((f"K = {MANY}", "dream", MANY, few.dreamed(_in(MANY))))
    fewer = [Shown(*row, read_signs(few, row[-1])) for row in again] if many else []
    counts = (*STEPS, MANY) if many else STEPS
    speeds = {steps: tuple(_frames_hz(sample, steps, cars) for cars in (1, BATCH)) for steps in counts}
    extra = f"{len(kept)} of the drives, their first {MANY_SECONDS:g} s."
    return Answer(
        key="steps",
        question="How many steps does it take?",
        claims=(
            *_speed_claim(sample, speeds),
            *_claims(sample, every),
            *(_claims(few, fewer[:1] + fewer[-1:]) if many else ()),
        ),
        tables=(
            _table(sample, every, speeds, f"All drives, {SECONDS:g} s."),
            *((_table(few, fewer, speeds, extra),) if many else ()),
        ),
        charts=(_quality(sample, every, speeds), *((_quality(few, fewer, speeds),) if many else ())),
        pictures=_picture([(name, shown) for name, kind, _, shown in again if kind in ("exact", "dream")], out),
        method=METHOD,
        not_shown=NOT_SHOWN if many else (*NOT_SHOWN, f"K = {MANY}, which a quick card leaves out."),
    )


def _in(steps: int) -> Regime:
    return Regime(f"layout-driven, K={steps}", steps=steps)


def _frames_hz(sample: Sample, steps: int, cars: int) -> Estimate:
    """Frames a second over all cars."""
    rows, frames = np.arange(cars) % len(sample.drives.images), sample.drives.context + TIMED
    told = {key: value[rows, :frames] for key, value in sample.drives.told.items()}
    ends: list[float] = []

    def note(_: Dreamed) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        ends.append(time.perf_counter())

    dream_drives(sample.pipeline, Drives(told, sample.drives.context), _in(steps), 0, note)
    rates = cars / np.diff(ends)
    return Estimate(float(np.median(rates)), float(rates.min()), float(rates.max()), len(rates))


def _speed_claim(sample: Sample, speeds: dict[int, tuple[Estimate, ...]]) -> list[Claim]:
    size, device = sample.pipeline.transformer.size.name, sample.pipeline.device.type
    target = TARGET_HZ.get(size) if size != "base" or device == "cuda" else None
    cores = f"{torch.get_num_threads()} of {os.cpu_count()} cores" if device == "cpu" else torch.cuda.get_device_name()
    return [Claim("K = 4, one car: six-camera frames per second", speeds[4][0], target, note=f"{size} on {cores}")]


def _claims(sample: Sample, rows: list[Shown]) -> list[Claim]:
    """Vehicles as a share of the reference's, for each number of steps."""
    exact = rows[0].signs.counts
    return [
        claim(
            f"{row.name}: vehicle IoU of the reference's", row.signs.counts.iou_over(exact, "vehicle", sample), None, "no vehicle"
        )
        for row in rows
        if row.steps is not None
    ]


def _table(sample: Sample, rows: list[Shown], speeds: dict[int, tuple[Estimate, ...]], note: str) -> Rows:
    exact, lines = rows[0].signs.counts, []
    for row in rows:
        shares = [row.signs.counts.iou_over(exact, kind, sample) for kind in KINDS]
        sums = [[part.sum(1) for part in row.signs.parts(sign)] for sign in ("speed", "place")]
        errors = [ratio_over(wrong, of, sample) for wrong, of in sums]
        likeness = None if row.kind == "exact" else mean_over(_psnr_db(row.images, sample), sample)
        cells = [None if cell is None else cell[0] for cell in (*shares, *errors, likeness)]
        fast = (None, None) if row.steps is None else speeds[row.steps]
        lines.append(Row(row.name, row.kind, (*cells, *fast)))
    columns = (
        *(f"{kind} IoU of the reference's" for kind in KINDS),
        "speed error, m/s",
        "standing things displaced, grey levels",
        "PSNR, dB",
        "frames/s, one car",
        f"frames/s, {BATCH} cars",
    )
    return Rows("Quality against speed", columns, tuple(lines), note)


def _psnr_db(images: Images, sample: Sample) -> Array:
    late = sample.late
    squared = [np.square(a[late].astype(np.float32) - b[late]).mean() for a, b in zip(images, sample.drives.images, strict=True)]
    return np.asarray(10.0 * np.log10(255.0**2 / np.maximum(squared, 1e-3)))


def _quality(sample: Sample, rows: list[Shown], speeds: dict[int, tuple[Estimate, ...]]) -> Chart:
    exact, series = rows[0].signs.counts, []
    for kind in KINDS:
        points = []
        for row in rows:
            found = None if row.steps is None else row.signs.counts.iou_over(exact, kind, sample)
            if row.steps is not None and found is not None:
                points.append((speeds[row.steps][1].value, found[0].value, found[0].low, found[0].high))
        series.append(Series(kind, tuple(sorted(points))))
    names = ", ".join(row.name for row in reversed(rows) if row.steps is not None)
    x_label = f"frames/s, {BATCH} cars ({names} from left to right)"
    return Chart("Quality against speed", x_label, "IoU of the reference's", tuple(series), scatter=True)


def _picture(rows: list[tuple[str, Images]], out: Path) -> tuple[tuple[str, str], ...]:
    """Front cameras of the first drive at its last moment, in each of the named frames."""
    fronts = [labelled(enlarged(np.concatenate(list(images[0, -1, :3]), 1), 128, 576), name) for name, images in rows]
    write_jpeg(out / "steps-fronts.jpg", stacked(fronts))
    return (("steps-fronts.jpg", f"The same moment, {MANY_SECONDS:g} s into the dream, in more and more steps."),)
