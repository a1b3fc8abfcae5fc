"""The world model's network: space-time-factorised, causal in time, over all cameras at once.

A frame's tokens first look at each other across cameras, then each at its own past, then pass an MLP; the flow time, the step
size, ego motion, weather and light steer the norms (adaLN-single: one shared modulation plus a learned table per block).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from drivewm.worldmodel.attention import SpatialAttention, TemporalAttention
from drivewm.worldmodel.embedding import ConditionEmbedding, Drop, Embedded, mlp, scalar_features
from drivewm.worldmodel.sizes import WorldModelSize

SCALAR_FEATURES = 16


class Past:
    """Keys and values of one block for the frames already shown: a ring of fixed length whose first frame stays (sink).

    Keys are kept unturned with their times, so that the sink's age can be held at what training has seen.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self.keys: list[torch.Tensor] = []  # each [B, 1, L, heads, d]
        self.values: list[torch.Tensor] = []
        self.times: list[torch.Tensor] = []  # each [B, 1]

    def fork(self) -> Past:
        other = Past(self.window)
        other.keys, other.values, other.times = list(self.keys), list(self.values), list(self.times)
        return other

    def append(self, key: torch.Tensor, value: torch.Tensor, time_s: torch.Tensor) -> None:
        if len(self.keys) == self.window:
            for row in (self.keys, self.values, self.times):
                del row[1]
        self.keys.append(key)
        self.values.append(value)
        self.times.append(time_s)

    def seen(self, now_s: torch.Tensor, period_s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """Keys, values [B, S, L, heads, d] and times [B, S] no older than the window; None at the start."""
        if not self.keys:
            return None
        oldest = now_s - self.window * period_s
        times = torch.maximum(torch.cat(self.times, 1), oldest)
        return torch.cat(self.keys, 1), torch.cat(self.values, 1), times


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(3))
        self.space, self.time = SpatialAttention(width, heads), TemporalAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.table = nn.Parameter(torch.randn(9, width) * 0.02)

    def forward(self, x: torch.Tensor, told: Embedded, steer_BT9D: torch.Tensor, past: Past | None, keep: bool) -> torch.Tensor:
        steer = (steer_BT9D + self.table.to(steer_BT9D.dtype))[:, :, :, None].unbind(2)
        h = self.norms[0](x) * (1 + steer[0]) + steer[1]
        frames = h.shape[:2]
        mixed = self.space(h.flatten(0, 1), told.extra_BTMD.flatten(0, 1).to(h.dtype)).unflatten(0, frames)
        x = x + steer[2] * mixed
        h = self.norms[1](x) * (1 + steer[3]) + steer[4]
        x = x + steer[5] * self._look_back(h, told.time_s_BT, past, keep)
        h = self.norms[2](x) * (1 + steer[6]) + steer[7]
        return x + steer[8] * self.mlp(h)

    def _look_back(self, h: torch.Tensor, time_s: torch.Tensor, past: Past | None, keep: bool) -> torch.Tensor:
        q, k, v = self.time.project(h)
        turned_q, turned_k = self.time.turned(q, time_s), self.time.turned(k, time_s)
        if past is None:
            return self.time.attend(turned_q, turned_k, v, causal=True)
        seen = past.seen(time_s, self._period(time_s, past))
        if keep:
            past.append(k, v, time_s)
        if seen is None:
            return self.time.attend(turned_q, turned_k, v, causal=False)
        keys = torch.cat([self.time.turned(seen[0], seen[2]), turned_k], 1)
        return self.time.attend(turned_q, keys, torch.cat([seen[1].to(v.dtype), v], 1), causal=False)

    @staticmethod
    def _period(time_s: torch.Tensor, past: Past) -> torch.Tensor:
        return time_s - past.times[-1] if past.times else torch.zeros_like(time_s)


class DriveTransformer(ModelMixin, ConfigMixin):
    """Predicts clean latents from noised ones (x-prediction), given conditions and the causal past."""

    @register_to_config
    def __init__(self, size: dict[str, Any]) -> None:
        super().__init__()
        kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in size.items()}
        self.size = WorldModelSize(**kept)
        s, width = self.size, self.size.width
        patch_values = s.latent_channels * s.patch**2
        self.patch_in, self.conditions = nn.Linear(patch_values, width), ConditionEmbedding(s)
        self.register_tokens = nn.Parameter(torch.randn(s.registers, width) * 0.02)
        self.noise, self.steer = mlp(2 * SCALAR_FEATURES, width), nn.Linear(width, 9 * width)
        self.blocks = nn.ModuleList(Block(width, s.heads) for _ in range(s.depth))
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.steer_out, self.patch_out = nn.Linear(width, 2 * width), nn.Linear(width, patch_values)
        for layer in (self.steer, self.steer_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def of_size(cls, size: WorldModelSize) -> DriveTransformer:
        return cls(asdict(size))

    def embed(self, told: Mapping[str, torch.Tensor], rays_VPC: torch.Tensor, drop: Drop | None = None) -> Embedded:
        """Conditions once per frame; they serve all denoising steps."""
        embedded: Embedded = self.conditions(told, rays_VPC, drop or {})
        return embedded

    def forward(
        self,
        noisy: torch.Tensor,
        tau_BT: torch.Tensor,
        step_B: torch.Tensor,
        told: Embedded,
        past: list[Past] | None = None,
        keep: bool = False,
    ) -> torch.Tensor:
        """Clean latents [B, T, V, C, h, w] for ``noisy`` ones at flow time ``tau`` (0 noise, 1 clean) and step size ``step``.

        With ``past`` (one per block) T is 1 and time attention looks at what was kept; ``keep`` adds this frame to it.
        """
        batch, frames, views, channels, rows, columns = noisy.shape
        p = self.size.patch
        x = noisy.reshape(batch, frames, views, channels, rows // p, p, columns // p, p)
        x = x.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5).flatten(2, 4)
        x = self.patch_in(x)
        x = x + told.token_BTLD.to(x.dtype)
        x = torch.cat([x, self.register_tokens.to(x.dtype).expand(batch, frames, -1, -1)], 2)
        noise = torch.cat(
            [scalar_features(tau_BT, SCALAR_FEATURES), scalar_features(step_B[:, None].expand_as(tau_BT), SCALAR_FEATURES)], -1
        )
        frame_BTD = nn.functional.silu(self.noise(noise.to(self.patch_in.weight.dtype)) + told.frame_BTD)
        steer = self.steer(frame_BTD).unflatten(-1, (9, -1))
        for index, block in enumerate(self.blocks):
            x = block(x, told, steer, past[index] if past is not None else None, keep)
        scale, shift = self.steer_out(frame_BTD)[:, :, None].chunk(2, -1)
        x = self.patch_out(self.norm_out(x[:, :, : -self.size.registers]) * (1 + scale) + shift)
        x = x.unflatten(2, (views, rows // p, columns // p)).unflatten(-1, (channels, p, p))
        return x.permute(0, 1, 2, 5, 3, 6, 4, 7).reshape(noisy.shape)
