"""What a frame can know of itself from the frame before: ego motion as geometry, not as a number to be learned.

The latents of the frame before are unfolded into a fine picture of features. Every point of this frame, at the depth that the
layout tells or, where none is told, that the unfolded picture guesses, is moved back by the ego's motion and looked up there.
Latents themselves cannot be moved: one covers 8 x 8 px and does not turn into its neighbour when the picture shifts by four.
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
CANVAS_PX = 2  # px per point of the unfolded picture
FEATURES = 12  # of each point: colour, log-depth, and whatever training finds useful


@dataclass(frozen=True, slots=True)
class Sightlines:
    """Where the points of B cars' pictures over T frames look, h x w of them per camera, and how the ego came here."""

    raster_px: tuple[int, int]
    ray: torch.Tensor  # [B, T, V, h, w, 3], per metre of depth, in the ego frame
    focal: torch.Tensor  # [B, T, V, 1, 1, 2], px
    centre: torch.Tensor
    pose: torch.Tensor  # [B, T, V, 4, 4], ego_from_camera
    motion: torch.Tensor  # [B, T, 6]
    told: torch.Tensor  # [B, T, V, h, w], log-depth of the layout, 0..1
    no_layout: torch.Tensor  # bool [B]
    no_motion: torch.Tensor  # bool [B]

    @classmethod
    @torch.no_grad()
    def of(cls, told: Mapping[str, torch.Tensor], no_layout: torch.Tensor, no_motion: torch.Tensor, point_px: int) -> Sightlines:
        """From `FrameConditions` as tensors [B, T, ...]; a point stands for ``point_px`` x ``point_px`` px."""
        height, width = told["label"].shape[-2:]
        k, pose = told["intrinsics"].float(), told["ego_from_camera"].float()
        with torch.autocast(k.device.type, enabled=False):  # bf16 has three digits, too few for a pixel
            v, u = (point_px * (torch.arange(side // point_px, device=k.device) + 0.5) for side in (height, width))
            pixel = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)
            focal, centre = k.diagonal(dim1=-2, dim2=-1)[..., None, None, :2], k[..., None, None, :2, 2]
            ahead = nn.functional.pad((pixel - centre) / focal, (0, 1), value=1.0)
            ray = (ahead.flatten(-3, -2) @ pose[..., :3, :3].transpose(-1, -2)).view(ahead.shape)
        depth = told["log_depth"][..., point_px // 2 :: point_px, point_px // 2 :: point_px].float() / 255.0
        return cls((height, width), ray, focal, centre, pose, told["motion"].float(), depth, no_layout, no_motion)

    @property
    def ground(self) -> torch.Tensor:
        """Log-depth (0..1) [B, T, V, h, w] of the ground plane, which is far away above the horizon."""
        down, high = self.ray[..., 2], self.pose[..., None, None, 2, 3]
        depth_m = torch.where(down < 0, -high / down.clamp(max=-1e-4), FAR_M)
        return torch.log1p(depth_m.clamp(NEAR_M, FAR_M)) / LOG_FAR

    def moved(self, before: torch.Tensor, guessed: torch.Tensor) -> torch.Tensor:
        """A picture [B, T, V, C, h, w] of the frames before as these frames see its points, and a channel: 1 where they do.

        ``guessed`` log-depths [B, T, V, h, w] (0..1) count in clips whose layout is not told; without motion nothing is seen.
        """
        with torch.no_grad(), torch.autocast(before.device.type, enabled=False):
            place = self._place_before(torch.where(self.no_layout[:, None, None, None, None], guessed.float(), self.told))
            seen = (place.abs() <= 1.0).all(-1) & ~self.no_motion[:, None, None, None, None]
            place = torch.where(seen[..., None], place, 2.0)
        flat = before.flatten(0, 2).float()
        found = nn.functional.grid_sample(flat, place.flatten(0, 2), padding_mode="border", align_corners=False)
        found = torch.cat(
            [found.view(*before.shape[:3], *found.shape[1:]), torch.ones_like(seen[:, :, :, None], dtype=flat.dtype)], 3
        )
        return found * seen[:, :, :, None]

    def _place_before(self, log_depth: torch.Tensor) -> torch.Tensor:
        """Where points stood in the same camera a frame earlier, [B, T, V, h, w, 2] in -1..1, edge to edge; 2 if behind it."""
        depth_m = torch.expm1(log_depth * LOG_FAR).clamp(NEAR_M, FAR_M)
        eye = self.pose[..., None, None, :3, 3]
        x, y, z = (eye + depth_m[..., None] * self.ray).unbind(-1)  # in the ego frame of this frame
        wide = (..., None, None, None)
        step_x, step_y, turn = (self.motion[..., i][wide] for i in (2, 3, 4))
        cos, sin = turn.cos(), turn.sin()
        moved = torch.stack([cos * x - sin * y + step_x, sin * x + cos * y + step_y, z], -1) - eye
        camera = (moved.flatten(-3, -2) @ self.pose[..., :3, :3]).view(moved.shape)
        place = camera[..., :2] / camera[..., 2:].clamp(min=0.1) * self.focal + self.centre
        half = torch.tensor([self.raster_px[1], self.raster_px[0]], device=place.device) / 2.0
        return torch.where(camera[..., 2:] > 0.1, place / half - 1.0, 2.0)


class Canvas(nn.Module):
    """Unfolds latents into a fine picture of features, and folds such a picture into features per latent cell."""

    def __init__(self, size: WorldModelSize, cell_features: int) -> None:
        super().__init__()
        fine = size.downsampling // CANVAS_PX
        self.unfold = nn.Sequential(
            nn.Conv2d(size.latent_channels, 64, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(64, FEATURES * fine**2, 3, padding=1),
            nn.PixelShuffle(fine),
        )
        self.fold = nn.Sequential(
            nn.Conv2d(FEATURES + 1, cell_features, fine, stride=fine), nn.SiLU(), nn.Conv2d(cell_features, cell_features, 1)
        )

    def picture(self, latent: torch.Tensor) -> torch.Tensor:
        """Features [B, T, V, FEATURES, h, w] of latents; three are taught to be colours (-1..1), the fourth log-depth."""
        fine: torch.Tensor = self.unfold(latent.flatten(0, 2))
        return fine.unflatten(0, latent.shape[:3])

    def forward(self, before: torch.Tensor, lines: Sightlines) -> torch.Tensor:
        """Features per cell [B, T, V, h, w, E] of what the frames before, latents [B, T, V, C, h, w], tell of these."""
        picture = self.picture(before)
        cells: torch.Tensor = self.fold(lines.moved(picture, picture[:, :, :, 3].detach()).flatten(0, 2))
        return cells.movedim(1, -1).unflatten(0, before.shape[:3])
