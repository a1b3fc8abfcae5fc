"""Which arithmetic a processor is good at."""

from __future__ import annotations

import torch


def multiplies_bf16(device: torch.device) -> bool:
    """Whether bf16 matrix products run natively: most GPUs, and CPUs with AMX tiles."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def inference_autocast(device: torch.device) -> torch.autocast:
    """bf16 where it is native, full precision elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bf16(device))
