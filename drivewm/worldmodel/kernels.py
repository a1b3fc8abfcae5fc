"""The network on chosen kernels: an attention back end of its own, and blocks compiled into fused ones.

A twin shares the weights and nothing else, so that two worlds of the same folder may run on different kernels.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from functools import lru_cache

import torch

from drivewm.worldmodel.backends import backend_named, set_backend
from drivewm.worldmodel.transformer import DriveTransformer

VARIANTS = 4  # of a block, as its past is absent, empty, one frame or any number of them


def twin_on(network: DriveTransformer, attention: str | None = None, compiled: bool = False) -> DriveTransformer:
    """The same weights on other kernels. Raises InputError for an attention back end that is unknown or does not work here.

    Compiling happens at the first frames (half a minute for tiny; the compiler keeps its results on disk). Without a working
    compiler there is a warning and nothing is compiled.
    """
    shared = {id(tensor): tensor for tensor in itertools.chain(network.parameters(), network.buffers())}
    twin = copy.deepcopy(network, shared)
    size = network.size
    set_backend(twin, backend_named(attention, network.device, size.width // size.heads))
    fault = compiler_fault(network.device.type) if compiled else None
    if fault:
        warnings.warn(f"the world model is not compiled: {fault}", stacklevel=3)
    elif compiled:
        # torch counts variants over all blocks together and gives up beyond its limit
        limit = VARIANTS * size.depth + torch._dynamo.config.recompile_limit
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, limit)
        torch._dynamo.config.suppress_errors = True  # a block that does not compile runs as it is
        for block in twin.blocks:
            block.compile()
    return twin


@lru_cache
def compiler_fault(device_type: str) -> str | None:
    """Why nothing can be compiled for this kind of device, found by compiling a line; None when it can."""
    try:
        x = torch.ones(8, device=device_type)
        works = bool((torch.compile(lambda x: (x * 3).sin() + x)(x) == (x * 3).sin() + x).all())
    except Exception as error:  # no C++ compiler, no Triton, an unsupported Python: each raises its own
        return " ".join(str(error).split())[:160] or type(error).__name__
    return None if works else "the compiler computes something else"
