"""Does the dream act on command? The motion reader says how its pictures move, and that is held against what was told."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped, mean_over
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images, Regime
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_jpeg
from drivewm.worldmodel.conditions import FREE_REGIME

SECONDS = 8.0
POSE_TARGET, SHUFFLE_TARGET = 1.5, 1.3  # of the floor's error at most; of its own error at least
ACTION_BLIND = Regime("action-blind", FREE_REGIME | {"motion"})
SHUFFLED = Regime("free, shuffled actions", FREE_REGIME, shuffled_motion=True)
SHUFFLED_LAYOUT = Regime("layout-driven, shuffled actions", shuffled_motion=True)
FEWEST_MOVING_MPS = 0.5  # below it a car stands and nothing can be told of its steering
QUESTION = "Does it act on command?"
METHOD = (
    "Held-out drives of {seconds:g} s after {context} reference frames. The motion reader, a small network that has seen "
    "reference frames only, reads the step ahead and the turn between successive frames of all cameras; errors are those of "
    "its reading against the motion that was told. The floor is its reading of reference frames that went through the "
    "autoencoder. Free: the model is told motion, weather and light, and neither layout nor boxes nor map. Action-blind: "
    "the same network without the motion as well. Shuffled: each drive is told the motion of another drive of its seed; the "
    "ratio is the error against its own motion then, over the error when it is told its own. Slope: of what is read over "
    "what was told, through zero, 1 is right; the reader's own slope on reference frames says how much of a shortfall is "
    "its."
)
NOT_SHOWN = (
    "How the dream acts on commands that no car could follow.",
    "A layout tells where the car went: with it in view the model needs no command, so only the free regime shows obedience.",
)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was read of B drives' pictures against what was told [B, F, 2]: speed (m/s) and turn rate (rad/s)."""

    read: Array
    told: Array

    @property
    def error(self) -> Array:
        """Mean absolute error of each drive [B, 2]."""
        return np.asarray(np.abs(self.read - self.told).mean(1))

    def slope(self, sample: Sample) -> tuple[Estimate, Estimate]:
        """Of speed and of turn rate."""
        cross, square = (self.read * self.told).sum(1), (self.told**2).sum(1)

        def of(column: int) -> Estimate:
            return bootstrapped(lambda rows: cross[rows, column].sum(-1) / square[rows, column].sum(-1), sample)[0]

        return of(0), of(1)


def moved(shown: Images, sample: Sample) -> Moved:
    """The motion reader on the frames after the context."""
    first = sample.drives.context - 1
    motion = sample.drives.told["motion"][:, sample.late].numpy().astype(np.float64)
    read = np.stack([sample.readers.motion(np.asarray(row[first:])) for row in shown])
    return Moved(read / motion[..., 5:6], motion[..., [2, 4]] / motion[..., 5:6])


def answer(sample: Sample, out: Path) -> Answer:
    """Speed and turn of layout-driven and free dreams, of the action-blind twin and under shuffled actions."""
    rate_hz = float(1.0 / sample.drives.told["motion"][0, -1, 5])
    sample = sample.some(len(sample.of_seed), sample.drives.context + round(SECONDS * rate_hz))
    shown = {
        "reference": ("exact", sample.drives.images),
        "autoencoder": ("floor", sample.through_autoencoder()),
        "copy last frame": ("naive", sample.copied()),
        ACTION_BLIND.name: ("naive", sample.dreamed(ACTION_BLIND)),
        LAYOUT.name: ("dream", sample.dreamed(LAYOUT)),
        FREE.name: ("dream", sample.dreamed(FREE)),
    }
    can_shuffle = bool((np.bincount(sample.of_seed) > 1).all())
    if can_shuffle:
        shown |= {one.name: ("control", sample.dreamed(one)) for one in (SHUFFLED_LAYOUT, SHUFFLED)}
    read = {name: moved(images, sample) for name, (_, images) in shown.items()}
    rows = tuple(_row(name, kind, read[name], sample) for name, (kind, _) in shown.items())
    return Answer(
        "commands",
        QUESTION,
        (*_over_floor(read, sample), *(_shuffled(read, sample) if can_shuffle else _unshuffled())),
        (Rows("What the motion reader reads", _COLUMNS, rows),),
        _charts({name: read[name] for name in ("reference", LAYOUT.name, FREE.name, ACTION_BLIND.name)}, sample),
        (_strips({name: shown[name][1] for name in _STRIPS}, sample, out),),
        METHOD.format(seconds=(sample.drives.images.shape[1] - sample.drives.context) / rate_hz, context=sample.drives.context),
        NOT_SHOWN,
    )


