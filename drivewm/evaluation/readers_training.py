"""Train the readers on reference frames: exact labels and exact motion, nothing dreamed."""

from __future__ import annotations

from pathlib import Path

import torch

from drivewm.data.marks import write_trained_on
from drivewm.datatypes import Light, Weather
from drivewm.errors import InputError
from drivewm.evaluation.readers import READ_TABLE, Readers, pixels
from drivewm.evaluation.steered import WanderOptions, wandering
from drivewm.training.cache import UNTOLD, FrameCache
from drivewm.training.loop import FitOptions, OnLog, fit
from drivewm.training.shards import Tensors

#: rare classes count more, so that a pedestrian of ten pixels is not lost among sky and road
CLASS_WEIGHT = (1.0, 1.0, 2.0, 4.0, 5.0, 3.0)
PARTS = ("segmentation", "motion", "sky")
MOTION_UNIT = (0.5, 0.02)  # m and rad of a frame that weigh the same
WANDER_DRIVES = 64
MOST_GRAIN = 0.08  # deviation, of pixels in [-1, 1]


class _Parts(torch.nn.Module):
    """The readers that learn; they share nothing, so any of them can be left as it is."""

    def __init__(self, readers: Readers, parts: tuple[str, ...]) -> None:
        super().__init__()
        self.readers, self.parts = readers, parts

    def forward(self, seen: torch.Tensor, views: torch.Tensor, pairs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits of segmentation for ``views`` of frames [B, V, 3, H, W] and of their sky; motion of pairs [P, 2, V, 3, H, W]."""
        out = {}
        if "segmentation" in self.parts:
            out["segmentation"] = self.readers.segmentation(seen[:, views].flatten(0, 1))
        if "motion" in self.parts:
            out["motion"] = self.readers.motion_net(pairs[:, 0], pairs[:, 1])
        if "sky" in self.parts:
            out["sky"] = self.readers.sky_net(seen)
        return out


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
    cache: Path,
    out: Path,
    options: FitOptions,
    on_log: OnLog | None = None,
    start: Readers | None = None,
    parts: tuple[str, ...] = PARTS,
) -> Readers:
    """Train on packed clips, new readers or those of ``start`` further, and save to ``out/readers``. Resumes from ``out``.

    Motion learns from as many drives again that are steered at random, made below ``out``. Readers not in ``parts`` stay as they
    are. Raises InputError for unlabelled clips.
    """
    if start is None and parts != PARTS:
        raise InputError("one reader alone needs others to join", hint="give readers to start from")
    if unknown := sorted(set(parts) - set(PARTS)):
        raise InputError(f"unknown reader {unknown[0]!r}", hint="known: " + ", ".join(PARTS))
    clips = FrameCache(cache, options.seed)
    untold = UNTOLD + "layout"
    for index, file in enumerate(clips.files):
        if bool(clips.read(index, 0, 1, (untold,))[untold].any()):
            raise InputError("has no full labels: its source tells no map or no boxes", file=file, hint="readers need both")
    wander = wandering(out / "wander", clips.rig, WanderOptions(min(WANDER_DRIVES, 2 + options.steps // 10), options.seed))
    keys = (
        "images",
        "motion",
        *(("label",) if "segmentation" in parts else ()),
        *(("weather", "light") if "sky" in parts else ()),
    )

    def batch_at(step: int) -> Tensors:
        steered = wander.batch(step, options.batch, 3, ("images", "motion"))
        return clips.batch(step, options.batch, 3, keys) | {"steered_" + key: value for key, value in steered.items()}

    def loss_fn(model: torch.nn.Module, batch: Tensors, generator: torch.Generator) -> dict[str, torch.Tensor]:
        images, motion = (torch.cat([batch[key], batch["steered_" + key]]) for key in ("images", "motion"))
        picked, target = drawn_pairs(motion, generator)
        pairs = worn(pixels(images[torch.arange(len(images), device=images.device)[:, None], picked]), generator)
        count = images.shape[2]
        views = torch.randperm(count, generator=generator, device=images.device)[
            : (count + 1) // 2
        ]  # the costly reader takes half
        read = model(pairs[: options.batch, 1], views, pairs)
        seen = torch.arange(options.batch, device=images.device), picked[: options.batch, 1]
        losses = {}
        if "segmentation" in read:
            label = torch.from_numpy(READ_TABLE).to(images.device)[batch["label"][seen][:, views].flatten(0, 1).int()]
            class_weight = torch.tensor(CLASS_WEIGHT, device=images.device)
            losses["segmentation"] = torch.nn.functional.cross_entropy(read["segmentation"].float(), label, class_weight)
        if "motion" in read:
            losses["motion"] = ((read["motion"].float() - target) / torch.tensor(MOTION_UNIT, device=images.device)).abs().mean()
        if "sky" in read:
            weather, light = read["sky"].float().split([len(Weather), len(Light)], 1)
            losses["weather"] = torch.nn.functional.cross_entropy(weather, batch["weather"][seen])
            losses["light"] = torch.nn.functional.cross_entropy(light, batch["light"][seen])
        loss = torch.stack([value * (1.0 if name == "segmentation" else 0.2) for name, value in losses.items()]).sum()
        return {"loss": loss, **{name: value.detach() for name, value in losses.items()}}

    torch.manual_seed(options.seed)
    model = _Parts(start or Readers(len(clips.rig.names)), parts)
    trained: _Parts = fit(model, loss_fn, batch_at, out, options, on_log)  # type: ignore[assignment]
    readers = trained.readers.cpu()
    readers.save(out / "readers")
    write_trained_on(out / "readers", clips.trained_on())
    return readers


def drawn_pairs(motion: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Which two of three frames each row shows [B, 2], and the step ahead and turn [B, 2] between them; ``motion`` is [B, 3, 6].

    A quarter skips a frame, so that steps and turns twice as large as those of the drives are known as well.
    """
    skips = torch.rand(len(motion), generator=generator, device=motion.device) < 0.25
    first, second = motion[:, 1], motion[:, 2]
    turned = first[:, 4]
    both = first[:, 2] + turned.cos() * second[:, 2] - turned.sin() * second[:, 3], turned + second[:, 4]
    target = torch.where(skips[:, None], torch.stack(both, 1), first[:, [2, 4]])
    return torch.stack([torch.zeros_like(skips, dtype=torch.long), 1 + skips.long()], 1), target
