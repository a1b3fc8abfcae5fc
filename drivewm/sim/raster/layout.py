"""The layout: what is known from map and boxes alone, as the world model's condition. No weather, no light, no texture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.datatypes import Array, CameraRig, RoadMap, WorldState
from drivewm.sim.raster.ground import SURFACE_LABEL, SURFACES
from drivewm.sim.raster.optics import prepare
from drivewm.sim.raster.painter import look
from drivewm.sim.raster.place import place_of

LOG_DEPTH_RANGE_M = 120.0  # what 255 stands for


@dataclass(frozen=True, slots=True)
class Layout:
    """V views of H x W pixels."""

    label: Array  # uint8 [V, H, W], SemanticClass
    log_depth: Array  # uint8 [V, H, W], 255 * log(1 + d) / log(1 + 120) of the depth along the optical axis; sky is 255
    paint: Array  # uint8 [V, H, W], index into PAINT_RGB, 0 where nothing is painted


def layout(road: RoadMap, state: WorldState, rig: CameraRig, exposure_s: Array | None = None) -> Layout:
    """Cuboids of agents, road polygons, markings, crosswalks, sidewalks, buildings, trees and signal heads as the cameras see
    them. ``state`` has no leading axes.

    With ``exposure_s`` [V] each camera sees the agents where they are that long after the time of ``state``, at their speed.
    """
    if exposure_s is not None and exposure_s.any():
        views = [layout(road, moved_on(state, float(after_s)), rig.only(v)) for v, after_s in enumerate(exposure_s)]
        return Layout(*(np.concatenate([getattr(view, name) for view in views]) for name in Layout.__slots__))
    optics, place = prepare(rig, 1), place_of(road)
    faces = place.faces(state, plain=True)
    samples = look(place, faces, optics, state.ego_xy_yaw_world)
    painted, at, row = samples.painted, samples.face_at, samples.face_row
    label = SURFACE_LABEL.take(np.minimum(painted.surface, SURFACES - 1))
    colour = np.zeros(label.size, np.uint8)
    label.reshape(-1)[at] = faces.label[painted.face].take(row)
    colour[at] = faces.paint[faces.group[painted.face]].take(row)
    return Layout(label, log_depth(samples.depth_m), colour.reshape(label.shape))


def moved_on(state: WorldState, after_s: float) -> WorldState:
    """The state with the agents moved on; the ego stays, its cameras have been moved."""
    agents = state.agents
    yaw = agents.xy_yaw_world[:, 2]
    step = after_s * agents.speed_mps[:, None] * np.stack([np.cos(yaw), np.sin(yaw), 0 * yaw], -1)
    return replace(state, agents=replace(agents, xy_yaw_world=agents.xy_yaw_world + step))


def log_depth(depth_m: Array) -> Array:
    """uint8 code of depths in metres."""
    code = np.log1p(depth_m) * np.float32(255.0 / np.log1p(LOG_DEPTH_RANGE_M))
    return np.asarray(np.minimum(np.rint(code), 255.0), np.uint8)
