"""The small policy for the vehicle: one frame at a time, memory handed in and out, everything inside one exportable forward.

The memory of a car is one vector: the state of a recurrent cell, a flag that a last frame exists, and that frame in grey at a
quarter of the size, so that motion can be seen. It starts as zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivewm.datatypes import Array, CameraRig, Observation, Trajectory
from drivewm.policies.judge import PARTS
from drivewm.policies.layers import EgoEmbedding, PlanEmbedding, token_grid, unit_images
from drivewm.policies.observation import refuse_other_cameras
from drivewm.policies.teacher import PLAN_T_S, as_tensors, imitation_target
from drivewm.policies.vocabulary import candidates, trajectory
from drivewm.policies.weights import policy_id
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.rigs import nuscenes_rig

GREY_STRIDE = 4


@dataclass(frozen=True, slots=True)
class OnboardConfig:
    rig: CameraRig = field(default_factory=nuscenes_rig)
    plan_t_s: tuple[float, ...] = PLAN_T_S
    channels: tuple[int, ...] = (16, 32, 48, 96)  # at 1/2, 1/4, 1/8 and 1/16 of the image
    width: int = 96
    heads: int = 4
    decoder_layers: int = 2
    seen_channels: int = 24

    @property
    def memory_width(self) -> int:
        """Length D of the memory of one car."""
        rows, columns = token_grid(self.rig, GREY_STRIDE)
        return self.width + 1 + len(self.rig.names) * rows * columns


@dataclass(frozen=True, slots=True)
class OnboardOutput:
    plans: Tensor  # [B, M, K, 4]
    logits: Tensor  # [B, M]
    sub_scores: Tensor  # [B, M, len(PARTS)] logits; learned beside the choice, not exported
    memory: Tensor  # [B, D]


def _conv(channels: int, out: int, stride: int = 1, groups: int = 1, size: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out, momentum=0.05), nn.ReLU())


def _separable(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_conv(channels, channels, stride, groups=channels), _conv(channels, out, size=1))


class _Ask(nn.Module):
    """Queries look at tokens, each on its own: cross-attention and a feed-forward layer, both residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, query: Tensor, tokens: Tensor) -> Tensor:
        seen, _ = self.attention(self.norm(query), tokens, tokens, need_weights=False)
        query = query + seen
        return query + self.feed(query)


