"""Is it the same world a moment later? Things must keep their place and their colour while they are in view.

Both figures need no reader: the told layout says which pixel shows what, and geometry says where it stood a frame ago.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from drivewm.datatypes import SemanticClass
from drivewm.training.shards import Tensors
from drivewm.worldmodel.reprojection import Sightlines

Images = NDArray[np.uint8]
POINT_PX = 2
STANDING = (SemanticClass.BUILDING, SemanticClass.TREE, SemanticClass.ROAD, SemanticClass.MARKING, SemanticClass.SIDEWALK)
PAINTED = {"vehicle": SemanticClass.VEHICLE, "building": SemanticClass.BUILDING}
SMALLEST_PX = 24  # a patch of one paint in one camera that counts


def psnr_db(shown: Images, reference: Images) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio per drive [B] of frames [B, T, V, H, W, 3]."""
    error = ((shown.astype(np.float32) - reference) ** 2).mean(tuple(range(1, shown.ndim)))
    return np.asarray(10.0 * np.log10(255.0**2 / np.maximum(error, 1e-3)), np.float64)


def displaced(shown: Images, told: Tensors) -> float:
    """Root mean square difference (0..255) between standing things and where the frame before says they are.

    ``shown`` [B, T, V, H, W, 3]; means over 2 x 2 px.
    """
    error, counts = _apart(shown, told)
    return float(error[counts].mean().sqrt())


def displaced_by_frame(shown: Images, told: Tensors) -> NDArray[np.float64]:
    """The same of every frame but the first [B, T - 1]; NaN where nothing that stands is in view."""
    error, counts = _apart(shown, told)
    summed, count = (part.flatten(2).double().sum(-1) for part in (error * counts, counts))
    return np.asarray((summed / count).sqrt().numpy())


def _apart(shown: Images, told: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared differences of points [B, T - 1, V, h, w], and which of them show what stands and was in view before."""
    none = torch.zeros(len(shown), dtype=torch.bool)
    lines = Sightlines.of(told, none, none, POINT_PX)
    pixels = torch.from_numpy(shown).flatten(0, 2).movedim(-1, 1).float()
    points = torch.nn.functional.avg_pool2d(pixels, POINT_PX).unflatten(0, shown.shape[:3])
    before = torch.cat([points[:, :1], points[:, :-1]], 1)
    moved = lines.moved(before, lines.told)
    half = POINT_PX // 2
    standing = torch.isin(told["label"][..., half::POINT_PX, half::POINT_PX], torch.tensor(STANDING))
    counts = standing & (moved[:, :, :, 3] == 1.0)
    error = ((moved[:, :, :, :3] - points) ** 2).mean(3)
    return error[:, 1:], counts[:, 1:]


def colour_errors(shown: Images, reference: Images, told: Tensors) -> dict[str, float | None]:
    """How far the mean colour of painted things is from the reference's (0..255): mean over patches of one paint and camera."""
    out: dict[str, float | None] = {}
    paint, label = told["paint"].numpy(), told["label"].numpy()
    for name, kind in PAINTED.items():
        errors = []
        for place in np.ndindex(*label.shape[:3]):
            here = np.where(label[place] == kind, paint[place], 0)
            for colour in np.flatnonzero(np.bincount(here.ravel())[1:] >= SMALLEST_PX) + 1:
                mask = here == colour
                errors.append(np.abs(shown[place][mask].mean(0) - reference[place][mask].mean(0)).mean())
        out[name] = float(np.mean(errors)) if errors else None
    return out


def appearance(shown: Images, reference: Images, told: Tensors) -> dict[str, Any]:
    """Both figures of frames [B, T, V, H, W, 3] beside the reference's own; ``told`` are their conditions."""
    return {"displaced_rms": displaced(shown, told), "colour_error": colour_errors(shown, reference, told)}
