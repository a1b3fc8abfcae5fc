"""Do weather and light reach the picture, even when they change on the way? Read by a network of reference frames alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, Conditions, Light, Weather
from drivewm.evaluation.dream_card.answer import Answer, Chart, Claim, Row, Rows, Series
from drivewm.evaluation.dream_card.reading import extent, frames_of
from drivewm.evaluation.dream_card.sample import Sample, mean_over
from drivewm.evaluation.dream_card.staged import Staged, filmed, staged
from drivewm.evaluation.dream_card.strips import write_strips
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images, Regime
from drivewm.evaluation.intervals import Estimate

EACH = 6  # drives of each seed
BEFORE_S, AFTER_S = 1.6, 2.0  # dreamed under the sky that the drive began with, and under another one
SETTLED_FRAMES = 2  # after a change, before it is judged
TARGET = 0.9
UNTOLD = Regime("not told of the sky", frozenset({"weather", "light"}))
WEATHERS, LIGHTS = tuple(Weather), tuple(Light)
COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Skies:
    """Drives whose sky changes at frame ``turn``: what is told of it [B, T], weather and light."""

    sample: Sample
    turn: int
    weather: Array
    light: Array

    def right(self, shown: Images) -> tuple[Array, Array]:
        """Whether weather and light [B, T] are read as they are told."""
        weather, light = self.read(shown)
        return weather == self.weather, light == self.light

    def read(self, shown: Images) -> tuple[Array, Array]:
        """What the reader takes weather and light for [B, T]."""
        both = [self.sample.readers.sky(np.ascontiguousarray(row)) for row in shown]
        return np.stack([one[0] for one in both]), np.stack([one[1] for one in both])


def answer(sample: Sample, out: Path) -> Answer:
    """The question of this module, asked of drives of its own under the seeds of ``sample``; pictures go to ``out``."""
    skies = _skies(sample.some(EACH))
    over = skies.sample
    shown: dict[str, tuple[str, Images]] = {
        "reference frames": ("exact", over.drives.images),
        "through the autoencoder": ("floor", over.through_autoencoder()),
        "last frame for ever": ("naive", over.copied()),
        "layout-driven, not told of the sky": ("naive", over.dreamed(UNTOLD)),
        "free": ("dream", over.dreamed(FREE)),
        LAYOUT.name: ("dream", over.dreamed(LAYOUT)),
    }
    right = {name: skies.right(images) for name, (_, images) in shown.items()}
    rows = tuple(Row(name, kind, _cells(skies, *right[name])) for name, (kind, _) in shown.items())
    note = f"{extent(over)}; from {BEFORE_S:g} s on under another sky, judged from the second frame after the change on."
    columns = ("weather, as begun", "light, as begun", "weather, after the change", "light, after the change")
    return Answer(
        key="sky",
        question="Do weather and light reach the picture?",
        claims=_claims(skies, right),
        tables=(
            Rows("Frames whose sky is read as told", columns, rows, note),
            *(table for name in (LAYOUT.name, "free") for table in _confusions(skies, name, shown[name][1])),
        ),
        charts=tuple(
            _over_time(skies, what, {name: pair[index] for name, pair in right.items()})
            for index, what in enumerate(("weather", "light"))
        ),
        pictures=(_picture(skies, shown, out),),
        method="Fresh drives of held-out towns; at a moment both weather and light become others, in turn so that all pairs come "
        "up, and exact frames are rendered of it. A network that learned sky from reference frames looks at all six cameras "
        "of every frame.",
        not_shown=(
            "Degrees of rain, fog or snow: there is one of each.",
            "Change as slow as in nature; here the sky is another from one frame to the next.",
        ),
    )


def _skies(sample: Sample) -> Skies:
    turn = frames_of(sample, BEFORE_S)
    frames = turn + round(AFTER_S * sample.rig.rate_hz)
    stages = staged(sample, frames, lambda stage: stage if len(set(stage.sky)) == 1 else None)
    numbers = [int((sample.of_seed[:row] == seed).sum()) for row, seed in enumerate(sample.of_seed)]
    stages = tuple(stage.under(_another(stage, number), turn) for stage, number in zip(stages, numbers, strict=True))
    over = filmed(stages, sample.rig).over(sample)
    return Skies(over, turn, *(over.drives.told[key].numpy() for key in ("weather", "light")))


def _another(stage: Staged, number: int) -> Conditions:
    """Other weather and other light for drive ``number`` of a seed, each of the three others as often."""
    weather, light = WEATHERS.index(stage.sky[0].weather), LIGHTS.index(stage.sky[0].light)
    return Conditions(WEATHERS[(weather + 1 + number % 3) % 4], LIGHTS[(light + 1 + (number + number // 3) % 3) % 4])


def _parts(skies: Skies) -> tuple[slice, slice]:
    return slice(skies.sample.drives.context, skies.turn), slice(skies.turn + SETTLED_FRAMES, None)


def _cells(skies: Skies, weather: Array, light: Array) -> tuple[Estimate, ...]:
    return tuple(mean_over(right[:, part], skies.sample)[0] for part in _parts(skies) for right in (weather, light))


def _claims(skies: Skies, right: Mapping[str, tuple[Array, Array]]) -> tuple[Claim, ...]:
    out = []
    after = _parts(skies)[1]
    for name, words in ((LAYOUT.name, ""), ("free", ", free")):
        for index, what in enumerate(("weather", "light")):
            estimate, by_seed = mean_over(right[name][index][:, after], skies.sample)
            out.append(Claim(f"{what} changed on the way is read as told{words}", estimate, TARGET, by_seed=by_seed))
    return tuple(out)


def _confusions(skies: Skies, name: str, shown: Images) -> tuple[Rows, Rows]:
    """What a dream is read as, in shares of the frames of each told value: weather and light, before and after the change."""
    out = []
    told = (skies.weather, skies.light)
    for what, names, mine, read in zip(("Weather", "Light"), (WEATHERS, LIGHTS), told, skies.read(shown), strict=True):
        counts = np.zeros((len(names), len(names)))
        for part in _parts(skies):
            np.add.at(counts, (mine[:, part], read[:, part]), 1)
        frames = counts.sum(1)
        rows = [
            Row(f"told {one}", "dream", (*(count / max(1.0, total)).tolist(), f"{total:.0f}"))
            for one, count, total in zip(names, counts, frames, strict=True)
        ]
        out.append(Rows(f"{what}, {name}: told and read", (*(f"read {one}" for one in names), "frames"), tuple(rows)))
    return out[0], out[1]


def _over_time(skies: Skies, what: str, right: Mapping[str, Array]) -> Chart:
    """Share of drives whose sky is read as told, frame by frame around the change."""
    series = []
    for name, values in right.items():
        points = []
        for frame in range(skies.sample.drives.context, values.shape[1]):
            estimate, _ = mean_over(values[:, frame], skies.sample)
            time_s = (frame - skies.turn) / skies.sample.rig.rate_hz
            points.append((time_s, estimate.value, estimate.low, estimate.high))
        series.append(Series(name, tuple(points)))
    return Chart(f"Another sky: {what}", "s after the change", "share of drives read as told", tuple(series))


def _picture(skies: Skies, shown: Mapping[str, tuple[str, Images]], out: Path) -> tuple[str, str]:
    """The front camera of some drives, last moment before and last moment after the change."""
    drives = np.unique(np.linspace(0, len(skies.weather) - 1, COLUMNS).round().astype(int))
    rows = []
    for words, frame in (("before", skies.turn - 1), ("after", -1)):
        for world, name in (("reference", "reference frames"), ("dream", LAYOUT.name), ("free dream", "free")):
            rows.append((f"{world}, {words}", [shown[name][1][drive, frame, 1] for drive in drives]))
    caption = "Another weather and light on the way: the front camera of several drives just before the change and at the end."
    return write_strips(out / "sky-change.jpg", rows), caption
