"""The dream card: how far a world model may be trusted, measured on held-out drives beside floors and naive rows.

Readers that learned from reference frames only look at the dream; what they see is held against the state that was to be shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivewm.evaluation.appearance import appearance
from drivewm.evaluation.dreaming import FREE, LAYOUT, REGIMES, Drives, Images, draw_drives, dream_drives, through_autoencoder
from drivewm.evaluation.intervals import bootstrap_mean
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE, Readers
from drivewm.training.cache import FrameCache
from drivewm.worldmodel.pipeline import DreamPipeline

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CardOptions:
    drives: int = 24
    seconds: float = 8.0
    context: int = 4  # reference frames given before the dream begins
    seed: int = 0


def measure_card(
    pipeline: DreamPipeline,
    cache: FrameCache,
    readers: Readers,
    options: CardOptions,
    progress: Callable[[int, int, str], None] | None = None,
) -> Json:
    """Every row of the card as a JSON object; rows are regimes, floors and baselines."""
    frames = options.context + round(options.seconds * cache.rig.rate_hz)
    drives = draw_drives(cache, options.drives, frames, options.context)
    jobs: list[tuple[str, Callable[[], Images]]] = [
        ("reference", lambda: drives.images),
        ("autoencoder (floor)", lambda: through_autoencoder(pipeline, drives.images)),
        ("copy last frame", lambda: copy_last(drives)),
    ]
    jobs += [(regime.name, lambda regime=regime: dream_drives(pipeline, drives, regime, options.seed)) for regime in REGIMES]  # type: ignore[misc]
    rows: Json = {}
    pictures: dict[str, Images] = {}
    for index, (name, make) in enumerate(jobs):
        told = next((drives.under(regime) for regime in REGIMES if regime.name == name and regime.other_sky), drives)
        shown = make()
        rows[name] = measure(shown, told, readers)
        if name in ("reference", LAYOUT.name, FREE.name):
            pictures[name] = shown
        if progress:
            progress(index + 1, len(jobs), name)
    return {
        "options": {"drives": options.drives, "seconds": options.seconds, "context": options.context, "seed": options.seed}
    } | {
        "rows": rows,
        "claims": claims(rows),
        "pictures": pictures,
    }


def copy_last(drives: Drives) -> Images:
    """The naive world: the last context frame for ever."""
    images = drives.images.copy()
    images[:, drives.context :] = images[:, drives.context - 1 : drives.context]
    return images


def measure(shown: Images, drives: Drives, readers: Readers) -> Json:
    """What the readers see in the frames after the context, against what was told."""
    late = slice(drives.context, None)
    truth = READ_TABLE[drives.told["label"][:, late].numpy()]
    read = readers.segment(shown[:, late])
    motion = drives.told["motion"][:, late].numpy()
    moved = np.stack([readers.motion(row[drives.context - 1 :]) for row in shown])
    rate_hz = 1.0 / motion[..., 5]
    speed_error, turn_error = (np.abs(moved[..., i] - motion[..., j]) * rate_hz for i, j in ((0, 2), (1, 4)))
    sky = [readers.sky(row[late]) for row in shown]
    return {
        "iou": dict(zip(READ_CLASSES, class_iou(read, truth), strict=True)),
        "speed_mae_mps": interval(speed_error),
        "yaw_rate_mae_radps": interval(turn_error),
        "weather_read": float(
            np.mean([(s[0] == w).mean() for s, w in zip(sky, drives.told["weather"][:, late].numpy(), strict=True)])
        ),
        "light_read": float(
            np.mean([(s[1] == w).mean() for s, w in zip(sky, drives.told["light"][:, late].numpy(), strict=True)])
        ),
        "psnr_db": interval(psnr_db(shown[:, late], drives.images[:, late])),
        "appearance": appearance(shown[:, late], drives.images[:, late], {key: x[:, late] for key, x in drives.told.items()}),
        "vehicle_iou_per_2s": per_bin(read, truth, READ_CLASSES.index("vehicle"), round(2.0 * float(rate_hz.mean()))),
    }


def class_iou(read: NDArray[Any], truth: NDArray[Any]) -> list[float | None]:
    """Intersection over union of each read class over all pixels; None where the class never occurs."""
    out: list[float | None] = []
    for index in range(len(READ_CLASSES)):
        a, b = read == index, truth == index
        out.append(float((a & b).sum() / (a | b).sum()) if b.any() else None)
    return out


def per_bin(read: NDArray[Any], truth: NDArray[Any], index: int, width: int) -> list[float | None]:
    """IoU of one class in successive bins of ``width`` frames: does it fade with time?"""
    edges = range(0, read.shape[1] - width + 1, width)
    return [class_iou(read[:, a : a + width], truth[:, a : a + width])[index] for a in edges]


def psnr_db(shown: Images, reference: Images) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio per drive."""
    error = ((shown.astype(np.float32) - reference) ** 2).mean(tuple(range(1, shown.ndim)))
    return np.asarray(10.0 * np.log10(255.0**2 / np.maximum(error, 1e-3)), np.float64)


