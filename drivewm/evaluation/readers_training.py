"""Train the readers on reference frames: exact labels and exact motion, nothing dreamed."""

from __future__ import annotations

from pathlib import Path

import torch

from drivewm.datatypes import SemanticClass, Weather
from drivewm.errors import InputError
from drivewm.evaluation.readers import READ_TABLE, Readers, pixels
from drivewm.training.cache import UNTOLD, FrameCache
from drivewm.training.loop import FitOptions, OnLog, fit
from drivewm.training.shards import Tensors

#: rare classes count more, so that a pedestrian of ten pixels is not lost among sky and road
CLASS_WEIGHT = (1.0, 1.0, 2.0, 4.0, 5.0, 3.0)
MOST_GRAIN = 0.08  # deviation, of pixels in [-1, 1]


class _ReadAll(torch.nn.Module):
    def __init__(self, readers: Readers) -> None:
        super().__init__()
        self.readers = readers

    def forward(self, frames: torch.Tensor, views: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Frames [B, 2, V, 3, H, W] -> logits of segmentation (``views`` of the second), of motion, of sky (the second)."""
        segmented = self.readers.segmentation(frames[:, 1, views].flatten(0, 1))
        moved = self.readers.motion_net(torch.cat([frames[:, 0], frames[:, 1]], 2))
        return segmented, moved, self.readers.sky_net(frames[:, 1])


def worn(frames: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Frames [B, 2, V, 3, H, W] as an imperfect picture shows them: half of the rows softened, half with grain.

    Readers that have only seen crisp pictures stumble over the softness of any autoencoder, whatever it shows.
    """
    batch, device = len(frames), frames.device

    def degree(most: float) -> torch.Tensor:
        some = torch.rand(batch, generator=generator, device=device) < 0.5
        return (most * torch.rand(batch, generator=generator, device=device) * some).view(-1, 1, 1, 1, 1, 1)

    flat = torch.nn.functional.pad(frames.flatten(0, 2), (1, 1, 1, 1), mode="replicate")
    soft = torch.nn.functional.avg_pool2d(flat, 3, stride=1).view_as(frames)
    grain = torch.randn(frames.shape, generator=generator, device=device)
    return torch.lerp(frames, soft, degree(1.0).expand_as(frames)) + degree(MOST_GRAIN) * grain


def train_readers(
    cache: Path, out: Path, options: FitOptions, on_log: OnLog | None = None, start: Readers | None = None
) -> Readers:
    """Train on packed clips, new readers or those of ``start`` further, and save to ``out/readers``. Resumes from ``out``.

    Raises InputError for unlabelled clips.
    """
    clips = FrameCache(cache, options.seed)
    untold = UNTOLD + "layout"
    for index, file in enumerate(clips.files):
        if bool(clips.read(index, 0, 1, (untold,))[untold].any()):
            raise InputError("has no full labels: its source tells no map or no boxes", file=file, hint="readers need both")
    table, class_weight = torch.from_numpy(READ_TABLE), torch.tensor(CLASS_WEIGHT)
    assert len(table) == len(SemanticClass)

    def batch_at(step: int) -> Tensors:
        return clips.batch(step, options.batch, 2, ("images", "label", "motion", "weather", "light"))

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        device, count = generator.device, batch["images"].shape[2]
        views = torch.randperm(count, generator=generator, device=device)[: (count + 1) // 2]  # the costly reader takes half
        segmented, moved, sky = model(worn(pixels(batch["images"]), generator), views)
        label = table.to(device)[batch["label"][:, 1, views].flatten(0, 1).int()]
        cross_entropy = torch.nn.functional.cross_entropy
        segmentation = cross_entropy(segmented.float(), label, class_weight.to(device))
        target = batch["motion"][:, 1][:, [2, 4]]
        motion = ((moved.float() - target) / torch.tensor([0.5, 0.02], device=device)).abs().mean()
        weather = cross_entropy(sky[:, : len(Weather)].float(), batch["weather"][:, 1])
        light = cross_entropy(sky[:, len(Weather) :].float(), batch["light"][:, 1])
        return {
            "loss": segmentation + 0.2 * motion + 0.2 * (weather + light),
            "segmentation": segmentation.detach(),
            "motion": motion.detach(),
            "weather": weather.detach(),
            "light": light.detach(),
        }

    torch.manual_seed(options.seed)
    views = len(clips.rig.names)
    trained: _ReadAll = fit(_ReadAll(start or Readers(views)), loss_fn, batch_at, out, options, on_log)  # type: ignore[assignment]
    readers = trained.readers.cpu()
    readers.save(out / "readers")
    return readers
