"""The world model's network: space-time-factorised, causal in time, over all cameras at once.

A frame's tokens first look at each other across cameras, then each at its own past, then pass an MLP; the flow time, the step
size, ego motion, weather and light steer the norms (adaLN-single: one shared modulation plus a learned table per block).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn

from drivewm.worldmodel.attention import SpatialAttention, TemporalAttention
from drivewm.worldmodel.embedding import LAYOUT_CELL, ConditionEmbedding, Drop, Embedded, mlp, scalar_features
from drivewm.worldmodel.sizes import WorldModelSize

SCALAR_FEATURES = 16
NOISE_SHOWN = 0.1  # share of pure noise that the network is shown: enough to tell samples apart, too little to drown in
CELL_DEPTH = 4  # convolutions of the head


@dataclass(frozen=True, slots=True)
class Past:
    """What the network kept of the frames already shown, at most ``window`` of them; the first one stays (sink).

    Keys are kept unturned with their times, so that the sink's age can be held at what training has seen.
    """

    window: int
    keys: tuple[torch.Tensor, ...] = ()  # one per block, [B, S, L, heads, d]
    values: tuple[torch.Tensor, ...] = ()
    time_s_BS: torch.Tensor | None = None
    latent: torch.Tensor | None = None  # of the last frame, [B, 1, V, C, h, w]

    def with_frame(self, told: Embedded, latent: torch.Tensor, frame: Recalled) -> Past:
        """The past that also holds the frame whose keys and values ``frame`` has taken down."""
        new_keys, new_values = zip(*(frame.new[index] for index in sorted(frame.new)), strict=True)
        if self.time_s_BS is None:
            return Past(self.window, new_keys, new_values, told.time_s_BT, latent)
        full = self.time_s_BS.shape[1] == self.window

        def joined(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            return torch.cat([old[:, :1], old[:, 2:], new] if full else [old, new], 1)

        keys = tuple(joined(*pair) for pair in zip(self.keys, new_keys, strict=True))
        values = tuple(joined(*pair) for pair in zip(self.values, new_values, strict=True))
        return Past(self.window, keys, values, joined(self.time_s_BS, told.time_s_BT), latent)


@dataclass(frozen=True, slots=True)
class Recalled:
    """A past made ready for one new frame: keys turned once serve all denoising steps."""

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    latent: torch.Tensor | None
    new: dict[int, tuple[torch.Tensor, torch.Tensor]]  # each block's last key and value: what the next frame may look back at


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(3))
        self.space, self.time = SpatialAttention(width, heads), TemporalAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.table = nn.Parameter(torch.randn(9, width) * 0.02)

    def forward(
        self, x: torch.Tensor, told: Embedded, steer_BT9D: torch.Tensor, recalled: Recalled | None, index: int
    ) -> torch.Tensor:
        steer = (steer_BT9D + self.table.to(steer_BT9D.dtype))[:, :, :, None].unbind(2)
        h = self.norms[0](x) * (1 + steer[0]) + steer[1]
        frames = h.shape[:2]
        mixed = self.space(h.flatten(0, 1), told.extra_BTMD.flatten(0, 1).to(h.dtype)).unflatten(0, frames)
        x = x + steer[2] * mixed
        h = self.norms[1](x) * (1 + steer[3]) + steer[4]
        x = x + steer[5] * self._look_back(h, told.time_s_BT, recalled, index)
        h = self.norms[2](x) * (1 + steer[6]) + steer[7]
        return x + steer[8] * self.mlp(h)

    def _look_back(self, h: torch.Tensor, time_s: torch.Tensor, recalled: Recalled | None, index: int) -> torch.Tensor:
        q, k, v = self.time.project(h)
        turned_q, turned_k = self.time.turned(q, time_s), self.time.turned(k, time_s)
        if recalled is None:
            return self.time.attend(turned_q, turned_k, v, causal=True)
        recalled.new[index] = (k, v)
        if not recalled.keys:
            return self.time.attend(turned_q, turned_k, v, causal=False)
        keys, values = torch.cat([recalled.keys[index], turned_k], 1), torch.cat([recalled.values[index], v], 1)
        return self.time.attend(turned_q, keys, values, causal=False)


def best_linear_guess(tau_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The factor [B, T, 1, 1, 1, 1] that makes a noisy latent of unit variance the best linear guess of the clean one, and the
    deviation of what is left to say: the network only adds that (preconditioning of Karras et al. 2022, for a flow)."""
    power = tau_BT**2 + (1.0 - tau_BT) ** 2
    wide = (..., None, None, None, None)
    return (tau_BT / power)[wide], ((1.0 - tau_BT) / power.sqrt())[wide]


