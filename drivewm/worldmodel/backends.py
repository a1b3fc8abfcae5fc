"""Which kernels attention runs on: diffusers' back ends by name, each tried on this device before it is trusted.

diffusers' own switches (DIFFUSERS_ATTN_BACKEND, `attention_backend`, `set_attention_backend`) are global to the process and
looked at by nobody before a kernel fails or, worse, ignores what it does not know. Here every network carries its own back end,
and what one is asked for goes through `attend` alone. The traps behind each line are listed in DECISIONS 37.
"""

from __future__ import annotations

import os
import warnings
from typing import TypeAlias

import torch
from diffusers.models.attention_dispatch import (
    _HUB_KERNELS_REGISTRY,
    AttentionBackendName,
    _AttentionBackendRegistry,
    _check_attention_backend_requirements,
    dispatch_attention_fn,
)
from torch import nn

from drivewm.config import ATTENTION_VARIABLE
from drivewm.errors import InputError, did_you_mean
from drivewm.worldmodel.precision import multiplies_bf16

Backend: TypeAlias = AttentionBackendName
NATIVE: Backend = AttentionBackendName.NATIVE
MOST_ROWS = 65_535  # CUDA's largest grid in y and z: flash, xformers and torch's efficient kernel lay the batch there
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
#: what the network asks for: name -> (queries, keys, causal)
USES = {
    "causal attention over a clip": (8, 8, True),
    "one query on its past": (1, 7, False),
    "tokens on cameras and conditions": (148, 182, False),
}


def attend(
    q_NTHd: torch.Tensor, k_NSHd: torch.Tensor, v_NSHd: torch.Tensor, backend: Backend = NATIVE, causal: bool = False
) -> torch.Tensor:
    """Values mixed by attention [..., T, heads, d], for any leading axes; ``causal`` needs as many queries as keys.

    Native on a CPU are two batched products: our sequences are short (8 frames, 180 tokens), and kernels made for long ones take
    two to three times as long for them, forward and backward.
    """
    if causal and q_NTHd.shape[-3] != k_NSHd.shape[-3]:
        raise ValueError("causal attention with fewer queries than keys: back ends disagree on which keys are the past")
    q, k, v = q_NTHd.to(v_NSHd.dtype), k_NSHd.to(v_NSHd.dtype), v_NSHd  # autocast on GPUs leaves the normed ones in float32
    if backend == NATIVE and q.device.type == "cpu":
        return _products(q, k, v, causal)
    rows = tuple(x.flatten(0, -4) for x in (q, k, v))
    parts = [
        dispatch_attention_fn(*(x[first : first + MOST_ROWS] for x in rows), is_causal=causal, backend=backend)
        for first in range(0, len(rows[0]), MOST_ROWS)
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(q.shape)


def _products(q_NTHd: torch.Tensor, k_NSHd: torch.Tensor, v_NSHd: torch.Tensor, causal: bool) -> torch.Tensor:
    q, k, v = (x.transpose(-3, -2) for x in (q_NTHd, k_NSHd, v_NSHd))
    score = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if causal:
        later = torch.ones(score.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        score = score.masked_fill(later, -torch.inf)
    return (score.softmax(-1) @ v).transpose(-3, -2)


def backend_names() -> list[str]:
    """Names that diffusers knows, usable here or not."""
    return [Backend(name).value for name in _AttentionBackendRegistry.list_backends()]


def fault_of(
    name: str, device: torch.device, dtype: torch.dtype = torch.float32, head_width: int = 64, training: bool = False
) -> str | None:
    """Why a back end cannot be used on ``device``, found by running it on what the network asks for; None when it can.

    For ``training`` its gradients are compared as well.
    """
    backend = Backend(name)
    if backend in _HUB_KERNELS_REGISTRY:
        return "it fetches its code from the network"
    generator = torch.Generator().manual_seed(0)
    try:
        _check_attention_backend_requirements(backend)
        with warnings.catch_warnings(), torch.set_grad_enabled(training):
            warnings.simplefilter("ignore")
            for use, (queries, keys, causal) in USES.items():
                shapes = ((4, length, 2, head_width) for length in (queries, keys, keys))
                given = [torch.randn(shape, generator=generator).to(device, dtype).requires_grad_(training) for shape in shapes]
                exact = _answers([x.float() for x in given], given, Backend._NATIVE_MATH, causal)
                answer = _answers(given, given, backend, causal)
                error = max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(answer, exact, strict=True))
                if not error <= TOLERANCE[dtype]:
                    return f"it is wrong by {error:.1g} on {use}"
    except Exception as error:  # kernels and their wrappers raise every kind of error
        return " ".join(str(error).split())[:160] or type(error).__name__
    return None


def _answers(qkv: list[torch.Tensor], given: list[torch.Tensor], backend: Backend, causal: bool) -> list[torch.Tensor]:
    """Mixed values and, where gradients are on, how their squares change with what was ``given``."""
    q, k, v = qkv
    mixed = attend(q, k, v, backend, causal).float()
    slopes = torch.autograd.grad(mixed.square().sum(), given) if torch.is_grad_enabled() else ()
    return [mixed.detach(), *(slope.float() for slope in slopes)]


def usable_backends(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[str, str | None]:
    """Every back end with what is wrong with it here, or None."""
    return {name: fault_of(name, device, dtype) for name in backend_names()}


def backend_named(
    name: str | None = None, device: torch.device | None = None, head_width: int = 64, training: bool = False
) -> Backend:
    """The back end of that name; by default the environment's ($DRIVEWM_ATTENTION), else native.

    Raises InputError for a name that diffusers does not know, and for one that does not work here at the precision used.
    """
    name = name or os.environ.get(ATTENTION_VARIABLE) or NATIVE.value
    known = backend_names()
    if name not in known:
        raise InputError(f"unknown attention back end {name!r}", hint=did_you_mean(name, known) or "`drivewm doctor` lists them")
    if name == NATIVE.value:
        return NATIVE
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fault = fault_of(name, device, torch.bfloat16 if multiplies_bf16(device) else torch.float32, head_width, training)
    if fault:
        raise InputError(f"attention back end {name!r} cannot be used here: {fault}", hint="`drivewm doctor` lists others")
    return Backend(name)


def use_for_all(name: str) -> None:
    """Make ``name`` the default of this process and of those it starts. Raises InputError as `backend_named` does."""
    os.environ[ATTENTION_VARIABLE] = backend_named(name).value


def set_backend(network: nn.Module, backend: Backend) -> None:
    """Let every attention of ``network`` run on ``backend``; other networks keep theirs."""
    for module in network.modules():
        if hasattr(module, "backend"):
            module.backend = backend
