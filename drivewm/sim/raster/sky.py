"""The sky: a gradient from the horizon up, soft clouds on clear days, a glow around the sun, stars at night."""

from __future__ import annotations

import numpy as np

from drivewm.datatypes import Array, Conditions, Weather
from drivewm.sim.raster.light import Illumination
from drivewm.sim.raster.optics import Optics


def sky_rgb(at: Array, optics: Optics, light: Illumination, conditions: Conditions, sun_ego: Array) -> Array:
    """Colours float32 [3, n] of the sky samples with flat indices ``at`` [n]."""
    inverse = np.float32(1.0) / optics.stretch.reshape(-1).take(at)
    x, y, z = (optics.ray_planes[i].take(at) * inverse for i in range(3))
    climb = np.sqrt(np.clip(z * np.float32(1.7), 0.0, 1.0))
    out = light.sky_low[:, None] + (light.sky_top - light.sky_low)[:, None] * climb
    if light.sun_glow.any():
        toward = x * sun_ego[0] + y * sun_ego[1] + z * sun_ego[2]
        near = np.exp((toward - np.float32(1.0)) * np.float32(14.0)) + np.exp((toward - np.float32(1.0)) * np.float32(400.0))
        out += light.sun_glow[:, None] * near
        if conditions.weather == Weather.CLEAR:
            disc = np.clip((toward - np.float32(0.9985)) * np.float32(1500.0), 0.0, 1.0)
            out += (light.sun_glow.sum() > 200.0) * np.float32(120.0) * disc
    return np.asarray(out, np.float32)


def glare(images: Array, optics: Optics, light: Illumination, sun_ego: Array) -> None:
    """Veil float32 images [V, H, W, 3] of cameras that look into a low sun, most at the side of the sun."""
    if light.sun_elevation_rad > 0.3 or light.sun_glow.sum() < 200.0:
        return
    step = optics.scale
    rays = optics.ray_ego[:, ::step, ::step]
    toward = (rays @ sun_ego) / optics.stretch[:, ::step, ::step]
    veil = np.exp((toward - 1.0) * 9.0)[..., None] * np.float32(0.42)
    images += (np.array([255.0, 226.0, 170.0], np.float32) - images) * veil
