"""What weather adds to finished pictures: reflections on the wet road, glow of lamps, drops and flakes in the air."""

from __future__ import annotations

import cv2
import numpy as np

from drivewm.datatypes import Array, Conditions, Weather
from drivewm.sim.raster.light import Illumination
from drivewm.sim.raster.optics import Optics

_DROPS, _FLAKES = 40, 44


def reflect(images: Array, wet_share: Array, optics: Optics, strength: float) -> None:
    """Mirror float32 images [V, H, W, 3] about the horizon onto the paved road, whose share of each pixel is [V, H, W]."""
    height = images.shape[1]
    rows = np.arange(height)
    for view in range(len(images)):
        horizon = float(optics.centre[view, 1]) / optics.scale
        mirrored = np.clip(np.rint(2.0 * horizon - rows - 1.0), 0, height - 1).astype(np.int64)
        grazing = 1.0 / (1.0 + np.maximum(rows - horizon, 0.0) * (1.6 / (height - horizon)))
        share = wet_share[view] * (rows + 1 > horizon)[:, None] * (strength * grazing).astype(np.float32)[:, None]
        mirror = cv2.blur(images[view][mirrored], (1, max(3, height // 12)))
        images[view] += (mirror - images[view]) * share[..., None]


def bloom(images: Array, shine: Array) -> None:
    """Let samples that shine by themselves, share [V, H, W] of each pixel, spill light on float32 images [V, H, W, 3]."""
    height = images.shape[1]
    for view in range(len(images)):
        if shine[view].any():
            bright = images[view] * shine[view][..., None]
            for strength, spread in ((0.55, height / 42.0), (0.35, height / 14.0)):
                images[view] += strength * cv2.GaussianBlur(bright, (0, 0), spread)


def particles(images: Array, conditions: Conditions, light: Illumination, t_s: float, seed: int) -> None:
    """Streaks of rain or flakes of snow on float32 images [V, H, W, 3]; the same for the same seed and time."""
    if conditions.weather not in (Weather.RAIN, Weather.SNOW):
        return
    rng = np.random.default_rng(np.random.SeedSequence([seed, round(t_s * 1000) % 2**32]))
    views, height, width = images.shape[:3]
    snow = conditions.weather == Weather.SNOW
    count = _FLAKES if snow else _DROPS
    size = rng.random((views, count)) ** 2
    place = rng.random((views, count, 2)) * np.array([width, height]) * 32
    colour = (light.haze_rgb + 26.0 * (1.0 if light.head_lamp < 0.9 else 2.0)) * (1.12 if snow else 1.0)
    for view in range(views):
        mask = np.zeros((2 * height, 2 * width), np.uint8)
        for (x, y), s in zip(place[view].astype(int).tolist(), size[view].tolist(), strict=True):
            if snow:
                radius = int((0.35 + 1.0 * s) * height / 64 * 32)
                cv2.circle(mask, (x, y), radius, int(110 + 140 * s), -1, cv2.LINE_AA, 4)
            else:
                long = int((2.0 + 9.0 * s) * height / 64 * 32)
                cv2.line(mask, (x, y), (x + long // 7, y + long), int(60 + 110 * s), max(1, height // 64), cv2.LINE_AA, 4)
        small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        share = small.astype(np.float32)[..., None] * np.float32(1.0 / 255.0)
        images[view] += (colour - images[view]) * share
