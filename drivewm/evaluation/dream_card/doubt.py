"""Does the dream know when it lies? Its doubt against true errors: AUROC, calibration, what refusing the least sure is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.doubting import DOUBT, FOUND_SHARE, MISREAD_SHARE, OBJECT_PX, TRUTH, Case, area, case_of
from drivewm.evaluation.dream_card.reading import claim
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped, ratio_over
from drivewm.evaluation.dreaming import FREE, LAYOUT
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_jpeg
from drivewm.evaluation.uncertainty import risk_removed
from drivewm.worldmodel.uncertainty import Curve, calibration_in

SECONDS = 8.0
TARGET = 0.75
REFUSED = 0.2  # share of cameras not to be trusted
BRIGHTEST = 80.0  # grey levels of error that are drawn white
METHOD = (
    "The doubt of a camera is how far the network changes its mind between its first and its last guess of a frame, with "
    "what is inherited of earlier frames' doubt; it costs no pass. The error is the root mean square difference from the "
    "reference after the autoencoder, in grey levels of 255. AUROC is the probability that a camera with which something is"
    f" wrong is more doubted than one with which nothing is: its error is in the worst tenth; more than {MISREAD_SHARE:.0%} "
    f"of its pixels are read as another class; of objects that fill {OBJECT_PX} px or more less than {FOUND_SHARE:.0%} is "
    "read. The expected error comes from the curve that `drivewm calibrate` left beside the weights, laid through other "
    "drives. Intervals are over drives."
)
NOT_SHOWN = (
    "Whether the doubt is high where the policy looks; it is told of whole cameras here.",
    "Errors that the dream shares with what it was told: a state that is wrong is dreamed without doubt.",
)


def answer(sample: Sample, out: Path) -> Answer:
    sample = sample.some(len(sample.drives.images), sample.drives.context + round(SECONDS * sample.rig.rate_hz))
    steps = sample.pipeline.transformer.size.dream_steps
    if steps < 2:
        note = "with a single denoising step there is no second guess to compare"
        unknown = Claim("AUROC", None, TARGET, note=note)
        return Answer("doubt", "Does it know when it lies?", (unknown,), method=METHOD, not_shown=NOT_SHOWN)
    world = sample.pipeline
    calibration = calibration_in(Path(world.name_or_path), world.identity()) if world.name_or_path else None
    cases = [case_of(sample, regime) for regime in (LAYOUT, FREE)]
    curves = [calibration.curve(steps, case.regime.drop) if calibration else None for case in cases]
    claims = tuple(claim for case, curve in zip(cases, curves, strict=True) for claim in _claims(sample, case, curve))
    return Answer(
        key="doubt",
        question="Does it know when it lies?",
        claims=claims,
        tables=tuple(_table(sample, case) for case in cases),
        charts=(*(_refusing(sample, case) for case in cases), _calibration(sample, cases, curves)),
        pictures=_picture(sample, cases[0], curves[0], out),
        method=METHOD,
        not_shown=NOT_SHOWN,
    )


def _claims(sample: Sample, case: Case, curve: Curve | None) -> list[Claim]:
    name, doubt, error, out = case.regime.name, case.scores[DOUBT], case.error, []
    for what, (bad, asked) in case.bad.items():
        told = claim(f"{name}: AUROC, {what}", area(doubt, bad, asked, sample), TARGET, "all cameras or none are")
        out.append(replace(told, note=told.note or f"{bad[asked].mean():.0%} of {int(asked.sum())} cameras are"))
    kept = doubt <= np.quantile(doubt, 1.0 - REFUSED)

    def kept_over_all(rows: Array) -> Array:
        sums = [part.sum((1, 2))[rows].sum(-1) for part in (error * kept, kept, error, np.ones(error.shape))]
        return np.asarray(sums[0] / sums[1] / (sums[2] / sums[3]))

    spared, by_seed = bootstrapped(kept_over_all, sample)
    out.append(Claim(f"{name}: error left when the least sure {REFUSED:.0%} are refused", spared, None, False, by_seed))
    title = f"{name}: expected error off by, share of the true one"
    if curve is None:
        out.append(Claim(title, None, note="no calibration of these weights beside them: drivewm calibrate"))
    else:
        off = np.abs(curve.of_cameras(case.doubt) - error)
        measured, by_seed = ratio_over(off.sum((1, 2)), error.sum((1, 2)), sample)
        out.append(Claim(title, measured, None, False, by_seed))
    return out


def _table(sample: Sample, case: Case) -> Rows:
    lines = []
    for name, score in case.scores.items():
        areas = [area(score, bad, asked, sample) for bad, asked in case.bad.values()]
        kind = {TRUTH: "exact", DOUBT: "dream"}.get(name, "naive")
        removed = risk_removed(score.ravel(), case.error.ravel())
        lines.append(Row(name, kind, (*(None if found is None else found[0] for found in areas), removed)))
    columns = (*(f"AUROC, {what}" for what in case.bad), "risk removed")
    note = "Risk removed: trusting the least doubted first lowers the mean error by this share of what knowing the errors would."
    return Rows(f"What foretells an error, {case.regime.name}", columns, tuple(lines), note)


def _refusing(sample: Sample, case: Case) -> Chart:
    error, series = case.error, []
    for name, score in {**case.scores, "by chance": np.zeros(error.shape)}.items():
        points = []
        for share in np.arange(1, 11) / 10:
            kept = score <= np.quantile(score, share)
            mean, _ = ratio_over((error * kept).sum((1, 2)), kept.sum((1, 2)), sample)
            points.append((float(share), mean.value, mean.low, mean.high))
        series.append(Series(name, tuple(points)))
    return Chart(f"Surest first, {case.regime.name}", "share of cameras trusted", "mean error, grey levels", tuple(series))


def _calibration(sample: Sample, cases: list[Case], curves: list[Curve | None]) -> Chart:
    series = []
    for case, curve in zip(cases, curves, strict=True):
        if curve is not None:
            expected = curve.of_cameras(case.doubt)
            bins = np.searchsorted(np.quantile(expected, np.arange(1, 10) / 10), expected)
            points = []
            for index in np.unique(bins):
                here = bins == index
                true, _ = ratio_over((case.error * here).sum((1, 2)), here.sum((1, 2)), sample)
                points.append((float(expected[here].mean()), true.value, true.low, true.high))
            series.append(Series(case.regime.name, tuple(points)))
    return Chart("Expected and true error", "expected, grey levels", "true, grey levels", tuple(series), scatter=True)


def _picture(sample: Sample, case: Case, curve: Curve | None, out: Path) -> tuple[tuple[str, str], ...]:
    """Front cameras, halfway through the drive whose doubt lies in the middle: reference, dream, doubt, true error."""
    order = np.argsort(case.doubt.mean((1, 2, 3, 4)))
    drive, frame = int(order[len(order) // 2]), case.shown.shape[1] // 2
    doubt = case.doubt[drive, frame]
    expected = np.sqrt(doubt) * BRIGHTEST / max(float(np.sqrt(doubt).max()), 1e-6) if curve is None else curve.of_cells(doubt)
    panels = {
        "reference": case.exact[drive, frame],
        "dream": case.shown[drive, frame],
        "doubt" if curve is None else "expected error": _heat(expected, case.shown.shape[-3:-1]),
        "true error": _heat(np.sqrt(case.squared[drive, frame]), case.shown.shape[-3:-1]),
    }
    fronts = [labelled(beside([enlarged(view, 128, 192) for view in views[:3]]), name) for name, views in panels.items()]
    write_jpeg(out / "doubt-places.jpg", stacked(fronts))
    seconds = (frame + 1) / sample.rig.rate_hz
    caption = f"Where the dream doubts and where it errs, {seconds:.1f} s after the last given frame, {case.regime.name}."
    return (("doubt-places.jpg", caption),)


def _heat(error: Array, size_px: tuple[int, ...]) -> Array:
    """Errors per latent cell [V, h, w] as pictures uint8 RGB [V, H, W, 3], brightest from `BRIGHTEST` grey levels on."""
    grey = (np.clip(error / BRIGHTEST, 0.0, 1.0) * 255).astype(np.uint8)
    large = [cv2.resize(view, (size_px[1], size_px[0]), interpolation=cv2.INTER_NEAREST) for view in grey]
    return np.stack([cv2.applyColorMap(view, cv2.COLORMAP_INFERNO)[..., ::-1] for view in large])
