"""Context parallel: the processes of a team each hold some of a rig's cameras, of every frame.

Everything but spatial attention stays within a camera, also the past, so only its keys and values travel: each process asks
with its own cameras' tokens and looks at all of them. What belongs to the whole frame (registers, boxes, lines, motion, sky) is
computed by each. The answer is put together again, so a loss sees what one process would have made. Every exchange on the way
forward is the sum of what all say of it on the way back; the loss stands in every process, so the mean of the gradients over
all processes is the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from drivewm.errors import InputError
from drivewm.worldmodel.attention import SpatialAttention
from drivewm.worldmodel.transformer import DriveTransformer

#: conditions that each camera has of its own, [B, T, V, ...]
OF_CAMERAS = ("label", "log_depth", "paint", "lost", "intrinsics", "ego_from_camera")
CAMERA_AXIS = 2


class Team:
    """Neighbouring processes that work on the same clips."""

    def __init__(self, size: int) -> None:
        """All processes must make their teams together. Raises InputError if they cannot be divided so."""
        if dist.get_world_size() % size:
            raise InputError(f"{dist.get_world_size()} processes do not make teams of {size}")
        self.group, _ = dist.new_subgroups(size)
        self.size, self.rank = size, dist.get_rank(self.group)

    def __deepcopy__(self, memo: dict[int, Any]) -> Team:
        return self

    def mine(self, x: torch.Tensor, axis: int = CAMERA_AXIS) -> torch.Tensor:
        """This process's cameras."""
        if x.shape[axis] % self.size:
            raise InputError(
                f"{x.shape[axis]} cameras cannot be shared by {self.size} processes", hint="choose another --context"
            )
        return x.chunk(self.size, axis)[self.rank]

    def joined(self, x: torch.Tensor, axis: int = CAMERA_AXIS) -> torch.Tensor:
        """All processes' cameras, in order."""
        whole: torch.Tensor = _Gathered.apply(x, axis, self)  # type: ignore[no-untyped-call]
        return whole


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, axis: int, team: Team) -> torch.Tensor:
        ctx.axis, ctx.team = axis, team
        mine = x.movedim(axis, 0).contiguous()
        whole = mine.new_empty(team.size * len(mine), *mine.shape[1:])
        dist.all_gather_into_tensor(whole, mine, team.group)
        return whole.movedim(0, axis)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        whole = grads[0].movedim(ctx.axis, 0).contiguous()
        mine = whole.new_empty(len(whole) // ctx.team.size, *whole.shape[1:])
        dist.reduce_scatter_tensor(mine, whole, group=ctx.team.group)
        return mine.movedim(0, ctx.axis), None, None


class _AllCameras:
    """Keys and values [2, N, L, heads, d] of all cameras' tokens; the registers behind them are everyone's."""

    def __init__(self, team: Team, registers: int) -> None:
        self.team, self.registers = team, registers

    def __call__(self, kv: torch.Tensor) -> torch.Tensor:
        tokens, registers = kv.split([kv.shape[2] - self.registers, self.registers], 2)
        return torch.cat([self.team.joined(tokens), registers], 2)


@contextmanager
def cameras_shared(model: nn.Module, context: int) -> Iterator[None]:
    """While open, ``model(noisy, tau, step, told, drop)`` around a `DriveTransformer` runs on teams of ``context`` processes.

    Each process gives whole inputs, the same in a team, and receives the whole answer; weights and their names do not change.
    """
    if context == 1:
        yield
        return
    team = Team(context)
    network = next(module for module in model.modules() if isinstance(module, DriveTransformer))
    attentions = [module for module in network.modules() if isinstance(module, SpatialAttention)]

    def mine(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        noisy, tau, step, told, drop = given
        return team.mine(noisy), tau, step, _told(told, team), drop

    hooks = [
        model.register_forward_pre_hook(mine),
        model.register_forward_hook(lambda _, __, answer: team.joined(answer).contiguous()),
    ]
    for attention in attentions:
        attention.all_cameras = _AllCameras(team, network.size.registers)
    try:
        yield
    finally:
        for attention in attentions:
            attention.all_cameras = None
        for hook in hooks:
            hook.remove()


def _told(told: Mapping[str, torch.Tensor], team: Team) -> dict[str, torch.Tensor]:
    return {key: team.mine(value) if key in OF_CAMERAS else value for key, value in told.items()}
