"""One training step on tensors without contents: how many operations it takes and how many bytes are alive at once.

The very network runs forward and back, so the figures follow it; only shapes are computed, so a network of any size costs a few
seconds and no memory. A storage counts from the operation that makes it until nothing holds it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from drivewm.training.loop import recompute_blocks
from drivewm.training.worldmodel import EmbedAndDenoise
from drivewm.worldmodel.attention import SpatialAttention
from drivewm.worldmodel.backends import NATIVE, Backend, set_backend
from drivewm.worldmodel.flow import FlowOptions
from drivewm.worldmodel.sizes import WorldModelSize
from drivewm.worldmodel.transformer import DriveTransformer

FP32 = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """What one process works on at a time."""

    size: WorldModelSize
    clips: int
    cameras: int  # of the rig
    context: int = 1  # processes that share them
    checkpointing: bool = False
    bf16: bool = True
    flash: bool = True  # attention keeps no scores, as on GPUs; a CPU's two products do


@dataclass(frozen=True, slots=True)
class Counted:
    parameters: int
    flop: float  # of one process for one piece: forward, back, what is computed again, and the two half steps of shortcut rows
    activation_bytes: int  # most alive at once besides weights, moments, average and gradients; with bf16 copies of the weights
    peak_bytes: int  # most alive at once besides weights, moments and average


def count(piece: Piece) -> Counted:
    """Counts a step of clips of the size's window that bring their images as well, which single frames do in turn."""
    size = piece.size
    with FakeTensorMode():
        model = EmbedAndDenoise(DriveTransformer.of_size(size)).train()
        set_backend(model, Backend._NATIVE_FLASH if piece.flash else NATIVE)
        if piece.checkpointing:
            recompute_blocks(model)
        if piece.context > 1:
            for attention in (part for part in model.modules() if isinstance(part, SpatialAttention)):
                attention.all_cameras = _as_if_gathered(size.registers, piece.context)
        weights: list[torch.Tensor] = list(model.parameters())
        alive, operations = _Alive(weights), _Operations()
        with operations, alive:
            noisy, tau, step, told, drop, target, weight = _inputs(piece)
            with torch.no_grad(), _autocast(piece):
                model(noisy, tau, step, told, drop)
            forward = operations.flop
            with _autocast(piece):
                predicted, canvas = model(noisy, tau, step, told, drop)
                error = (predicted.float() - target) ** 2
                loss = (error * weight).mean((2, 3, 4, 5)).mean() + canvas
            loss.backward()
    shortcut = 2 * FlowOptions().bootstrap_share * forward
    flop = operations.flop - forward + shortcut
    return Counted(sum(w.numel() for w in weights), flop, alive.most_without_gradients, alive.most)


class _Operations(TorchDispatchMode):
    """Operations of matrix products, convolutions and attention, by torch's formulas.

    Not torch's counter: what passes through its hooks stays alive until Python collects garbage, and that would be counted too.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flop = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func._overloadpacket)
        if formula is not None:
            self.flop += formula(*args, **(kwargs or {}), out_val=out)
        return out


class _Alive(TorchDispatchMode):
    """Bytes of the storages made under it that something still holds, and the most there were."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.gradients = self.most = self.most_without_gradients = 0
        self._known = {weight.untyped_storage()._cdata for weight in weights}
        for weight in weights:
            weight.register_post_accumulate_grad_hook(self._has_gradient)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, torch.Tensor):
                self._made(value.untyped_storage())
        return out

    def _made(self, storage: Any) -> None:
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        self.most_without_gradients = max(self.most_without_gradients, self.now - self.gradients)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def _has_gradient(self, weight: torch.Tensor) -> None:
        assert weight.grad is not None
        self.gradients += weight.grad.untyped_storage().nbytes()


def _inputs(piece: Piece) -> tuple[Any, ...]:
    """What the network is given for one piece, and what its answer is compared with. Packed conditions have these types."""
    size, views = piece.size, piece.cameras // piece.context
    lead, (height, width) = (piece.clips, size.window), size.size_px
    raster = (*lead, views, height, width)
    told = {name: torch.empty(raster, dtype=torch.uint8) for name in ("label", "log_depth", "paint")}
    told |= {name: torch.empty(lead, dtype=torch.int64) for name in ("weather", "light")}
    told |= {
        "images": torch.empty(*raster, 3, dtype=torch.uint8),
        "untold_layout": torch.empty(lead, dtype=torch.bool),
        "lost": torch.empty(raster[:3], dtype=torch.bool),
        "motion": torch.empty(*lead, 6),
        "sun": torch.empty(*lead, 2),
        "boxes": torch.empty(*lead, size.max_agents, 9),
        "polylines": torch.empty(*lead, size.max_polylines, size.polyline_points, 3),
        "intrinsics": torch.empty(*lead, views, 3, 3),
        "ego_from_camera": torch.empty(*lead, views, 4, 4),
        "time_s": torch.empty(lead),
    }
    drop = {name: torch.empty(piece.clips, dtype=torch.bool) for name in ("layout", "boxes", "polylines")}
    latent = (size.latent_channels, height // size.downsampling, width // size.downsampling)
    clean, noise, noisy = (torch.empty(*lead, views, *latent) for _ in range(3))
    weight = torch.empty(*lead, views, 1, *latent[1:])
    told["latent"], told["noise"] = clean.bfloat16(), noise  # alive all the while
    return noisy, torch.empty(lead), torch.empty(piece.clips), told, drop, clean, weight


def _autocast(piece: Piece) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=piece.bf16)


def _as_if_gathered(registers: int, context: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Keys and values as large as those of all cameras are (see `worldmodel.parallel`)."""

    def gathered(kv: torch.Tensor) -> torch.Tensor:
        tokens, rest = kv.split([kv.shape[2] - registers, registers], 2)
        return torch.cat([tokens.repeat(1, 1, context, 1, 1), rest], 2)

    return gathered


def _attention_flop(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


def _attention_backward_flop(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape))


_aten = torch.ops.aten
_FORMULAS: dict[Any, Callable[..., int]] = {  # torch counts only what GPUs run; causal attention counts as if it saw everything
    **flop_registry,
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flop,
}
