"""Where each latent cell's point stood in the frame before: ego motion as geometry, not as a number to be learned.

A cell shows a point at the depth that the layout tells, or on the ground plane where none is told. Moved back by the ego's motion
and projected into the cameras of the frame before, it says which latents to look at, across cameras too. What moves by itself or
stands up from the ground without being told is off; the network sees the unmoved latents beside these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from drivewm.sim.raster.layout import LOG_DEPTH_RANGE_M

NEAR_M, FAR_M = 0.5, LOG_DEPTH_RANGE_M


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


@torch.no_grad()
def seen_before(
    told: Mapping[str, torch.Tensor], no_layout_B: torch.Tensor, no_motion_B: torch.Tensor, cell_px: int
) -> SeenBefore:
    """`FrameConditions` tensors [B, T, ...] to the cells to look at; clips without motion look at none."""
    label, motion = told["label"], told["motion"].float()
    batch, frames, views, height, width = label.shape
    rows, columns = height // cell_px, width // cell_px
    k, pose = told["intrinsics"].float(), told["ego_from_camera"].float()
    with torch.autocast(label.device.type, enabled=False):
        v, u = (cell_px * (torch.arange(side, device=label.device) + 0.5) for side in (rows, columns))
        pixel_P2 = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1).flatten(0, 1)
        focal, centre = k.diagonal(dim1=-2, dim2=-1)[..., None, :2], k[..., None, :2, 2]
        ahead = torch.nn.functional.pad((pixel_P2 - centre) / focal, (0, 1), value=1.0)  # [B, T, V, P, 3], depth 1
        ray = ahead @ pose[..., :3, :3].transpose(-1, -2)
        eye = pose[..., None, :3, 3]
        down = ray[..., 2].clamp(max=-1e-4)
        ground_m = torch.where(ray[..., 2] < 0, -eye[..., 2] / down, FAR_M)
        code = told["log_depth"][..., cell_px // 2 :: cell_px, cell_px // 2 :: cell_px].flatten(-2).float()
        told_m = torch.expm1(code * (torch.log1p(torch.tensor(FAR_M)) / 255.0))
        depth_m = torch.where(no_layout_B[:, None, None, None], ground_m, told_m).clamp(NEAR_M, FAR_M)
        point = eye + depth_m[..., None] * ray  # in the ego frame of this frame
        step, turn = motion[:, :, None, None, 2:4], motion[:, :, None, None, 4]
        cos, sin, x, y = turn.cos(), turn.sin(), point[..., 0], point[..., 1]
        moved = torch.stack([cos * x - sin * y + step[..., 0], sin * x + cos * y + step[..., 1], point[..., 2]], -1)
        relative = moved.flatten(2, 3)[:, :, None] - eye  # [B, T, V before, N, 3]
        camera = relative @ pose[..., :3, :3]
        place = camera[..., :2] / camera[..., 2:].clamp(min=0.1) * focal + centre
        place = place / cell_px - 0.5  # column and row, counted from the middle of the first cell
        last = torch.tensor([columns - 1, rows - 1], device=label.device)
        beyond = ((place - last / 2).abs() / (last / 2 + 0.5)).amax(-1)  # <= 1 inside the picture
        beyond = torch.where(camera[..., 2] > 0.1, beyond, torch.inf)
        own = torch.eye(views, dtype=torch.bool, device=label.device).repeat_interleave(rows * columns, 1)
        beyond = torch.where(own & (beyond <= 1.0), beyond - 1.0, beyond)
        least, view = beyond.min(2)  # the same camera if it saw the point, else the one that saw it nearest to its middle
        place = place.gather(2, view[:, :, None, :, None].expand(-1, -1, 1, -1, 2))[:, :, 0]
        seen = (least <= 1.0) & ~no_motion_B[:, None, None]
        place = torch.minimum(place.clamp(min=0.0), last)
        first = torch.minimum(place.floor(), (last - 1).clamp(min=0))
        part = place - first
        share_x, share_y = torch.stack([1 - part[..., 0], part[..., 0]], -1), torch.stack([1 - part[..., 1], part[..., 1]], -1)
        share = (share_y[..., :, None] * share_x[..., None, :]).flatten(-2) * seen[..., None]
        corner = (view * rows + first[..., 1].long()) * columns + first[..., 0].long()
        right, below = int(columns > 1), columns * int(rows > 1)
        cell = corner[..., None] + torch.tensor([0, right, below, below + right], device=label.device)
        return SeenBefore(cell.expand(batch, frames, -1, -1), share)
