"""One plain training loop for every network of the house: step-addressed batches, EMA, atomic checkpoints, exact resume.

A batch is a function of the step number, so a killed run goes on with the very batches it would have seen.
Checkpoints are safetensors and JSON. `accelerate` brings device, precision and data-parallel launch (torchrun).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from safetensors import safe_open
from safetensors.torch import save_file

from drivewm.errors import InputError
from drivewm.store import atomic_write
from drivewm.training.loading import BatchAt, loading_threads, prefetched
from drivewm.worldmodel.precision import multiplies_bf16

LossFn = Callable[[torch.nn.Module, Any, torch.Generator], dict[str, torch.Tensor]]  # must hold "loss"
OnLog = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class FitOptions:
    steps: int
    batch: int = 8  # clips (or frames) per step and process
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    decay_share: float = 0.25  # last part of training in which the rate falls linearly to zero
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average_share: float = 0.08  # the weights kept are averaged over about this share of the steps
    save_every: int = 500
    log_every: int = 20
    seed: int = 0
    precision: str = "auto"  # "auto" | "bf16" | "no"


def learning_rate_factor(step: int, options: FitOptions) -> float:
    """Linear warm-up, plateau, linear fall to zero."""
    warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
    fall = (options.steps - step) / max(1.0, options.decay_share * options.steps)
    return warm * min(1.0, max(0.0, fall))


def fit(
    model: torch.nn.Module, loss_fn: LossFn, batch_at: BatchAt, out: Path, options: FitOptions, on_log: OnLog | None = None
) -> torch.nn.Module:
    """Train ``model`` and return it with its averaged (EMA) weights, on its device, in eval mode.

    ``out/checkpoint.safetensors`` is replaced every ``save_every`` steps; if it exists, training goes on from it.
    Raises InputError when the loss is not finite (the last good checkpoint stays) or the checkpoint is of another network.
    """
    precision = options.precision
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(PartialState().device) else "no"
    AcceleratorState._reset_state()  # one process may train several networks, each in its own precision
    accelerator = Accelerator(mixed_precision=precision)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98), fused=True
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    inner = accelerator.unwrap_model(model)
    average = {name: value.detach().clone() for name, value in inner.state_dict().items()}
    checkpoint = out / "checkpoint.safetensors"
    start = _load(checkpoint, inner, average, optimizer) if checkpoint.exists() else 0
    rank, ranks = accelerator.process_index, accelerator.num_processes
    began, logged = time.perf_counter(), start
    model.train()
    mine, on_gpu = range(start * ranks + rank, options.steps * ranks, ranks), accelerator.device.type == "cuda"
    decay = 1.0 - 1.0 / max(2.0, options.average_share * options.steps)
    with prefetched(batch_at, mine, loading_threads(), pin=on_gpu) as batches:
        for step in range(start, options.steps):
            batch = _to_device(next(batches), accelerator.device)
            generator = torch.Generator(accelerator.device).manual_seed(options.seed * 1_000_003 + step * ranks + rank)
            with accelerator.autocast():
                losses = loss_fn(model, batch, generator)
            accelerator.backward(losses["loss"])
            norm = accelerator.clip_grad_norm_(model.parameters(), options.clip_norm)
            if not torch.isfinite(norm):
                raise InputError(f"loss is not finite at step {step}", file=checkpoint, hint="the last good checkpoint is kept")
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * learning_rate_factor(step, options)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            _update(average, inner, min(decay, (step + 1) / (step + 10)))
            done = step + 1
            if on_log and (done % options.log_every == 0 or done == options.steps):
                values = {name: float(value.detach()) for name, value in losses.items()}
                values["steps_per_s"] = (done - logged) / (time.perf_counter() - began)
                began, logged = time.perf_counter(), done
                on_log(done, values)
            if (done % options.save_every == 0 or done == options.steps) and accelerator.is_main_process:
                _save(checkpoint, done, inner, average, optimizer, options)
    inner.load_state_dict(average)
    return inner.eval()


def _to_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)  # from pinned memory; from other memory it waits all the same
    if isinstance(batch, dict):
        return {key: _to_device(value, device) for key, value in batch.items()}
    return batch


@torch.no_grad()
def _update(average: dict[str, torch.Tensor], model: torch.nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1.0 - decay)
        else:
            average[name].copy_(value)


def _save(
    path: Path, step: int, model: torch.nn.Module, average: dict[str, torch.Tensor], optimizer: Any, options: FitOptions
) -> None:
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value.contiguous() for name, value in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value).contiguous().clone() for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        save_file(tensors, str(temporary), metadata={"step": str(step), "options": json.dumps(asdict(options))})


def _load(path: Path, model: torch.nn.Module, average: dict[str, torch.Tensor], optimizer: Any) -> int:
    try:
        with safe_open(str(path), "pt") as stored:
            step = int(stored.metadata()["step"])
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (not a dict)
        model.load_state_dict({key[6:]: value for key, value in tensors.items() if key.startswith("model.")})
    except (RuntimeError, KeyError, TypeError, OSError, ValueError) as error:
        raise InputError(f"not a checkpoint of this network: {error}".splitlines()[0], file=path) from None
    except Exception as error:  # safetensors raises its own error class for a damaged header
        raise InputError(f"unreadable checkpoint: {error}", file=path) from None
    for name in average:
        average[name].copy_(tensors[f"average.{name}"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return step


def steps_for(frames: int, batch_frames: int) -> int:
    """How many steps show ``frames`` training frames."""
    return max(1, math.ceil(frames / batch_frames))
