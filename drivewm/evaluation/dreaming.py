"""Dream a batch of recorded drives again under chosen conditions: the raw material of the dream card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from drivewm.training.cache import FrameCache
from drivewm.training.shards import Tensors
from drivewm.worldmodel.conditions import FREE_REGIME
from drivewm.worldmodel.guidance import RegionGuidance
from drivewm.worldmodel.pipeline import DreamPipeline
from drivewm.worldmodel.precision import inference_autocast
from drivewm.worldmodel.session import Memory, Session

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Regime:
    """What the model is told and shown while it dreams on."""

    name: str
    drop: frozenset[str] = frozenset()
    steps: int | None = None  # denoising steps; None: the world model's own
    guidance: float | RegionGuidance = 1.0  # above 1 insists on what is told where agents are
    shuffled_motion: bool = False  # every drive is told another drive's motion
    other_sky: bool = False  # every drive is told another weather and light from the first dreamed frame on


LAYOUT = Regime("layout-driven")
FREE = Regime("free", FREE_REGIME)
REGIMES = (
    LAYOUT,
    FREE,
    Regime("action-blind", FREE_REGIME | {"motion"}),
    Regime("free, shuffled actions", FREE_REGIME, shuffled_motion=True),
    Regime("layout-driven, other sky", other_sky=True),
    Regime("layout-driven, K=1", steps=1),
    Regime("layout-driven, K=2", steps=2),
    Regime("layout-driven, K=4", steps=4),
)


@dataclass(frozen=True, slots=True)
class Drives:
    """B recorded windows [B, T, ...] with their first ``context`` frames given to the model."""

    told: Tensors
    context: int

    @property
    def images(self) -> Images:
        return self.told["images"].numpy()

    def under(self, regime: Regime) -> Drives:
        """The same drives as this regime tells them."""
        told, late = dict(self.told), slice(self.context, None)
        if regime.shuffled_motion:
            told["motion"] = told["motion"].clone()
            told["motion"][:, late] = told["motion"].roll(1, 0)[:, late]
        if regime.other_sky:
            for key in ("weather", "light"):
                told[key] = told[key].clone()
                shift = 1 + torch.arange(len(told[key])) % 3
                told[key][:, late] = (told[key][:, late] + shift[:, None]) % 4
        return replace(self, told=told)


def draw_drives(cache: FrameCache, count: int, frames: int, context: int) -> Drives:
    """Random windows of the cache's drives."""
    return Drives(cache.batch(0, count, frames), context)


@dataclass(frozen=True, slots=True)
class Dreamed:
    """One frame of B drives as it was dreamed: ``latent`` [B, 1, V, C, h, w] from ``before`` and what was told."""

    session: Session
    before: Memory
    told: Tensors
    latent: torch.Tensor
    after: Memory


@torch.no_grad()
def dream_drives(
    pipeline: DreamPipeline, drives: Drives, regime: Regime, seed: int, on_dreamed: Callable[[Dreamed], None] | None = None
) -> Images:
    """Frames uint8 [B, T, V, H, W, 3]; the context frames are the reference, through the autoencoder.

    ``on_dreamed`` is shown every frame that was dreamed.
    """
    codec, told = (
        pipeline.codec,
        {key: value for key, value in drives.under(regime).told.items() if key not in ("images", "latent")},
    )
    session = Session(pipeline.transformer, regime.steps, regime.drop, regime.guidance)
    generator = torch.Generator().manual_seed(seed)
    memory = session.start()
    out: list[Images] = []
    with inference_autocast(pipeline.device):
        for t in range(drives.told["images"].shape[1]):
            now = {key: value[:, t : t + 1] for key, value in told.items()}
            if t < drives.context:
                latent = codec.encode(drives.told["images"][:, t : t + 1]).float()
                memory = session.observe(memory, now, latent)
            else:
                shape = (len(drives.images), 1, *out[0].shape[1:2], codec.autoencoder.config.latent_channels, *latent.shape[-2:])
                before = memory
                latent, memory = session.dream(before, now, torch.randn(shape, generator=generator))
                if on_dreamed:
                    on_dreamed(Dreamed(session, before, now, latent, memory))
            out.append(codec.decode(latent)[:, 0].numpy())
    return np.stack(out, 1)


@torch.no_grad()
def through_autoencoder(pipeline: DreamPipeline, images: Images) -> Images:
    """Reference frames encoded and decoded: the best any dream can look."""
    codec = pipeline.codec
    with inference_autocast(pipeline.device):
        return np.stack([codec.decode(codec.encode(torch.from_numpy(row))).numpy() for row in images])
