"""One pass over a data set without its images: what every scene holds, as arrays to count and to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivewm.data.categories import ATTRIBUTES, VISIBILITY
from drivewm.data.index import SceneIndex
from drivewm.data.reader import NuScenesFolder, SceneInfo
from drivewm.datatypes import EGO_SHAPE, ON_FOOT, STATIC_CLASSES, Array, Clip, Records, WorldState
from drivewm.geometry import ego_from_world, frenet_sd, polyline_s_m, wrap_angle_rad

LEADER_REACH_M = 80.0
LEADER_HALF_WIDTH_M = 1.5  # of the way that the ego goes on to drive
LEADER_HEADING_RAD = np.radians(45.0)
SLOWEST_FOLLOWER_MPS = 2.0  # a time gap says nothing about a car that stands
_NO_LEADERS = STATIC_CLASSES | ON_FOOT
_SIDE_OF = (("boston", "right"), ("singapore", "left"))  # where nuScenes drove


@dataclass(frozen=True, slots=True)
class Course(Records):
    """The ego's motion and what is around it at every frame [F]."""

    xy_yaw_world: Array  # [F, 3]
    speed_mps: Array
    accel_mps2: Array
    yaw_rate_radps: Array
    lateral_mps2: Array
    agents: Array  # int64
    time_gap_s: Array  # bumper to bumper over the ego's speed; NaN without a leader


@dataclass(frozen=True, slots=True)
class Encounters(Records):
    """Every agent at every frame at which it is known [M]."""

    category: Array  # int8
    distance_m: Array  # from the middle of the ego to the middle of the agent
    speed_mps: Array


@dataclass(frozen=True, slots=True)
class Tracks(Records):
    """Every agent [N] that is known at some frame."""

    category: Array  # int8
    size_lwh_m: Array  # [N, 3]
    known_s: Array  # from the first to the last frame at which it is known


@dataclass(frozen=True, slots=True)
class SceneSurvey:
    """What one scene of F frames holds."""

    info: SceneInfo
    location: str
    traffic: str | None  # "left" | "right": the side that traffic keeps to; None when nobody tells
    seconds: float
    sky: tuple[tuple[str, str], ...]  # [F] weather and light
    course: Course
    encounters: Encounters
    tracks: Tracks
    visibility: Array  # int64 [5] annotations by level; [0] those without
    attributes: Array  # int64 [A + 1] annotations by ATTRIBUTES; [-1] those without
    key_frames: tuple[int, ...]  # [K], the frame nearest to each key frame of the tables
    annotated: bool


Visit = Callable[[Clip, SceneSurvey], Any]


def survey_folder(
    folder: NuScenesFolder,
    split: str | None = None,
    progress: Callable[..., None] | None = None,
    visit: Visit | None = None,
) -> list[SceneSurvey]:
    """All scenes of a folder, or of a split, in its order; ``visit`` sees every clip (states and road) while it is in memory."""
    infos, out = folder.scenes(split), []
    for done, info in enumerate(infos, start=1):
        clip = folder.clip(info.token, states_only=True)
        out.append(survey_scene(info, folder.index(info.token), clip))
        if visit:
            visit(clip, out[-1])
        if progress:
            progress(done, len(infos), info.name)
    return out


