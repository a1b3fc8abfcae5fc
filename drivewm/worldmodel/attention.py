"""Attention over the cameras of one frame and over the past of one position, through diffusers' dispatcher.

Which kernel runs (native, flash, xformers) is the network's own setting, see `drivewm.worldmodel.backends`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from drivewm.worldmodel.backends import NATIVE, Backend, attend


def normed(x: torch.Tensor) -> torch.Tensor:
    """Each head's features at unit variance, which keeps the softmax in range at low precision (layer norm has a fast kernel)."""
    return nn.functional.layer_norm(x, x.shape[-1:])


class SpatialAttention(nn.Module):
    """Every token of a frame looks at all tokens of all cameras of that frame and at the frame's condition tokens."""

    backend: Backend = NATIVE

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.all_cameras: Callable[[torch.Tensor], torch.Tensor] | None = None  # where processes share them: `parallel`

    def forward(self, x_NLD: torch.Tensor, condition_NMD: torch.Tensor) -> torch.Tensor:
        width = x_NLD.shape[-1]
        q, k, v = self.qkv(x_NLD).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        if self.all_cameras is not None:
            k, v = self.all_cameras(torch.stack([k, v])).unbind()
        kv = nn.functional.linear(condition_NMD, self.qkv.weight[width:], self.qkv.bias[width:])
        k_condition, v_condition = kv.unflatten(-1, (2, self.heads, -1)).unbind(-3)
        k, v = torch.cat([k, k_condition], 1), torch.cat([v, v_condition], 1)
        return self.out(attend(normed(q), normed(k), v, self.backend).flatten(-2))


class TemporalAttention(nn.Module):
    """Every position looks at its own past. Rotary angles come from seconds, so the frame rate may change."""

    backend: Backend = NATIVE

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        pairs = width // heads // 2
        self.register_buffer("rate_radps", 2.0 * torch.pi / torch.logspace(-0.5, 1.5, pairs), persistent=False)

    rate_radps: torch.Tensor

    def project(self, x_BTLD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys (not yet turned) and values [B, T, L, heads, width / heads]."""
        q, k, v = self.qkv(x_BTLD).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return normed(q), normed(k), v

    def turned(self, x_BTLHd: torch.Tensor, time_s_BT: torch.Tensor) -> torch.Tensor:
        """Rotary position: feature pairs turned by an angle proportional to time."""
        angle = time_s_BT.float()[..., None] * self.rate_radps.float()
        cos, sin = (f(angle)[:, :, None, None, :].to(x_BTLHd.dtype) for f in (torch.cos, torch.sin))
        a, b = x_BTLHd.chunk(2, -1)
        return torch.cat([torch.addcmul(a * cos, b, sin, value=-1.0), torch.addcmul(b * cos, a, sin)], -1)

    def attend(self, q_BTLHd: torch.Tensor, k_BSLHd: torch.Tensor, v_BSLHd: torch.Tensor, causal: bool) -> torch.Tensor:
        """Mixed values [B, T, L, D]; queries and keys are already turned."""
        if v_BSLHd.shape[1] == 1:  # nobody but itself to look at
            return self.out(v_BSLHd.flatten(-2))
        q, k, v = (x.transpose(1, 2) for x in (q_BTLHd, k_BSLHd, v_BSLHd))
        return self.out(attend(q, k, v, self.backend, causal).transpose(1, 2).flatten(-2))