class CellHead(nn.Module):
    """Tokens to latents: what a token says of its cells, then the cells' own layout and their neighbours.

    A token covers 16 x 16 px at tiny; lane paint, lamps and people are smaller, and convolutions learn them
    from far fewer frames.
    """

    def __init__(self, size: WorldModelSize) -> None:
        super().__init__()
        width, features = size.width, size.cell_width
        self.patch, self.features = size.patch, features
        self.token = nn.Linear(width, features * size.patch**2)
        self.layout, self.seen = nn.Linear(LAYOUT_CELL, features), nn.Linear(2 * size.latent_channels, features)
        self.norms = nn.ModuleList(nn.LayerNorm(features, elementwise_affine=False, eps=1e-6) for _ in range(CELL_DEPTH))
        self.convolutions = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(CELL_DEPTH))
        self.steer, self.out = nn.Linear(size.steer_width, 2 * CELL_DEPTH * features), nn.Linear(features, size.latent_channels)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(
        self, token_BTLD: torch.Tensor, seen: torch.Tensor, layout: torch.Tensor, frame_BTE: torch.Tensor
    ) -> torch.Tensor:
        """Latents [B, T, V, C, h, w] for ``seen``, the noisy latents and those of the frame before [B, T, V, 2 C, h, w]."""
        batch, frames, views, _, rows, columns = seen.shape
        p = self.patch
        x = self.token(token_BTLD).view(batch, frames, views, rows // p, columns // p, p, p, self.features)
        x = x.transpose(4, 5).reshape(batch, frames, views, rows, columns, self.features)
        x = x + self.layout(layout.to(x.dtype)) + self.seen(seen.movedim(3, -1).to(x.dtype))
        steer = self.steer(frame_BTE)[:, :, None, None, None].chunk(2 * CELL_DEPTH, -1)
        for index, convolution in enumerate(self.convolutions):
            h = nn.functional.silu(self.norms[index](x) * (1 + steer[2 * index]) + steer[2 * index + 1])
            h = convolution(h.flatten(0, 2).movedim(-1, 1)).movedim(1, -1)
            x = x + h.unflatten(0, (batch, frames, views))
        latents: torch.Tensor = self.out(x).movedim(-1, 3)
        return latents


class DriveTransformer(ModelMixin, ConfigMixin):
    """Predicts clean latents from noised ones (x-prediction), given conditions and the causal past."""

    _supports_gradient_checkpointing = True
    _no_split_modules = ("Block",)
    gradient_checkpointing = False  # each block's inside is computed again on the way back instead of kept

    @register_to_config
    def __init__(self, size: dict[str, Any]) -> None:
        super().__init__()
        kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in size.items()}
        self.size = WorldModelSize(**kept)
        s, width = self.size, self.size.width
        self.patch_in, self.conditions = nn.Linear(2 * s.latent_channels * s.patch**2, width), ConditionEmbedding(s)
        self.register_tokens = nn.Parameter(torch.randn(s.registers, width) * 0.02)
        self.noise, self.narrow = mlp(3 * SCALAR_FEATURES, width), nn.Linear(width, s.steer_width)
        self.steer = nn.Linear(s.steer_width, 9 * width)
        self.blocks = nn.ModuleList(Block(width, s.heads) for _ in range(s.depth))
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.steer_out, self.head = nn.Linear(s.steer_width, 2 * width), CellHead(s)
        for layer in (self.steer, self.steer_out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def of_size(cls, size: WorldModelSize) -> DriveTransformer:
        return cls(asdict(size))

    def embed(self, told: Mapping[str, torch.Tensor], drop: Drop | None = None) -> Embedded:
        """Conditions once per frame; they serve all denoising steps."""
        embedded: Embedded = self.conditions(told, drop or {})
        return embedded

    def recall(self, past: Past, told: Embedded) -> Recalled:
        """``past`` as the frame described by ``told`` sees it: nothing is older than the window."""
        if past.time_s_BS is None:
            return Recalled((), (), None, {})
        now = told.time_s_BT
        oldest = now - past.window * (now - past.time_s_BS[:, -1:])
        times = torch.maximum(past.time_s_BS, oldest)
        blocks = cast(list[Block], self.blocks)
        keys = tuple(block.time.turned(key, times) for block, key in zip(blocks, past.keys, strict=True))
        return Recalled(keys, past.values, past.latent, {})

    def forward(
        self, noisy: torch.Tensor, tau_BT: torch.Tensor, step_B: torch.Tensor, told: Embedded, recalled: Recalled | None = None
    ) -> torch.Tensor:
        """Clean latents [B, T, V, C, h, w] for ``noisy`` ones at flow time ``tau`` (0 noise, 1 clean) and step size ``step``.

        With ``recalled`` (from `recall`) T is 1 and the frame looks at the past; its own keys and values are taken down there.
        """
        batch, frames, views, _, rows, columns = noisy.shape
        p = self.size.patch
        before, tau_before_BT = self._frame_before(noisy, tau_BT, recalled)
        known, unknown = best_linear_guess(tau_BT)
        known_before, _ = best_linear_guess(tau_before_BT)
        seen = torch.cat([noisy * (known + NOISE_SHOWN * (1 - known)), before * known_before], 3)
        x = seen.reshape(batch, frames, views, -1, rows // p, p, columns // p, p)
        x = self.patch_in(x.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5).flatten(2, 4))
        x = x + told.token_BTLD.to(x.dtype)
        x = torch.cat([x, self.register_tokens.to(x.dtype).expand(batch, frames, -1, -1)], 2)
        scalars = (tau_BT, step_B[:, None].expand_as(tau_BT), tau_before_BT)
        noise = torch.cat([scalar_features(value, SCALAR_FEATURES) for value in scalars], -1)
        frame_BTE = self.narrow(nn.functional.silu(self.noise(noise.to(self.patch_in.weight.dtype)) + told.frame_BTD))
        steer = self.steer(frame_BTE).unflatten(-1, (9, -1))
        again = self.gradient_checkpointing and torch.is_grad_enabled() and recalled is None
        for index, block in enumerate(self.blocks):
            part = (block, x, told, steer, recalled, index)
            x = self._gradient_checkpointing_func(*part) if again else block(*part[1:])
        scale, shift = self.steer_out(frame_BTE)[:, :, None].chunk(2, -1)
        x = self.norm_out(x[:, :, : -self.size.registers]) * (1 + scale) + shift
        return known * noisy + unknown * self.head(x, seen, told.cell_BTVhwE, frame_BTE)

    @staticmethod
    def _frame_before(noisy: torch.Tensor, tau_BT: torch.Tensor, recalled: Recalled | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Each frame's predecessor as it was shown, and its flow time; zeros and 0 at the start."""
        if recalled is None:
            before, tau = torch.zeros_like(noisy), torch.zeros_like(tau_BT)
            before[:, 1:], tau[:, 1:] = noisy[:, :-1], tau_BT[:, :-1]
            return before, tau
        if recalled.latent is None:
            return torch.zeros_like(noisy), torch.zeros_like(tau_BT)
        return recalled.latent.to(noisy.dtype), torch.ones_like(tau_BT)
