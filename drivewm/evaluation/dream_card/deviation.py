"""Starts from which a car can be told other ways to go than the recorded one, and where a picture says that it is on its road."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from drivewm.data.driving import drive_town
from drivewm.data.towns import draw_drive
from drivewm.datatypes import Array, CameraRig, Scene, WorldState
from drivewm.evaluation.dream_card.sample import Sample
from drivewm.evaluation.readers import READ_CLASSES, READ_TABLE
from drivewm.geometry import compose_xy_yaw, wrap_angle_rad
from drivewm.sim.bicycle import along_arc
from drivewm.sim.raster.layout import layout

FIRST_SEED = 91_001  # apart from training, whose seeds are small, and from the card's recorded drives; of each seed of the card
LONGEST_S = 8.0
SPEED_MPS = (4.0, 14.0)
#: candidate places beside the told one (m to the left) and headings (rad to the left) that a picture is compared with
ASIDE_M, HEADING_RAD = np.linspace(-1.0, 1.0, 21), np.linspace(-0.08, 0.08, 7)
ROAD = READ_CLASSES.index("road")


@dataclass(frozen=True, slots=True)
class Start:
    """A recorded drive: states [T] a camera period apart, from some moment on in which the car moves along a simple road."""

    scene: Scene
    states: WorldState


def starts(sample: Sample, seed: int, count: int, frames: int) -> list[Start]:
    """The first drives new to the world that are simple enough to be steered beside: straight or curved, two lanes at most."""
    out: list[Start] = []
    index = 0
    while len(out) < count:
        choices = draw_drive(index, "val", FIRST_SEED + seed, seconds=LONGEST_S).choices
        if choices.kind in ("straight", "curve", "crosswalk") and choices.lanes <= 2 and choices.density != "dense":
            driven = drive_town(index, "val", FIRST_SEED + seed, seconds=LONGEST_S)
            every = round(1.0 / (sample.rig.rate_hz * driven.drive.scene.dt_s))
            states = driven.states[::every][:frames]
            speed = states.ego_speed_mps
            even = len(speed) == frames and SPEED_MPS[0] <= speed.min() and speed.max() <= SPEED_MPS[1]
            if even and sample.new(driven.drive.scene):
                out.append(Start(driven.drive.scene, states))
        index += 1
    return out


def turned(start: Start, context: int, turn_radps: float) -> WorldState:
    """The drive, but that from the last context frame on the car keeps its speed and turns at this rate."""
    states = start.states
    at, speed = context - 1, float(states.ego_speed_mps[context - 1])
    dt_s = float(states.t_s[1] - states.t_s[0])
    pose = np.array(states.ego_xy_yaw_world)
    for t in range(at + 1, len(pose)):
        pose[t] = along_arc(pose[t - 1], np.array(speed * dt_s), np.array(turn_radps / speed))
    late = np.arange(len(pose)) > at
    return _placed(
        states, pose, np.where(late, speed, states.ego_speed_mps), np.where(late, turn_radps / speed, states.ego_curvature_1pm)
    )


def shifted(start: Start, context: int, aside_m: float, over_s: float) -> WorldState:
    """The drive, but that after the context the car moves smoothly to a path ``aside_m`` to the left of the recorded one."""
    states, dt_s = start.states, float(start.states.t_s[1] - start.states.t_s[0])
    share = np.clip((states.t_s - states.t_s[context - 1]) / over_s, 0.0, 1.0)
    left_m, drift_mps = aside_m * share**2 * (3 - 2 * share), aside_m * 6 * share * (1 - share) / over_s
    heading = np.arctan2(drift_mps, states.ego_speed_mps)
    pose = compose_xy_yaw(states.ego_xy_yaw_world, np.stack([np.zeros_like(left_m), left_m, heading], -1))
    curvature = np.array(states.ego_curvature_1pm)
    change = wrap_angle_rad(np.diff(heading)) / (dt_s * states.ego_speed_mps[1:])
    curvature[1:] += change
    return _placed(states, pose, states.ego_speed_mps, curvature)


def _placed(states: WorldState, pose: Array, speed_mps: Array, curvature_1pm: Array) -> WorldState:
    return replace(states, ego_xy_yaw_world=pose, ego_speed_mps=speed_mps, ego_curvature_1pm=curvature_1pm)


def roads_beside(start: Start, frame: int, rig: CameraRig) -> Array:
    """Where road is to be seen [places, headings, V, H, W] from beside the recorded place of a frame."""
    state, out = start.states[frame], []
    for aside_m in ASIDE_M:
        for heading in HEADING_RAD:
            pose = compose_xy_yaw(state.ego_xy_yaw_world, np.array([0.0, aside_m, heading]))
            out.append(READ_TABLE[layout(start.scene.road, replace(state, ego_xy_yaw_world=pose), rig).label] == ROAD)
    return np.stack(out).reshape(len(ASIDE_M), len(HEADING_RAD), *out[0].shape)


def read_aside(read: Array, candidates: Array) -> float:
    """How far to the left (m) of the recorded path a picture was taken whose road was read so [V, H, W].

    The place whose road covers the read one best, whatever the heading; between places a parabola through the best three.
    """
    road = read == ROAD
    axes = (2, 3, 4)
    overlap = (candidates & road).sum(axes) / np.maximum((candidates | road).sum(axes), 1)
    best = overlap.max(1)
    at = int(np.clip(best.argmax(), 1, len(best) - 2))
    left, middle, right = best[at - 1 : at + 2]
    bend = left - 2 * middle + right
    between = 0.0 if bend > -1e-9 else float(np.clip(0.5 * (left - right) / bend, -1.0, 1.0))
    return float(ASIDE_M[at] + between * (ASIDE_M[1] - ASIDE_M[0]))