def survey_scene(info: SceneInfo, index: SceneIndex, clip: Clip) -> SceneSurvey:
    """What a whole scene holds; ``clip`` has all its frames."""
    states, known = clip.states, clip.states.agents.valid
    agents, ever = states.agents, known.any(0)
    centre = EGO_SHAPE.centre_xy_yaw(states.ego_xy_yaw_world)[:, None, :2]
    distance = np.hypot(*np.moveaxis(agents.xy_yaw_world[..., :2] - centre, -1, 0))
    first_s, last_s = states.t_s[known.argmax(0)][ever], states.t_s[len(known) - 1 - known[::-1].argmax(0)][ever]
    turn = states.ego_speed_mps * states.ego_curvature_1pm
    there = np.isfinite(index.box_xy_yaw_world[..., 0])
    keys = tuple(int(np.abs(index.time_us - time).argmin()) for time in index.key_time_us)
    return SceneSurvey(
        info=info,
        location=index.location,
        traffic=_traffic(index),
        seconds=len(states.t_s) / info.rate_hz,
        sky=tuple((str(c.weather), str(c.light)) for c in clip.conditions),
        course=Course(
            xy_yaw_world=states.ego_xy_yaw_world,
            speed_mps=states.ego_speed_mps,
            accel_mps2=states.ego_accel_mps2,
            yaw_rate_radps=turn,
            lateral_mps2=states.ego_speed_mps * turn,
            agents=known.sum(1),
            time_gap_s=time_gaps_s(states),
        ),
        encounters=Encounters(
            agents.category[known], distance[known].astype(np.float32), agents.speed_mps[known].astype(np.float32)
        ),
        tracks=Tracks(index.category[ever], index.box_size_lwh_m[ever], last_s - first_s),
        visibility=np.bincount(index.visibility[there], minlength=len(VISIBILITY) + 1),
        attributes=np.bincount(index.attribute[there] % (len(ATTRIBUTES) + 1), minlength=len(ATTRIBUTES) + 1),
        key_frames=keys,
        annotated="agents" not in clip.unknown,
    )


def time_gaps_s(states: WorldState) -> Array:
    """Seconds [F] that the ego is behind its leader: the free way between them over the ego's speed; NaN without one.

    A leader is the nearest vehicle or two-wheeler within LEADER_HALF_WIDTH_M of the way that the ego goes on to drive (straight
    on after the end of the scene) and LEADER_REACH_M ahead that heads the same way.
    """
    gaps = np.full(len(states.t_s), np.nan)
    ego, agents = states.ego_xy_yaw_world, states.agents
    moves = np.append(True, np.hypot(*np.diff(ego[:, :2], axis=0).T) > 1e-3)
    heading = np.array([np.cos(ego[-1, 2]), np.sin(ego[-1, 2])])
    way = np.concatenate([ego[moves, :2], ego[-1:, :2] + heading * (LEADER_REACH_M + 20.0)])
    ego_s = polyline_s_m(way)[np.cumsum(moves) - 1]
    ahead = ego_from_world(agents.xy_yaw_world[..., :2], ego[:, None])
    near = agents.valid & (ahead[..., 0] > 0) & (np.hypot(ahead[..., 0], ahead[..., 1]) < LEADER_REACH_M)
    near &= ~np.isin(agents.category, [int(kind) for kind in _NO_LEADERS])
    near &= np.abs(wrap_angle_rad(agents.xy_yaw_world[..., 2] - ego[:, None, 2])) < np.radians(120)  # bends ahead
    near &= (states.ego_speed_mps > SLOWEST_FOLLOWER_MPS)[:, None]
    frame, who = np.nonzero(near)
    if not len(frame):
        return gaps
    pose = agents.xy_yaw_world[frame, who]
    s_m, d_m = np.moveaxis(frenet_sd(way, pose[:, :2]), -1, 0)
    segment = np.clip(np.searchsorted(polyline_s_m(way), s_m, side="right") - 1, 0, len(way) - 2)
    step = way[segment + 1] - way[segment]
    turned = wrap_angle_rad(pose[:, 2] - np.arctan2(step[:, 1], step[:, 0]))
    free = s_m - 0.5 * agents.size_lwh_m[frame, who, 0] - ego_s[frame]
    free -= EGO_SHAPE.rear_axle_to_centre_m + 0.5 * EGO_SHAPE.length_m
    leads = (np.abs(d_m) < LEADER_HALF_WIDTH_M) & (np.abs(turned) < LEADER_HEADING_RAD) & (free > 0)
    nearest = np.full(len(gaps), np.inf)
    np.minimum.at(nearest, frame[leads], free[leads])
    led = np.isfinite(nearest)
    gaps[led] = nearest[led] / states.ego_speed_mps[led]
    return gaps


def _traffic(index: SceneIndex) -> str | None:
    if index.exact is not None:
        return str(index.exact["parameters"].get("traffic", "right"))
    return next((side for place, side in _SIDE_OF if index.location.startswith(place)), None)
