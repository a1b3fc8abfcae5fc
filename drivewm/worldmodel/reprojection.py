"""Where each latent cell's point stood in the frame before: ego motion as geometry, not as a number to be learned.

A cell shows a point at the depth that the layout tells, or, where none is told, that a small network guesses from the frame
before. Moved back by the ego's motion and projected into the cameras of the frame before, it says which latents to look at,
across cameras too. What moves by itself is off; the network sees the unmoved latents beside these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from drivewm.sim.raster.layout import LOG_DEPTH_RANGE_M
from drivewm.worldmodel.sizes import WorldModelSize

NEAR_M, FAR_M = 0.5, LOG_DEPTH_RANGE_M
LOG_FAR = float(torch.log1p(torch.tensor(FAR_M)))


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """For each of the V * h * w cells of a frame, four cells of the frame before and their shares (all 0 where unseen)."""

    cell_BTN4: torch.Tensor
    share_BTN4: torch.Tensor

    def of(self, before: torch.Tensor) -> torch.Tensor:
        """Latents [B, T, V, C, h, w] of the frame before, moved to where this frame sees them."""
        batch, frames, views, channels, rows, columns = before.shape
        flat = before.movedim(3, -1).reshape(batch, frames, -1, channels)
        cells = self.cell_BTN4.flatten(2)[..., None].expand(-1, -1, -1, channels)
        taken = flat.gather(2, cells).unflatten(2, (-1, 4)) * self.share_BTN4[..., None].to(flat.dtype)
        return taken.sum(3).view(batch, frames, views, rows, columns, channels).movedim(-1, 3)


@dataclass(frozen=True, slots=True)
class Sightlines:
    """The rays of all cells of B cars over T frames, P = h * w per camera, and how the ego came here."""

    raster: tuple[int, int]  # h, w
    cell_px: int
    ray_BTVP3: torch.Tensor  # per metre of depth, in the ego frame
    focal_BTV12: torch.Tensor  # px
    centre_BTV12: torch.Tensor
    pose_BTV44: torch.Tensor  # ego_from_camera
    motion_BT6: torch.Tensor
    told_BTVP: torch.Tensor  # log-depth of the layout, 0..1
    no_layout_B: torch.Tensor
    no_motion_B: torch.Tensor

    @classmethod
    @torch.no_grad()
    def of(
        cls, told: Mapping[str, torch.Tensor], no_layout_B: torch.Tensor, no_motion_B: torch.Tensor, cell_px: int
    ) -> Sightlines:
        """From `FrameConditions` as tensors [B, T, ...]."""
        height, width = told["label"].shape[-2:]
        rows, columns = height // cell_px, width // cell_px
        k, pose = told["intrinsics"].float(), told["ego_from_camera"].float()
        with torch.autocast(k.device.type, enabled=False):  # bf16 has three digits, too few for a pixel
            v, u = (cell_px * (torch.arange(side, device=k.device) + 0.5) for side in (rows, columns))
            pixel_P2 = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1).flatten(0, 1)
            focal, centre = k.diagonal(dim1=-2, dim2=-1)[..., None, :2], k[..., None, :2, 2]
            ahead = nn.functional.pad((pixel_P2 - centre) / focal, (0, 1), value=1.0)
            ray = ahead @ pose[..., :3, :3].transpose(-1, -2)
        told_BTVP = told["log_depth"][..., cell_px // 2 :: cell_px, cell_px // 2 :: cell_px].flatten(-2).float() / 255.0
        return cls(
            (rows, columns), cell_px, ray, focal, centre, pose, told["motion"].float(), told_BTVP, no_layout_B, no_motion_B
        )

    @property
    def ground_BTVP(self) -> torch.Tensor:
        """Log-depth (0..1) of the ground plane, which ends nowhere above the horizon."""
        down = self.ray_BTVP3[..., 2].clamp(max=-1e-4)
        depth_m = torch.where(self.ray_BTVP3[..., 2] < 0, -self.pose_BTV44[..., None, 2, 3] / down, FAR_M)
        return torch.log1p(depth_m.clamp(NEAR_M, FAR_M)) / LOG_FAR

    @torch.no_grad()
    def seen_before(self, guessed_BTVP: torch.Tensor) -> SeenBefore:
        """The cells to look at; none without motion. ``guessed`` log-depths (0..1) count in clips whose layout is not told."""
        device, (rows, columns), views = self.ray_BTVP3.device, self.raster, self.ray_BTVP3.shape[2]
        with torch.autocast(device.type, enabled=False):
            log_depth = torch.where(self.no_layout_B[:, None, None, None], guessed_BTVP.float(), self.told_BTVP)
            depth_m = torch.expm1(log_depth * LOG_FAR).clamp(NEAR_M, FAR_M)
            eye = self.pose_BTV44[..., None, :3, 3]
            x, y, z = (eye + depth_m[..., None] * self.ray_BTVP3).unbind(-1)  # in the ego frame of this frame
            step, turn = self.motion_BT6[:, :, None, None, 2:4], self.motion_BT6[:, :, None, None, 4]
            cos, sin = turn.cos(), turn.sin()
            moved = torch.stack([cos * x - sin * y + step[..., 0], sin * x + cos * y + step[..., 1], z], -1)
            relative = moved.flatten(2, 3)[:, :, None] - eye  # [B, T, V before, N, 3]
            camera = relative @ self.pose_BTV44[..., :3, :3]
            place = camera[..., :2] / camera[..., 2:].clamp(min=0.1) * self.focal_BTV12 + self.centre_BTV12
            place = place / self.cell_px - 0.5  # column and row, counted from the middle of the first cell
            last = torch.tensor([columns - 1, rows - 1], device=device)
            beyond = ((place - last / 2).abs() / (last / 2 + 0.5)).amax(-1)  # <= 1 inside the picture
            beyond = torch.where(camera[..., 2] > 0.1, beyond, torch.inf)
            own = torch.eye(views, dtype=torch.bool, device=device).repeat_interleave(rows * columns, 1)
            beyond = torch.where(own & (beyond <= 1.0), beyond - 1.0, beyond)
            least, view = beyond.min(2)  # the same camera if it saw the point, else the one that saw it nearest to its middle
            place = place.gather(2, view[:, :, None, :, None].expand(-1, -1, 1, -1, 2))[:, :, 0]
            seen = (least <= 1.0) & ~self.no_motion_B[:, None, None]
            place = torch.minimum(place.clamp(min=0.0), last)
            first = torch.minimum(place.floor(), (last - 1).clamp(min=0))
            part = place - first
            share_x, share_y = (torch.stack([1 - part[..., i], part[..., i]], -1) for i in (0, 1))
            share = (share_y[..., :, None] * share_x[..., None, :]).flatten(-2) * seen[..., None]
            corner = (view * rows + first[..., 1].long()) * columns + first[..., 0].long()
            right, below = int(columns > 1), columns * int(rows > 1)
            return SeenBefore(corner[..., None] + torch.tensor([0, right, below, below + right], device=device), share)


class DepthGuess(nn.Module):
    """Log-depth (0..1) of a frame's cells from the frame before and the ground plane, for when no layout tells it.

    What a camera shows changes little in a fifth of a second, so the frame before is asked at the very same cells.
    """

    def __init__(self, size: WorldModelSize) -> None:
        super().__init__()
        width = size.cell_width // 2
        self.layers = nn.Sequential(
            nn.Conv2d(size.latent_channels + 1, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, before: torch.Tensor, ground_BTVP: torch.Tensor) -> torch.Tensor:
        """[B, T, V, P] for latents [B, T, V, C, h, w] of the frame before."""
        ground = ground_BTVP.view(*before.shape[:3], 1, *before.shape[-2:]).to(before.dtype)
        guess: torch.Tensor = self.layers(torch.cat([before, ground], 3).flatten(0, 2))
        return guess.flatten(1).unflatten(0, before.shape[:3]) + ground_BTVP
