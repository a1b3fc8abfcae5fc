"""Random drives through random places, as Scenes with the manner in which the ego will drive.

Weather, light and manoeuvre are balanced together, and so are density and the side of traffic, by construction; everything else
is drawn. Here all traffic keeps right; a drive that is to keep left is mirrored when it has been driven. A split sees only its
own combinations of choices (kind, lanes, surroundings, weather, light, manner ...), so that held-out drives are new in kind and
not only in seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from drivewm.data.cast import Cast
from drivewm.data.ego_driver import EXPERT_MANNERS, Manner, draw_manner
from drivewm.data.manoeuvres import MANOEUVRES, balanced, scheduled
from drivewm.data.populate import Stage, populate
from drivewm.datatypes import Array, Conditions, Light, Scene, Weather, WorldState
from drivewm.errors import InputError
from drivewm.geometry import frenet_sd, point_at_s
from drivewm.scenarios.roads import RoadOptions, build_road, lane_path

SPLITS = ("train", "val", "test")
TRAFFIC = ("right", "left", "right", "right", "left", "right", "right", "left", "right", "right")
DENSITIES = ("sparse", "dense", "sparse", "empty", "sparse", "dense", "sparse")
AGENTS = {"empty": (0, 3), "sparse": (3, 15), "dense": (20, 41)}  # how many, from and below
CHANGE_SHARE = 0.3
_MOST_AGENTS = 48
_BUCKETS = 10  # of the combinations of choices: one each for val and test, the rest for train
_CURVED_KINDS = ("four_way", "t_junction", "roundabout")


@dataclass(frozen=True, slots=True)
class Choices:
    """The discrete part of a draw; its combinations are disjoint between splits."""

    kind: str
    weather: str
    light: str
    manoeuvre: str
    manner: str
    traffic: str  # the side it keeps to
    density: str
    surroundings: str
    lanes: int
    oncoming: int
    turn: str
    limit_mps: float
    signals: bool
    crosswalks: bool

    def split(self) -> str:
        """The split in which this combination may appear."""
        text = "/".join(str(getattr(self, name)) for name in self.__slots__)
        bucket = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % _BUCKETS
        return SPLITS[1] if bucket == 0 else SPLITS[2] if bucket == 1 else SPLITS[0]


@dataclass(frozen=True, slots=True)
class TownDrive:
    """A scene before it is driven. ``cast`` allows to leave agents out."""

    scene: Scene
    choices: Choices
    manner: Manner
    cast: Cast
    seed_key: tuple[int, ...]

    @property
    def expert(self) -> bool:
        return self.manner.kind in EXPERT_MANNERS

    def without(self, indices: set[int]) -> TownDrive:
        """The same drive with the agents at ``indices`` (into the start agents) gone."""
        cast = self.cast.without(indices)
        agents, scripts = cast.agents()
        start = replace(self.scene.start, agents=agents)
        return replace(self, cast=cast, scene=replace(self.scene, start=start, scripts=scripts))


def draw_drive(index: int, split: str, seed: int, *, seconds: float, attempt: int = 0) -> TownDrive:
    """Drive number ``index`` of a split; the same arguments give the same drive. Raises InputError for an unknown split."""
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r}", hint="one of " + ", ".join(SPLITS))
    seed_key = (seed, SPLITS.index(split), index, attempt)
    rng = np.random.default_rng(np.random.SeedSequence(seed_key))
    choices = _choices(index, split, seed, rng)
    stage, turn = _stage(choices, seconds, rng)
    manner = _manner(choices, stage, rng)
    start_pose = _start_pose(stage, rng)
    count = int(rng.integers(*AGENTS[choices.density]))
    cast = Cast(start_pose, _MOST_AGENTS, rng)
    populate(stage, cast, count, rng)
    agents, scripts = cast.agents()
    first, changes = _conditions(choices, seconds, rng)
    signals = np.array([signal.state_at(0.0) for signal in stage.road.signals], np.int8)
    scene = Scene(
        id=f"town/{choices.kind}:{split}.{index}#{seed}",
        family="town",
        road=stage.road,
        start=WorldState(
            t_s=np.array(0.0),
            ego_xy_yaw_world=start_pose,
            ego_speed_mps=np.array(stage.ego_speed_mps),
            ego_accel_mps2=np.array(0.0),
            ego_curvature_1pm=np.array(0.0),
            agents=agents,
            signal=signals,
        ),
        scripts=scripts,
        conditions=first,
        route_xy=stage.route_xy,
        speed_limit_mps=choices.limit_mps,
        horizon_s=seconds,
        seed=int(np.random.SeedSequence(seed_key).generate_state(1)[0]),
        condition_changes=changes,
        parameters={
            "kind": choices.kind,
            "manoeuvre": choices.manoeuvre,
            "manner": choices.manner,
            "traffic": choices.traffic,
            "density": choices.density,
            "surroundings": choices.surroundings,
            "lanes": float(choices.lanes),
            "oncoming": float(choices.oncoming),
            "turn": turn,
            "speed_limit_mps": choices.limit_mps,
            "ego_speed_mps": stage.ego_speed_mps,
            "lane_width_m": stage.options.lane_width_m,
            "signals": float(choices.signals),
            "crosswalks": float(choices.crosswalks),
            "attempt": float(attempt),
        },
    )
    return TownDrive(scene, choices, manner, cast, seed_key)


def _choices(index: int, split: str, seed: int, rng: np.random.Generator) -> Choices:
    key = (seed, SPLITS.index(split))
    sky, name = scheduled(index, *key)
    manoeuvre = MANOEUVRES[name]
    traffic = TRAFFIC[balanced(index, len(TRAFFIC), *key, 3)]
    density = DENSITIES[balanced(index, len(DENSITIES), *key, 4)]
    while True:
        kind = str(rng.choice(manoeuvre.kinds))
        surroundings = _surroundings(kind, rng)
        lanes, oncoming = _lanes(kind, surroundings, rng)
        if name == "change_lane":
            lanes, oncoming = max(lanes, 2), max(oncoming, 1)
        limits = {"town": (8.3, 13.9), "rural": (13.9, 19.4, 25.0), "motorway": (22.2, 25.0)}[surroundings]
        choices = Choices(
            kind=kind,
            weather=sky[0],
            light=sky[1],
            manoeuvre=name,
            manner=str(rng.choice(manoeuvre.manners)),
            traffic=traffic,
            density=density,
            surroundings=surroundings,
            lanes=lanes,
            oncoming=oncoming,
            turn=str(rng.choice(manoeuvre.turns)),
            limit_mps=float(rng.choice(limits)),
            signals=bool(rng.random() < 0.5) and kind in ("four_way", "t_junction", "crosswalk"),
            crosswalks=bool(rng.random() < 0.5) and kind in _CURVED_KINDS and surroundings == "town",
        )
        if choices.split() == split:
            return choices


def _surroundings(kind: str, rng: np.random.Generator) -> str:
    if kind in ("merge", "exit"):
        return "motorway"
    if kind in ("crosswalk", "parking_row"):
        return "town"
    if kind in ("straight", "curve", "roadworks"):
        return str(rng.choice(["town", "town", "rural", "motorway"]))
    return str(rng.choice(["town", "town", "rural"]))


def _lanes(kind: str, surroundings: str, rng: np.random.Generator) -> tuple[int, int]:
    """Lanes in the direction of the ego and against it."""
    if kind == "roundabout":
        return 1, 1
    if surroundings == "motorway":
        return int(rng.integers(2, 4)), int(rng.choice([0, 2, 3]))
    if surroundings == "rural":
        return (2 if kind == "roadworks" else 1), 1
    lanes = int(rng.choice([1, 1, 2, 3])) if kind != "roadworks" else int(rng.choice([2, 3]))
    return lanes, int(rng.choice([1, 1, 2]) if lanes > 1 else rng.choice([0, 1, 1, 1, 1, 1]))


def _stage(choices: Choices, seconds: float, rng: np.random.Generator) -> tuple[Stage, str]:
    limit = choices.limit_mps
    speed = 0.0 if rng.random() < 0.1 else float(min(25.0, limit * rng.uniform(0.4, 1.1)))
    reach = limit * 1.1 * seconds
    along = choices.kind in ("straight", "curve")
    bend = rng.uniform(16.0, 24.0) if choices.kind == "roundabout" else rng.uniform(25.0, 60.0) * (limit / 9.0) ** 1.5
    options = RoadOptions(
        lanes=choices.lanes,
        oncoming=choices.oncoming,
        lane_width_m=float(rng.uniform(3.1, 3.75)),
        length_m=reach + 180.0 if along else reach * 1.3 + 160.0,
        radius_m=float(bend),
        turn=choices.turn if choices.turn != "straight" else "left",
        speed_limit_mps=limit,
        surroundings=choices.surroundings,
        signals=choices.signals,
        crosswalks=choices.crosswalks,
    )
    road = build_road(choices.kind, options, rng)
    lane, turn = int(rng.integers(choices.lanes)), choices.turn
    if choices.kind in ("four_way", "t_junction", "exit") and turn != "straight":
        lane = 0 if turn == "right" else choices.lanes - 1  # the lanes from which a turn is allowed
    route = lane_path(road, f"main.{lane}", turn, min_length_m=reach + 200.0)
    if along:
        ego_s = float(rng.uniform(40.0, 70.0))
    else:
        middle = float(frenet_sd(route, np.zeros(2))[0])
        ego_s = max(25.0, middle - max(speed, 4.0) * float(rng.uniform(1.5, 6.0)) - 8.0)
        if choices.kind == "roadworks" and lane == 0:
            ego_s = max(25.0, min(ego_s, middle - 55.0))
    return Stage(choices.kind, options, road, route, lane, ego_s, speed), turn


def _manner(choices: Choices, stage: Stage, rng: np.random.Generator) -> Manner:
    to_left = stage.options.lane_width_m
    if choices.manner == "wrong_lane":  # the first lane against the traffic, or off to the left where there is none
        to_left *= stage.options.lanes - stage.lane
    elif choices.manner == "lane_change":
        free_left = stage.lane + 1 < stage.options.lanes
        to_left *= 1.0 if free_left else -1.0 if stage.lane > 0 else 0.15
    return draw_manner(choices.manner, rng, choices.limit_mps, to_left, stage.options.lane_width_m)


def _start_pose(stage: Stage, rng: np.random.Generator) -> Array:
    x, y, yaw = point_at_s(stage.route_xy, stage.ego_s_m)
    aside = float(np.clip(rng.normal(0.0, 0.25), -0.6, 0.6))
    return np.array([x - aside * np.sin(yaw), y + aside * np.cos(yaw), yaw + float(rng.normal(0.0, 0.02))])


def _conditions(
    choices: Choices, seconds: float, rng: np.random.Generator
) -> tuple[Conditions, tuple[tuple[float, Conditions], ...]]:
    sun = float(rng.uniform(-np.pi, np.pi))
    first = Conditions(Weather(choices.weather), Light(choices.light), sun)
    if rng.random() >= CHANGE_SHARE:
        return first, ()
    changes, now, t_s = [], first, 0.0
    for _ in range(int(rng.integers(1, 3))):
        t_s += float(rng.uniform(0.2, 0.45)) * seconds
        weather, light = Weather(str(rng.choice(list(Weather)))), Light(str(rng.choice(list(Light))))
        if (weather, light) != (now.weather, now.light):
            now = Conditions(weather, light, sun)
            changes.append((round(t_s, 1), now))
    return first, tuple(changes)
