"""What the dream is told about a frame. Numpy here: from states and map to arrays; the transformer embeds them.

All agents' data is of the frame itself (the state after the action); nothing of the future enters.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivewm.datatypes import AgentClass, CameraRig, Clip, Conditions, Light, Records, RoadMap, Weather, WorldState
from drivewm.errors import InputError
from drivewm.geometry import ego_from_world, relative_xy_yaw, resample_polyline
from drivewm.sim.raster.layout import layout

Array = NDArray[Any]

WEATHERS = tuple(Weather)
LIGHTS = tuple(Light)
LAYOUT_KEYS = ("label", "log_depth", "paint")
#: condition groups that can be dropped one by one; "layout" + "boxes" + "polylines" dropped is the free regime
GROUPS = ("layout", "boxes", "polylines", "motion", "weather", "light", "text")
FREE_REGIME = frozenset({"layout", "boxes", "polylines"})
MOTION_SIZE, BOX_SIZE, VIEW_M = 6, 9, 60.0
PIECE_POINTS, PIECE_SPACING_M = 8, 4.0
# Beyond these no road vehicle goes, and nothing that a network says of it can be believed.
FASTEST_MPS, TIGHTEST_1PM, LONGEST_M = 150.0, 2.0, 100.0
# Networks know the first nine classes. A class that came later is told as the one it looks and moves most like, so that weights
# keep their shape and dream of the others as before.
TOLD_CLASSES = 9
_TOLD_AS = {
    AgentClass.TRAILER: AgentClass.TRUCK,
    AgentClass.CONSTRUCTION_VEHICLE: AgentClass.TRUCK,
    AgentClass.POLICE_CAR: AgentClass.CAR,
    AgentClass.AMBULANCE: AgentClass.TRUCK,
    AgentClass.CHILD: AgentClass.PEDESTRIAN,
    AgentClass.SCOOTER: AgentClass.PEDESTRIAN,
    AgentClass.STROLLER: AgentClass.PEDESTRIAN,
    AgentClass.ANIMAL: AgentClass.PEDESTRIAN,
}
_TOLD = np.array([_TOLD_AS.get(kind, kind) for kind in AgentClass])


@dataclass(frozen=True, slots=True)
class FrameConditions(Records):
    """Conditions with any leading axes ([T] for a clip, [B] for a batch of cars)."""

    label: Array  # uint8 [..., V, H, W], SemanticClass
    log_depth: Array  # uint8 [..., V, H, W]
    paint: Array  # uint8 [..., V, H, W], palette index, 0 = none
    lost: Array  # bool [..., V], camera delivers nothing
    motion: Array  # float32 [..., 6]: speed, curvature, step forward, step left, turn (since the previous frame), step time
    weather: Array  # int64 [...]
    light: Array  # int64 [...]
    sun: Array  # float32 [..., 2], cosine and sine of the sun's azimuth in the ego frame
    boxes: Array  # float32 [..., A, 9]: x, y, cos yaw, sin yaw, length, width, height, speed, class + 1 (0 = no agent)
    polylines: Array  # float32 [..., L, P, 3]: x, y, kind (1 lane centre, 2 marking, 3 crosswalk; 0 = none)
    intrinsics: Array  # float32 [..., V, 3, 3], px of the label raster
    ego_from_camera: Array  # float32 [..., V, 4, 4], each camera where it was when it exposed


def frame_conditions(
    road: RoadMap,
    state: WorldState,
    previous: WorldState | None,
    conditions: Conditions,
    rig: CameraRig,
    exposure_s: Array | None = None,
) -> FrameConditions:
    """Conditions of one frame (no leading axes). ``previous`` is the state one camera period earlier, None at a start.

    Cameras that do not expose together come with ``exposure_s`` [V], after the time of ``state``, and in ``rig`` where they were
    then. Raises InputError for a state that cannot be: numbers that are not finite, speeds or boxes beyond all vehicles.
    """
    refuse_impossible(state, conditions)
    picture = layout(road, state, rig, exposure_s)
    pose = state.ego_xy_yaw_world
    step, dt_s = np.zeros(3), 1.0 / rig.rate_hz
    if previous is not None:
        step, dt_s = relative_xy_yaw(pose, previous.ego_xy_yaw_world), float(state.t_s - previous.t_s)
    else:
        step[0] = float(state.ego_speed_mps) * dt_s
        step[2] = step[0] * float(state.ego_curvature_1pm)
    sun_rad = conditions.sun_azimuth_rad - float(pose[2])
    return FrameConditions(
        label=picture.label,
        log_depth=picture.log_depth,
        paint=picture.paint,
        lost=np.array([name in conditions.lost_cameras for name in rig.names]),
        motion=np.array([state.ego_speed_mps, state.ego_curvature_1pm, *step, dt_s], np.float32),
        weather=np.int64(WEATHERS.index(conditions.weather)),  # type: ignore[arg-type]
        light=np.int64(LIGHTS.index(conditions.light)),  # type: ignore[arg-type]
        sun=np.array([np.cos(sun_rad), np.sin(sun_rad)], np.float32),
        boxes=nearest_boxes(state),
        polylines=nearest_polylines(road, pose),
        intrinsics=rig.intrinsics.astype(np.float32),
        ego_from_camera=rig.ego_from_camera.astype(np.float32),
    )


def refuse_impossible(state: WorldState, conditions: Conditions) -> None:
    """Raises InputError naming what no road has seen in a state (no leading axes) or in its conditions."""
    ego = {"speed": state.ego_speed_mps, "curvature": state.ego_curvature_1pm, "pose": state.ego_xy_yaw_world, "time": state.t_s}
    for name, value in ego.items():
        if not np.isfinite(value).all():
            raise InputError(f"the {name} of the ego is not a finite number")
    for name, value, most, unit in (
        ("speed", state.ego_speed_mps, FASTEST_MPS, "m/s"),
        ("curvature", state.ego_curvature_1pm, TIGHTEST_1PM, "1/m"),
    ):
        if abs(float(value)) > most:
            raise InputError(f"the ego's {name} of {float(value):g} {unit} is beyond {most:g} {unit}")
    agents = state.agents[state.agents.valid]
    sound = np.isfinite(agents.xy_yaw_world).all(-1) & (np.abs(agents.speed_mps) <= FASTEST_MPS)
    sound &= ((agents.size_lwh_m > 0) & (agents.size_lwh_m <= LONGEST_M)).all(-1)
    if not sound.all():
        row = int(np.argmin(sound))
        size, speed = " x ".join(f"{side:g}" for side in agents.size_lwh_m[row]), float(agents.speed_mps[row])
        hint = f"sides above 0 and up to {LONGEST_M:g} m, at most {FASTEST_MPS:g} m/s, a finite pose"
        raise InputError(f"agent {agents.track_id[row]} of {size} m at {speed:g} m/s cannot be", hint=hint)
    if conditions.weather not in WEATHERS or conditions.light not in LIGHTS:
        known = ", ".join((*WEATHERS, *LIGHTS))
        raise InputError(f"unknown weather {conditions.weather!r} or light {conditions.light!r}", hint=f"known: {known}")
    if not np.isfinite(conditions.sun_azimuth_rad):
        raise InputError("the azimuth of the sun is not a finite number")


def clip_conditions(clip: Clip) -> FrameConditions:
    """Conditions of all frames of a recorded clip [T, ...], every camera where it was when it exposed."""
    rows = []
    for t in range(len(clip.images)):
        previous = clip.states[t - 1] if t else None
        exposed = (clip.rig_at(t), clip.exposure_s[t])
        rows.append(frame_conditions(clip.road, clip.states[t], previous, clip.conditions[t], *exposed))
    return FrameConditions.stack(rows)


def untold(clip: Clip) -> frozenset[str]:
    """Groups of conditions of which a clip's source says nothing, so that they must be dropped."""
    gone = {"layout": bool(clip.unknown), "boxes": "agents" in clip.unknown, "polylines": "map" in clip.unknown}
    return frozenset(group for group, is_gone in gone.items() if is_gone)


