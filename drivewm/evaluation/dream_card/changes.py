"""Insert, move, remove: the same drive from the same noise with and without one agent.

Is the agent seen where it is told and gone where it is told no more, and does everything else stay as it was?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array
from drivewm.evaluation.dream_card.agents import VARIANTS, Changed, changed
from drivewm.evaluation.dream_card.answer import Answer, Claim, Row, Rows
from drivewm.evaluation.dream_card.changes_picture import Views, picture
from drivewm.evaluation.dream_card.reading import Measured, cell, claim, extent, frames_of, segmented, share_of, shares
from drivewm.evaluation.dream_card.sample import Sample, bootstrapped, mean_over
from drivewm.evaluation.dream_card.sightings import apart, bodies, found, gone, overlap, untouched
from drivewm.evaluation.dream_card.staged import Exact, filmed, staged
from drivewm.evaluation.dreaming import FREE, LAYOUT, Images
from drivewm.evaluation.intervals import Estimate

EACH, SECONDS = 6, 1.6  # drives of each seed, seconds dreamed
TARGET = 0.9  # of the agents that are clear in exact frames
STAYS = 0.5  # what changes elsewhere, over what another noise changes
OTHER_NOISE = 1_000_003  # added to the seeds
FINDINGS = ("untouched, found", "added, found", "moved, found", "moved, gone from old place", "removed, gone", "added, overlap")
Shown = Mapping[str, Images]  # variant -> frames [B, T, V, H, W, 3]


@dataclass(frozen=True, slots=True)
class Cases:
    """What is to be seen: the changed drives, and their exact frames, by variant."""

    sample: Sample
    changes: tuple[Changed, ...]
    exact: Mapping[str, Exact]

    def late(self, shown: Shown) -> Shown:
        """Without the frames that were given."""
        return {name: images[:, self.sample.late] for name, images in shown.items()}

    def read(self, shown: Shown) -> dict[str, Array]:
        """Labels of the frames that were not given."""
        return {name: segmented(self.sample.readers, images) for name, images in self.late(shown).items()}

    def over(self, variant: str) -> Sample:
        return self.exact[variant].over(self.sample)


def answer(sample: Sample, out: Path) -> Answer:
    """The question of this module, asked of drives of its own under the seeds of ``sample``; pictures go to ``out``."""
    cases = _cases(sample.some(EACH))
    shown: dict[str, tuple[str, Shown]] = {
        "reference frames": ("exact", _images(cases.exact)),
        "through the autoencoder": ("floor", {name: cases.over(name).through_autoencoder() for name in VARIANTS}),
        "last frame for ever": ("naive", dict.fromkeys(VARIANTS, cases.over("plain").copied())),
        "free: never told of agents": ("naive", dict.fromkeys(VARIANTS, cases.over("plain").dreamed(FREE))),
        LAYOUT.name: ("dream", {name: cases.over(name).dreamed(LAYOUT) for name in VARIANTS}),
    }
    findings = {name: _findings(cases, images) for name, (_, images) in shown.items()}
    dream = shown[LAYOUT.name][1]
    other = replace(cases.over("plain"), seeds=tuple(seed + OTHER_NOISE for seed in sample.seeds)).dreamed(LAYOUT)
    again = dict.fromkeys(VARIANTS, other) | {"plain": dream["plain"]}
    rest = {name: _rest(cases, images) for name, images in [(n, i) for n, (_, i) in shown.items()] + [("another noise", again)]}
    rows = [Row(name, kind, _row(cases, findings[name], rest[name])) for name, (kind, _) in shown.items()]
    rows.append(Row("the unchanged dream from another noise", "control", _row(cases, {}, rest["another noise"])))
    columns = (*FINDINGS, "change elsewhere, of 255", "read alike elsewhere")
    return Answer(
        key="changes",
        question="Does one agent more, less or elsewhere show, and nothing else?",
        claims=_claims(cases, findings[LAYOUT.name], rest),
        tables=(Rows("One agent changed", columns, tuple(rows), f"{extent(cases.over('plain'))}, gone on with in four ways."),),
        pictures=_pictures(cases, dream, out),
        method="Fresh drives of held-out towns go on four times from one past and one noise: unchanged, without an agent that is "
        "4 to 14 m away, with it some metres off, and with a car, a person or a cyclist more. Exact frames of all four are "
        "rendered. A place counts where only one of the two ways has something of the kind: at least 80 px in a camera, of which "
        "the reader knows half in exact frames. The agent is found where it knows a quarter, gone where it does not. Elsewhere "
        "means 5 px away from the agent and from all that its shadow and lamps touch.",
        not_shown=("Agents of less than 80 px in a camera.", "Changes later than 1.6 s after they happened."),
    )


def _cases(sample: Sample) -> Cases:
    frames, first = frames_of(sample, SECONDS), sample.drives.context
    changes = staged(sample, frames, lambda stage: changed(stage, first))
    exact = {name: filmed([getattr(change, name) for change in changes], sample.rig) for name in VARIANTS}
    return Cases(sample, changes, exact)


def _images(exact: Mapping[str, Exact]) -> Shown:
    return {name: one.told["images"].numpy() for name, one in exact.items()}


def _findings(cases: Cases, shown: Shown) -> dict[str, Measured | None]:
    """Each of FINDINGS as a share over drives."""
    read, exact_read, late = cases.read(shown), cases.read(_images(cases.exact)), cases.sample.late
    sums = np.zeros((len(FINDINGS), len(cases.changes), 2), int)
    for row, change in enumerate(cases.changes):
        views = {
            name: bodies(cases.exact[name].instance[row, late], cases.exact[name].semantics[row, late], who)
            for name, who in (("plain", change.track_id), ("moved", change.track_id), ("added", change.added_id))
        }
        here, exact = ({name: labels[name][row] for name in VARIANTS} for labels in (read, exact_read))
        sums[:, row] = [
            found(here["plain"], exact["plain"], views["plain"]),
            found(here["added"], exact["added"], apart(views["added"], exact["plain"])),
            found(here["moved"], exact["moved"], apart(views["moved"], exact["plain"])),
            gone(here["moved"], exact["plain"], apart(views["plain"], exact["moved"])),
            gone(here["removed"], exact["plain"], apart(views["plain"], exact["removed"])),
            overlap(here["added"], views["added"]),
        ]
    return {name: share_of(counts[:, 0], counts[:, 1], cases.sample) for name, counts in zip(FINDINGS, sums, strict=True)}


def _rest(cases: Cases, shown: Shown) -> tuple[Array, Array]:
    """Per drive [B]: mean change where nothing should change, of 255, and the share of pixels read alike there."""
    read, pictures, exact = cases.read(shown), cases.late(shown), cases.late(_images(cases.exact))
    instance = {name: one.instance[:, cases.sample.late] for name, one in cases.exact.items()}
    change_of_255, alike = np.zeros((2, len(cases.changes), len(VARIANTS) - 1))
    for row, change in enumerate(cases.changes):
        for column, name in enumerate(VARIANTS[1:]):
            changed_here = np.isin([instance["plain"][row], instance[name][row]], (change.track_id, change.added_id)).any(0)
            keep = untouched(exact["plain"][row], exact[name][row], changed_here)
            change_of_255[row, column] = np.abs(pictures[name][row].astype(np.int16) - pictures["plain"][row])[keep].mean()
            alike[row, column] = (read[name][row] == read["plain"][row])[keep].mean()
    return change_of_255.mean(1), alike.mean(1)


def _row(cases: Cases, findings: Mapping[str, Measured | None], rest: tuple[Array, Array]) -> tuple[Estimate | None, ...]:
    return (*(cell(findings.get(name)) for name in FINDINGS), *(mean_over(values, cases.sample)[0] for values in rest))


def _claims(cases: Cases, dream: Mapping[str, Measured | None], rest: Mapping[str, tuple[Array, Array]]) -> tuple[Claim, ...]:
    words = {
        "added, found": "agents that were added are seen where they are told",
        "moved, found": "agents that were moved are seen at their new place",
        "moved, gone from old place": "agents that were moved are gone from their old place",
        "removed, gone": "agents that were removed are gone",
        "untouched, found": "the same agents without any change are seen",
    }
    absent = "no agent of 80 px that is clear in exact frames"
    told = {name: TARGET for name in words if not name.startswith("untouched")}
    out = [claim(text, dream[name], told.get(name), absent) for name, text in words.items()]
    mine, noise = rest[LAYOUT.name][0], rest["another noise"][0]
    stays, by_seed = bootstrapped(lambda rows: shares(mine[rows].sum(-1), noise[rows].sum(-1)), cases.sample)
    title = "change elsewhere, over what another noise changes there"
    return (*out, Claim(title, stays, STAYS, higher_is_better=False, by_seed=by_seed))


def _pictures(cases: Cases, dream: Shown, out: Path) -> tuple[tuple[str, str], ...]:
    exact = _images(cases.exact)
    views: Sequence[Views] = [
        Views("added", "added", cases.exact["added"].instance, [change.added_id for change in cases.changes]),
        Views("plain", "removed", cases.exact["plain"].instance, [change.track_id for change in cases.changes]),
        Views("moved", "moved", cases.exact["moved"].instance, [change.track_id for change in cases.changes]),
    ]
    return tuple(picture(out, one, exact, dream, cases.sample.drives.context) for one in views)
