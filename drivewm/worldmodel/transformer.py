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
from drivewm.worldmodel.flow import SMALLEST_STEP
from drivewm.worldmodel.reprojection import Canvas
from drivewm.worldmodel.sizes import WorldModelSize

SCALAR_FEATURES = 16
NOISE_SHOWN = 0.1  # share of pure noise that the network is shown: enough to tell samples apart, too little to drown in
CELL_DEPTH = 4  # convolutions of the head


@dataclass(frozen=True, slots=True)
class Past:
    """What the network kept of the frames already shown, at most ``window`` of them; the first one stays (sink).

    Keys are kept unturned with their times: when a frame leaves, the sink takes its place in time, so that nothing is ever older
    than training has seen, and the others keep their true times at whatever frame rate.
    """

    window: int
    keys: tuple[torch.Tensor, ...] = ()  # one per block that looks back, [B, S, L, heads, d]
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
        kept_s = self.time_s_BS[:, 1:] if full else self.time_s_BS
        return Past(self.window, keys, values, torch.cat([kept_s, told.time_s_BT], 1), latent)

    def twice(self) -> Past:
        """The same B pasts again as rows B to 2 B."""
        if self.time_s_BS is None or self.latent is None:
            return self
        keys, values = (tuple(torch.cat([x, x]) for x in kept) for kept in (self.keys, self.values))
        return Past(self.window, keys, values, torch.cat([self.time_s_BS] * 2), torch.cat([self.latent] * 2))


@dataclass(frozen=True, slots=True)
class Recalled:
    """A past made ready for one new frame: keys turned once serve all denoising steps."""

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    latent: torch.Tensor | None  # of the frame before
    moved: torch.Tensor | None  # features of the frame before where this frame sees its points
    new: dict[
        int, tuple[torch.Tensor, torch.Tensor]
    ]  # each such block's last key and value: what the next frame may look back at


