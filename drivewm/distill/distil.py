"""Teaching the small policy on the states it visited: stretches of drives, unrolled through its memory."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from drivewm.distill.collect import Visits
from drivewm.policies.onboard import OnboardNetwork, distillation_loss
from drivewm.training.loop import FitOptions, OnLog, fit

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class DistilOptions:
    steps: int = 300
    learning_rate: float = 5e-4
    batch: int = 6  # stretches per step
    stretch: int = 5  # frames per stretch
    seed: int = 0


class _Unrolled(nn.Module):
    """The network over a stretch [B, T]: memory flows from frame to frame, losses are averaged."""

    def __init__(self, network: OnboardNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        memory = batch["images"].new_zeros((len(batch["images"]), self.network.config.memory_width), dtype=torch.float32)
        total: dict[str, Tensor] = {}
        frames = batch["images"].shape[1]
        for t in range(frames):
            now = {name: value[:, t] for name, value in batch.items()}
            given = (now["images"], now["ego_motion"], now["route_xy_ego"], now["speed_limit_mps"], now["command"])
            output = self.network.judge(*given, memory)
            memory = output.memory
            losses = distillation_loss(output, now["teacher_log_score"], now["sub_scores"], now["expert_index"])
            total = {name: total.get(name, 0.0) + value / frames for name, value in losses.items()}
        return total


def distil(
    network: OnboardNetwork, visits: Sequence[Visits], out: str | Path, options: DistilOptions, on_log: OnLog | None = None
) -> OnboardNetwork:
    """A trained copy of ``network``; ``out`` keeps the checkpoint from which a killed run goes on."""
    drives = [drive for drive in visits if len(drive)]

    def batch_at(step: int) -> Batch:
        rng = np.random.default_rng(np.random.SeedSequence([options.seed, step]))
        return stretches(drives, options.batch, options.stretch, rng)

    def loss_fn(model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = model(batch)
        return losses

    torch.manual_seed(options.seed)
    settings = FitOptions(
        steps=options.steps,
        learning_rate=options.learning_rate,
        warmup_steps=max(1, options.steps // 20),
        decay_share=0.5,
        save_every=max(50, options.steps // 4),
        log_every=1,
        seed=options.seed,
        precision="no",
    )
    trained = fit(_Unrolled(copy.deepcopy(network)), loss_fn, batch_at, Path(out), settings, on_log)
    student: OnboardNetwork = trained.network.cpu()  # type: ignore[assignment]
    return student


def stretches(drives: Sequence[Visits], count: int, length: int, rng: np.random.Generator) -> Batch:
    """``count`` random stretches of ``length`` frames [B, T, ...]; drives count by their frames; short ones repeat their last."""
    frames = np.array([len(drive) for drive in drives])
    chosen = rng.choice(len(drives), count, p=frames / frames.sum())
    starts = [int(rng.integers(0, max(1, frames[d] - length + 1))) for d in chosen]
    rows = [drives[d][np.minimum(np.arange(s, s + length), frames[d] - 1)] for d, s in zip(chosen, starts, strict=True)]
    batch = Visits.stack(rows)
    return {
        "images": torch.from_numpy(batch.images),
        "ego_motion": torch.from_numpy(batch.ego_motion),
        "route_xy_ego": torch.from_numpy(batch.route_xy_ego),
        "speed_limit_mps": torch.from_numpy(batch.speed_limit_mps),
        "command": torch.from_numpy(batch.command.astype(np.int64)),
        "teacher_log_score": torch.from_numpy(batch.teacher_log_score),
        "sub_scores": torch.from_numpy(batch.sub_scores.astype(np.float32)),
        "expert_index": torch.from_numpy(batch.expert_index.astype(np.int64)),
    }
