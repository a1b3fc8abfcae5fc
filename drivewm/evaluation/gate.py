"""The validity gate: a drive counts only if the frames showed what the state says. Otherwise it is void, never a number.

Readers that learned from reference frames, and never from dreamed ones, say what is in the pictures: are the agents where the
state says, and no others? Does the picture stand where the ego stands, and move as it did? Does each camera show its own side,
under the weather and light that were told? The same readers look at the reference's frames of the same states, so what they
overlook there (a car in fog, a child far away) and what they misjudge there is not held against the dream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, CameraRig, Provenance, Rollout
from drivewm.evaluation.placing import exchanged, placings
from drivewm.evaluation.readers import EMBEDDED, Readers
from drivewm.evaluation.sightings import SEEN, Sighting, ghosts_px, sightings
from drivewm.evaluation.truth import FrameReaders, Seen, Truth
from drivewm.protocols import World
from drivewm.sim.raster import RasterWorld
from drivewm.store import content_hash, load_record

FILE = "gate.json"  # beside the weights of the readers
MIN_SIGHTINGS = 4  # fewer sightings of a kind say nothing about it
AGENT_PX, STRETCH = (
    120,
    3,
)  # an agent is asked for alone that is as large at so many moments; motion and place are judged over as many


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the readers saw in one drive; None where there was too little to judge."""

    vehicle_recall: float | None  # of the cars, trucks and buses that are seen in the reference, the share seen in these frames
    vulnerable_recall: float | None  # the same for people and two-wheelers
    agent_recall: float | None  # of a single large agent the share of its pixels that is read as any object; the worst one's
    ghost_px: float | None  # size of objects that do not exist; the third largest of all moments, so that two may be a blink
    speed_difference_mps: float | None  # between these frames and the reference's, mean over the worst three moments in a row
    yaw_rate_difference_radps: float | None  # likewise
    aside_m: float | None  # how far to the side of its place the ego stands by the pictures, in the worst three moments in a row
    turned_rad: float | None  # how far it is turned
    exchanged: float | None  # by how much two cameras look more like each other's reference than like their own
    sky_wrong: float | None  # share of moments at which weather, or light, is not the one told; the larger

    def known(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits beyond which a drive is void, one for each measure. How they are set: `drivewm.evaluation.calibration`."""

    vehicle_recall: float
    vulnerable_recall: float
    agent_recall: float
    ghost_px: float
    speed_difference_mps: float
    yaw_rate_difference_radps: float
    aside_m: float
    turned_rad: float
    exchanged: float
    sky_wrong: float


@dataclass(frozen=True, slots=True)
class Caught:
    """How many drives of a kind the gate calls void."""

    kind: str
    void: int
    drives: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits with what they let through and caught on drives that were not used to set them."""

    thresholds: Thresholds
    set_on: tuple[Caught, ...]  # the drives they were set on: whole ones first, then those broken in each way
    tried_on: tuple[Caught, ...]  # others, likewise
    provenance: Provenance
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)  # of ``tried_on``: by kind, how often each measure spoke


LOWER_IS_WORSE = frozenset({"vehicle_recall", "vulnerable_recall", "agent_recall"})
WORDS = {
    "vehicle_recall": "vehicles are not where the state says: {value:.0%} seen, {limit:.0%} needed",
    "vulnerable_recall": "people or two-wheelers are not where the state says: {value:.0%} seen, {limit:.0%} needed",
    "agent_recall": "an agent is missing: {value:.0%} of it is seen, {limit:.0%} needed",
    "ghost_px": "objects appear that do not exist: {value:.0f} pixels large, at most {limit:.0f}",
    "speed_difference_mps": "the picture moves at another speed than the ego: off by {value:.1f} m/s, at most {limit:.1f}",
    "yaw_rate_difference_radps": "the picture turns otherwise than the ego: off by {value:.3f} rad/s, at most {limit:.3f}",
    "aside_m": "the picture stands beside the ego's place: by {value:.2f} m, at most {limit:.2f}",
    "turned_rad": "the picture looks another way than the ego: by {value:.3f} rad, at most {limit:.3f}",
    "exchanged": "two cameras show each other's side: {value:.3f} more alike than their own, at most {limit:.3f}",
    "sky_wrong": "weather or light is not the one told: at {value:.0%} of moments, at most {limit:.0%}",
}


