"""Guidance where it matters: in chosen cells the dream is driven away from what it would show had it not been told.

Classifier-free guidance (Ho & Salimans 2022) through diffusers' guiders, applied only inside a region: agents cover a few cells
and profit, while sky and houses would only gain contrast.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.guiders import ClassifierFreeGuidance
from diffusers.utils import logging

from drivewm.datatypes import SemanticClass
from drivewm.errors import InputError
from drivewm.worldmodel.conditions import FREE_REGIME, GROUPS
from drivewm.worldmodel.embedding import Drop
from drivewm.worldmodel.transformer import DriveTransformer, Past

STRONGEST = 20.0
AGENTS = (SemanticClass.VEHICLE, SemanticClass.TWO_WHEELER, SemanticClass.PEDESTRIAN, SemanticClass.OBSTACLE)


class RegionGuidance(ClassifierFreeGuidance):
    """Inside a region: untold + scale * (told - untold); outside: told, as without guidance.

    ``drop`` are the conditions that the untold prediction goes without. The region is "agents" (cells that show a part of one),
    "everywhere", or bool cells [..., V, h, w] given to `within`. ``start`` and ``stop`` bound the share of denoising steps.
    """

    @register_to_config
    def __init__(
        self,
        guidance_scale: float = 1.5,
        region: str = "agents",
        drop: tuple[str, ...] = tuple(sorted(FREE_REGIME)),
        start: float = 0.0,
        stop: float = 1.0,
    ) -> None:
        if not 0.0 <= guidance_scale <= STRONGEST:
            raise InputError(f"a guidance of {guidance_scale:g} is not between 0 and {STRONGEST:g}", hint="1 is none, 1.5 mild")
        if region not in ("agents", "everywhere") or not drop or set(drop) - set(GROUPS):
            known = "regions: agents, everywhere; conditions: " + ", ".join(GROUPS)
            raise InputError(f"unknown region {region!r} or conditions {list(drop)} to guide by", hint=known)
        level = logging.get_verbosity()
        logging.set_verbosity_error()  # diffusers calls all its guiders experimental, every time
        super().__init__(guidance_scale, start=start, stop=stop)
        logging.set_verbosity(level)
        self.region, self.drop = region, frozenset(drop)
        self._cells: torch.Tensor | None = None
        self._within: torch.Tensor | None = None

    def within(self, cells: torch.Tensor) -> RegionGuidance:
        """The same guidance in a region of the user's own: bool latent cells [..., V, h, w], with or without batch and time."""
        chosen = self.new()
        chosen.region, chosen._cells = f"cells{zlib.crc32(cells.cpu().numpy().tobytes()):08x}", cells
        return chosen

    def deviations(self) -> list[str]:
        """What a world that is guided like this adds to its name."""
        if self.guidance_scale == 1.0:
            return []
        by = [] if self.drop == FREE_REGIME else ["by-" + "-".join(sorted(self.drop))]
        return ["-".join([f"guided{self.guidance_scale:g}", *([] if self.region == "agents" else [self.region]), *by])]

    def cells(self, told: Mapping[str, torch.Tensor], cell_px: int) -> torch.Tensor:
        """The region in latent cells, bool and broadcastable to [B, T, V, 1, h, w]."""
        if self._cells is not None:
            return self._cells.bool().unsqueeze(-3)
        label = told["label"]
        if self.region == "everywhere":
            return torch.ones((), dtype=torch.bool, device=label.device)
        shown = torch.isin(label, torch.tensor(AGENTS, dtype=label.dtype, device=label.device)).flatten(0, -3)[:, None].float()
        return torch.nn.functional.max_pool2d(shown, cell_px).bool().unflatten(0, label.shape[:-2])

    def forward(self, pred_cond: torch.Tensor, pred_uncond: torch.Tensor | None = None) -> Any:
        guided = super().forward(pred_cond, pred_uncond)
        if self._within is not None:
            guided.pred = torch.where(self._within, guided.pred, pred_cond)
        return guided

    def predictor(
        self, network: DriveTransformer, past: Past, told: Mapping[str, torch.Tensor], drop: Drop, steps: int
    ) -> Callable[[torch.Tensor, float, float], torch.Tensor]:
        """Guided clean latents as a function of noisy ones, flow time and step; told and untold are rows of one batch."""
        batch, device = len(told["time_s"]), told["time_s"].device
        nothing = torch.zeros(batch, dtype=torch.bool, device=device)
        groups = {group: drop.get(group, nothing) for group in (*drop, *self.drop)}
        both = {group: torch.cat([gone, gone | (group in self.drop)]) for group, gone in groups.items()}
        embedded = network.embed({key: torch.cat([value, value]) for key, value in told.items()}, both)
        recalled = network.recall(past.twice(), embedded)
        self._within = self.cells(told, network.size.downsampling)

        def predict(x: torch.Tensor, tau: float, step: float) -> torch.Tensor:
            self.set_state(round(tau * steps), steps, torch.tensor(tau))
            taus, sizes = (torch.full((2 * batch, *one), value, device=device) for one, value in (((1,), tau), ((), step)))
            told_so, untold = network(torch.cat([x, x]), taus, sizes, embedded, recalled).float().chunk(2)
            guided: torch.Tensor = self(self.prepare_inputs({"noise_pred": (told_so, untold)})).pred
            return guided

        return predict


def guidance_of(strength: float | RegionGuidance | None, drop: frozenset[str]) -> RegionGuidance | None:
    """A scale as guidance of the agents. Raises InputError where the conditions it would guide by are left out anyway."""
    guidance = RegionGuidance(strength) if isinstance(strength, (int, float)) else strength
    if guidance is None or guidance.guidance_scale == 1.0:
        return None
    if guidance.drop <= drop:
        raise InputError(
            f"nothing to guide by: {', '.join(sorted(guidance.drop))} left out already", hint="guide by what is told"
        )
    return guidance