_COLUMNS = ("speed error, m/s", "turn rate error, rad/s", "slope of speed", "slope of turn rate")
_STRIPS = ("reference", LAYOUT.name, FREE.name, ACTION_BLIND.name)


def _row(name: str, kind: str, one: Moved, sample: Sample) -> Row:
    return Row(name, kind, (*(mean_over(one.error[:, column], sample)[0] for column in (0, 1)), *one.slope(sample)))


def _ratio(above: Array, below: Array, sample: Sample) -> tuple[Estimate, tuple[float, ...]]:
    return bootstrapped(lambda rows: above[rows].mean(-1) / np.maximum(below[rows].mean(-1), 1e-9), sample)


def _over_floor(read: dict[str, Moved], sample: Sample) -> list[Claim]:
    floor, out = read["autoencoder"].error, []
    for name in (LAYOUT.name, FREE.name):
        for column, what in enumerate(("speed", "turn rate")):
            value, by_seed = _ratio(read[name].error[:, column], floor[:, column], sample)
            out.append(Claim(f"{what} error over floor, {name}", value, POSE_TARGET, higher_is_better=False, by_seed=by_seed))
    return out


def _shuffled(read: dict[str, Moved], sample: Sample) -> list[Claim]:
    out = []
    for own, other, target in ((FREE, SHUFFLED, SHUFFLE_TARGET), (LAYOUT, SHUFFLED_LAYOUT, None)):
        for column, what in enumerate(("speed", "turn rate")):
            value, by_seed = _ratio(read[other.name].error[:, column], read[own.name].error[:, column], sample)
            out.append(Claim(f"action-shuffle ratio of {what}, {own.name}", value, target, by_seed=by_seed))
    return out


def _unshuffled() -> list[Claim]:
    why = "a seed with one drive has no other drive whose motion could be told"
    return [Claim(f"action-shuffle ratio of {what}, free", None, SHUFFLE_TARGET, note=why) for what in ("speed", "turn rate")]


def _charts(read: dict[str, Moved], sample: Sample) -> tuple[Chart, ...]:
    """What is read over what was told, in five bins with as many frames each."""
    charts = []
    for column, (what, unit, scale) in enumerate((("speed", "m/s", 1.0), ("turn rate", "°/s", 180.0 / np.pi))):
        told = next(iter(read.values())).told[..., column] * scale
        moving = np.abs(next(iter(read.values())).told[..., 0]) >= FEWEST_MOVING_MPS
        if not moving.any():
            continue
        edges = np.unique(np.quantile(told[moving], np.linspace(0.0, 1.0, 8 if column else 6)))
        series = []
        for name, one in read.items():
            points = []
            for low, high in pairwise(edges):
                inside = moving & (told >= low) & (told <= high)
                if not inside.any():
                    continue
                value = _mean_inside(one.read[..., column] * scale, inside, sample)
                points.append((float(told[inside].mean()), value.value, value.low, value.high))
            series.append(Series(name, tuple(points)))
        charts.append(Chart(f"{what}, told and read", f"told, {unit}", f"read, {unit}", tuple(series)))
    return tuple(charts)


def _mean_inside(values: Array, inside: Array, sample: Sample) -> Estimate:
    """Mean over the frames ``inside`` [B, F]; draws of drives that hold none of them say nothing."""
    total, count = np.where(inside, values, 0.0).sum(1), inside.sum(1)

    def mean(rows: Array) -> Array:
        known = count[rows].sum(-1)
        return np.where(known > 0, total[rows].sum(-1) / np.maximum(known, 1), np.nan)

    return bootstrapped(mean, sample)[0]


def _strips(shown: dict[str, Images], sample: Sample, out: Path) -> tuple[str, str]:
    """The front camera of the drive that turns most, a row for each world."""
    turned = np.abs(sample.drives.told["motion"][:, sample.late, 4].numpy()).sum(1)
    drive, view = int(turned.argmax()), sample.rig.names.index("CAM_FRONT")
    last = sample.drives.images.shape[1] - 1
    moments = np.linspace(sample.drives.context, min(last, sample.drives.context + 20), 6).round().astype(int)
    rows = []
    for name, images in shown.items():
        panels = [enlarged(np.asarray(images[drive, t, view]), 80, 120) for t in moments]
        rows.append(beside([labelled(panels[0], name), *panels[1:]]))
    write_jpeg(out / "commands-turn.jpg", stacked(rows))
    return (
        "commands-turn.jpg",
        f"The drive that turns most (seed {sample.seeds[sample.of_seed[drive]]}), front camera, over some 4 s.",
    )
