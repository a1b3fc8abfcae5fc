"""Does the dream stay good? Errors of every reader in bins of five seconds, and how long a dream lasts until it has failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.lasting import CAUSES, NEVER, Lasting, lasting
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped, mean_over, ratio_over
from drivewm.evaluation.dream_card.signs import SIGNS, Signs, read_signs
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_jpeg

EACH = 4  # drives of every seed; all of their length is dreamed in both regimes
BIN_S = 5.0
WINDOWS, TARGET = 8, 2.0  # what the drift may be after how many training windows
LEAST_SHARE = 0.02  # of frames misread; below it nobody can tell two bins apart
METHOD = (
    "Every drive is dreamed to its end. Errors: one minus the IoU of what is read with the told layout; speed and yaw rate "
    "read, against told; weather and light read otherwise than told; how far standing things are from where geometry puts "
    "them. A bin's error is a ratio of sums over drives, drift that of the last bin over that of the first; "
    f"{LEAST_SHARE:.0%} are added to shares of misread weather and light in both. A dream has failed at the end of the first"
    " two seconds in which it shows less than half or more than twice the road that is read in the reference (no street), "
    "has less than half of the reference's road IoU (another street), is read to drive 3 m/s and 30 % of what is told "
    "faster or slower than the reference is (motion), or shows most of the time a weather or light that is not told, while "
    "the reference is read right (sky)."
)
NOT_SHOWN = (
    "A drift of 1 is no praise where the first bin is bad already: read it beside the errors.",
    "A free dream cannot know which vehicles and roads come into view: their error grows for that reason too, and another street "
    "is less of a fault than none.",
    "Drives that ended early, in a collision, are too short and left out: the hardest moments are missing.",
)


@dataclass(frozen=True, slots=True)
class Read:
    """Frames shown and what is read in them."""

    name: str
    kind: str
    shown: Images
    signs: Signs
    lasting: Lasting


@dataclass(frozen=True, slots=True)
class Bins:
    """Errors of a sign summed over bins, and their weights [B, bins]."""

    wrong: Array
    of: Array
    least: float  # added to an error before two are compared

    def error(self, index: int, sample: Sample) -> Estimate | None:
        known = self.of[:, index].any()
        return ratio_over(self.wrong[:, index], self.of[:, index], sample)[0] if known else None

    def drift(self, sample: Sample) -> tuple[Estimate, tuple[float, ...]] | None:
        """Error of the last bin over that of the first; None with a single bin, or where one shows nothing of the kind."""
        if self.of.shape[1] < 2 or not self.of[:, [0, -1]].any(0).all():
            return None
        found = bootstrapped(self._last_over_first, sample)
        return found if np.isfinite(found[0].value) else None

    def _last_over_first(self, rows: Array) -> Array:
        first, last = (self.wrong[rows, i].sum(-1) / np.maximum(self.of[rows, i].sum(-1), 1.0) + self.least for i in (0, -1))
        return np.divide(last, first, out=np.full(first.shape, np.nan), where=first > 0)


def answer(sample: Sample, out: Path) -> Answer:
    sample = sample.some(EACH)
    rows = _read(sample)
    dreams = [row for row in rows if row.kind == "dream"]
    return Answer(
        key="stability",
        question="Does it stay stable?",
        claims=tuple(claim for row in dreams for claim in (*_drifts(sample, row), _lasts(sample, row))),
        tables=(*_tables(sample, rows), _failures(sample, rows[1:])),
        charts=(_survival(sample, rows[1:]), *(_over_time(sample, rows, sign) for sign in ("road", "vehicle", "speed"))),
        pictures=_pictures(sample, rows, out),
        method=METHOD,
        not_shown=NOT_SHOWN,
    )


def _read(sample: Sample) -> list[Read]:
    shown = [
        ("reference frames", "exact", sample.drives.images),
        ("through the autoencoder", "floor", sample.through_autoencoder()),
        ("last frame for ever", "naive", sample.copied()),
        *((regime.name, "dream", sample.dreamed(regime)) for regime in (LAYOUT, FREE)),
    ]
    signs = [read_signs(sample, images) for _, _, images in shown]
    return [Read(*row, read, lasting(read, signs[0], sample.rig.rate_hz)) for row, read in zip(shown, signs, strict=True)]


def binned(sample: Sample, signs: Signs, sign: str) -> Bins:
    """Whole bins alone."""
    width = round(BIN_S * sample.rig.rate_hz)
    bins = signs.frames // width
    wrong, of = (part[:, : bins * width].reshape(len(part), bins, width).sum(-1) for part in signs.parts(sign))
    return Bins(wrong, of, LEAST_SHARE if SIGNS[sign].is_share_of_frames else 0.0)


def _drifts(sample: Sample, row: Read) -> list[Claim]:
    windows = row.signs.frames / sample.pipeline.transformer.size.window
    told, out = f"{row.signs.frames / sample.rig.rate_hz:.0f} s are {windows:.1f} training windows", []
    for sign, about in SIGNS.items():
        name, found = f"{row.name}, {about.title}: error of the last {BIN_S:g} s over the first", binned(sample, row.signs, sign)
        drift = found.drift(sample)
        if drift is None:
            reason = f"{told}, not two bins" if found.of.shape[1] < 2 else "nothing of the kind in one of the bins"
            out.append(Claim(name, None, TARGET, higher_is_better=False, note=reason))
        else:
            target, told_too = (TARGET, "") if windows >= WINDOWS else (None, f"; the target is set for {WINDOWS}")
            by_seed = drift[1] if np.isfinite(drift[1]).all() else ()
            out.append(Claim(name, drift[0], target, False, by_seed, note=told + told_too))
    return out


def _lasts(sample: Sample, row: Read) -> Claim:
    share, by_seed = mean_over(row.lasting.alive()[:, -1], sample)
    half = row.lasting.half_s
    note = "fewer than half fail" if half is None else f"half have failed after {half:.1f} s"
    return Claim(
        f"{row.name}: share not failed after {row.signs.frames / sample.rig.rate_hz:.0f} s", share, None, True, by_seed, note=note
    )


def _tables(sample: Sample, rows: list[Read]) -> list[Rows]:
    tables = []
    for sign, about in SIGNS.items():
        lines: list[Row] = []
        for row in rows:
            bins = binned(sample, row.signs, sign)
            drift, count = bins.drift(sample), bins.of.shape[1]
            errors = [bins.error(index, sample) for index in range(count)]
            lines.append(Row(row.name, row.kind, (*errors, None if drift is None else drift[0])))
        spans = [f"{BIN_S * index:g} to {BIN_S * (index + 1):g} s" for index in range(len(lines[0].cells) - 1)]
        tables.append(Rows(f"Error over time: {about.title}, {about.unit}", (*spans, "last over first"), tuple(lines)))
    return tables


def _failures(sample: Sample, rows: list[Read]) -> Rows:
    lines = []
    for row in rows:
        last = row.lasting
        seconds = mean_over(np.minimum(last.first(), last.frames) / last.rate_hz, sample)[0]
        causes = [float(share) for share in (last.failed != NEVER).mean(0)]
        lines.append(Row(row.name, row.kind, (seconds, "never" if last.half_s is None else last.half_s, *causes)))
    columns = ("lasts on average, s", "half have failed after, s", *(f"share that ever failed: {cause}" for cause in CAUSES))
    length = f"{rows[0].signs.frames / sample.rig.rate_hz:.0f} s at most."
    return Rows("Time to failure", columns, tuple(lines), f"{length} Held against the reference, which therefore cannot fail.")


def _survival(sample: Sample, rows: list[Read]) -> Chart:
    lives = {row.name: row.lasting.alive() for row in rows}
    lives |= {f"{row.name}, on whichever street": row.lasting.alive("another street") for row in rows if row.name == FREE.name}
    rate, series = sample.rig.rate_hz, []
    for name, alive in lives.items():
        points = []
        for frame in range(0, alive.shape[1], round(rate)):
            share = mean_over(alive[:, frame], sample)[0]
            points.append((frame / rate, share.value, share.low, share.high))
        series.append(Series(name, tuple(points)))
    return Chart("Not failed yet", "s since the last given frame", "share of drives", tuple(series))


def _over_time(sample: Sample, rows: list[Read], sign: str) -> Chart:
    series = []
    for row in rows:
        bins = binned(sample, row.signs, sign)
        errors = [bins.error(index, sample) for index in range(bins.of.shape[1])]
        points = [(BIN_S * (i + 0.5), e.value, e.low, e.high) for i, e in enumerate(errors) if e is not None]
        series.append(Series(row.name, tuple(points)))
    return Chart(f"Error over time: {SIGNS[sign].title}", "s since the last given frame", SIGNS[sign].unit, tuple(series))


def _pictures(sample: Sample, rows: list[Read], out: Path) -> tuple[tuple[str, str], ...]:
    """The first drive, and the one whose layout-driven dream fails first, at five moments."""
    told = next(row for row in rows if row.name == LAYOUT.name)
    chosen = {0: ("first", "The first drive"), int(told.lasting.first().argmin()): ("weakest", "The drive that fails first")}
    moments = np.linspace(0, told.signs.frames - 1, 5).round().astype(int)
    files = []
    for drive, (name, about) in chosen.items():
        strips = [
            _strip(row.shown[drive, sample.late], moments, sample.rig.rate_hz) for row in rows if row.kind in ("exact", "dream")
        ]
        write_jpeg(out / f"stability-{name}.jpg", stacked(strips))
        files.append((f"stability-{name}.jpg", f"{about}, three front cameras: reference, layout-driven, free."))
    return tuple(files)


def _strip(frames: Images, moments: Array, rate_hz: float) -> Array:
    fronts = {at: np.concatenate(list(frames[at, :3]), 1) for at in moments}
    return beside([labelled(enlarged(front, 96, 432), f"{(at + 1) / rate_hz:.1f} s") for at, front in fronts.items()])
