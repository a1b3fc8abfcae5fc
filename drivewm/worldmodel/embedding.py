"""Conditions to features: what is told per frame, per token and as extra tokens. Every group can be left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from drivewm.datatypes import Light, SemanticClass, Weather
from drivewm.sim.raster.palette import PAINT_RGB
from drivewm.worldmodel.conditions import BOX_SIZE, MOTION_SIZE, TOLD_CLASSES
from drivewm.worldmodel.reprojection import CANVAS_PX, Sightlines
from drivewm.worldmodel.sizes import WorldModelSize

LAYOUT_CELL = 128  # features of the layout per latent cell
MOTION_SCALE = (1.0, 20.0, 1.0, 5.0, 20.0, 1.0)  # brings curvature, sideways step and turn to the size of the others
Drop = Mapping[str, torch.Tensor]  # condition group -> bool [B], True where it is left out


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embedded conditions of B cars over T frames."""

    token_BTLD: torch.Tensor  # added to the image tokens
    cell_BTVhwE: torch.Tensor  # layout at the raster of the latents, for what is smaller than a token
    extra_BTMD: torch.Tensor  # condition tokens that spatial attention may look at
    frame_BTD: torch.Tensor  # steers the norms of a whole frame
    time_s_BT: torch.Tensor
    sightlines: Sightlines  # where each point of the picture looks, and how the ego came here


def mlp(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))


def symlog(x: torch.Tensor) -> torch.Tensor:
    """Sign-keeping logarithm: resolves small values, tames large ones."""
    return x.sign() * x.abs().log1p()