class OnboardNetwork(nn.Module):
    def __init__(self, config: OnboardConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, deep = config.channels
        width = config.width
        self.stem = nn.Sequential(_conv(3, half, 2), _conv(half, quarter, 2))
        self.motion = _conv(2, 8)
        self.near = nn.Sequential(_separable(quarter + 8, eighth, 2), _separable(eighth, eighth, 1))
        self.deep = nn.Sequential(_separable(eighth, deep, 2), _separable(deep, deep, 1))
        rows, columns = token_grid(config.rig, 16)
        self.token = nn.Linear(deep, width)
        self.place = nn.Parameter(0.02 * torch.randn(len(config.rig.names) * rows * columns, width))
        self.ego = EgoEmbedding(width)
        self.recall = nn.Linear(width, width)
        self.pool = _Ask(width, config.heads)
        self.recurrent = nn.GRUCell(width, width)
        self.query = PlanEmbedding(config.rig, len(config.plan_t_s), eighth, config.seen_channels, width)
        self.decoder = nn.ModuleList(_Ask(width, config.heads) for _ in range(config.decoder_layers))
        self.head = nn.Linear(width, 1)
        self.sub_heads = nn.Linear(width, len(PARTS))

    def forward(
        self, images: Tensor, ego_motion: Tensor, route_xy_ego: Tensor, speed_limit_mps: Tensor, command: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What is exported: trajectory [B, K, 4], memory_out [B, D], logits [B, M].

        ``images`` uint8 [B, V, H, W, 3]; ``ego_motion`` [B, 3] speed, acceleration, curvature; ``route_xy_ego`` [B, 32, 2];
        ``speed_limit_mps`` [B]; ``command`` int64 [B]; ``memory`` [B, D], zeros at the start.
        """
        out = self.judge(images, ego_motion, route_xy_ego, speed_limit_mps, command, memory)
        best = torch.argmax(out.logits, dim=1)[:, None, None, None].expand(-1, 1, *out.plans.shape[2:])
        return torch.gather(out.plans, 1, best)[:, 0], out.memory, out.logits

    def judge(
        self, images: Tensor, ego_motion: Tensor, route_xy_ego: Tensor, speed_limit_mps: Tensor, command: Tensor, memory: Tensor
    ) -> OnboardOutput:
        """`forward` with everything that training looks at."""
        views, width = images.shape[1], self.config.width
        state, exists, last = torch.split(memory, [width, 1, memory.shape[1] - width - 1], dim=1)
        picture = unit_images(images)
        grey = nn.functional.avg_pool2d(picture.mean(2), GREY_STRIDE, ceil_mode=True)
        before = torch.where(exists[..., None, None] > 0.5, last.reshape(-1, *grey.shape[1:]), grey)
        moved = self.motion(torch.stack([grey, grey - before], dim=2).flatten(0, 1))
        near = self.near(torch.cat([self.stem(picture.flatten(0, 1)), moved], dim=1))
        deep = self.deep(near).unflatten(0, (-1, views))
        tokens = self.token(deep.flatten(3).transpose(2, 3).flatten(1, 2)) + self.place
        ego = self.ego(ego_motion, route_xy_ego, speed_limit_mps, command)
        pooled = self.pool((ego + self.recall(state))[:, None], tokens)[:, 0]
        state = self.recurrent(pooled, state)
        tokens = torch.cat([tokens, state[:, None]], dim=1)
        plans = candidates(ego_motion[:, 0], ego_motion[:, 2], route_xy_ego, speed_limit_mps, self.config.plan_t_s)
        query = self.query(plans, near.unflatten(0, (-1, views))) + (ego + state)[:, None]
        for layer in self.decoder:
            query = layer(query, tokens)
        memory = torch.cat([state, torch.ones_like(exists), grey.flatten(1)], dim=1)
        return OnboardOutput(plans, self.head(query)[..., 0], self.sub_heads(query), memory)


def network_inputs(observation: Observation, memory: Tensor) -> tuple[Tensor, ...]:
    """The inputs of `OnboardNetwork.forward`, from the newest frame of an observation."""
    given = as_tensors(observation)
    motion = given["ego_motion"][:, -1, :3]
    return given["images"][:, -1], motion, given["route_xy_ego"], given["speed_limit_mps"], given["command"], memory


class OnboardPolicy:
    """`OnboardNetwork` as a Policy; the memory is a float32 array [B, D]."""

    def __init__(self, network: OnboardNetwork) -> None:
        self.network = network.eval()
        self.spec = PolicySpec(policy_id("onboard", network), plan_t_s=network.config.plan_t_s)

    def start(self, batch: int, seed: int) -> Array:
        return np.zeros((batch, self.network.config.memory_width), np.float32)

    def act(self, observation: Observation, memory: Array, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        refuse_other_cameras(observation, self.network.config.rig, self.spec.id)
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            inputs = [value.to(device) for value in network_inputs(observation, torch.from_numpy(memory))]
            plan, memory_out, _ = self.network(*inputs)
        return trajectory(plan.cpu().numpy(), self.spec.plan_t_s), memory_out.cpu().numpy()


def distillation_loss(
    output: OnboardOutput, teacher_log_score: Tensor, sub_scores: Tensor, expert_index: Tensor, *, temperature: float = 0.3
) -> dict[str, Tensor]:
    """Losses of the small policy on a visited moment; "loss" is their weighted sum.

    ``teacher_log_score`` [B, M] is `TeacherOutput.combined`, softened by ``temperature``; ``sub_scores`` [B, M, S] in [0, 1] and
    ``expert_index`` [B] are the exact labels of the same moment.
    """
    log_choice = torch.log_softmax(output.logits, dim=-1)
    target = torch.softmax(teacher_log_score / temperature, dim=-1)
    distil = -(target * log_choice).sum(-1).mean()
    imitation = -(imitation_target(output.plans, expert_index, 1.0) * log_choice).sum(-1).mean()
    each = nn.functional.binary_cross_entropy_with_logits(output.sub_scores, sub_scores, reduction="none").mean((0, 1))
    loss = distil + 0.25 * imitation + 0.5 * each.sum()
    return {"loss": loss, "distil": distil, "imitation": imitation, **{name: each[i] for i, name in enumerate(PARTS)}}