def nearest_boxes(state: WorldState, count: int = 16) -> Array:
    """The nearest agents within view as rows [count, 9] in the ego frame, nearest first."""
    agents, pose = state.agents, state.ego_xy_yaw_world
    out = np.zeros((count, BOX_SIZE), np.float32)
    local = ego_from_world(agents.xy_yaw_world[:, :2], pose)
    distance = np.where(agents.valid, np.hypot(local[:, 0], local[:, 1]), np.inf)
    chosen = [i for i in np.argsort(distance)[:count] if distance[i] < VIEW_M]
    yaw = agents.xy_yaw_world[chosen, 2] - pose[2]
    out[: len(chosen)] = np.column_stack(
        [
            local[chosen],
            np.cos(yaw),
            np.sin(yaw),
            agents.size_lwh_m[chosen],
            agents.speed_mps[chosen],
            _TOLD[agents.category[chosen]] + 1,
        ]
    )
    return out


def nearest_polylines(road: RoadMap, pose: Array, count: int = 16) -> Array:
    """The nearest pieces of lane centres, markings and crosswalks in the ego frame [count, PIECE_POINTS, 3]."""
    pieces, kind = _pieces_of(road)
    out = np.zeros((count, PIECE_POINTS, 3), np.float32)
    if len(pieces):
        local = ego_from_world(pieces, pose)
        distance = np.hypot(local[..., 0] - 10.0, local[..., 1]).min(1)
        chosen = [i for i in np.argsort(distance)[:count] if distance[i] < VIEW_M]
        out[: len(chosen), :, :2] = local[chosen]
        out[: len(chosen), :, 2] = kind[chosen, None]
    return out


def _pieces_of(road: RoadMap) -> tuple[Array, Array]:
    """All lines of a map cut into pieces [Q, PIECE_POINTS, 2] with their kinds [Q]; remembered for the maps used last."""
    entry = _pieces.get(id(road))
    if entry is None:
        lines = (
            [(lane.centre_xy, 1) for lane in road.lanes] + [(m.xy, 2) for m in road.markings] + [(c, 3) for c in road.crosswalks]
        )
        rows: list[Array] = []
        kinds: list[int] = []
        for xy, kind in lines:
            points = resample_polyline(xy, PIECE_SPACING_M) if len(xy) > 1 else xy[:0]
            for first in range(0, len(points) - 1, PIECE_POINTS - 1):
                piece = points[first : first + PIECE_POINTS]
                rows.append(np.concatenate([piece, np.repeat(piece[-1:], PIECE_POINTS - len(piece), 0)]))
                kinds.append(kind)
        entry = (road, np.array(rows).reshape(-1, PIECE_POINTS, 2), np.array(kinds))
        _pieces[id(road)] = entry  # keeps the map alive, so that its id stays its own
        if len(_pieces) > _REMEMBERED:
            _pieces.popitem(last=False)
    return entry[1], entry[2]


_pieces: OrderedDict[int, tuple[RoadMap, Array, Array]] = OrderedDict()
_REMEMBERED = 64
