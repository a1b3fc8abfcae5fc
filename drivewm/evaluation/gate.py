"""The validity gate: a drive counts only if the frames showed what the state says. Otherwise it is void, never a number.

Two questions, answered by readers that learned from reference frames and never from dreamed ones: were the agents where the
state says, and did the picture move as the ego did? The same readers look at the reference's frames of the same states, so what
they overlook there (a car in fog, a child far away) and what they misjudge there is not held against the dream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import cv2
import numpy as np

from drivewm.datatypes import VULNERABLE, WHEELED_BODIES, AgentClass, Array, CameraRig, Rollout
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE, Readers
from drivewm.protocols import World
from drivewm.sim.raster import Frame, RasterWorld, render
from drivewm.store import content_hash

VEHICLE_LABELS = (READ_CLASSES.index("vehicle"),)
VULNERABLE_LABELS = (READ_CLASSES.index("two_wheeler"), READ_CLASSES.index("pedestrian"))  # a rider may be read as a pedestrian
OBJECT_LABELS = (*VEHICLE_LABELS, *VULNERABLE_LABELS, READ_CLASSES.index("obstacle"))

JUDGED_EVERY = 5  # frames between judged frames: once a second at 5 Hz
MIN_OBJECT_PX = 80  # smaller objects are not asked for: the autoencoder alone blurs them beyond reading
MIN_SIGHTINGS = 4  # fewer sightings of a kind say nothing about it
CLEARLY_SEEN, SEEN = 0.5, 0.25  # share of an object's pixels read as its kind: in the reference to be asked for, here to be found
GHOST_OVERLAP = 0.1  # a read object with less true object beneath it is a ghost


class FrameReaders(Protocol):
    """Networks that read frames; `drivewm.evaluation.readers.Readers` is the trained one."""

    views: int  # cameras that `motion` looks through

    def segment(self, images: Array) -> Array:
        """Index into `READ_CLASSES` [..., H, W] for pictures uint8 [..., H, W, 3]."""

    def motion(self, images: Array) -> Array:
        """Step ahead (m) and turn (rad) [T - 1, 2] between successive frames uint8 [T, V, H, W, 3]."""

    def state_dict(self) -> dict[str, Any]:
        """The weights, as torch has them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the readers saw in one drive; None where there was too little to judge."""

    vehicle_recall: float | None  # of the cars, trucks and buses that are seen in the reference, the share seen in these frames
    vulnerable_recall: float | None  # the same for people and two-wheelers
    ghosts_per_frame: float  # objects read where the state has none, per camera image, beyond those read in the reference
    speed_difference_mps: float | None  # mean over the drive between these frames and the reference's
    yaw_rate_difference_radps: float | None

    def known(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits beyond which a drive is void.

    They were set by hand, after a look at what the tiny dream shows, and are looser than calibration alone allows. Of 90
    reference drives of the catalogue that went through the autoencoder (`drivewm.evaluation.calibration`) they void one; the
    strictest limits that void at most 2 % of these same drives are 0.25, 0.5, 0.2, 0.94 and 0.021, and would void nearly every
    tiny dream. Of 30 reference drives broken on purpose the limits below void 30 with frozen frames, 30 at half speed, 23 with
    swapped cameras, 23 of 29 with another drive's frames, and 16 without any agent: many scenes show too few objects that are
    large enough to judge.
    """

    vehicle_recall: float = 0.28
    vulnerable_recall: float = 0.4
    ghosts_per_frame: float = 0.35
    speed_difference_mps: float = 2.5
    yaw_rate_difference_radps: float = 0.06


LOWER_IS_WORSE = frozenset({"vehicle_recall", "vulnerable_recall"})
WORDS = {
    "vehicle_recall": "vehicles are not where the state says: {value:.0%} seen, {limit:.0%} needed",
    "vulnerable_recall": "people or two-wheelers are not where the state says: {value:.0%} seen, {limit:.0%} needed",
    "ghosts_per_frame": "objects appear that do not exist: {value:.2f} per image, at most {limit:.2f}",
    "speed_difference_mps": "the picture moves at another speed than the ego: off by {value:.1f} m/s, at most {limit:.1f}",
    "yaw_rate_difference_radps": "the picture turns otherwise than the ego: off by {value:.3f} rad/s, at most {limit:.3f}",
}


