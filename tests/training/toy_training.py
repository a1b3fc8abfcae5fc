"""A world model of toy size and what it learns from: the training that one process and two are asked to do alike.

Run as a program (with torchrun's environment) it does the part of two processes and writes what it saw into a folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from drivewm.sim.rigs import nuscenes_rig
from drivewm.training.loop import FitOptions, fit
from drivewm.training.processes import processes
from drivewm.training.worldmodel import EmbedAndDenoise, worldmodel_loss
from drivewm.worldmodel.parallel import cameras_shared
from drivewm.worldmodel.sizes import SIZES
from drivewm.worldmodel.transformer import DriveTransformer

SIZE = replace(SIZES["tiny"], width=32, depth=2, heads=2, window=3, cell_width=8, steer_width=8)
ROWS, FRAMES, VIEWS = 3, 3, 6
OPTIONS = FitOptions(steps=4, batch=ROWS, warmup_steps=1, save_every=2, log_every=1, precision="no", pieces=2)
RIG, LOSS = nuscenes_rig(), worldmodel_loss
Tensors = dict[str, torch.Tensor]


class Killed(Exception):
    pass


def network() -> EmbedAndDenoise:
    torch.manual_seed(0)
    model = DriveTransformer.of_size(SIZE)
    for layer in (model.steer, model.steer_out, model.head.steer):  # as if trained: gates open
        torch.nn.init.normal_(layer.weight, std=0.2)
    return EmbedAndDenoise(model)


def batch_at(step: int) -> Tensors:
    g = torch.Generator().manual_seed(step)
    lead, raster = (ROWS, FRAMES), (ROWS, FRAMES, VIEWS, 16, 32)
    told = {key: torch.randint(0, top, raster, dtype=torch.uint8, generator=g) for key, top in (("label", 16), ("paint", 32))}
    return told | {
        "log_depth": torch.randint(0, 255, raster, dtype=torch.uint8, generator=g),
        "lost": torch.rand(raster[:3], generator=g) < 0.1,
        "motion": torch.randn(*lead, 6, generator=g),
        "weather": torch.randint(0, 4, lead, generator=g),
        "light": torch.randint(0, 4, lead, generator=g),
        "sun": torch.randn(*lead, 2, generator=g),
        "boxes": torch.cat([torch.randn(*lead, 4, 8, generator=g), torch.ones(*lead, 4, 1)], -1),
        "polylines": torch.cat([torch.randn(*lead, 4, 8, 2, generator=g), torch.ones(*lead, 4, 8, 1)], -1),
        "intrinsics": torch.from_numpy(RIG.intrinsics).float().expand(*lead, VIEWS, 3, 3),
        "ego_from_camera": torch.from_numpy(RIG.ego_from_camera).float().expand(*lead, VIEWS, 4, 4),
        "time_s": 0.2 * torch.arange(FRAMES).float().expand(lead),
        "latent": torch.randn(*lead, VIEWS, SIZE.latent_channels, 2, 4, generator=g),
        **{f"untold_{group}": torch.zeros(lead, dtype=torch.bool) for group in ("layout", "boxes", "polylines")},
    }


def killed_at(step: int) -> Callable[[int], Tensors]:
    def batches(index: int) -> Tensors:
        if index >= step * OPTIONS.pieces:
            raise Killed
        return batch_at(index)

    return batches


def trained(out: Path, options: FitOptions = OPTIONS, batches: Callable[[int], Any] = batch_at) -> tuple[Tensors, list[float]]:
    """Weights after training, and the loss of every step."""
    losses: list[float] = []
    model = network()
    with cameras_shared(model, options.context):
        done = fit(model, LOSS, batches, out, options, lambda _, values: losses.append(values["loss"]))
    return done.state_dict(), losses


def answer_and_gradients(context: int = 1) -> Tensors:
    """What the network says, and the gradient of its error averaged over processes."""
    model, batch = network(), batch_at(7)
    tau, step = torch.rand(ROWS, FRAMES, generator=torch.Generator().manual_seed(8)), torch.full((ROWS,), 0.25)
    with cameras_shared(model, context):
        said = model(batch["latent"], tau, step, batch, {})
        ((said - 1.0) ** 2).mean().backward()
    out = {"answer": said.detach()}
    for name, weight in model.named_parameters():
        grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        if context > 1:
            torch.distributed.all_reduce(grad)
            grad = grad / processes().num_processes
        out[name] = grad
    return out


def main(root: Path) -> None:
    """Everything that needs two processes, in one go because starting them is what takes time."""
    state, seen = processes(), {}
    assert state.num_processes == 2
    heavy = replace(OPTIONS, shard=True, checkpointing=True)
    for name, options in {
        "data parallel": OPTIONS,
        "sharded": replace(OPTIONS, shard=True),
        "cameras": replace(heavy, context=2),
        "one to two": heavy,
    }.items():
        weights, losses = trained(root / name, options)
        seen[name] = losses
        if state.is_main_process:
            torch.save(weights, root / f"{name}.pt")
    try:
        trained(root / "two to one", heavy, killed_at(2))
    except Killed:
        seen["two to one"] = []
    shared = answer_and_gradients(context=2)
    if state.is_main_process:
        torch.save(shared, root / "shared.pt")
        (root / "seen.json").write_text(json.dumps(seen))
    state.wait_for_everyone()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
