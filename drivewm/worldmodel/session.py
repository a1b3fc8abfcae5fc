"""Dreaming frame by frame: conditions in, latents out, the past kept as keys and values.

A memory is never changed in place, so keeping one is a restore point and stepping it twice is a counterfactual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from drivewm.worldmodel.embedding import Drop, Embedded
from drivewm.worldmodel.flow import sample
from drivewm.worldmodel.given import Given, Predictor
from drivewm.worldmodel.guidance import RegionGuidance, guidance_of
from drivewm.worldmodel.transformer import DriveTransformer, Past, Recalled
from drivewm.worldmodel.uncertainty import Guesses, doubt_of, doubt_of_given


@dataclass(frozen=True, slots=True)
class Memory:
    """What a session knows of B running dreams."""

    past: Past
    frame: int
    doubt: torch.Tensor | None = None  # of the last frame, squared [B, V, h, w]; None before the first and where K is 1


class Session:
    """A world-model network with fixed sampling settings.

    ``drop`` are groups of conditions to leave out, for all dreams or each its own (group -> bool [B]); ``guidance`` is a scale
    (1 is none) or a `RegionGuidance`.
    """

    def __init__(
        self,
        network: DriveTransformer,
        steps: int | None = None,
        drop: frozenset[str] | Drop = frozenset(),
        guidance: float | RegionGuidance | None = None,
    ) -> None:
        self.network, self.drop = network.eval(), frozenset(drop)
        self._rows: Drop | None = drop if isinstance(drop, Mapping) else None
        self.steps = steps or network.size.dream_steps
        self.guidance = guidance_of(guidance, self.drop if self._rows is None else frozenset())

    def start(self) -> Memory:
        """An empty past."""
        return Memory(Past(self.network.size.window - 1), 0)

    @torch.no_grad()
    def observe(self, memory: Memory, told: Mapping[str, torch.Tensor], latent: torch.Tensor) -> Memory:
        """Take a given frame (latents [B, 1, V, C, h, w]) as the past, as if it had been dreamed."""
        embedded = self.network.embed(told, self._drop(latent.shape[0], latent.device))
        recalled = self.network.recall(memory.past, embedded)
        return self._kept(memory, embedded, recalled, latent, doubt_of_given(latent, told["lost"][:, 0]))

    @torch.no_grad()
    def dream(
        self, memory: Memory, told: Mapping[str, torch.Tensor], noise: torch.Tensor, given: Given | None = None
    ) -> tuple[torch.Tensor, Memory]:
        """The next frame's latents from ``noise`` [B, 1, V, C, h, w], and the memory that holds it; ``given`` views are kept."""
        batch, device = noise.shape[0], noise.device
        drop = self._drop(batch, device)
        embedded = self.network.embed(told, drop)
        recalled = self.network.recall(memory.past, embedded)
        if self.guidance is not None:
            predict = self.guidance.predictor(self.network, memory.past, told, drop, self.steps)
        else:
            predict = self._predictor(embedded, recalled)
        guesses = Guesses(predict if given is None else given.held(predict))
        latent = sample(guesses, noise, self.steps)
        known = None if given is None else given.known_BV
        doubt = doubt_of(guesses.first, latent, memory.doubt, told["lost"][:, 0], known) if self.steps > 1 else None
        return latent, self._kept(memory, embedded, recalled, latent, doubt)

    def _predictor(self, told: Embedded, recalled: Recalled) -> Predictor:
        def predict(x: torch.Tensor, tau: float, step: float) -> torch.Tensor:
            taus, steps = x.new_full((len(x), 1), tau), x.new_full((len(x),), step)
            predicted: torch.Tensor = self.network(x, taus, steps, told, recalled)
            return predicted

        return predict

    def _kept(
        self, memory: Memory, told: Embedded, recalled: Recalled, latent: torch.Tensor, doubt: torch.Tensor | None
    ) -> Memory:
        self.network.remember(latent, told, recalled)
        return Memory(memory.past.with_frame(told, latent, recalled), memory.frame + 1, doubt)

    def _drop(self, batch: int, device: torch.device) -> Drop:
        if self._rows is not None:
            return self._rows
        return {group: torch.ones(batch, dtype=torch.bool, device=device) for group in self.drop}
