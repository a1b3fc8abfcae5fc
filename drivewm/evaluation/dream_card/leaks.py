"""Controls of the card itself: had the world seen these drives, does the future reach the dream, and can the readers read?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch

from drivewm.data.marks import Marks, TrainedOn, marks_of
from drivewm.datatypes import Scene
from drivewm.evaluation.dream_card.answer import Answer, Claim, Row, Rows
from drivewm.evaluation.dream_card.held_out import HeldOut
from drivewm.evaluation.dream_card.sample import Sample, mean_over, ratio_over
from drivewm.evaluation.dreaming import LAYOUT, Drives, Images, dream_drives
from drivewm.evaluation.intervals import Estimate
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE

FUTURE_FRAMES = 6  # frames dreamed, of which the second half is told otherwise
READ_SECONDS = 8.0


def leaks(held_out: HeldOut, sample: Sample, trained: TrainedOn | None, scenes: Sequence[Scene]) -> Answer:
    """Marks that drives, and ``scenes`` in which policies are ranked, share with those the world learned from.

    And whether a changed future changes earlier frames.
    """
    changed = future_reaches_back(sample)
    count = len(held_out.marks)
    names = tuple(field.name for field in fields(Marks))
    claims = [_shared("held-out drives", held_out.marks, trained, name) for name in names]
    if scenes:
        ranked = tuple(marks_of(scene) for scene in scenes)
        claims += [_shared("scenes of the policies", ranked, trained, name) for name in names]
    claims.append(
        Claim("pixels that differ before a future that was changed", Estimate(changed, changed, changed, count), 0.0, False)
    )
    if trained is None:
        about = "The world does not say what it learned from, so nothing is known about shared drives."
    else:
        about = f"The world says that it learned from {trained.drives} drives, {trained.unmarked} without marks. {trained.note}"
    return Answer(
        "leaks",
        "Are these drives new to the world, and does it see only the present?",
        tuple(claims),
        method=f"{about} Drives of which a training drive has a mark are not taken: {held_out.passed_over} were passed over. "
        "Marks are hashes of the roads with all that stands beside them, of the seed, and of the combination of road, weather, "
        "light, manoeuvre, manner, traffic, density and limit. For the last claim drives are dreamed twice with the same noise, "
        "the second time with agents, map, motion and sky of another drive from a frame on; the frames before it must be equal "
        "bit for bit.",
    )


def _shared(whose_marks: str, marks: Sequence[Marks | None], trained: TrainedOn | None, name: str) -> Claim:
    what = f"{whose_marks} whose {name} some training drive has too"
    known = [one for one in marks if one is not None]
    if trained is None or len(known) < len(marks):
        whose = "the world does not say what it learned from" if trained is None else "drives of this cache have no marks"
        return Claim(what, None, 0.0, False, note=whose)
    share = float(np.mean([name in trained.shares(one) for one in known]))
    note = f"{trained.unmarked} training drives without marks are not counted" if trained.unmarked else ""
    return Claim(what, Estimate(share, share, share, len(known)), 0.0, False, note=note)


def future_reaches_back(sample: Sample) -> float:
    """Share of pixels of frames that change when the later ones are told otherwise; 0 for a world that sees only the present."""
    few, context = sample.some(1), sample.drives.context
    told = {key: value[:, : context + FUTURE_FRAMES] for key, value in few.drives.told.items()}
    turn = context + FUTURE_FRAMES // 2
    other = {key: torch.cat([value[:, :turn], value.roll(1, 0)[:, turn:]], 1) for key, value in told.items()}
    seed = sample.seeds[0]
    once, again = (dream_drives(sample.pipeline, Drives(what, context), LAYOUT, seed) for what in (told, other))
    return float((once[:, :turn] != again[:, :turn]).mean())


def readers_read(sample: Sample) -> Answer:
    """How well the readers read what is surely there: the reference's frames, and these through the autoencoder."""
    rate_hz = 1.0 / float(np.median(sample.drives.told["motion"][..., 5]))
    sample = sample.some(len(sample.of_seed), sample.drives.context + round(READ_SECONDS * rate_hz))
    rows = [
        Row(name, kind, _accuracy(images, sample))
        for name, kind, images in (
            ("reference frames", "exact", sample.drives.images),
            ("through the autoencoder", "floor", sample.through_autoencoder()),
        )
    ]
    named = [*(f"IoU {name}" for name in READ_CLASSES[1:]), "speed error, m/s", "yaw rate error, rad/s", "weather", "light"]
    exact = [cell for cell in rows[0].cells if isinstance(cell, Estimate)]
    claims = [Claim(name, value, higher_is_better="error" not in name) for name, value in zip(named, exact, strict=True)]
    return Answer(
        "readers",
        "How well do the readers read?",
        tuple(claims),
        (Rows("Accuracy of the readers on held-out drives", tuple(named), tuple(rows)),),
        method="Readers learned from frames of the reference world only, never from dreamed ones. Labels are exact. Motion is "
        "read from two successive frames, its error is the mean of the absolute difference over the camera period.",
    )


def _accuracy(images: Images, sample: Sample) -> tuple[Estimate, ...]:
    late, told, readers = sample.late, sample.drives.told, sample.readers
    truth, read = READ_TABLE[told["label"][:, late].numpy()], readers.segment(images[:, late])
    cells = []
    for index in range(1, len(READ_CLASSES)):
        here, there = read == index, truth == index
        both, either = ((pixels).reshape(len(read), -1).sum(1) for pixels in (here & there, here | there))
        cells.append(ratio_over(both, either, sample)[0])
    motion = told["motion"][:, late].numpy()
    moved = np.stack([readers.motion(row[sample.drives.context - 1 :]) for row in images])
    for column, exact in ((0, 2), (1, 4)):
        cells.append(mean_over(np.abs(moved[..., column] - motion[..., exact]) / motion[..., 5], sample)[0])
    sky = [readers.sky(row[late]) for row in images]
    for part, name in enumerate(("weather", "light")):
        right = [one[part] == exact for one, exact in zip(sky, told[name][:, late].numpy(), strict=True)]
        cells.append(mean_over(np.array(right, np.float64), sample)[0])
    return tuple(cells)