class Gate:
    """Judges finished drives by their frames."""

    def __init__(
        self,
        readers: FrameReaders,
        rig: CameraRig,
        thresholds: Thresholds | None = None,
        seen_again: Callable[[Array], Array] | None = None,
    ) -> None:
        """``seen_again`` brings pictures [..., H, W, 3] through the autoencoder of the world that is judged, if it has one."""
        self.readers, self.rig, self.thresholds = readers, rig, thresholds or load_limits().thresholds
        self.read_again = (lambda images: readers.segment(seen_again(images))) if seen_again else None

    @property
    def id(self) -> str:
        """Equal readers and equal limits, equal name."""
        weights = {name: value.float().numpy() for name, value in self.readers.state_dict().items()}
        return f"gate@{content_hash({**weights, 'limits': self.thresholds})[:8]}"

    def judge(self, rollout: Rollout, images: Array) -> tuple[str, ...]:
        """Reasons why the drive is void, empty if it counts; ``images`` uint8 [F, V, H, W, 3], one per plan."""
        return self.reasons(self.measure(rollout, images))

    def reasons(self, evidence: Evidence) -> tuple[str, ...]:
        """One sentence per limit that the evidence breaks."""
        known = evidence.known()
        return tuple(
            WORDS[name].format(value=known[name], limit=getattr(self.thresholds, name))
            for name in broken(evidence, self.thresholds)
        )

    def measure(self, rollout: Rollout, images: Array) -> Evidence:
        """What the readers see in the frames, beside what they see in the reference's frames of the same states."""
        truth = Truth.of(rollout, len(images), self.rig, self.readers)
        return evidence_of(Seen.of(images, truth.frames, self.readers), truth, self.read_again)


def evidence_of(seen: Seen, truth: Truth, read_again: Callable[[Array], Array] | None = None) -> Evidence:
    """The pictures that were ``seen`` held against the reference; ``read_again`` as in `ghosts_px`."""
    found = sightings(seen.labels, truth)
    ghosts = sorted(ghosts_px(seen.labels, truth, read_again), reverse=True)
    aside = turned = speed = yaw_rate = None
    if len(truth.frames) >= STRETCH:
        _, aside, turned = np.abs(placings(seen.labels, truth, STRETCH)).max(0).tolist()
    if seen.moved is not None and truth.seen.moved is not None and len(seen.moved) >= STRETCH:
        apart = np.abs(seen.moved - truth.seen.moved) / truth.step_s
        speed, yaw_rate = (float(np.convolve(one, np.full(STRETCH, 1 / STRETCH), "valid").max()) for one in apart.T)
    return Evidence(
        vehicle_recall=_share_seen(found, "vehicle"),
        vulnerable_recall=_share_seen(found, "vulnerable"),
        agent_recall=_worst_agent(found),
        ghost_px=float(ghosts[STRETCH - 1]) if len(ghosts) >= STRETCH else None,
        speed_difference_mps=speed,
        yaw_rate_difference_radps=yaw_rate,
        aside_m=aside,
        turned_rad=turned,
        exchanged=exchanged(seen.labels, truth),
        sky_wrong=_sky_wrong(seen, truth),
    )


def _share_seen(found: Sequence[Sighting], kind: str) -> float | None:
    seen = [one.share >= SEEN for one in found if one.kind == kind and one.share is not None]
    return float(np.mean(seen)) if len(seen) >= MIN_SIGHTINGS else None


def _worst_agent(found: Sequence[Sighting]) -> float | None:
    shares: dict[int, dict[int, list[float]]] = {}
    for one in found:
        if one.size_px >= AGENT_PX and one.shown is not None:
            shares.setdefault(one.track_id, {}).setdefault(one.moment, []).append(one.shown)
    return min((float(np.mean(list(map(np.mean, by.values())))) for by in shares.values() if len(by) >= STRETCH), default=None)


def _sky_wrong(seen: Seen, truth: Truth) -> float | None:
    """Moments whose weather (light) is not even read rightly in the reference are not asked."""
    if seen.sky is None or truth.seen.sky is None:
        return None
    asked, wrong = truth.seen.sky == truth.told_sky, seen.sky != truth.told_sky
    shares = [float(bad[good].mean()) for good, bad in zip(asked.T, wrong.T, strict=True) if good.sum() >= STRETCH]
    return max(shares, default=None)


def broken(evidence: Evidence, thresholds: Thresholds) -> list[str]:
    """Names of the limits that the evidence breaks."""
    out = []
    for name, value in evidence.known().items():
        limit = getattr(thresholds, name)
        if value < limit if name in LOWER_IS_WORSE else value > limit:
            out.append(name)
    return out


def load_limits(folder: Path = EMBEDDED) -> Limits:
    """The limits kept beside readers; raises InputError where they are missing or damaged."""
    return _limits(folder / FILE)


@lru_cache(maxsize=4)
def _limits(file: Path) -> Limits:
    return load_record(Limits, file)


def gate_for(world: World) -> Gate | None:
    """The gate with the embedded readers; None for the reference world, which shows the state by construction."""
    if isinstance(world, RasterWorld):
        return None
    return Gate(Readers.load(), world.rig, seen_again=getattr(world, "seen_again", None))
