"""Parts that the large and the small policy share: what a plan looks like, what is seen along it, and the car's own motion."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from drivewm.datatypes import ROUTE_POINTS, CameraRig, Command
from drivewm.policies.vocabulary import ACCELERATIONS_MPS2, CANDIDATES, LATERALS

LOOK_HEIGHT_M = 0.5  # paths are looked up in the images at bumper height, where whatever blocks them is seen
EGO_NUMBERS = 4 + len(Command) + 2 * ROUTE_POINTS
_NEAREST_M = 0.5
# Rough spread of x, y, yaw and speed over the vocabulary, and of the ego numbers: networks learn faster on values near one.
_PLAN_SCALE = (20.0, 3.0, 0.3, 10.0)
_MOTION_SCALE = (10.0, 2.0, 0.05, 10.0)
_ROUTE_SCALE = (30.0, 5.0)


def image_from_ego(rig: CameraRig) -> Tensor:
    """Projection [V, 3, 4] from homogeneous ego coordinates to image coordinates in which the picture spans -1 ... 1."""
    height, width = rig.size_px
    unit = np.array([[2.0 / width, 0, -1.0], [0, 2.0 / height, -1.0], [0, 0, 1.0]])
    camera_from_ego = np.linalg.inv(np.asarray(rig.ego_from_camera, np.float64))[:, :3]
    return torch.from_numpy(unit @ np.asarray(rig.intrinsics, np.float64) @ camera_from_ego).to(torch.float32)


def unit_images(images: Tensor) -> Tensor:
    """uint8 images [..., H, W, 3] as float [..., 3, H, W] around zero."""
    return (images.to(torch.float32).movedim(-1, -3) / 255.0 - 0.45) / 0.25


class LookAlong(nn.Module):
    """Image features where the points of a path are seen, averaged over the cameras that see them."""

    image_from_ego: Tensor

    def __init__(self, rig: CameraRig) -> None:
        super().__init__()
        self.register_buffer("image_from_ego", image_from_ego(rig), persistent=False)

    def forward(self, features: Tensor, xy_ego: Tensor) -> Tensor:
        """From ``features`` [B, V, C, h, w] at points ``xy_ego`` [B, P, 2]: [B, P, C], zero where no camera looks."""
        batch, views, channels = features.shape[:3]
        matrix = self.image_from_ego
        ground = matrix[:, :, 2] * LOOK_HEIGHT_M + matrix[:, :, 3]
        # Written out, because autocast would multiply matrices in half precision and miss the pixels.
        x, y = xy_ego[:, None, :, :1], xy_ego[:, None, :, 1:]
        image = x * matrix[None, :, None, :, 0] + y * matrix[None, :, None, :, 1] + ground[None, :, None]
        depth = image[..., 2:]
        at = image[..., :2] / torch.clamp(depth, min=_NEAREST_M)
        seen = (depth[..., 0] > _NEAREST_M) & (torch.abs(at) < 1).all(-1)
        # Points behind a camera would land far outside; clamped, they cost nothing and are masked below.
        grid = torch.clamp(at, -2.0, 2.0).reshape(batch * views, 1, -1, 2)
        found = nn.functional.grid_sample(features.flatten(0, 1), grid, padding_mode="border", align_corners=False)
        weight = seen.to(features.dtype)[:, :, None]
        found = found.reshape(batch, views, channels, -1) * weight
        return (found.sum(1) / torch.clamp(weight.sum(1), min=1.0)).transpose(1, 2)


class PlanEmbedding(nn.Module):
    """Queries [B, CANDIDATES, D] from the geometry of each plan, its place in the vocabulary, and what is seen along it."""

    scale: Tensor

    def __init__(self, rig: CameraRig, plan_points: int, feature_channels: int, seen_channels: int, width: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(_PLAN_SCALE), persistent=False)
        self.look = LookAlong(rig)
        self.reduce = nn.Conv2d(feature_channels, seen_channels, 1)
        self.geometry = nn.Linear(plan_points * 4, width)
        self.seen = nn.Linear(plan_points * seen_channels, width)
        self.profile = nn.Parameter(0.02 * torch.randn(len(ACCELERATIONS_MPS2), 1, width))
        self.lateral = nn.Parameter(0.02 * torch.randn(1, LATERALS, width))
        self.mix = nn.Sequential(nn.GELU(), nn.Linear(width, width))

    def forward(self, plans: Tensor, features: Tensor) -> Tensor:
        """``plans`` [B, CANDIDATES, K, 4], ``features`` [B, V, C, h, w]."""
        batch, views = features.shape[:2]
        reduced = self.reduce(features.flatten(0, 1)).unflatten(0, (batch, views))
        points = plans.shape[1] * plans.shape[2]
        seen = self.look(reduced, plans[..., :2].reshape(batch, points, 2)).reshape(batch, plans.shape[1], -1)
        place = (self.profile + self.lateral).reshape(1, CANDIDATES, -1)
        return place + self.mix(self.geometry((plans / self.scale).flatten(2)) + self.seen(seen))


class EgoEmbedding(nn.Module):
    """One vector [B, D] of the car's motion, its route, the limit and the command."""

    motion_scale: Tensor
    route_scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("motion_scale", torch.tensor(_MOTION_SCALE), persistent=False)
        self.register_buffer("route_scale", torch.tensor(_ROUTE_SCALE), persistent=False)
        self.net = nn.Sequential(nn.Linear(EGO_NUMBERS, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, ego_motion: Tensor, route_xy_ego: Tensor, speed_limit_mps: Tensor, command: Tensor) -> Tensor:
        """``ego_motion`` [B, 3], ``route_xy_ego`` [B, ROUTE_POINTS, 2], ``speed_limit_mps`` [B], ``command`` int64 [B]."""
        motion = torch.cat([ego_motion, speed_limit_mps[:, None]], dim=1) / self.motion_scale
        asked = (command[:, None] == torch.arange(len(Command), device=command.device)).to(motion.dtype)
        return self.net(torch.cat([motion, asked, (route_xy_ego / self.route_scale).flatten(1)], dim=1))


def token_grid(rig: CameraRig, stride: int) -> tuple[int, int]:
    """Rows and columns of a feature map at ``stride``."""
    height, width = rig.size_px
    return -(-height // stride), -(-width // stride)


def parameter_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
