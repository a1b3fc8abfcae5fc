"""Small networks that read pictures back: what is where, how the ego moved, which weather and light.

They learn from reference frames only. What they read in a dream is compared with what they read in the reference, so a claim
about the dream never rests on the dream's own network.
"""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from drivewm.datatypes import Light, SemanticClass, Weather
from drivewm.errors import InputError
from drivewm.store import atomic_write
from drivewm.worldmodel.precision import inference_autocast

EMBEDDED = Path(__file__).parent.parent / "assets" / "readers"
READ_CLASSES = ("other", "road", "vehicle", "two_wheeler", "pedestrian", "obstacle")
_READ_AS = {
    SemanticClass.ROAD: 1,
    SemanticClass.MARKING: 1,
    SemanticClass.CROSSWALK: 1,
    SemanticClass.VEHICLE: 2,
    SemanticClass.TWO_WHEELER: 3,
    SemanticClass.PEDESTRIAN: 4,
    SemanticClass.OBSTACLE: 5,
}
#: SemanticClass -> index into READ_CLASSES
READ_TABLE: NDArray[np.int64] = np.array([_READ_AS.get(kind, 0) for kind in SemanticClass], np.int64)


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SegmentationReader(nn.Module):
    """A four-level U-Net on single pictures [N, 3, H, W] -> logits [N, classes, H, W]."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.first = conv(3, widths[0])
        self.down = nn.ModuleList(nn.Sequential(conv(wide, deep, 2), conv(deep, deep)) for wide, deep in pairs)
        self.up = nn.ModuleList(conv(wide + deep, wide) for wide, deep in reversed(pairs))
        self.out = nn.Conv2d(widths[0], len(READ_CLASSES), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = [self.first(x.to(memory_format=torch.channels_last))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in self.up:
            x = up(torch.cat([levels.pop(), nn.functional.interpolate(x, scale_factor=2.0)], 1))
        return self.out(x)


REACH_CELLS = 8  # how far to each side a feature is looked for


class MotionReader(nn.Module):
    """Successive frames of all cameras [N, V, 3, H, W] each -> step ahead (m) and turn (rad) [N, 2].

    Features of both frames are matched along the rows, as the picture of a car that turns moves sideways: strided convolutions
    alone feel a shift of a few pixels and no more, so that they gave a third of a sharp turn. What moves where in the picture is
    what tells the motion, so no feature is averaged over the picture.
    """

    scale: torch.Tensor

    def __init__(self, views: int, width: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, width, 2), conv(width, width), nn.Conv2d(width, width, 3, 1, 1))
        shifts = 2 * REACH_CELLS + 1
        self.fine = conv(shifts + width, 40, 2)
        self.net = nn.Sequential(
            conv(40 + 3 * shifts, 64),
            conv(64, 64, 2),
            nn.AdaptiveAvgPool2d((8, 12)),
            conv(64, 32, 2),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(views * 32 * 24, 128), nn.ReLU(inplace=True), nn.Linear(128, 2))
        self.register_buffer("scale", torch.tensor([2.0, 0.05]))

    def forward(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        return self.compared(self.seen(before), self.seen(after))

    def seen(self, frames: torch.Tensor) -> torch.Tensor:
        """What is matched of frames [N, V, 3, H, W]: features [N, V, C, H / 2, W / 2]."""
        flat = frames.flatten(0, 1).to(memory_format=torch.channels_last)
        return self.features(flat).unflatten(0, frames.shape[:2])

    def compared(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Step and turn [N, 2] between frames of which `seen` gave these features."""
        one, two = before.flatten(0, 1), after.flatten(0, 1)
        halved = [nn.functional.avg_pool2d(frame, 2, ceil_mode=True) for frame in (one, two)]
        x = self.fine(torch.cat([matched(_even(one), _even(two), 0), one], 1))
        x = self.net(torch.cat([x, matched(_even(halved[0]), _even(halved[1]), 1)], 1))
        return self.head(x.unflatten(0, before.shape[:2]).flatten(1)) * self.scale


def matched(before: torch.Tensor, after: torch.Tensor, rows: int) -> torch.Tensor:
    """Likeness of every feature [N, H, W, C] with those beside it in the other frame, up to ``rows`` above and below.

    Returns [N, (2 * rows + 1) * (2 * REACH_CELLS + 1), H, W].
    """
    count, height, width, _ = before.shape
    after = nn.functional.pad(after, (0, 0, REACH_CELLS, REACH_CELLS, rows, rows)).transpose(2, 3)
    shifts, out = 2 * REACH_CELLS + 1, []
    for row in range(2 * rows + 1):
        likeness = before @ after[:, row : row + height]  # [N, H, W, W + 2 * reach]
        # rows a place longer than they were, so that a column of what is left is a shift instead of a place
        skewed = nn.functional.pad(likeness.flatten(2), (0, width)).view(count, height, width, width + shifts)
        out.append(skewed[..., :shifts])
    return torch.cat(out, -1).permute(0, 3, 1, 2)


