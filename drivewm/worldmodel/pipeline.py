"""The world model for people who know diffusers: `DreamPipeline.from_pretrained(folder)`, call it with conditions, get frames."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderDC, DiffusionPipeline
from numpy.typing import NDArray

from drivewm.errors import InputError
from drivewm.worldmodel.autoencoder import FrameCodec
from drivewm.worldmodel.conditions import LIGHTS, TOLD_CLASSES, WEATHERS
from drivewm.worldmodel.saved import seal
from drivewm.worldmodel.session import Session
from drivewm.worldmodel.transformer import DriveTransformer


class DreamPipeline(DiffusionPipeline):
    """Transformer, autoencoder and the latents' statistics, saved and loaded as one folder."""

    def __init__(
        self,
        transformer: DriveTransformer,
        autoencoder: AutoencoderDC,
        latent_mean: Sequence[float] = (),
        latent_std: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, autoencoder=autoencoder)
        self.register_to_config(latent_mean=list(latent_mean), latent_std=list(latent_std))

    @classmethod
    def of_parts(cls, transformer: DriveTransformer, codec: FrameCodec) -> DreamPipeline:
        return cls(transformer, codec.autoencoder, codec.mean_C.tolist(), codec.std_C.tolist())

    def with_transformer(self, transformer: DriveTransformer) -> DreamPipeline:
        """The same pipeline around another network."""
        return DreamPipeline(transformer, self.autoencoder, self.config["latent_mean"], self.config["latent_std"])

    @property
    def codec(self) -> FrameCodec:
        codec = FrameCodec(self.autoencoder)
        codec.mean_C.copy_(torch.tensor(self.config["latent_mean"]))
        codec.std_C.copy_(torch.tensor(self.config["latent_std"]))
        return codec.to(self.device).eval()

    def identity(self) -> str:
        """Size and a hash of all weights (as saved, in half precision), for provenance."""
        digest = hashlib.sha256(self.codec.fingerprint().encode())
        for value in self.transformer.state_dict().values():
            digest.update(value.detach().half().cpu().contiguous().numpy().tobytes())
        return f"dream-{self.transformer.size.name}@{digest.hexdigest()[:8]}"

    def save(self, folder: Path) -> None:
        """Write the folder in half precision; the loaded networks stay as they are."""
        transformer, autoencoder = (copy.deepcopy(module).half() for module in (self.transformer, self.autoencoder))
        DreamPipeline(transformer, autoencoder, self.config["latent_mean"], self.config["latent_std"]).save_pretrained(folder)
        seal(folder)

    @torch.no_grad()
    def __call__(
        self,
        conditions: Mapping[str, torch.Tensor],
        generator: torch.Generator | None = None,
        num_inference_steps: int | None = None,
        drop: frozenset[str] = frozenset(),
    ) -> NDArray[np.uint8]:
        """Frames uint8 [B, T, V, H, W, 3] from scratch for `FrameConditions` tensors [B, T, ...] plus ``time_s`` [B, T].

        ``text`` [B, S, E] may come with them. Raises InputError for conditions that no network has learned.
        """
        refuse_unlearned(conditions)
        session, codec = Session(self.transformer, num_inference_steps, drop), self.codec
        memory, frames = session.start(), []
        size = self.transformer.size
        batch, length, views = conditions["label"].shape[:3]
        cells = [side // size.downsampling for side in conditions["label"].shape[-2:]]
        for t in self.progress_bar(range(length)):
            noise = torch.randn((batch, 1, views, size.latent_channels, *cells), generator=generator, device=self.device)
            now = {key: value if key == "text" else value[:, t : t + 1] for key, value in conditions.items()}
            latent, memory = session.dream(memory, now, noise)
            frames.append(codec.decode(latent)[:, 0].cpu().numpy())
        return np.stack(frames, 1)


def refuse_unlearned(conditions: Mapping[str, torch.Tensor]) -> None:
    """Raises InputError where conditions hold numbers that are not finite, or a weather, light or class that does not exist."""
    for name, value in conditions.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"the condition {name!r} holds a number that is not finite")
    for name, index, count in (
        ("weather", conditions["weather"], len(WEATHERS)),
        ("light", conditions["light"], len(LIGHTS)),
        ("boxes", conditions["boxes"][..., -1], TOLD_CLASSES + 1),
    ):
        if bool(((index < 0) | (index >= count)).any()):
            raise InputError(f"the condition {name!r} holds a kind that does not exist", hint=f"0 to {count - 1}")