class Block(nn.Module):
    """Attention within the frame, then, where it ``looks_back``, within the past of each position, then an MLP.

    SiLU, since a CPU takes three times as long for GELU.
    """

    def __init__(self, width: int, heads: int, looks_back: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(3))
        self.space, self.time = SpatialAttention(width, heads), TemporalAttention(width, heads) if looks_back else None
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.table = nn.Parameter(torch.randn(9, width) * 0.02)

    def forward(
        self, x: torch.Tensor, told: Embedded, steer_BT9D: torch.Tensor, recalled: Recalled | None, index: int
    ) -> torch.Tensor:
        """``index`` is this block's place in the past: its rank among those that look back."""
        steer = (steer_BT9D + self.table.to(steer_BT9D.dtype))[:, :, :, None].unbind(2)
        x = self._look_around(x, told, steer)
        if self.time is not None:
            h = torch.addcmul(steer[4], self.norms[1](x), 1 + steer[3])
            x = torch.addcmul(x, steer[5], self._look_back(self.time, h, told.time_s_BT, recalled, index))
        h = torch.addcmul(steer[7], self.norms[2](x), 1 + steer[6])
        return torch.addcmul(x, steer[8], self.mlp(h))

    def key_and_value(self, x: torch.Tensor, told: Embedded, steer_BT9D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What later frames may look back at, of a block that looks back; the frame itself goes no further."""
        assert self.time is not None
        steer = (steer_BT9D + self.table.to(steer_BT9D.dtype))[:, :, :, None].unbind(2)
        x = self._look_around(x, told, steer)
        return self.time.project(torch.addcmul(steer[4], self.norms[1](x), 1 + steer[3]))[1:]

    def _look_around(self, x: torch.Tensor, told: Embedded, steer: tuple[torch.Tensor, ...]) -> torch.Tensor:
        h = torch.addcmul(steer[1], self.norms[0](x), 1 + steer[0])
        mixed = self.space(h.flatten(0, 1), told.extra_BTMD.flatten(0, 1).to(h.dtype)).unflatten(0, h.shape[:2])
        return torch.addcmul(x, steer[2], mixed)

    @staticmethod
    def _look_back(
        time: TemporalAttention, h: torch.Tensor, time_s: torch.Tensor, recalled: Recalled | None, index: int
    ) -> torch.Tensor:
        q, k, v = time.project(h)
        since_s = time_s - time_s[:, :1]  # only differences count, and small numbers keep float32 exact hours into a session
        turned_q, turned_k = time.turned(q, since_s), time.turned(k, since_s)
        if recalled is None:
            return time.attend(turned_q, turned_k, v, causal=True)
        recalled.new[index] = (k, v)
        if not recalled.keys:
            return time.attend(turned_q, turned_k, v, causal=False)
        keys, values = torch.cat([recalled.keys[index], turned_k], 1), torch.cat([recalled.values[index], v], 1)
        return time.attend(turned_q, keys, values, causal=False)


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
        self.layout, self.moved = nn.Linear(LAYOUT_CELL, features), nn.Linear(LAYOUT_CELL, features)
        self.seen = nn.Linear(2 * size.latent_channels, features)
        self.norms = nn.ModuleList(nn.LayerNorm(features, elementwise_affine=False, eps=1e-6) for _ in range(CELL_DEPTH))
        self.convolutions = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(CELL_DEPTH))
        self.steer, self.out = nn.Linear(size.steer_width, 2 * CELL_DEPTH * features), nn.Linear(features, size.latent_channels)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(
        self, token_BTLD: torch.Tensor, seen: torch.Tensor, cells: tuple[torch.Tensor, torch.Tensor], frame_BTE: torch.Tensor
    ) -> torch.Tensor:
        """Latents [B, T, V, C, h, w] for ``seen``, the noisy latents and those of the frame before [B, T, V, 2 C, h, w].

        ``cells`` [B, T, V, h, w, LAYOUT_CELL] are features of the layout, and of the frame before where this one sees its points.
        """
        layout, moved = cells
        batch, frames, views, _, rows, columns = seen.shape
        p = self.patch
        x = self.token(token_BTLD).view(batch, frames, views, rows // p, columns // p, p, p, self.features)
        x = x.transpose(4, 5).reshape(batch, frames, views, rows, columns, self.features)
        x = x + self.layout(layout.to(x.dtype)) + self.moved(moved.to(x.dtype)) + self.seen(seen.movedim(3, -1).to(x.dtype))
        steer = self.steer(frame_BTE)[:, :, None, None, None].chunk(2 * CELL_DEPTH, -1)
        for index, convolution in enumerate(self.convolutions):
            h = nn.functional.silu(torch.addcmul(steer[2 * index + 1], self.norms[index](x), 1 + steer[2 * index]))
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
        self.blocks = nn.ModuleList(
            Block(width, s.heads, looks_back=index % s.time_every == s.time_every - 1 or index == s.depth - 1)
            for index in range(s.depth)
        )
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.steer_out, self.head = nn.Linear(s.steer_width, 2 * width), CellHead(s)
        self.canvas, self.moved_in = Canvas(s, LAYOUT_CELL), nn.Linear(LAYOUT_CELL * s.patch**2, width)
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
        """``past`` as the frame described by ``told`` sees it."""
        if past.time_s_BS is None:
            return Recalled((), (), None, None, {})
        since_s = past.time_s_BS - told.time_s_BT
        layers = [block.time for block in cast(list[Block], self.blocks) if block.time is not None]
        keys = tuple(layer.turned(key, since_s) for layer, key in zip(layers, past.keys, strict=True))
        moved = None if past.latent is None else self.canvas(past.latent, told.sightlines)
        return Recalled(keys, past.values, past.latent, moved, {})

    def forward(
        self, noisy: torch.Tensor, tau_BT: torch.Tensor, step_B: torch.Tensor, told: Embedded, recalled: Recalled | None = None
    ) -> torch.Tensor:
        """Clean latents [B, T, V, C, h, w] for ``noisy`` ones at flow time ``tau`` (0 noise, 1 clean) and step size ``step``.

        With ``recalled`` (from `recall`) T is 1 and the frame looks at the past; its own keys and values are taken down there.
        """
        x, seen, moved, frame_BTE = self._enter(noisy, tau_BT, step_B, told, recalled)
        steer = self.steer(frame_BTE).unflatten(-1, (9, -1))
        again = self.gradient_checkpointing and torch.is_grad_enabled() and recalled is None
        for index, block in enumerate(self.blocks):
            part = (block, x, told, steer, recalled, index // self.size.time_every)
            x = self._gradient_checkpointing_func(*part) if again else block(*part[1:])
        scale, shift = self.steer_out(frame_BTE)[:, :, None].chunk(2, -1)
        x = torch.addcmul(shift, self.norm_out(x[:, :, : -self.size.registers]), 1 + scale)
        known, unknown = best_linear_guess(tau_BT)
        return known * noisy + unknown * self.head(x, seen, (told.cell_BTVhwE, moved), frame_BTE)

    def remember(self, latent: torch.Tensor, told: Embedded, recalled: Recalled) -> None:
        """Take down in ``recalled`` what later frames look back at in this clean one [B, 1, V, C, h, w], and compute no more."""
        batch = len(latent)
        clean, smallest = latent.new_ones(batch, 1), latent.new_full((batch,), SMALLEST_STEP)
        x, _, _, frame_BTE = self._enter(latent, clean, smallest, told, recalled)
        steer, last = self.steer(frame_BTE).unflatten(-1, (9, -1)), len(self.blocks) - 1
        for index, block in enumerate(cast(list[Block], self.blocks[:-1])):
            x = block(x, told, steer, recalled, index // self.size.time_every)
        final = cast(Block, self.blocks[last])
        recalled.new[last // self.size.time_every] = final.key_and_value(x, told, steer)

    def _enter(
        self, noisy: torch.Tensor, tau_BT: torch.Tensor, step_B: torch.Tensor, told: Embedded, recalled: Recalled | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens [B, T, L + registers, D]; and for the head: latents seen, features moved, the steering of frames."""
        if recalled is not None and noisy.shape[1] != 1:
            raise ValueError(f"{noisy.shape[1]} frames on a recalled past would see each other's future; show them one by one")
        known, _ = best_linear_guess(tau_BT)
        if recalled is None or recalled.latent is None:
            before, tau_before_BT = self._frame_before(noisy, tau_BT)
            moved = self.canvas(before, told.sightlines)
        else:
            before, tau_before_BT, moved = recalled.latent.to(noisy.dtype), torch.ones_like(tau_BT), recalled.moved
        seen = torch.cat([noisy * (known + NOISE_SHOWN * (1 - known)), before], 3)
        x = self.patch_in(self._tokens(seen.movedim(3, -1))) + self.moved_in(self._tokens(moved.to(seen.dtype)))
        x = x + told.token_BTLD.to(x.dtype)
        x = torch.cat([x, self.register_tokens.to(x.dtype).expand(*x.shape[:2], -1, -1)], 2)
        scalars = (tau_BT, step_B[:, None].expand_as(tau_BT), tau_before_BT)
        noise = torch.cat([scalar_features(value, SCALAR_FEATURES) for value in scalars], -1)
        frame_BTE = self.narrow(nn.functional.silu(self.noise(noise.to(self.patch_in.weight.dtype)) + told.frame_BTD))
        return x, seen, moved, frame_BTE

    def _tokens(self, cells: torch.Tensor) -> torch.Tensor:
        """Cells [B, T, V, h, w, E] gathered into image tokens [B, T, L, E * patch * patch]."""
        p = self.size.patch
        pieces = cells.unflatten(4, (-1, p)).unflatten(3, (-1, p))  # [B, T, V, rows, p, columns, p, E]
        return pieces.permute(0, 1, 2, 3, 5, 7, 4, 6).flatten(5).flatten(2, 4)

    @staticmethod
    def _frame_before(noisy: torch.Tensor, tau_BT: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What can be known of each frame's predecessor, and its flow time; zeros and 0 for the first."""
        before, tau = torch.zeros_like(noisy), torch.zeros_like(tau_BT)
        before[:, 1:], tau[:, 1:] = noisy[:, :-1], tau_BT[:, :-1]
        return before * best_linear_guess(tau)[0], tau
