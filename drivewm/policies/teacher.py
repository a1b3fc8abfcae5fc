"""The large policy: six cameras and two frames through a transformer; every candidate plan is a query and gets sub-scores.

After Hydra-MDP (arXiv 2406.06978): a head per sub-score of the exact scorer plus imitation of the expert, and the plan with
the best combined score is driven.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from drivewm.datatypes import CameraRig, Observation, Trajectory
from drivewm.policies.judge import GATES, PARTS, WEIGHTS
from drivewm.policies.layers import EgoEmbedding, PlanEmbedding, token_grid, unit_images
from drivewm.policies.observation import refuse_other_cameras
from drivewm.policies.vocabulary import candidates, chosen, feasible
from drivewm.policies.weights import policy_id
from drivewm.protocols import GroundTruth, PolicySpec
from drivewm.sim.rigs import nuscenes_rig

FRAMES = 2
PLAN_T_S = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
IMITATION_WEIGHT = 0.1
INFEASIBLE = 20.0  # taken off the log-score of plans that tyres and steering do not allow


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    rig: CameraRig = field(default_factory=nuscenes_rig)
    plan_t_s: tuple[float, ...] = PLAN_T_S
    stage_channels: tuple[int, ...] = (48, 96, 192)
    stage_blocks: tuple[int, ...] = (1, 2, 2)
    width: int = 192
    heads: int = 6
    encoder_layers: int = 3
    decoder_layers: int = 2
    seen_channels: int = 48


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """What the network says of every candidate; all logits."""

    plans: Tensor  # [B, M, K, 4]
    feasible: Tensor  # bool [B, M]
    sub_scores: Tensor  # [B, M, len(PARTS)]
    imitation: Tensor  # [B, M]

    def combined(self) -> Tensor:
        """Log-score [B, M] by which a plan is chosen: gates as log-probabilities, terms as a weighted mean in one logarithm."""
        log_gate, terms = torch.nn.functional.logsigmoid(self.sub_scores), torch.sigmoid(self.sub_scores)
        gates = sum(log_gate[..., PARTS.index(name)] for name in GATES)
        weighted = sum(weight * terms[..., PARTS.index(name)] for name, weight in WEIGHTS.items())
        quality = torch.log(torch.as_tensor(weighted) / sum(WEIGHTS.values()) + 1e-6)
        score = gates + quality + IMITATION_WEIGHT * torch.log_softmax(self.imitation, dim=-1)
        return torch.where(self.feasible, score, score - INFEASIBLE)


class TeacherNetwork(nn.Module):
    """Two frames are stacked as six channels, so that motion is seen at the first convolution and one pass serves both."""

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        from transformers import ResNetBackbone, ResNetConfig

        self.config = config
        width, deep = config.width, config.stage_channels[-1]
        self.backbone = ResNetBackbone(
            ResNetConfig(
                num_channels=3 * FRAMES,
                embedding_size=config.stage_channels[0],
                hidden_sizes=list(config.stage_channels),
                depths=list(config.stage_blocks),
                layer_type="basic",
                out_features=["stage2", "stage3"],
            )
        )
        rows, columns = token_grid(config.rig, 16)
        self.token = nn.Linear(deep, width)
        self.place = nn.Parameter(0.02 * torch.randn(len(config.rig.names) * rows * columns, width))
        self.ego = EgoEmbedding(width)
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(width, config.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(config.encoder_layers)
        )
        self.query = PlanEmbedding(config.rig, len(config.plan_t_s), config.stage_channels[1], config.seen_channels, width)
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(width, config.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(config.decoder_layers)
        )
        self.heads = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(PARTS) + 1))

    def forward(self, batch: dict[str, Tensor]) -> TeacherOutput:
        """``batch`` as `as_tensors` makes it from an Observation of two frames."""
        motion, route = batch["ego_motion"], batch["route_xy_ego"]
        images = unit_images(batch["images"])  # [B, 2, V, 3, H, W]
        size, views = images.shape[0], images.shape[2]
        stacked = images.transpose(1, 2).flatten(2, 3).flatten(0, 1)
        near, deep = self.backbone(stacked).feature_maps
        ego = self.ego(motion[:, -1, :3], route, batch["speed_limit_mps"], batch["command"])
        tokens = self.token(deep.flatten(2).transpose(1, 2).reshape(size, -1, deep.shape[1])) + self.place
        tokens = torch.cat([tokens, ego[:, None]], dim=1)
        for layer in self.encoder:
            tokens = layer(tokens)
        plans = candidates(motion[:, -1, 0], motion[:, -1, 2], route, batch["speed_limit_mps"], self.config.plan_t_s)
        query = self.query(plans, near.unflatten(0, (size, views))) + ego[:, None]
        for layer in self.decoder:
            query = layer(query, tokens)
        logits = self.heads(query)
        return TeacherOutput(plans, feasible(plans, self.config.plan_t_s), logits[..., :-1], logits[..., -1])


def as_tensors(observation: Observation) -> dict[str, Tensor]:
    """An observation as the networks take it."""
    return {
        "images": torch.from_numpy(np.ascontiguousarray(observation.images)),
        "ego_motion": torch.from_numpy(np.asarray(observation.ego_motion, np.float32)),
        "route_xy_ego": torch.from_numpy(np.asarray(observation.route_xy_ego, np.float32)),
        "speed_limit_mps": torch.from_numpy(np.asarray(observation.speed_limit_mps, np.float32)),
        "command": torch.from_numpy(np.asarray(observation.command, np.int64)),
    }


class TeacherPolicy:
    """`TeacherNetwork` as a Policy. It remembers nothing itself: the observation brings both frames."""

    def __init__(self, network: TeacherNetwork) -> None:
        self.network = network.eval()
        self.spec = PolicySpec(policy_id("teacher", network), history=FRAMES, plan_t_s=network.config.plan_t_s)

    def start(self, batch: int, seed: int) -> Any:
        return None

    def act(self, observation: Observation, memory: Any, truth: GroundTruth | None = None) -> tuple[Trajectory, Any]:
        refuse_other_cameras(observation, self.network.config.rig, self.spec.id)
        output = self.judge(observation)
        best = output.combined().argmax(-1).cpu().numpy()
        return chosen(output.plans.cpu().numpy(), best, self.network.config.plan_t_s), memory

    def judge(self, observation: Observation) -> TeacherOutput:
        """What the network says of every candidate of B cars."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            return self.network({name: value.to(device) for name, value in as_tensors(observation).items()})


