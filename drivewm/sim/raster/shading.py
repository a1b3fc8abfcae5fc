"""From surfaces to colours: light, texture, shadow and haze per sample, then pixels, then what happens in air and lens."""

from __future__ import annotations

import cv2
import numpy as np

from drivewm.datatypes import Array, Conditions, RoadMap, WorldState
from drivewm.sim.raster import textures
from drivewm.sim.raster.faces import Texture, normals
from drivewm.sim.raster.ground import CROSSWALK, PAINT, ROAD, SKY, STRIPE, SURFACES
from drivewm.sim.raster.light import Illumination, face_rgb, ground_rgb, sun_direction_ego
from drivewm.sim.raster.optics import Optics
from drivewm.sim.raster.painter import Samples
from drivewm.sim.raster.palette import mixed
from drivewm.sim.raster.shadows import shadows_of
from drivewm.sim.raster.sky import glare, sky_rgb
from drivewm.sim.raster.weather import bloom, reflect

_PAVED = np.isin(np.arange(SURFACES), [ROAD, CROSSWALK, STRIPE, PAINT]).astype(np.float32)
_GLASS_RGB = np.array([52.0, 62.0, 74.0], np.float32)


def shaded(samples: Samples, road: RoadMap, state: WorldState, conditions: Conditions, light: Illumination) -> Array:
    """Pictures float32 [V, h, w, 3] in 0..255 (may exceed), h = H / scale, without particles."""
    optics, painted = samples.optics, samples.painted
    sun_ego = sun_direction_ego(conditions, light, float(state.ego_xy_yaw_world[2]))
    faces, surface = samples.faces, painted.surface.reshape(-1)
    normal, glow = normals(faces.points[painted.face]), faces.glow[painted.face]
    rgb = face_rgb(faces, painted.face, normal, light, sun_ego)
    table = np.concatenate([ground_rgb(light), rgb])
    index = surface.astype(np.intp)
    colour = np.stack([table[:, i].take(index) for i in range(3)])
    position = _positions(samples)
    shine = _paint_windows(colour, samples, normal, position, light)
    colour *= _gain(samples, road, state, light, sun_ego, position)
    _haze(colour, samples, light)
    sky = np.flatnonzero(surface == SKY)
    colour[:, sky] = sky_rgb(sky, optics, light, conditions, sun_ego)
    images = _pixels(colour, optics)
    if light.wet:
        paved = _PAVED.take(np.minimum(surface, SURFACES - 1)) * (surface < SURFACES)
        reflect(images, _pixels(paved[None], optics)[..., 0], optics, light.wet)
    if glow.any() or light.lights_on:
        shine[samples.face_at] += glow.take(samples.face_row)
        bloom(images, _pixels(shine[None], optics)[..., 0])
    glare(images, optics, light, sun_ego)
    return images


def _positions(samples: Samples) -> Array:
    """Where samples on faces lie in the ego frame, float32 [3, n]."""
    optics, at = samples.optics, samples.face_at
    per_view = optics.size[0] * optics.size[1]
    depth = samples.depth_m.reshape(-1).take(at)
    view = at // per_view
    return np.stack([optics.position[:, i].take(view) + depth * optics.ray_planes[i].take(at) for i in range(3)])


def _paint_windows(colour: Array, samples: Samples, normal: Array, position: Array, light: Illumination) -> Array:
    """Draw windows on walls; gives how much every sample shines by itself [V * H * W]."""
    shine = np.zeros(samples.painted.surface.size, np.float32)
    faces, painted = samples.faces, samples.painted
    wall = np.flatnonzero((faces.texture[painted.face] == Texture.WINDOWS).take(samples.face_row))
    if not len(wall):
        return shine
    at, row = samples.face_at.take(wall), samples.face_row.take(wall)
    points, start = faces.points[painted.face], faces.texture_u_m[painted.face]
    pane, window = textures.windows(position[:, wall], row, points, normal, start)
    at = at.take(pane)
    glass = np.clip(1.7 - samples.depth_m.reshape(-1).take(at) * np.float32(1.0 / 50.0), 0.0, 1.0)  # far walls are plain
    _blend(colour, at, _GLASS_RGB * (light.ambient + 0.35 * light.sun), glass * np.float32(0.72))
    if light.lit_windows:
        lit = np.flatnonzero(mixed(window) % 1000 < 1000 * light.lit_windows)
        _blend(colour, at.take(lit), textures.LIT_WINDOW_RGB, glass.take(lit))
        shine[at.take(lit)] = 0.5 * glass.take(lit)
    return shine


def _blend(colour: Array, at: Array, rgb: Array, share: Array) -> None:
    """Move colours [3, n] at the given samples towards one colour."""
    for i in range(3):
        own = colour[i].take(at)
        colour[i, at] = own + (rgb[i] - own) * share


def _gain(
    samples: Samples, road: RoadMap, state: WorldState, light: Illumination, sun_ego: Array, position: Array
) -> Array:  # fmt: skip
    """Light on every sample [V * H * W] beyond what its surface alone says."""
    optics, surface = samples.optics, samples.painted.surface.reshape(-1)
    gain = np.ones(surface.size, np.float32)
    at = np.flatnonzero((surface > SKY) & (surface < SURFACES))
    gain[at] = textures.ground_grain(surface.take(at), at, optics, state.ego_xy_yaw_world)
    shade = textures.shade_ground if optics.standpoint is None else textures.shade_relief
    shade(gain, surface < SURFACES, shadows_of(road, state, light, sun_ego), optics)
    if light.head_lamp:
        strength = np.float32(0.8 * light.head_lamp / light.ambient.mean())
        gain[at] *= 1.0 + strength * textures.head_lamp_light(optics.ground_x_ego.take(at), optics.ground_y_ego.take(at), 0.0)
        x, y, z = position
        if optics.standpoint is not None:  # the lamps are pitched with the car
            z = z - np.float32(np.tan(optics.standpoint.pitch_rad)) * x
        gain[samples.face_at] *= 1.0 + strength * textures.head_lamp_light(x, y, z)
    return gain


def _haze(colour: Array, samples: Samples, light: Illumination) -> None:
    """Fade colours [3, n] towards the haze with the exact distance."""
    distance = samples.depth_m * samples.optics.stretch
    kept = np.exp(distance.reshape(-1) * np.float32(-1.0 / light.haze_m))
    for i in range(3):
        colour[i] = (colour[i] - light.haze_rgb[i]) * kept + light.haze_rgb[i]


def _pixels(planes: Array, optics: Optics) -> Array:
    """Means of samples, from planes [C, V * H * W] to pictures [V, h, w, C]."""
    count, views = len(planes), len(optics.position)
    height, width = optics.size
    tall = np.ascontiguousarray(planes, np.float32).reshape(count * views * height, width)
    small = cv2.resize(tall, (width // optics.scale, len(tall) // optics.scale), interpolation=cv2.INTER_AREA)
    shape = (count, views, height // optics.scale, width // optics.scale)
    return np.ascontiguousarray(np.moveaxis(small.reshape(shape), 0, -1))
