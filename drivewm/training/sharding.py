"""Weights, gradients, optimiser and average spread over all processes with FSDP2.

Accelerate's own FSDP2 refuses processors without CUDA, so what two CPU processes can prove would not be what a cluster runs;
`fully_shard` is the same call for both. Whole weights are gathered at the first pass of a step and kept until its way back is
done: shortcut forcing passes a batch through the network up to three times, how often is a matter of chance, and a process
must not wait for a gathering that the others do not need.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from drivewm.training.processes import processes


def without_weights(model: nn.Module) -> nn.Module:
    """A copy of ``model`` whose weights take no memory, to be given whole ones after training."""
    empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, empty)


def shard(model: nn.Module, precision: str) -> None:
    """Spread ``model`` over all processes, in place; every one must hold the same weights before.

    A part that the network names in ``_no_split_modules`` (as diffusers and accelerate have it) is gathered as one.
    """
    state = processes()
    model.to(state.device)
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    parts = [module for module in model.modules() if type(module).__name__ in names]
    dtype = torch.bfloat16 if precision == "bf16" else None
    settings: dict[str, Any] = {
        "mesh": init_device_mesh(state.device.type, (state.num_processes,)),
        "mp_policy": MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False),
        "reshard_after_forward": False,
    }
    for part in [*parts, model]:
        fully_shard(part, **settings)
    for part in [*parts, model]:
        spread = cast(FSDPModule, part)
        spread.set_modules_to_backward_prefetch([spread])  # all is gathered; by default it would guess from the passes it saw


def whole(value: torch.Tensor) -> torch.Tensor:
    """The full tensor of a spread one; all processes must ask for it together."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def own(value: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor, sharing memory."""
    return value.to_local() if isinstance(value, DTensor) else value


def spread_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A full tensor spread as ``like`` is; every process must hold the same one."""
    value = value.to(like.device)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
