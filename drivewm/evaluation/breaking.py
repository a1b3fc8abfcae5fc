"""One drive of the catalogue, whole and broken in every way, as the gate's readers see it through an autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from drivewm.datatypes import Array, Rollout
from drivewm.evaluation.broken import WAYS, Subject, whole
from drivewm.evaluation.gate import Evidence, evidence_of
from drivewm.evaluation.readers import Readers
from drivewm.evaluation.truth import FrameReaders, Seen, Truth
from drivewm.policies.baselines import ConstantVelocity, IdmPolicy
from drivewm.policies.expert import ExpertPolicy
from drivewm.protocols import Policy
from drivewm.rollout import rollout
from drivewm.scenarios.opening import draw, open_scenario
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import content_hash
from drivewm.testing import BlankWorld
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.precision import inference_autocast
from drivewm.worldmodel.world import open_pipeline

WHOLE = "whole"  # the kind of drives that are not broken
DRIVERS: tuple[type[Policy], ...] = (ExpertPolicy, IdmPolicy, ConstantVelocity)  # careful, plain, careless; they need no pictures
LEAST_FRAMES = 20  # shorter drives, ended by a collision, are judged whole but not broken
AT_ONCE = 48  # pictures


class Remembering:
    """Readers behind an autoencoder that look at the same picture only once: most pictures of a broken drive are not new."""

    def __init__(self, readers: FrameReaders, codec: FrameCodec | None) -> None:
        self.readers, self.codec, self.views = readers, codec, readers.views
        self._labels: dict[str, Array] = {}
        self._soft: dict[str, Array] = {}

    def segment(self, images: Array) -> Array:
        labels = self._each(images, self._labels, self.readers.segment)
        return labels.reshape(images.shape[:-1])

    def motion(self, images: Array) -> Array:
        return self.readers.motion(images)

    def sky(self, images: Array) -> tuple[Array, Array]:
        return self.readers.sky(images)

    def state_dict(self) -> dict[str, Any]:
        return self.readers.state_dict()

    def softened(self, images: Array) -> Array:
        """Pictures uint8 [..., H, W, 3] encoded and decoded."""
        return self._each(images, self._soft, self._through).reshape(images.shape)

    @torch.no_grad()
    def _through(self, pictures_NHWC: Array) -> Array:
        assert self.codec is not None
        parts = torch.from_numpy(pictures_NHWC).split(AT_ONCE)
        with inference_autocast(self.codec.mean_C.device):
            out = [self.codec.decode(self.codec.encode(part.to(self.codec.mean_C.device))).cpu() for part in parts]
        return np.asarray(torch.cat(out))

    @staticmethod
    def _each(images: Array, known: dict[str, Array], work: Any) -> Array:
        flat = images.reshape(-1, *images.shape[-3:])
        keys = [content_hash(picture) for picture in flat]
        new = {key: picture for key, picture in zip(keys, flat, strict=True) if key not in known}
        if new:
            known.update(zip(new, work(np.stack(list(new.values()))), strict=True))
        return np.stack([known[key] for key in keys])


def evidence_of_breaks(payload: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """By kind, the evidence in a drive and in every case of it; one unit of work, plain values."""
    drive, other = (_driven(payload, name) for name in ("scenario", "other"))
    readers, codec = _opened(payload["world"], payload["readers"])
    found = evidence_by_kind(drive, other, Remembering(readers, codec), payload["seed"] + payload["turn"])
    return {kind: [one.known() for one in cases] for kind, cases in found.items()}


@dataclass(frozen=True, slots=True)
class Broken:
    """A case: its pictures uint8 [F, V, H, W, 3] (those that judging looks at) and what the readers see in them."""

    images: Array
    evidence: Evidence


def evidence_by_kind(drive: Rollout, other: Rollout, readers: Remembering, seed: int) -> dict[str, list[Evidence]]:
    """The same of any two drives."""
    subject = whole_drive(drive, other, readers)
    return {kind: [case.evidence for case in cases] for kind, cases in cases_by_kind(subject, readers, seed).items()}


def whole_drive(drive: Rollout, other: Rollout, readers: Remembering) -> Subject:
    """A drive ready to be broken; ``other`` lends its motion."""
    rig = nuscenes_rig()
    return whole(drive, other, Truth.of(drive, len(drive.plans.t_s), rig, readers), rig)


def cases_by_kind(subject: Subject, readers: Remembering, seed: int) -> dict[str, list[Broken]]:
    """The whole drive and every case of every way to break it."""
    truth = subject.truth

    def read_again(images: Array) -> Array:
        return readers.segment(readers.softened(images))

    def seen(shown: Array, moves: bool) -> Broken:
        soft = readers.softened(shown)
        return Broken(soft, evidence_of(Seen.of(soft, truth.frames, readers, moves), truth, read_again))

    out = {WHOLE: [seen(subject.images, True)]}
    for number, (kind, way) in enumerate(WAYS.items() if len(subject.images) >= LEAST_FRAMES else ()):
        rng = np.random.default_rng([seed, number])
        out[kind] = [seen(shown, way.moves) for shown in way.cases(subject, rng)]
    return out


def _driven(payload: dict[str, Any], which: str) -> Rollout:
    scene = draw(open_scenario(payload[which]), payload["draw"], payload["seed"])
    driver = DRIVERS[payload["turn"] % len(DRIVERS)] if which == "scenario" else IdmPolicy
    return rollout([scene], driver(), BlankWorld(nuscenes_rig()), seed=payload["seed"])[0]


@lru_cache(maxsize=1)
def _opened(world: str, readers: str) -> tuple[Readers, FrameCodec]:
    torch.set_num_threads(1)  # units run in parallel, not pixels
    return Readers.load(Path(readers)), open_pipeline(Path(world)).codec