def interval(values: NDArray[Any]) -> Json:
    """Mean over drives with a bootstrap interval over drives."""
    per_drive = values.reshape(len(values), -1).mean(1)
    mean = bootstrap_mean(per_drive, seed=0)
    assert mean is not None
    return {"mean": mean.value, "low": mean.low, "high": mean.high}


def claims(rows: Json) -> Json:
    """The figures that the design sets targets for."""
    reference, layout, free = rows["reference"], rows[LAYOUT.name], rows[FREE.name]
    shares = {
        name: (layout["iou"][name] / reference["iou"][name])
        if layout["iou"][name] is not None and reference["iou"][name]
        else None
        for name in READ_CLASSES[1:]
    }
    speed, turn, moved = "speed_mae_mps", "yaw_rate_mae_radps", "displaced_rms"
    return {
        "iou_share_of_reference": shares,
        "pose_error_over_floor_layout": layout[speed]["mean"] / reference[speed]["mean"],
        "pose_error_over_floor_free": free[speed]["mean"] / reference[speed]["mean"],
        "yaw_rate_error_over_floor_free": free[turn]["mean"] / reference[turn]["mean"],
        "action_shuffle_ratio_free": rows["free, shuffled actions"][speed]["mean"] / free[speed]["mean"],
        "weather_obeyed": rows["layout-driven, other sky"]["weather_read"],
        "light_obeyed": rows["layout-driven, other sky"]["light_read"],
        "displaced_over_reference": layout["appearance"][moved] / reference["appearance"][moved],
        "vehicle_colour_error": layout["appearance"]["colour_error"]["vehicle"],
        "vehicle_iou_last_over_first_2s": _ratio(layout["vehicle_iou_per_2s"]),
    }


def _ratio(bins: list[float | None]) -> float | None:
    known = [value for value in bins if value is not None]
    return known[-1] / known[0] if len(known) > 1 and known[0] else None


def save_pictures(card: Json, folder: Path) -> list[Path]:
    """Strips of reference, layout-driven and free dream of the first drives, one PNG each."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    out = []
    pictures: dict[str, Images] = card["pictures"]
    for drive in range(min(4, len(next(iter(pictures.values()))))):
        bands = []
        for shown in pictures.values():
            picks = np.linspace(0, shown.shape[1] - 1, 6).astype(int)
            bands.append(np.concatenate([np.concatenate([shown[drive, t, v] for v in (0, 1, 2)], 1) for t in picks], 1))
        strip = np.concatenate(bands, 0)
        path = folder / f"drive-{drive}.png"
        cv2.imwrite(str(path), cv2.cvtColor(strip, cv2.COLOR_RGB2BGR))
        out.append(path)
    return out
