"""One drive broken in every way, as the gate sees it: what the state says beside what is shown, and the verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.config import shipped_content
from drivewm.datatypes import Array, Rollout
from drivewm.evaluation.breaking import Broken, Remembering, cases_by_kind, whole_drive
from drivewm.evaluation.broken import Subject
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.gate import broken, load_limits
from drivewm.evaluation.pictures import beside, enlarged, labelled, stacked, write_jpeg
from drivewm.policies.expert import ExpertPolicy
from drivewm.rollout import rollout
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import BlankWorld

DRIVE, LENDS_MOTION = "lead_vehicle/brakes.yaml", "cut_in/motorway.yaml"
SEED = 3
TILE_PX = (160, 240)
COLUMNS = 2  # pairs side by side


def gate_picture(sample: Sample, out: Path) -> tuple[str, str]:
    """Writes the picture; returns its name and caption."""
    readers = Remembering(sample.readers, sample.pipeline.codec)
    subject = whole_drive(_driven(DRIVE), _driven(LENDS_MOTION), readers)
    cases = {kind: found[0] for kind, found in cases_by_kind(subject, readers, SEED).items() if found}
    panels = [_panel(kind, case, subject) for kind, case in cases.items()]
    rows = [beside(panels[start : start + COLUMNS]) for start in range(0, len(panels), COLUMNS)]
    write_jpeg(out / "gate-broken.jpg", stacked(rows))
    words = "One drive, whole and broken in every way: what the state says, what is shown, and what calls it void."
    return "gate-broken.jpg", words


def _panel(kind: str, case: Broken, subject: Subject) -> Array:
    """The judged moment and camera at which most pixels are another colour than in the whole drive."""
    frames = list(subject.truth.frames)
    exact = np.stack([one.images for one in subject.truth.exact])
    apart = (np.abs(case.images[frames].astype(np.int16) - exact).mean(-1) > 24.0).sum((-1, -2))
    moment, view = np.unravel_index(int(apart.argmax()), apart.shape)
    spoke = broken(case.evidence, load_limits().thresholds)
    verdict = f"void: {spoke[0]}" if spoke else "counts"
    told, shown = (enlarged(one[moment, view], *TILE_PX) for one in (exact, case.images[frames]))
    return beside([labelled(told, kind), labelled(shown, verdict)])


def _driven(name: str) -> Rollout:
    scene = draw(open_scenario(shipped_content("scenarios") / name), 0, SEED)
    return rollout([scene], ExpertPolicy(), BlankWorld(nuscenes_rig()), seed=0)[0]
