"""One plain training loop for every network of the house: step-addressed batches, EMA, atomic checkpoints, exact resume.

A batch is a function of step and piece (see `processes`), so a killed run goes on with the very batches it would have seen, on
as many processes as there are then. Checkpoints are whole tensors in safetensors, and JSON. `accelerate` brings device,
precision and data-parallel launch (torchrun); FSDP2 spreads what does not fit one GPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from diffusers import ModelMixin
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from drivewm.errors import InputError
from drivewm.store import write_json
from drivewm.training.checkpoint import Average, Checkpoint, pieces_of
from drivewm.training.loading import BatchAt, NamedBatches, loading_threads, prefetched
from drivewm.training.processes import first_process, pieces_of_this_process, processes, teams
from drivewm.training.sharding import own, shard, whole, without_weights
from drivewm.worldmodel.precision import multiplies_bf16

LossFn = Callable[[torch.nn.Module, Any, torch.Generator], dict[str, torch.Tensor]]  # must hold "loss"
OnLog = Callable[[int, dict[str, float]], None]
Losses = dict[int, dict[str, torch.Tensor]]  # of each piece, by the number that `batch_at` knows it by


@dataclass(frozen=True, slots=True)
class FitOptions:
    steps: int
    batch: int = 8  # clips (or frames) of one piece of a step
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
    pieces: int = (
        0  # of a step, shared out among processes; 0: as in the checkpoint, else as many as there are processes or teams
    )
    context: int = 1  # neighbouring processes that form a team and share the cameras of a piece
    shard: bool = False  # weights, gradients, optimiser and average spread over all processes
    checkpointing: bool = False  # what blocks computed is computed again on the way back instead of kept


def learning_rate_factor(step: int, options: FitOptions) -> float:
    """Linear warm-up, plateau, linear fall to zero."""
    warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
    fall = (options.steps - step) / max(1.0, options.decay_share * options.steps)
    return warm * min(1.0, max(0.0, fall))


def fit(
    model: torch.nn.Module, loss_fn: LossFn, batch_at: BatchAt, out: Path, options: FitOptions, on_log: OnLog | None = None
) -> torch.nn.Module:
    """Train ``model`` and return it with its averaged (EMA) weights, whole, in eval mode.

    ``out/checkpoint.safetensors`` is replaced every ``save_every`` steps; if it exists, training goes on from it.
    ``batch_at`` is asked for ``step * pieces + piece``. What is logged is the mean over all pieces. Raises InputError when the
    loss is not finite (the last good checkpoint stays, ``out/stopped.json`` names step and batches) or the checkpoint is of
    another network.
    """
    path = out / "checkpoint.safetensors"
    options = replace(options, pieces=pieces_of_step(options, path))
    share = pieces_of_this_process(options.pieces, options.context)
    accelerator = _accelerator(options.precision)
    if options.checkpointing:
        recompute_blocks(model)
    sharded = options.shard and accelerator.num_processes > 1
    kept = without_weights(model) if sharded else model
    if sharded:
        shard(model, accelerator.mixed_precision)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, betas=(0.9, 0.98), fused=True
    )
    if sharded:
        optimizer = accelerator.prepare(optimizer)
    else:
        model, optimizer = accelerator.prepare(model, optimizer)
        if isinstance(model, DistributedDataParallel):
            model.broadcast_buffers = False  # they are alike, and a process may pass through more often than the others
    inner = accelerator.unwrap_model(model)
    average = {name: value.detach().clone() for name, value in inner.state_dict().items()}
    kept_state = Checkpoint(path, inner, average, optimizer)
    start = kept_state.load() if path.exists() else 0
    began, logged, on_gpu = time.perf_counter(), start, accelerator.device.type == "cuda"
    model.train()
    mine = (step * options.pieces + piece for step in range(start, options.steps) for piece in share)
    decay = 1.0 - 1.0 / max(2.0, options.average_share * options.steps)
    with prefetched(batch_at, mine, loading_threads(), pin=on_gpu) as batches:
        for step in range(start, options.steps):
            indices = range(step * options.pieces + share.start, step * options.pieces + share.stop)
            losses = _pass_back(accelerator, model, loss_fn, batches, indices, options.seed)
            norm = whole(accelerator.clip_grad_norm_(model.parameters(), options.clip_norm))
            if not torch.isfinite(norm):
                raise _stopped(path, step, losses, batch_at)
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * learning_rate_factor(step, options)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            _update(average, inner, min(decay, (step + 1) / (step + 10)))
            done = step + 1
            if done % options.log_every == 0 or done == options.steps:
                values = _means(gather_object([_numbers(losses)]))
                values["steps_per_s"] = (done - logged) / (time.perf_counter() - began)
                began, logged = time.perf_counter(), done
                if on_log:
                    on_log(done, values)
            if done % options.save_every == 0 or done == options.steps:
                kept_state.save(done, options)
    weights = {name: whole(value) for name, value in average.items()}
    kept.load_state_dict(weights, assign=sharded)
    return accelerator.unwrap_model(kept).eval()


def recompute_blocks(model: torch.nn.Module) -> None:
    """Let the blocks of diffusers' models compute again on the way back what they would have kept.

    Whole blocks: torch's early stop is an exception whose frames keep what was computed until Python collects its garbage.
    """
    again = partial(checkpoint, use_reentrant=False, early_stop=False)
    for part in model.modules():
        if isinstance(part, ModelMixin):
            part.enable_gradient_checkpointing(again)


def pieces_of_step(options: FitOptions, path: Path) -> int:
    """Pieces of a step of a training with its checkpoint at ``path``, which keeps their number: others are other batches."""
    before = pieces_of(path)
    if before is None:
        return options.pieces or teams(options.context)
    if options.pieces not in (0, before):
        raise InputError(f"a step had {before} pieces so far, not {options.pieces}", file=path, hint=f"--pieces {before}")
    return before


def _accelerator(precision: str) -> Accelerator:
    if precision == "auto":
        precision = "bf16" if multiplies_bf16(processes().device) else "no"
    AcceleratorState._reset_state()  # one process may train several networks, each in its own precision
    return Accelerator(mixed_precision=precision)


def _pass_back(
    accelerator: Accelerator, model: torch.nn.Module, loss_fn: LossFn, batches: Iterator[Any], indices: range, seed: int
) -> Losses:
    """Gradients of this process's pieces of a step, exchanged with the other processes after the last one."""
    losses: Losses = {}
    for index in indices:
        batch = _to_device(next(batches), accelerator.device)
        generator = torch.Generator(accelerator.device).manual_seed(seed * 1_000_003 + index)
        with nullcontext() if index == indices[-1] else accelerator.no_sync(model):
            with accelerator.autocast():
                told = loss_fn(model, batch, generator)
            accelerator.backward(told["loss"] / len(indices))
        losses[index] = {name: value.detach() for name, value in told.items()}
    return losses