def _even(features: torch.Tensor) -> torch.Tensor:
    """Features [N, C, H, W] as unit vectors [N, H, W, C]."""
    x = features.permute(0, 2, 3, 1)
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-4)


class SkyReader(nn.Module):
    """All cameras of one frame [N, V, 3, H, W] -> logits of weather and light [N, 4 + 4]."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.net = nn.Sequential(conv(3, width, 2), conv(width, width), conv(width, 2 * width, 2), conv(2 * width, 2 * width, 2))
        self.head = nn.Linear(4 * width, len(Weather) + len(Light))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        x = self.net(frames.flatten(0, 1).to(memory_format=torch.channels_last)).unflatten(0, frames.shape[:2])
        return self.head(torch.cat([x.mean((1, 3, 4)), x.amax((1, 3, 4))], -1))


class Readers(nn.Module):
    """The three readers, saved and used together."""

    def __init__(self, views: int = 6) -> None:
        super().__init__()
        self.views = views
        self.segmentation, self.motion_net, self.sky_net = SegmentationReader(), MotionReader(views), SkyReader()

    @torch.no_grad()
    def segment(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Index into READ_CLASSES [..., H, W] for pictures uint8 [..., H, W, 3]."""
        flat = pixels(torch.from_numpy(images).reshape(-1, *images.shape[-3:]))
        with inference_autocast(flat.device):
            read = torch.cat([self.segmentation(part).argmax(1).to(torch.uint8) for part in flat.split(96)])
        return read.numpy().reshape(images.shape[:-1])

    @torch.no_grad()
    def motion(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Step ahead (m) and turn (rad) between successive frames [T - 1, 2] for frames uint8 [T, V, H, W, 3]."""
        frames = pixels(torch.from_numpy(images))
        with inference_autocast(frames.device):
            seen = self.motion_net.seen(frames)
            moved = self.motion_net.compared(seen[:-1], seen[1:])
        return moved.float().numpy()

    @torch.no_grad()
    def sky(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index into Weather and into Light [N] for frames uint8 [N, V, H, W, 3]."""
        with inference_autocast(torch.device("cpu")):
            logits = self.sky_net(pixels(torch.from_numpy(images))).float()
        return logits[:, : len(Weather)].argmax(1).numpy(), logits[:, len(Weather) :].argmax(1).numpy()

    def fingerprint(self) -> str:
        """Names the weights (as saved, in half precision)."""
        digest = hashlib.sha256()
        for value in self.state_dict().values():
            digest.update(value.half().contiguous().numpy().tobytes())
        return f"readers@{digest.hexdigest()[:8]}"

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "readers.safetensors") as temporary:
            save_file({name: value.half().contiguous() for name, value in self.state_dict().items()}, str(temporary))
        with atomic_write(folder / "readers.json") as temporary:
            temporary.write_text(json.dumps({"views": self.views, "classes": READ_CLASSES}) + "\n")

    @classmethod
    def load(cls, folder: Path = EMBEDDED) -> Readers:
        """Read a folder written by `save`; raises InputError when it is missing or damaged."""
        try:
            readers = cls(json.loads((folder / "readers.json").read_text())["views"])
            readers.load_state_dict(load_file(folder / "readers.safetensors"))
        except FileNotFoundError:
            raise InputError("no readers here", file=folder, hint="train them with: drivewm train readers") from None
        except Exception as error:  # json, safetensors and torch raise many kinds for damaged files
            raise InputError(f"unreadable readers: {str(error).splitlines()[0]}", file=folder) from None
        return readers.float().eval()


def pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 [..., H, W, 3] to [..., 3, H, W] in [-1, 1]."""
    return images.movedim(-1, -3).float() / 127.5 - 1.0


def class_iou(read: NDArray[Any], truth: NDArray[Any]) -> list[float | None]:
    """Intersection over union of each read class over all pixels; None where the class never occurs."""
    out: list[float | None] = []
    for index in range(len(READ_CLASSES)):
        a, b = read == index, truth == index
        out.append(float((a & b).sum() / (a | b).sum()) if b.any() else None)
    return out
