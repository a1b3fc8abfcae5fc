"""Does it look like the reference? Pixels, sharpness, and whether things keep their place and colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.appearance import appearance, psnr_db
from drivewm.evaluation.dream_card.answer import Answer, Claim, Row, Rows
from drivewm.evaluation.dream_card.sample import Sample, mean_over
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images, Regime
from drivewm.evaluation.pictures import beside, labelled, stacked, write_jpeg
from drivewm.worldmodel.conditions import FREE_REGIME

SECONDS = 8.0
BLIND = Regime("action-blind", FREE_REGIME | {"motion"})
COLUMNS = (
    "PSNR, dB",
    "sharpness, share of reference",
    "displaced, of 255",
    "vehicle colour error, of 255",
)
ITSELF_DB = 70.0  # no difference but rounding: the reference beside itself


def answer(sample: Sample, out: Path) -> Answer:
    """Rows of looks over 8 s, and one strip of pictures for each seed."""
    rate_hz = 1.0 / float(np.median(sample.drives.told["motion"][..., 5]))
    sample = sample.some(len(sample.of_seed), sample.drives.context + round(SECONDS * rate_hz))
    shown: dict[tuple[str, str], Images] = {
        ("reference frames", "exact"): sample.drives.images,
        ("reference through the autoencoder", "floor"): sample.through_autoencoder(),
        ("last frame for ever", "naive"): sample.copied(),
        ("free, not told its motion", "naive"): sample.dreamed(BLIND),
        ("dream, layout-driven", "dream"): sample.dreamed(LAYOUT),
        ("dream, free", "dream"): sample.dreamed(FREE),
    }
    figures = {name: _figures(images, sample) for (name, _), images in shown.items()}
    rows = tuple(Row(name, kind, tuple(mean_over(values, sample)[0] for values in figures[name])) for name, kind in shown)
    return Answer(
        "looks",
        "Does it look like the reference?",
        _claims(figures, sample),
        (Rows("Looks over 8 s after the context", COLUMNS, rows, note=_NOTE),),
        pictures=tuple(_pictures(shown, sample, out)),
        method=_METHOD,
        not_shown=("PSNR cannot tell a dream from a blurred or a frozen picture; it is told because everybody tells it.",),
    )


def _claims(figures: dict[str, tuple[Array, ...]], sample: Sample) -> tuple[Claim, ...]:
    floor, driven = figures["reference through the autoencoder"], figures["dream, layout-driven"]
    exact, free = figures["reference frames"], figures["dream, free"]
    told = (
        ("PSNR below the autoencoder's, layout-driven, dB", floor[0] - driven[0], False),
        ("sharpness over the reference's, layout-driven", driven[1], True),
        ("sharpness over the reference's, free", free[1], True),
        ("standing things displaced, over the reference's, layout-driven", driven[2] / exact[2], False),
        ("vehicle colour error of 255, layout-driven", driven[3], False),
    )
    out = []
    for name, values, higher in told:
        estimate, by_seed = mean_over(values, sample)
        out.append(Claim(name, estimate, higher_is_better=higher, by_seed=by_seed))
    return tuple(out)


def _figures(images: Images, sample: Sample) -> tuple[Array, ...]:
    """Per drive [B], in the order of `COLUMNS`; NaN where a drive has nothing to measure."""
    late, reference = sample.late, sample.drives.images
    psnr = psnr_db(images[:, late], reference[:, late])
    psnr[psnr > ITSELF_DB] = np.nan
    sharp = np.array([_gradient(a) / _gradient(b) for a, b in zip(images[:, late], reference[:, late], strict=True)])
    rows = []
    for drive in range(len(images)):
        one = slice(drive, drive + 1)
        told = {key: value[one, late] for key, value in sample.drives.told.items()}
        seen = appearance(images[one, late], reference[one, late], told)
        colour = seen["colour_error"]["vehicle"]
        rows.append([seen["displaced_rms"], np.nan if colour is None else colour])
    return psnr, sharp, *np.array(rows, np.float64).T


def _gradient(images: Images) -> float:
    """Mean absolute difference of neighbouring pixels of frames [T, V, H, W, 3], every fifth frame."""
    pixels = images[::5].astype(np.float32).mean(-1)
    return float(np.abs(np.diff(pixels, axis=-1)).mean() + np.abs(np.diff(pixels, axis=-2)).mean())


def _pictures(shown: dict[tuple[str, str], Images], sample: Sample, out: Path) -> list[tuple[str, str]]:
    """For each seed its first drive: front cameras at four moments, a band for each kind of row."""
    bands = [(name, images) for (name, kind), images in shown.items() if kind != "naive"]
    moments = np.linspace(sample.drives.context, sample.drives.images.shape[1] - 1, 4).round().astype(int)
    pictures = []
    for index in range(len(sample.seeds)):
        drive = int(np.flatnonzero(sample.of_seed == index)[0])
        rows = []
        for name, images in bands:
            fronts = [np.concatenate([*images[drive, t, :3]], 1) for t in moments]
            rows.append(beside([labelled(fronts[0], name), *fronts[1:]]))
        path = write_jpeg(out / f"looks-{index}.jpg", stacked(rows))
        pictures.append(
            (path.name, f"Drive of seed {sample.seeds[index]}, front cameras, from the first dreamed frame to the last.")
        )
    return pictures


_NOTE = (
    "Sharpness: mean difference of neighbouring pixels, over that of the reference's frames. Displaced: root mean square "
    "difference between standing things and where the frame before says they are. Rain and snow fall anew in every frame of "
    "the reference, so no model reaches its PSNR."
)
_METHOD = (
    "Every drive is dreamed for 8 s after 4 reference frames. What stands still is carried from each frame to the next by exact "
    "depth and motion and compared; the mean colour of each vehicle is compared with the reference's. "
    "No reader is asked."
)