def _stopped(path: Path, step: int, losses: Losses, batch_at: BatchAt) -> InputError:
    """Leaves ``stopped.json`` beside the checkpoint and says in one sentence that numbers went bad, and where."""
    mine = [(index, bool(torch.isfinite(value["loss"]))) for index, value in losses.items()]
    everyone = sorted(gather_object(mine))
    bad = [index for index, fine in everyone if not fine] or [index for index, _ in everyone]
    note = {"step": step, "batches": sorted(set(bad))}
    if isinstance(batch_at, NamedBatches):
        note["clips"] = {str(index): batch_at.names(index) for index in sorted(set(bad))}
    file = path.with_name("stopped.json")
    with first_process() as first:
        if first:
            write_json(file, note)
    kept = "the last good checkpoint is kept" if path.exists() else "no checkpoint had been written"
    return InputError(f"loss is not finite at step {step}", file=path, hint=f"{kept}, {file.name} says which clips")


def _numbers(losses: Losses) -> dict[int, dict[str, float]]:
    return {index: {name: float(value) for name, value in told.items()} for index, told in losses.items()}


def _means(of_processes: list[dict[int, dict[str, float]]]) -> dict[str, float]:
    """Each loss averaged over the pieces that have it; a team tells its piece more than once."""
    pieces = {index: told for share in of_processes for index, told in share.items()}
    names = {name: None for index in sorted(pieces) for name in pieces[index]}
    columns = {name: [told[name] for _, told in sorted(pieces.items()) if name in told] for name in names}
    return {name: sum(column) / len(column) for name, column in columns.items()}


def _to_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)  # from pinned memory; from other memory it waits all the same
    if isinstance(batch, dict):
        return {key: _to_device(value, device) for key, value in batch.items()}
    return batch


@torch.no_grad()
def _update(average: Average, model: torch.nn.Module, decay: float) -> None:
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            own(average[name]).lerp_(own(value), 1.0 - decay)
        else:
            own(average[name]).copy_(own(value))


def steps_for(frames: int, batch_frames: int) -> int:
    """How many steps show ``frames`` training frames."""
    return max(1, math.ceil(frames / batch_frames))
