"""How alike two pictures are: by pixels (PSNR), by structure (SSIM), and by what a fixed network sees in them.

The last has the form of LPIPS (Zhang et al. 2018) without its learned weights and on another network, so its figures are none
of LPIPS: they compare pictures that went through the same network, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.evaluation.readers import Readers, pixels

SMALLEST_PX = 11  # side of the window of SSIM
_USUAL = (("image_mean", (0.485, 0.456, 0.406)), ("image_std", (0.229, 0.224, 0.225)))  # of networks trained on ImageNet


def psnr_db(a: Array, b: Array) -> float:
    """Peak signal to noise of two pictures uint8, in dB; infinite where they are the same."""
    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(a, b, data_range=255))


def ssim(a: Array, b: Array) -> float:
    """Structural similarity of two pictures uint8 [H, W, 3], channels averaged, as Wang et al. 2004 define it: 1 for the same."""
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(a, b, channel_axis=-1, data_range=255, **window))


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """A fixed network and the name under which its distances are reported."""

    name: str
    layers: Callable[[torch.Tensor], list[torch.Tensor]]  # images uint8 [N, H, W, 3] -> features [N, C, ...] of some layers

    @torch.no_grad()
    def distance(self, a: Array, b: Array) -> float:
        """Features of unit length at every place, their squared difference, averaged over places and then layers: 0 to 4."""
        both = self.layers(torch.from_numpy(np.stack([a, b])))
        unit = [torch.nn.functional.normalize(layer.flatten(2).double(), dim=1) for layer in both]
        return float(torch.stack([(one[0] - one[1]).square().sum(0).mean() for one in unit]).mean())


def reader_network(readers: Readers | None = None) -> FeatureNetwork:
    """The encoder of the readers that ship with us, which learned driving scenes (procedural ones)."""
    segmentation = (readers or Readers.load()).segmentation

    def layers(images: torch.Tensor) -> list[torch.Tensor]:
        found = [segmentation.first(pixels(images))]
        for down in segmentation.down:
            found.append(down(found[-1]))
        return found

    return FeatureNetwork("feature distance (readers)", layers)


def backbone_network(folder: Path) -> FeatureNetwork:
    """All hidden states of a vision model of transformers in a folder. Raises InputError when it is missing or damaged."""
    from transformers import AutoModel

    if not (folder / "config.json").is_file():
        raise InputError("no vision model here (a config.json and its weights)", file=folder)
    try:
        loaded: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        model = loaded[0].eval()
        side = getattr(model.config, "image_size", None)
        file = folder / "preprocessor_config.json"
        stated = json.loads(file.read_text()) if file.is_file() else {}
        mean, std = (torch.tensor(stated.get(name, usual)).view(3, 1, 1) for name, usual in _USUAL)
    except Exception as error:  # transformers and safetensors raise many kinds for damaged files
        raise InputError(f"unreadable vision model: {str(error).splitlines()[0]}", file=folder) from None

    # what pools the features for a classifier may be new, nothing looks at it
    if missing := sorted(key for key in loaded[1]["missing_keys"] if "pooler" not in key):
        raise InputError(f"unreadable vision model: {len(missing)} weights are missing, such as {missing[0]}", file=folder)

    def layers(images: torch.Tensor) -> list[torch.Tensor]:
        x = (images.movedim(-1, 1).float() / 255 - mean) / std
        if isinstance(side, int):  # it knows places only of this size
            x = torch.nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
        states = model(pixel_values=x, output_hidden_states=True).hidden_states
        return [state if state.ndim == 4 else state.movedim(-1, 1) for state in states]

    network = FeatureNetwork(f"feature distance ({model.config.model_type} in {folder.name})", layers)
    try:
        network.distance(*np.zeros((2, 64, 64, 3), np.uint8))
    except Exception as error:  # a network of another sense raises anything
        raise InputError(f"gives no features of pictures: {(str(error) or 'no reason').splitlines()[0]}", file=folder) from None
    return network