def scalar_features(x: torch.Tensor, count: int) -> torch.Tensor:
    """Cosines and sines [..., count] of a number in [0, 1]."""
    rate = 2.0 ** torch.arange(count // 2, device=x.device, dtype=torch.float32) * (math.pi / 2)
    angle = x.float()[..., None] * rate
    return torch.cat([angle.cos(), angle.sin()], -1)


class LayoutStem(nn.Module):
    """Layout raster [N, H, W] to one feature per image token and one per latent cell.

    A pixel is its class (one-hot), its paint (RGB) and its log-depth: a fixed table, so training pays no per-pixel gradient.
    """

    def __init__(self, size: WorldModelSize) -> None:
        super().__init__()
        classes, paints = len(SemanticClass), len(PAINT_RGB)
        table = torch.zeros(classes, paints, classes + 4)
        table[:, :, :classes] = torch.eye(classes)[:, None]
        table[:, :, classes : classes + 3] = torch.as_tensor(PAINT_RGB, dtype=torch.float32) / 255.0
        self.register_buffer("table", table.flatten(0, 1), persistent=False)
        self.paints, first = paints, 4
        self.cells = nn.Sequential(
            nn.Conv2d(classes + 4, 64, first, stride=first),
            nn.SiLU(),
            nn.Conv2d(64, LAYOUT_CELL, 3, stride=size.downsampling // first, padding=1),
            nn.SiLU(),
        )
        self.tokens = nn.Conv2d(LAYOUT_CELL, size.width, size.patch, stride=size.patch)

    table: torch.Tensor

    def forward(self, label: torch.Tensor, log_depth: torch.Tensor, paint: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens [..., rows * columns, D] and latent cells [..., h, w, LAYOUT_CELL] of rasters uint8 [..., H, W]."""
        dtype = torch.get_autocast_dtype(label.device.type) if torch.is_autocast_enabled(label.device.type) else self.table.dtype
        code = label.flatten(0, -3).int() * self.paints + paint.flatten(0, -3)
        x = nn.functional.embedding(code, self.table.to(dtype))
        x[..., -1] = log_depth.flatten(0, -3).to(dtype) / 255.0
        cells = self.cells(x.movedim(-1, 1))
        tokens = self.tokens(cells).flatten(2).transpose(1, 2)
        return tokens.unflatten(0, label.shape[:-2]), cells.movedim(1, -1).unflatten(0, label.shape[:-2])


class ConditionEmbedding(nn.Module):
    """All of `FrameConditions` as features; a dropped group is replaced by a learned "not told"."""

    def __init__(self, size: WorldModelSize) -> None:
        super().__init__()
        width = size.width
        self.layout, self.rays, self.cell_px = LayoutStem(size), mlp(6, width), size.downsampling * size.patch
        self.no_layout, self.lost = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.randn(width) * 0.02)
        self.no_cell = nn.Parameter(torch.zeros(LAYOUT_CELL))
        self.motion = mlp(MOTION_SIZE, width)
        self.weather, self.light = nn.Embedding(len(Weather) + 1, width), nn.Embedding(len(Light) + 1, width)
        self.sun = nn.Linear(2, width)
        self.agent_class, self.line_kind = nn.Embedding(TOLD_CLASSES + 1, width), nn.Embedding(4, width)
        self.box, self.line = mlp(BOX_SIZE - 1, width), mlp(2 * size.polyline_points, width)
        self.no_box, self.no_line = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.no_motion = nn.Parameter(torch.zeros(width))
        self.text = nn.Linear(size.text_width, width) if size.text_width else None
        self.no_text = nn.Parameter(torch.zeros(width)) if size.text_width else None

    def forward(self, told: Mapping[str, torch.Tensor], drop: Drop) -> Embedded:
        """``told``: `FrameConditions` as tensors with leading [B, T], and ``time_s`` [B, T]; optional ``text`` [B, S, E]."""
        motion, dtype = told["motion"], self.no_motion.dtype
        lead, device = motion.shape[:2], motion.device

        def dropped(group: str, axes: int) -> torch.Tensor:
            mask = drop.get(group, torch.zeros(lead[0], dtype=torch.bool, device=device))
            return mask.view(-1, *[1] * axes)

        layout_BTVPD, cell_BTVhwE = self.layout(told["label"], told["log_depth"], told["paint"])
        cell_BTVhwE = torch.where(dropped("layout", 5), self.no_cell.to(cell_BTVhwE.dtype), cell_BTVhwE)
        layout_BTVPD = torch.where(dropped("layout", 4), self.no_layout.to(layout_BTVPD.dtype), layout_BTVPD)
        raster = (told["label"].shape[-2], told["label"].shape[-1])
        rays_BTVPC = camera_rays(told["intrinsics"], told["ego_from_camera"], raster, self.cell_px)
        lost = told["lost"].to(layout_BTVPD.dtype)[..., None, None] * self.lost.to(layout_BTVPD.dtype)
        token_BTVPD = layout_BTVPD + self.rays(rays_BTVPC.to(dtype)) + lost
        agent = told["boxes"][..., -1].long()
        boxes = self.agent_class(agent) + self.box(symlog(told["boxes"][..., :-1]).to(dtype))
        boxes = torch.where(dropped("boxes", 3) | (agent == 0)[..., None], self.no_box.to(boxes.dtype), boxes)
        kind = told["polylines"][..., 0, -1].long()
        lines = self.line_kind(kind) + self.line(symlog(told["polylines"][..., :-1]).flatten(-2).to(dtype))
        lines = torch.where(dropped("polylines", 3) | (kind == 0)[..., None], self.no_line.to(lines.dtype), lines)
        moved = self.motion(symlog(motion * torch.tensor(MOTION_SCALE, device=device)).to(dtype))
        moved = torch.where(dropped("motion", 2), self.no_motion.to(moved.dtype), moved)
        weather = self.weather(torch.where(dropped("weather", 1), len(Weather), told["weather"]))
        no_light = dropped("light", 1)
        light = (
            self.light(torch.where(no_light, len(Light), told["light"])) + self.sun(told["sun"].to(dtype)) * ~no_light[..., None]
        )
        sky = weather + light
        extra = [boxes, lines, moved[:, :, None], sky[:, :, None]]
        if self.text is not None and self.no_text is not None and "text" in told:
            text = torch.where(dropped("text", 2), self.no_text, self.text(told["text"].to(dtype)))
            extra.append(text[:, None].expand(-1, lead[1], -1, -1))
        sight = Sightlines.of(told, dropped("layout", 0), dropped("motion", 0), CANVAS_PX)
        return Embedded(token_BTVPD.flatten(2, 3), cell_BTVhwE, torch.cat(extra, 2), moved + sky, told["time_s"], sight)


def camera_rays(intrinsics: torch.Tensor, ego_from_camera: torch.Tensor, raster: tuple[int, int], cell_px: int) -> torch.Tensor:
    """Origin (m) and unit direction in the ego frame of the ray through the middle of each cell [..., V, rows * columns, 6].

    For intrinsics [..., V, 3, 3] in px of a ``raster`` of height x width, and poses [..., V, 4, 4].
    """
    v, u = (cell_px * (torch.arange(side // cell_px, device=intrinsics.device) + 0.5) for side in raster)
    focal, centre = intrinsics.diagonal(dim1=-2, dim2=-1)[..., :2], intrinsics[..., :2, 2]
    pixel = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1).flatten(0, 1)
    ahead = (pixel - centre[..., None, :]) / focal[..., None, :]
    camera = torch.cat([ahead, torch.ones_like(ahead[..., :1])], -1)
    ego = torch.nn.functional.normalize(camera @ ego_from_camera[..., :3, :3].transpose(-1, -2), dim=-1)
    return torch.cat([ego_from_camera[..., None, :3, 3].expand(ego.shape), ego], -1)
