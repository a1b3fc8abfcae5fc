"""A state as the cameras see it, with exact semantics, instances and depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drivewm.datatypes import Array, CameraRig, Conditions, RoadMap, WorldState
from drivewm.sim.raster.ground import SURFACE_LABEL, SURFACES
from drivewm.sim.raster.light import illumination, underground
from drivewm.sim.raster.optics import prepare
from drivewm.sim.raster.painter import Samples, look
from drivewm.sim.raster.place import place_of
from drivewm.sim.raster.shading import shaded
from drivewm.sim.raster.weather import particles

OVERSAMPLING = 2  # samples per pixel side; exact buffers show one of them


@dataclass(frozen=True, slots=True)
class Frame:
    """One instant of V cameras. A lost camera's picture is black; its exact buffers stay."""

    images: Array  # uint8 [V, H, W, 3] RGB
    semantics: Array  # uint8 [V, H, W], SemanticClass
    instance: Array  # int32 [V, H, W], track id or -1
    depth_m: Array  # float32 [V, H, W], along the optical axis; clipping.FAR_M in the sky; exact on flat faces


def render(road: RoadMap, state: WorldState, conditions: Conditions, rig: CameraRig, seed: int) -> Frame:
    """What the rig sees of a state without leading axes; a function of its arguments alone (``seed`` moves drops and flakes)."""
    optics, light, place = prepare(rig, OVERSAMPLING), illumination(conditions), place_of(road)
    covered = road.covered(state.ego_xy_yaw_world[:2])
    light = underground(light) if covered else light
    faces = place.faces(state, plain=False, lights_on=light.lights_on)
    samples = look(place, faces, optics, state.ego_xy_yaw_world)
    images = shaded(samples, road, state, conditions, light)
    if not covered:
        particles(images, conditions, light, float(state.t_s), seed)
    pictures = np.clip(images + 0.5, 0.0, 255.0).astype(np.uint8)
    for view, name in enumerate(rig.names):
        if name in conditions.lost_cameras:
            pictures[view] = 0
    return Frame(pictures, *_exact(samples))


def _exact(samples: Samples) -> tuple[Array, Array, Array]:
    """Semantics, instances and depth of one sample per pixel."""
    faces, painted = samples.faces, samples.painted
    label = SURFACE_LABEL.take(np.minimum(painted.surface, SURFACES - 1))
    label.reshape(-1)[samples.face_at] = faces.label[painted.face].take(samples.face_row)
    instance = np.full(label.shape, -1, np.int32)
    instance.reshape(-1)[samples.face_at] = faces.instance[faces.group[painted.face]].take(samples.face_row)
    step = slice(OVERSAMPLING // 2, None, OVERSAMPLING)
    return label[:, step, step].copy(), instance[:, step, step].copy(), samples.depth_m[:, step, step].copy()
