"""What flows through the house: frozen records of numpy arrays. No torch, no files.

Arrays of state carry any leading axes: a Scene's start has none, an engine adds [B], a Rollout adds [T].
Frames, units and letters are those of `drivewm/README.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivewm.geometry import height_at_m

Array = NDArray[Any]

# For a field that a record got later: it is written only where it holds something, so older records keep their hash.
LATER = {"absent_when_empty": True}


class AgentClass(IntEnum):
    CAR = 0
    TRUCK = 1
    BUS = 2
    MOTORCYCLE = 3
    BICYCLE = 4
    PEDESTRIAN = 5
    BARRIER = 6
    TRAFFIC_CONE = 7
    DEBRIS = 8
    TRAILER = 9
    CONSTRUCTION_VEHICLE = 10
    POLICE_CAR = 11
    AMBULANCE = 12
    CHILD = 13
    SCOOTER = 14  # and who stands on it
    STROLLER = 15  # and who pushes it
    ANIMAL = 16


# Bodies of metal on four wheels or more; motorcycles and bicycles come with their riders.
WHEELED_BODIES = frozenset({AgentClass.CAR, AgentClass.TRUCK, AgentClass.BUS, AgentClass.TRAILER}) | {
    AgentClass.CONSTRUCTION_VEHICLE, AgentClass.POLICE_CAR, AgentClass.AMBULANCE
}  # fmt: skip
ON_FOOT = frozenset({AgentClass.PEDESTRIAN, AgentClass.CHILD, AgentClass.SCOOTER, AgentClass.STROLLER, AgentClass.ANIMAL})
VULNERABLE = ON_FOOT | {AgentClass.MOTORCYCLE, AgentClass.BICYCLE}
STATIC_CLASSES = frozenset({AgentClass.BARRIER, AgentClass.TRAFFIC_CONE, AgentClass.DEBRIS})


class Weather(StrEnum):
    CLEAR = "clear"
    RAIN = "rain"
    FOG = "fog"
    SNOW = "snow"


class Light(StrEnum):
    DAY = "day"
    DUSK = "dusk"
    NIGHT = "night"
    LOW_SUN = "low_sun"


class SignalState(IntEnum):
    RED = 0
    YELLOW = 1
    GREEN = 2


class Command(IntEnum):
    """What navigation asks for at the next branch."""

    LEFT = 0
    STRAIGHT = 1
    RIGHT = 2


class SemanticClass(IntEnum):
    """What a pixel shows; the reference world draws it exactly, the layout condition uses the same ids."""

    SKY = 0
    TERRAIN = 1
    ROAD = 2
    MARKING = 3
    CROSSWALK = 4
    SIDEWALK = 5
    BUILDING = 6
    TREE = 7
    POLE = 8
    VEHICLE = 9  # WHEELED_BODIES
    TWO_WHEELER = 10  # motorcycle, bicycle, with rider
    PEDESTRIAN = 11  # ON_FOOT
    OBSTACLE = 12  # barrier, cone, debris
    SIGNAL_RED = 13
    SIGNAL_YELLOW = 14
    SIGNAL_GREEN = 15


class Records:
    """Indexing and stacking over leading axes for dataclasses that hold only arrays or nested `Records`."""

    def __getitem__(self, index: Any) -> Self:
        return self._map(lambda a: a[index])

    def _map(self, function: Any) -> Self:
        values = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            values[f.name] = value._map(function) if isinstance(value, Records) else function(value)
        return type(self)(**values)

    @classmethod
    def stack(cls, items: list[Self], axis: int = 0) -> Self:
        values: dict[str, Any] = {}
        for f in fields(cls):  # type: ignore[arg-type]
            parts = [getattr(item, f.name) for item in items]
            values[f.name] = type(parts[0]).stack(parts, axis) if isinstance(parts[0], Records) else np.stack(parts, axis)
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Agents(Records):
    """Everything that may move besides the ego; rows with ``valid`` False are padding."""

    track_id: Array  # int32 [..., N], constant over a scene; appearance is drawn from it
    category: Array  # int8 [..., N], AgentClass
    xy_yaw_world: Array  # float64 [..., N, 3], centre of the box
    speed_mps: Array  # float64 [..., N]
    accel_mps2: Array  # float64 [..., N]
    size_lwh_m: Array  # float64 [..., N, 3]
    valid: Array  # bool [..., N]

    @classmethod
    def empty(cls, count: int = 0) -> Agents:
        return cls(
            track_id=np.arange(count, dtype=np.int32),
            category=np.zeros(count, np.int8),
            xy_yaw_world=np.zeros((count, 3)),
            speed_mps=np.zeros(count),
            accel_mps2=np.zeros(count),
            size_lwh_m=np.ones((count, 3)),
            valid=np.zeros(count, bool),
        )

    def padded(self, count: int) -> Agents:
        """The same agents without leading axes, with invalid rows appended up to ``count``."""
        extra = Agents.empty(count - len(self.valid))
        return Agents(**{f.name: np.concatenate([getattr(self, f.name), getattr(extra, f.name)]) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class WorldState(Records):
    """Ground truth at one instant; never shown to an onboard policy."""

    t_s: Array  # [...]
    ego_xy_yaw_world: Array  # [..., 3], rear axle
    ego_speed_mps: Array  # [...]
    ego_accel_mps2: Array  # [...]
    ego_curvature_1pm: Array  # [...]
    agents: Agents
    signal: Array  # int8 [..., S], SignalState, in the order of RoadMap.signals


@dataclass(frozen=True, slots=True)
class VehicleShape:
    """The ego body; the default is the nuScenes car (Renault Zoe, manufacturer's dimensions)."""

    length_m: float = 4.084
    width_m: float = 1.730
    height_m: float = 1.562
    wheelbase_m: float = 2.588
    rear_axle_to_centre_m: float = 1.386

    def centre_xy_yaw(self, rear_axle_xy_yaw: Array) -> Array:
        """Box centre [..., 3] of an ego whose rear axle is at ``rear_axle_xy_yaw`` [..., 3]."""
        pose = np.asarray(rear_axle_xy_yaw, np.float64)
        shift = self.rear_axle_to_centre_m * np.stack([np.cos(pose[..., 2]), np.sin(pose[..., 2])], -1)
        return np.concatenate([pose[..., :2] + shift, pose[..., 2:]], axis=-1)


EGO_SHAPE = VehicleShape()


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane; the centre line points in the direction of travel."""

    id: str
    centre_xy: Array  # [P, 2], 1 m apart
    width_m: float
    speed_limit_mps: float
    successors: tuple[str, ...] = ()
    left: str | None = None  # neighbour with the same direction of travel
    right: str | None = None


@dataclass(frozen=True, slots=True)
class Marking:
    xy: Array  # [P, 2]
    kind: str  # "solid" | "dashed" | "stop" | "kerb"
    width_m: float = 0.15


@dataclass(frozen=True, slots=True)
class Signal:
    """A traffic light; its state is a function of time alone."""

    xy_yaw_world: Array  # [3], the side of the lamp faces along -yaw, towards arriving traffic
    stop_line_xy: Array  # [2, 2]
    lane_ids: tuple[str, ...]
    phase_s: tuple[float, float, float]  # durations of green, yellow, red, in this order
    offset_s: float = 0.0

    def state_at(self, t_s: Array | float) -> Array:
        green, yellow, red = self.phase_s
        phase = (np.asarray(t_s, np.float64) + self.offset_s) % (green + yellow + red)
        state = np.where(phase < green, SignalState.GREEN, np.where(phase < green + yellow, SignalState.YELLOW, SignalState.RED))
        return np.asarray(state, np.int8)


@dataclass(frozen=True, slots=True)
class RoadMap:
    """The place: what is drivable, painted and built. Polygons are [P, 2], counter-clockwise, without closing point.

    The ground may rise and fall along world x alone, so a road with a crest runs along x. Whatever moves does so in the plane;
    the height is for cameras and lines of sight.
    """

    lanes: tuple[Lane, ...] = ()
    drivable: tuple[Array, ...] = ()
    crosswalks: tuple[Array, ...] = ()
    sidewalks: tuple[Array, ...] = ()
    markings: tuple[Marking, ...] = ()
    signals: tuple[Signal, ...] = ()
    building_xy_yaw: Array = field(default_factory=lambda: np.zeros((0, 3)))
    building_size_lwh_m: Array = field(default_factory=lambda: np.zeros((0, 3)))
    tree_xy_height: Array = field(default_factory=lambda: np.zeros((0, 3)))  # x, y, height in m
    tunnel_xy_yaw: Array = field(default_factory=lambda: np.zeros((0, 3)))  # middle of the bore on the ground
    tunnel_size_lwh_m: Array = field(default_factory=lambda: np.zeros((0, 3)))  # inside
    height_xz_m: Array = field(default_factory=lambda: np.zeros((0, 2)), metadata=LATER)  # rising x; empty: level at z = 0

    def ground_z_m(self, x_m: Array | float) -> Array:
        """Height [...] of the ground at world ``x_m`` [...]."""
        return height_at_m(self.height_xz_m, x_m)

    def covered(self, xy: Array) -> bool:
        """Whether a place [2] lies in a tunnel."""
        ahead = np.stack([np.cos(self.tunnel_xy_yaw[:, 2]), np.sin(self.tunnel_xy_yaw[:, 2])], -1)
        delta = np.asarray(xy) - self.tunnel_xy_yaw[:, :2]
        along, across = (delta * ahead).sum(1), delta[:, 1] * ahead[:, 0] - delta[:, 0] * ahead[:, 1]
        half = self.tunnel_size_lwh_m / 2
        return bool(((np.abs(along) < half[:, 0]) & (np.abs(across) < half[:, 1])).any())

    def lane(self, lane_id: str) -> Lane:
        return {lane.id: lane for lane in self.lanes}[lane_id]


@dataclass(frozen=True, slots=True)
class Conditions:
    weather: Weather = Weather.CLEAR
    light: Light = Light.DAY
    sun_azimuth_rad: float = 0.8  # world frame, direction in which the sun stands
    lost_cameras: tuple[str, ...] = ()  # deliver black
    dirty_cameras: tuple[str, ...] = ()  # look through dirt
    delayed_cameras: tuple[str, ...] = ()  # deliver what was ``camera_delay_s`` ago
    camera_delay_s: float = 0.4

    @property
    def faulty_cameras(self) -> frozenset[str]:
        """Cameras whose picture does not show the state as it is now."""
        return frozenset((*self.lost_cameras, *self.dirty_cameras, *self.delayed_cameras))


class TriggerKind(IntEnum):
    NEVER = 0
    TIME = 1  # scene time >= value (s)
    DISTANCE = 2  # centre of ego to centre of agent <= value (m)
    TTC = 3  # distance / closing speed <= value (s); never while opening


class ManoeuvreKind(IntEnum):
    NONE = 0
    SPEED = 1  # change speed to value (m/s) at rate (m/s^2, positive)
    OFFSET = 2  # move to lateral offset value (m, left positive) within rate (s, duration), smoothly


@dataclass(frozen=True, slots=True)
class ActorScripts(Records):
    """How each agent means to move: a path, a wish, and steps that fire one after another."""

    path_xy: Array  # [N, P, 2], vertices exactly 1 m apart; straight on beyond the end
    start_s_m: Array  # [N], arc length of the box centre at t = 0
    start_offset_m: Array  # [N], left positive
    start_speed_mps: Array  # [N]
    desired_speed_mps: Array  # [N]
    reactive: Array  # bool [N]: IDM behind whatever is ahead on the path (ego included); else holds its speed
    trigger_kind: Array  # int8 [N, M]
    trigger_value: Array  # [N, M]
    manoeuvre_kind: Array  # int8 [N, M]
    manoeuvre_value: Array  # [N, M]
    manoeuvre_rate: Array  # [N, M]

    @classmethod
    def empty(cls, count: int = 0, path_points: int = 2, steps: int = 1) -> ActorScripts:
        path = np.zeros((count, path_points, 2))
        path[:, :, 0] = np.arange(path_points)
        n, nm = np.zeros(count), np.zeros((count, steps))
        return cls(path, n, n, n, n, n.astype(bool), nm.astype(np.int8), nm, nm.astype(np.int8), nm, nm + 1.0)

    def padded(self, count: int, path_points: int, steps: int) -> ActorScripts:
        """The same scripts padded with actors that stand, paths that run straight on, and steps that never fire."""
        rows, points, old = *self.path_xy.shape[:2], self.trigger_kind.shape[1]
        out = ActorScripts.empty(count, path_points, steps)
        values = {f.name: getattr(out, f.name).copy() for f in fields(out)}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "path_xy":
                values[f.name][(slice(rows), slice(old)) if value.ndim == 2 else slice(rows)] = value
        if rows:
            step = self.path_xy[:, -1] - self.path_xy[:, -2]
            tail = self.path_xy[:, -1:, :] + step[:, None, :] * np.arange(1, path_points - points + 1)[None, :, None]
            values["path_xy"][:rows] = np.concatenate([self.path_xy, tail], axis=1)
        return ActorScripts(**values)


@dataclass(frozen=True, slots=True)
class Scene:
    """One concrete situation: all that the engine and a world need, with nothing left to chance."""

    id: str  # name@sha8:draw#seed
    family: str
    road: RoadMap
    start: WorldState  # without leading axes
    scripts: ActorScripts  # rows in the order of start.agents
    conditions: Conditions
    route_xy: Array  # [R, 2], 1 m apart; the path that navigation proposes to the ego's rear axle
    speed_limit_mps: float
    horizon_s: float
    seed: int
    dt_s: float = 0.1
    condition_changes: tuple[tuple[float, Conditions], ...] = ()  # (from t_s, conditions), ascending
    parameters: dict[str, float | str] = field(default_factory=dict)  # what was drawn, for coverage
    # What the author asks of the drive, as comparisons of its measures: "$min_gap > 2 m".
    demands: tuple[str, ...] = field(default=(), metadata=LATER)
    # Recorded motion. Until ``log_until_s`` [N] an agent is at ``log_s_m`` [N, T] on its path, at instants ``dt_s`` apart; NaN
    # where it is not seen. Then it goes on as its script says, if it is there at that moment, else it stays away. Empty: no log.
    log_s_m: Array = field(default_factory=lambda: np.zeros((0, 0)), metadata=LATER)
    log_until_s: Array = field(default_factory=lambda: np.zeros(0), metadata=LATER)
    names: tuple[str, ...] = field(default=(), metadata=LATER)  # of the agents, as the scenario calls them; bystanders have ""
    # Changes by hand, in the order in which they take place. Rows [E, 5]: from a time (s) on, the agent of this row is there (1)
    # or not (0); one that is there already is shifted at that moment, in m along its path and to its left.
    edits: Array = field(default_factory=lambda: np.zeros((0, 5)), metadata=LATER)
    # On rails: where and how fast (x, y, yaw, speed) agents take the ego to be, [T, 4] ``dt_s`` apart. Empty: as it is.
    rails: Array = field(default_factory=lambda: np.zeros((0, 4)), metadata=LATER)

    def conditions_at(self, t_s: float) -> Conditions:
        return [self.conditions, *(later for start_s, later in self.condition_changes if t_s >= start_s - 1e-9)][-1]

    @property
    def steps(self) -> int:
        return round(self.horizon_s / self.dt_s)


@dataclass(frozen=True, slots=True)
class CameraRig:
    """Pinhole cameras in a fixed order; a new car is a new rig, not new code."""

    names: tuple[str, ...]
    intrinsics: Array  # [V, 3, 3], px
    ego_from_camera: Array  # [V, 4, 4]
    size_px: tuple[int, int]  # height, width
    rate_hz: float

    def resized(self, height: int, width: int) -> CameraRig:
        """The same optics on another raster; pixels may become non-square."""
        scale = np.diag([width / self.size_px[1], height / self.size_px[0], 1.0])
        return replace(self, intrinsics=scale @ self.intrinsics, size_px=(height, width))

    def only(self, view: int) -> CameraRig:
        """One of the cameras."""
        one = slice(view, view + 1)
        return replace(self, names=self.names[one], intrinsics=self.intrinsics[one], ego_from_camera=self.ego_from_camera[one])


@dataclass(frozen=True, slots=True)
class Observation(Records):
    """What a car can know, for B cars at once; the last of the To frames is now."""

    images: Array  # uint8 [B, To, V, H, W, 3]
    ego_motion: Array  # float32 [B, To, 4]: speed (m/s), acceleration (m/s^2), curvature (1/m), 1 if the frame exists else 0
    route_xy_ego: Array  # float32 [B, ROUTE_POINTS, 2], ROUTE_SPACING_M apart, first point beside the ego
    speed_limit_mps: Array  # float32 [B]
    command: Array  # int8 [B], Command


ROUTE_POINTS = 32
ROUTE_SPACING_M = 2.0


@dataclass(frozen=True, slots=True)
class Trajectory(Records):
    """A plan for B cars in the ego frame of the moment it was made; K points at ``t_s`` ahead, t = 0 excluded."""

    t_s: Array  # [B, K]
    xy_yaw_ego: Array  # [B, K, 3]
    speed_mps: Array  # [B, K]


@dataclass(frozen=True, slots=True)
class Action(Records):
    """What the car is told to do for one engine step."""

    accel_mps2: Array  # [B]
    curvature_1pm: Array  # [B]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result comes from; stands in every file that is written."""

    version: str
    commit: str
    created: str  # ISO 8601, UTC
    seed: int
    device: str
    ids: dict[str, str] = field(default_factory=dict)  # "policy", "world", "data", "config" ... to content hashes or names
    settings: dict[str, str | float | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of recorded driving: the training sample. T frames, V cameras."""

    images: Array  # uint8 [T, V, H, W, 3]
    rig: CameraRig
    states: WorldState  # leading [T]
    actions: Array  # float64 [T, 2], acceleration and curvature held from frame t to t + 1
    road: RoadMap  # the map around the drive
    conditions: tuple[Conditions, ...]  # one per frame
    token: str  # scene token and first frame
    exposure_s: Array  # float64 [T, V], when each camera exposed, after the time of its frame
    frame_from_exposure: Array  # float64 [T, V, 4, 4], the car at that exposure seen from the car at the frame, tilt included
    unknown: frozenset[str] = frozenset()  # "map", "agents": what the source does not tell, so that its absence means nothing
    provenance: Provenance | None = None

    def rig_at(self, frame: int) -> CameraRig:
        """The cameras in the ego frame of a frame's time, each where it was when it exposed."""
        if not self.exposure_s[frame].any():
            return self.rig
        return replace(self.rig, ego_from_camera=self.frame_from_exposure[frame] @ self.rig.ego_from_camera)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A finished drive. T engine steps, F plans (one per camera frame)."""

    scene: Scene
    states: WorldState  # leading [T + 1]
    actions: Action  # leading [T]
    plans: Trajectory  # leading [F]
    plan_every: int  # engine steps between plans
    ended: str  # "horizon" | "collision" | one of protocols.POLICY_FAILURES
    latency_ms: Array  # [F], wall time of the policy
    provenance: Provenance
    images_path: str | None = None  # video written beside the record


@dataclass(frozen=True, slots=True)
class Event:
    """Why a gate or term fell: what, when, with whom."""

    kind: str
    t_s: float
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """A judged rollout. A term that does not apply is absent and listed, never NaN."""

    scene_id: str
    family: str
    valid: bool  # False: void, the world did not show what the state says; ``total`` must not be used
    total: float  # in [0, 1]
    passed: bool  # all gates are 1
    gates: dict[str, float]
    terms: dict[str, float]
    inapplicable: tuple[str, ...] = ()
    void_reasons: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)  # min_ttc_s, impact_speed_mps, progress_m ...


def is_record(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)