def teacher_loss(
    output: TeacherOutput, sub_scores: Tensor, expert_index: Tensor, *, softness_m: float = 1.0
) -> dict[str, Tensor]:
    """Losses of what the network says against exact labels; "loss" is their sum.

    ``sub_scores`` [B, M, len(PARTS)] in [0, 1] from the exact scorer; ``expert_index`` [B] the expert's choice. Plans near
    the expert's (mean distance against ``softness_m``) share the imitation target.
    """
    each = nn.functional.binary_cross_entropy_with_logits(output.sub_scores, sub_scores, reduction="none").mean((0, 1))
    target = imitation_target(output.plans, expert_index, softness_m)
    imitation = nn.functional.cross_entropy(output.imitation, target)
    losses = {name: each[i] for i, name in enumerate(PARTS)}
    return {"loss": each.sum() + 0.5 * imitation, "imitation": imitation, **losses}


def imitation_target(plans: Tensor, expert_index: Tensor, softness_m: float) -> Tensor:
    """Distribution [B, M] around the expert's plan."""
    with torch.no_grad():
        expert = torch.gather(plans, 1, expert_index[:, None, None, None].expand(-1, 1, *plans.shape[2:]))
        distance = ((plans[..., :2] - expert[..., :2]) ** 2).sum(-1).mean(-1)
        return torch.softmax(-distance / softness_m**2, dim=-1)