class Gate:
    """Judges finished drives by their frames."""

    def __init__(self, readers: FrameReaders, rig: CameraRig, thresholds: Thresholds | None = None) -> None:
        self.readers, self.rig, self.thresholds = readers, rig, thresholds or Thresholds()

    @property
    def id(self) -> str:
        """Equal readers and equal limits, equal name."""
        weights = {name: value.float().numpy() for name, value in self.readers.state_dict().items()}
        return f"gate@{content_hash({**weights, 'limits': self.thresholds})[:8]}"

    def judge(self, rollout: Rollout, images: Array) -> tuple[str, ...]:
        """Reasons why the drive is void, empty if it counts; ``images`` uint8 [F, V, H, W, 3], one per plan."""
        return self.reasons(self.measure(rollout, images))

    def reasons(self, evidence: Evidence) -> tuple[str, ...]:
        return reasons(evidence, self.thresholds)

    def measure(self, rollout: Rollout, images: Array) -> Evidence:
        """What the readers see in the frames, beside what they see in the reference's frames of the same states."""
        judged = list(range(0, len(images), JUDGED_EVERY))
        references = [self._reference(rollout, frame) for frame in judged]
        shown = np.ascontiguousarray(images[judged])
        here, there = (self.readers.segment(seen) for seen in (shown, np.stack([r.images for r in references])))
        seen: dict[str, list[bool]] = {"vehicle": [], "vulnerable": []}
        ghosts = 0
        for index, (frame, truth) in enumerate(zip(judged, references, strict=True)):
            state = rollout.states[frame * rollout.plan_every]
            faulty = rollout.scene.conditions_at(float(state.t_s)).faulty_cameras
            category = {int(i): AgentClass(int(c)) for i, c in zip(state.agents.track_id, state.agents.category, strict=True)}
            for view in (v for v, name in enumerate(self.rig.names) if name not in faulty):
                labels = (here[index, view], there[index, view])
                _collect_sightings(seen, labels, truth.instance[view], category)
                real = np.isin(READ_TABLE[truth.semantics[view]], OBJECT_LABELS)
                ghosts += max(0, _count_ghosts(labels[0], real) - _count_ghosts(labels[1], real))
        speed, yaw_rate = self._motion(rollout, images, dict(zip(judged, references, strict=True)))
        return Evidence(
            vehicle_recall=_share(seen["vehicle"]),
            vulnerable_recall=_share(seen["vulnerable"]),
            ghosts_per_frame=ghosts / max(1, here.shape[0] * here.shape[1]),
            speed_difference_mps=speed,
            yaw_rate_difference_radps=yaw_rate,
        )

    def _reference(self, rollout: Rollout, frame: int) -> Frame:
        state = rollout.states[frame * rollout.plan_every]
        scene = rollout.scene
        return render(scene.road, state, scene.conditions_at(float(state.t_s)), self.rig, scene.seed)

    def _motion(self, rollout: Rollout, images: Array, references: dict[int, Frame]) -> tuple[float | None, float | None]:
        """Mean differences of speed and yaw rate between each judged frame and its next."""
        pairs = [frame for frame in references if frame + 1 < len(images)]
        if not pairs or len(self.rig.names) != self.readers.views:  # a car with other cameras is judged by its agents alone
            return None, None
        apart = []
        for frame in pairs:
            exact = np.stack([references[frame].images, self._reference(rollout, frame + 1).images])
            shown, expected = (self.readers.motion(seen)[0] for seen in (images[frame : frame + 2], exact))
            apart.append(np.abs(shown - expected) / (rollout.plan_every * rollout.scene.dt_s))
        speed, yaw_rate = np.mean(apart, axis=0)
        return float(speed), float(yaw_rate)


def _collect_sightings(
    seen: dict[str, list[bool]], labels: tuple[Array, Array], instance_HW: Array, category: dict[int, AgentClass]
) -> None:
    """Adds, for each object that is seen in the reference's ``labels[1]`` [H, W], whether it is seen in ``labels[0]``."""
    for track_id, count in zip(*np.unique(instance_HW[instance_HW >= 0], return_counts=True), strict=True):
        if count < MIN_OBJECT_PX:
            continue
        kind = category[int(track_id)]
        name, accepted = ("vehicle", VEHICLE_LABELS) if kind in WHEELED_BODIES else ("vulnerable", VULNERABLE_LABELS)
        if name == "vulnerable" and kind not in VULNERABLE:
            continue
        mask = instance_HW == track_id
        here, there = (float(np.isin(label[mask], accepted).mean()) for label in labels)
        if there >= CLEARLY_SEEN:
            seen[name].append(here >= SEEN)


def _count_ghosts(label_HW: Array, truth_HW: Array) -> int:
    grown = cv2.dilate(truth_HW.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    count, component, stats, _ = cv2.connectedComponentsWithStats(np.isin(label_HW, OBJECT_LABELS).astype(np.uint8))
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= MIN_OBJECT_PX]
    return sum(bool(grown[component == i].mean() < GHOST_OVERLAP) for i in large)


def _share(seen: Sequence[bool]) -> float | None:
    return float(np.mean(seen)) if len(seen) >= MIN_SIGHTINGS else None


def reasons(evidence: Evidence, thresholds: Thresholds) -> tuple[str, ...]:
    """One sentence per limit that the evidence breaks."""
    out = []
    for name, value in evidence.known().items():
        limit = getattr(thresholds, name)
        if value < limit if name in LOWER_IS_WORSE else value > limit:
            out.append(WORDS[name].format(value=value, limit=limit))
    return tuple(out)


def calibrate(evidence: Sequence[Evidence], false_void_rate: float = 0.02) -> Thresholds:
    """Limits that make at most ``false_void_rate`` of these reference drives void; each of the five gets an equal part of it.

    With few drives this is the worst value seen. Raises ValueError where a measure was never known.
    """
    allowed = int(false_void_rate / len(fields(Thresholds)) * len(evidence))  # drives that each limit may lose
    limits = {}
    for name in (f.name for f in fields(Thresholds)):
        worst_first = sorted((e.known()[name] for e in evidence if name in e.known()), reverse=name not in LOWER_IS_WORSE)
        if not worst_first:
            raise ValueError(f"no reference drive tells anything about {name}")
        limits[name] = worst_first[min(allowed, len(worst_first) - 1)]
    return Thresholds(**limits)


def gate_for(world: World) -> Gate | None:
    """The gate with the embedded readers; None for the reference world, which shows the state by construction."""
    return None if isinstance(world, RasterWorld) else Gate(Readers.load(), world.rig)
