"""Cases: drives with their judgement. A case holds all that is needed to judge it again without a camera frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import Array, Rollout, Scene, Score, WorldState
from drivewm.evaluation.gate import Gate
from drivewm.evaluation.reference import reference_drives
from drivewm.metrics import score
from drivewm.metrics.crash import naming
from drivewm.protocols import Policy, PolicyFailed, World
from drivewm.rollout import rollout


@dataclass(frozen=True, slots=True)
class Case:
    """One judged drive."""

    rollout: Rollout
    reference_progress_m: float  # how far the privileged expert gets in the same scene
    score: Score
    void_reasons: tuple[str, ...] = ()
    evidence: dict[str, float] = field(default_factory=dict)  # what the validity gate measured


@dataclass(frozen=True, slots=True)
class Driven:
    """A case and the frames its policy saw."""

    case: Case
    images: Array  # uint8 [F, V, H, W, 3], one per plan


def reference_progress_m(scenes: Sequence[Scene], rate_hz: float = 5.0) -> list[float]:
    """How far the privileged expert gets in each scene; nothing is rendered."""
    return list(map(progress_m, reference_drives(scenes, rate_hz)))


def frames_of(scene: Scene, rate_hz: float) -> int:
    """Camera frames of a drive that lasts to the scene's horizon."""
    return ceil(scene.horizon_s * rate_hz - 1e-6)


def progress_m(drive: Rollout) -> float:
    """How far along its route a drive came."""
    return score(drive, reference_progress_m=1.0).measures["progress_m"]


def drive(
    scenes: Sequence[Scene],
    policy: Policy,
    world: World,
    *,
    seed: int,
    gate: Gate | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> list[Driven]:
    """Drive all scenes at once and judge each; without a ``gate`` (in the reference world) no drive is void.

    ``on_frame`` hears the number of each camera frame, from 0, as it is shown. If the policy raises or takes too long, each
    scene is driven alone, so that one failure ends one drive.
    """
    try:
        drives = driven_frames(scenes, policy, world, seed=seed, on_frame=on_frame)
    except PolicyFailed:
        drives = [driven_frames([scene], policy, world, seed=seed)[0] for scene in scenes]
    references = reference_progress_m(scenes, world.rig.rate_hz)
    return [
        Driven(judged(driven, reference, images, gate), images)
        for (driven, images), reference in zip(drives, references, strict=True)
    ]


def driven_frames(
    scenes: Sequence[Scene], policy: Policy, world: World, *, seed: int, on_frame: Callable[[int], None] | None = None
) -> list[tuple[Rollout, NDArray[np.uint8]]]:
    """Each finished drive with the frames [F, V, H, W, 3] that its policy saw, one per plan."""
    frames: list[NDArray[np.uint8]] = []

    def keep(frame: int, images: NDArray[np.uint8], state: WorldState) -> None:
        frames.append(images)
        if on_frame:
            on_frame(frame)

    drives = rollout(scenes, policy, world, seed=seed, on_frame=keep)
    return [(drive, np.stack([shown[row] for shown in frames[: len(drive.plans.t_s)]])) for row, drive in enumerate(drives)]


def judged(driven: Rollout, reference_m: float, images: Array | None = None, gate: Gate | None = None) -> Case:
    """The case of a finished drive."""
    evidence = gate.measure(driven, images) if gate and images is not None else None
    void = gate.reasons(evidence) if gate and evidence else ()
    with naming("drive", driven.scene.id):
        verdict = score(driven, reference_progress_m=reference_m, void_reasons=void)
    return Case(driven, reference_m, verdict, void, evidence.known() if evidence else {})


def rescored(case: Case) -> Case:
    """The same drive judged anew by the scorer of today."""
    with naming("drive", case.rollout.scene.id):
        verdict = score(case.rollout, reference_progress_m=case.reference_progress_m, void_reasons=case.void_reasons)
    return replace(case, score=verdict)
