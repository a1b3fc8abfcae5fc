"""How much arithmetic work is, and how fast this machine multiplies matrices at best.

Only matrix products, convolutions and attention count, a multiplication and an addition as two. Norms, activations, copies and
layout drawing are no arithmetic here: time they take lowers the share of the peak, as it should.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from drivewm.evaluation.bench.clock import now_s

#: rows, inner and columns: squares from the caches' size to far beyond, and the shapes of a transformer's layers
SHAPES = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4096, 4096, 4096), (8192, 256, 1024), (8192, 1024, 1024))
LARGE_SHAPES = ((8192, 8192, 8192), (16384, 8192, 8192), (16384, 4096, 16384))  # a GPU is slow on the others
PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}


def product_peaks(device: torch.device, seconds: float) -> dict[str, float]:
    """FLOP/s of the fastest matrix product in each precision, over `SHAPES`, with the threads that torch has now.

    Nothing but the product is timed (operands lie there in their precision), the best of as many as fit into ``seconds`` counts:
    a rate that nothing else on this machine will pass.
    """
    shapes = SHAPES + (LARGE_SHAPES if device.type == "cuda" else ())
    return {name: max(_rate(shape, kind, device, seconds) for shape in shapes) for name, kind in PRECISIONS.items()}


def _rate(shape: tuple[int, int, int], kind: torch.dtype, device: torch.device, seconds: float) -> float:
    rows, inner, columns = shape
    a, b = torch.randn(rows, inner, device=device).to(kind), torch.randn(columns, inner, device=device).to(kind)
    out = torch.empty(rows, columns, device=device, dtype=kind)
    repeats = 8 if device.type == "cuda" else 1  # launching is not multiplying
    best, deadline = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < deadline:
        began = now_s(device)
        for _ in range(repeats):
            torch.mm(a, b.t(), out=out)
        best = min(best, (now_s(device) - began) / repeats)
    return 2.0 * rows * inner * columns / best


def counter() -> FlopCounterMode:
    """Counts within ``with``; torch's own leaves out the attention of processors."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

    def forward_flops(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return int(sdpa_flop_count(query, key, value))

    def backward_flops(gradient: Any, query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return int(sdpa_backward_flop_count(gradient, query, key, value))

    return FlopCounterMode(display=False, custom_mapping={attention: forward_flops, backward: backward_flops})


def flops_of(work: Callable[[], object]) -> int:
    """FLOPs of one call."""
    with counter() as counted:
        work()
    return int(counted.get_total_flops())
