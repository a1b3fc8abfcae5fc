"""Who else is on the road: fills a place with agents of every class around the stretch the ego will drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from drivewm.data.cast import Actor, Cast, Step, brake_step, go_step, side_step
from drivewm.data.habits import CROSSING, DRIVING, FOLLOWED, PARKED, PARKED_SHARE, WALKING, gap_m, one_of, pace_mps, weave
from drivewm.datatypes import AgentClass, Array, ManoeuvreKind, RoadMap, TriggerKind
from drivewm.geometry import frenet_sd, point_at_s, polyline_s_m, resample_polyline
from drivewm.scenarios.roads import RoadOptions, lane_path

_Maker = Callable[["Stage", np.random.Generator], Actor | None]


@dataclass(frozen=True, slots=True)
class Stage:
    """The place and the ego's part in it."""

    kind: str
    options: RoadOptions
    road: RoadMap
    route_xy: Array  # [R, 2], 1 m apart
    lane: int  # the ego starts in main.<lane>
    ego_s_m: float
    ego_speed_mps: float

    def ahead_xy(self, distance_m: float) -> Array:
        return point_at_s(self.route_xy, self.ego_s_m + distance_m)[:2]


def populate(stage: Stage, cast: Cast, count: int, rng: np.random.Generator) -> None:
    """Adds up to ``count`` agents; roadworks come with their cones and barriers."""
    if stage.kind == "roadworks":
        _roadworks(stage, cast, rng)
    wanted = len(cast.actors) + count
    if stage.options.surroundings == "town":
        for _ in range(round(PARKED_SHARE * count)):
            if (parked := _parked(stage, rng)) is not None:
                cast.add(parked)
    makers = _makers(stage)
    names = list(makers)
    weights = np.array([makers[name][1] for name in names])
    for _ in range(6 * count):
        if len(cast.actors) >= wanted:
            return
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        actor = makers[name][0](stage, rng)
        if actor is None or not cast.add(actor):
            continue
        while actor.category in DRIVING and actor.reactive and actor.speed_mps > 2.0 and rng.random() < FOLLOWED:
            actor = _follower(actor, rng)
            if len(cast.actors) >= wanted or not cast.add(actor):
                break


def _makers(stage: Stage) -> dict[str, tuple[_Maker, float]]:
    town, rural = stage.options.surroundings == "town", stage.options.surroundings == "rural"
    junction = stage.kind in ("t_junction", "four_way", "roundabout", "merge")
    return {
        "ahead": (_ahead, 3.0),
        "behind": (_behind, 1.0),
        "adjacent": (_adjacent, 3.0 if stage.options.lanes > 1 else 0.0),
        "oncoming": (_oncoming, 2.5 if stage.options.oncoming else 0.0),
        "crossing": (_crossing, 4.0 if junction else 0.0),
        "parked": (_parked, (5.0 if stage.kind == "parking_row" else 1.2) * (town or rural)),
        "cyclist": (_cyclist, 1.5 if town or rural else 0.0),
        "walker": (_walker, 2.5 if town else 0.3 if rural else 0.0),
        "crosser": (_crosser, 3.0 if stage.road.crosswalks else 1.0 if town else 0.0),
        "debris": (_debris, 0.4),
        "cone": (_cone, 0.4),
    }


def _speed(stage: Stage, rng: np.random.Generator) -> float:
    return float(np.clip(stage.options.speed_limit_mps * rng.uniform(0.65, 1.1), 2.0, 27.0))


def _follower(leader: Actor, rng: np.random.Generator) -> Actor:
    speed = leader.speed_mps * float(rng.uniform(0.95, 1.05))
    s = max(leader.start_s_m - gap_m(speed, rng), 0.5)
    return Actor(one_of(DRIVING, rng), leader.path_xy, s, 0.0, speed, leader.desired_mps * 1.05, True, weave(rng))


def _ahead(stage: Stage, rng: np.random.Generator) -> Actor | None:
    gap = gap_m(stage.ego_speed_mps, rng) if rng.random() < 0.7 else float(rng.uniform(28.0, 78.0))
    s = stage.ego_s_m + gap
    speed = float(np.clip(stage.ego_speed_mps * rng.uniform(0.75, 1.15), 0.0, 27.0))
    wish = _speed(stage, rng)
    steps = weave(rng)
    draw = rng.random()
    if draw < 0.2:
        steps = (brake_step(rng, speed),)
        if rng.random() < 0.5:
            steps += (go_step(rng, wish, steps[0][1] + 2.0),)
    elif draw < 0.27:
        speed, wish, steps = 0.0, 0.0, (go_step(rng, wish, 1.0),) if rng.random() < 0.7 else ()
    return Actor(one_of(DRIVING, rng), stage.route_xy, s, float(rng.normal(0, 0.15)), speed, wish, True, steps)


def _behind(stage: Stage, rng: np.random.Generator) -> Actor | None:
    s = stage.ego_s_m - float(rng.uniform(9.0, 35.0))
    if s <= 6.0:
        return None
    return Actor(one_of(DRIVING, rng), stage.route_xy, s, 0.0, stage.ego_speed_mps, _speed(stage, rng) * 1.1, True)


def _adjacent(stage: Stage, rng: np.random.Generator) -> Actor | None:
    lanes = [i for i in (stage.lane - 1, stage.lane + 1) if 0 <= i < stage.options.lanes]
    if not lanes or (stage.kind == "roundabout"):
        return None
    lane = int(rng.choice(lanes))
    path = lane_path(stage.road, f"main.{lane}")
    s = float(frenet_sd(path, stage.ahead_xy(rng.uniform(-35.0, 60.0)))[0])
    if s < 5.0:
        return None
    speed = float(np.clip(stage.ego_speed_mps * rng.uniform(0.7, 1.25), 0.0, 27.0))
    towards = float(np.sign(lane - stage.lane)) * -stage.options.lane_width_m
    steps = (side_step(rng, towards),) if rng.random() < 0.45 else weave(rng)
    if rng.random() < 0.2:
        steps += (brake_step(rng, speed),)
    return Actor(one_of(DRIVING, rng), path, s, 0.0, speed, _speed(stage, rng), True, steps)


def _oncoming(stage: Stage, rng: np.random.Generator) -> Actor | None:
    lanes = [lane.id for lane in stage.road.lanes if lane.id.startswith("oncoming.") and ">" not in lane.id]
    if not lanes:
        return None
    turn = str(rng.choice(["straight", "straight", "left", "right"]))
    path = lane_path(stage.road, str(rng.choice(lanes)), turn)
    s = float(frenet_sd(path, stage.ahead_xy(rng.uniform(20.0, 180.0)))[0])
    speed = _speed(stage, rng)
    steps = (side_step(rng, stage.options.lane_width_m * 0.9),) if rng.random() < 0.1 else weave(rng)
    return Actor(one_of(DRIVING, rng), path, max(s, 0.0), 0.0, speed, speed, bool(rng.random() < 0.85), steps)


def _crossing(stage: Stage, rng: np.random.Generator) -> Actor | None:
    lanes = [lane.id for lane in stage.road.lanes if lane.id.startswith(("from_left.", "from_right.")) and ">" not in lane.id]
    if not lanes:
        return None
    path = lane_path(stage.road, str(rng.choice(lanes)), str(rng.choice(["straight", "left", "right"])))
    speed = min(_speed(stage, rng), 12.0 if stage.kind != "merge" else 25.0)
    s = float(frenet_sd(path, np.zeros(2))[0]) - speed * float(rng.uniform(0.5, 9.0))
    category = AgentClass.BICYCLE if rng.random() < 0.15 else one_of(DRIVING, rng)
    speed = min(speed, 6.0) if category == AgentClass.BICYCLE else speed
    return Actor(category, path, max(s, 0.0), 0.0, speed, speed, True, weave(rng))


def _parked(stage: Stage, rng: np.random.Generator) -> Actor | None:
    if stage.kind == "parking_row" and rng.random() < 0.8:
        path = stage.road.lane("parking.0").centre_xy
        xy = stage.ahead_xy(rng.uniform(-15.0, 110.0))
        bay = round((float(frenet_sd(path, xy)[0]) - 9.0) / 6.0)
        offset, s = float(rng.normal(0, 0.08)), 9.0 + 6.0 * bay + float(rng.normal(0, 0.2))
        if not 4.0 < s < len(path) - 4.0:
            return None
        steps: tuple[Step, ...] = ()
        if rng.random() < 0.12:  # pulls out into the ego's lane
            pull = (TriggerKind.DISTANCE, float(rng.uniform(12.0, 28.0)), ManoeuvreKind.SPEED, 5.0, 1.8)
            width = 0.5 * (2.3 + stage.options.lane_width_m)
            steps = (pull, (TriggerKind.TIME, 0.0, ManoeuvreKind.OFFSET, width, 3.0))
        return Actor(AgentClass.CAR, path, s, offset, steps=steps)
    across = stage.options.oncoming > 0 and rng.random() < 0.4
    lane = stage.road.lane(f"oncoming.{stage.options.oncoming - 1}" if across else "main.0")  # the ones beside the kerb
    s = float(frenet_sd(lane.centre_xy, stage.ahead_xy(rng.uniform(-10.0, 110.0)))[0])
    if not 5.0 < s < len(lane.centre_xy) - 16.0:  # nobody parks at the corner
        return None
    category = one_of(PARKED, rng)
    offset = -(0.5 * lane.width_m + float(rng.uniform(0.3, 0.9)) + (0.4 if category != AgentClass.CAR else 0.0))
    return Actor(category, lane.centre_xy, s, offset)


def _cyclist(stage: Stage, rng: np.random.Generator) -> Actor | None:
    path = lane_path(stage.road, "main.0", str(rng.choice(["straight", "right", "left"])))
    s = float(frenet_sd(path, stage.ahead_xy(rng.uniform(-15.0, 70.0)))[0])
    speed = float(rng.uniform(2.5, 6.5))
    offset = -(0.5 * stage.options.lane_width_m - float(rng.uniform(0.4, 0.9)))
    steps: tuple[Step, ...] = (side_step(rng, offset + float(rng.uniform(0.8, 2.5))),) if rng.random() < 0.2 else ()
    return Actor(AgentClass.BICYCLE, path, max(s, 1.0), offset, speed, speed, bool(rng.random() < 0.7), steps)


def _kerb_line(stage: Stage, rng: np.random.Generator) -> Array | None:
    """The outline of a sidewalk, shrunk to its middle, as a path to walk along."""
    from shapely.geometry import Polygon

    near = [xy for xy in stage.road.sidewalks if np.hypot(*(xy - stage.ahead_xy(30.0)).T).min() < 60.0]
    if not near:
        return None
    inner = Polygon(near[int(rng.integers(len(near)))]).buffer(-float(rng.uniform(0.6, 1.1)))
    shape = max(inner.geoms, key=lambda part: part.area) if hasattr(inner, "geoms") and len(inner.geoms) else inner
    if shape.is_empty or not hasattr(shape, "exterior"):
        return None
    line = resample_polyline(np.asarray(shape.exterior.coords)[:, :2], 1.0)
    return line[::-1].copy() if rng.random() < 0.5 else line


def _walker(stage: Stage, rng: np.random.Generator) -> Actor | None:
    line = _kerb_line(stage, rng)
    if line is None or len(line) < 30:
        return None
    goal = stage.ahead_xy(rng.uniform(-5.0, 60.0))
    near = np.flatnonzero(np.hypot(*(line - goal).T) < 25.0)
    if len(near) == 0:
        return None
    i = int(rng.choice(near))
    path = np.roll(line[:-1], 12 - i, axis=0)[:60]  # starts 12 m before the chosen spot, wherever the ring begins
    path = path[: 1 + int(np.argmax(np.append(np.hypot(*np.diff(path, axis=0).T) > 1.5, True)))]
    if len(path) < 14:
        return None
    path = point_at_s(path, np.arange(0.0, polyline_s_m(path)[-1], 1.0))[:, :2]
    category = one_of(WALKING, rng)
    speed = 0.0 if rng.random() < 0.2 else pace_mps(category, rng)
    return Actor(category, path, min(12.0, len(path) - 2.0), 0.0, speed, speed)


def _crosser(stage: Stage, rng: np.random.Generator) -> Actor | None:
    """Somebody who crosses the road, on a crosswalk if there is one near, about when the ego arrives."""
    category = one_of(CROSSING, rng)
    speed = pace_mps(category, rng)
    ahead = float(rng.uniform(14.0, 30.0) + stage.ego_speed_mps * rng.uniform(0.5, 4.0))
    zebras = [xy for xy in stage.road.crosswalks if np.hypot(*(xy.mean(0) - stage.ahead_xy(40.0))) < 70.0]
    if zebras:
        zebra = zebras[int(rng.integers(len(zebras)))]
        sides = np.roll(zebra, -1, axis=0) - zebra
        long = sides[int(np.argmax(np.hypot(*sides.T)))]
        centre, half = zebra.mean(0), 0.5 * float(np.hypot(*long))
        unit = long / (2 * half)
        centre = centre + float(rng.uniform(-1.2, 1.2)) * np.array([-unit[1], unit[0]])
    elif rng.random() < 0.6:
        x, y, yaw = point_at_s(stage.route_xy, stage.ego_s_m + ahead)
        centre, unit = np.array([x, y]), np.array([-np.sin(yaw), np.cos(yaw)])
        half = stage.options.lane_width_m * (stage.options.lanes + 0.5)
    else:
        return None
    unit = unit if rng.random() < 0.5 else -unit
    begin = half + float(rng.uniform(1.0, 2.5))
    path = centre + unit * (np.arange(0.0, 2 * begin + 20.0) - begin)[:, None]
    at_s = float(np.clip(ahead / max(stage.ego_speed_mps, 4.0) - begin / speed + rng.uniform(-2.0, 2.0), 0.0, 8.0))
    go: Step = (TriggerKind.TIME, at_s, ManoeuvreKind.SPEED, speed, 2.0)
    rest: Step = (TriggerKind.TIME, at_s + (2 * begin - 0.5) / speed, ManoeuvreKind.SPEED, 0.0, 2.0)
    return Actor(category, path, 0.0, 0.0, 0.0, 0.0, False, (go, rest))


def _debris(stage: Stage, rng: np.random.Generator) -> Actor | None:
    s = stage.ego_s_m + float(rng.uniform(25.0, 110.0))
    aside = float(rng.uniform(-0.6, 0.6) if rng.random() < 0.25 else rng.choice([-1.0, 1.0]) * rng.uniform(1.4, 2.5))
    return Actor(AgentClass.DEBRIS, stage.route_xy, s, aside)


def _cone(stage: Stage, rng: np.random.Generator) -> Actor | None:
    s = stage.ego_s_m + float(rng.uniform(10.0, 90.0))
    side = float(rng.choice([-1.0, -1.0, 1.0])) * stage.options.lane_width_m * float(rng.uniform(0.5, 0.65))
    category = AgentClass.BARRIER if rng.random() < 0.35 else AgentClass.TRAFFIC_CONE
    return Actor(category, stage.route_xy, s, side)


def _roadworks(stage: Stage, cast: Cast, rng: np.random.Generator) -> None:
    """Cones along the taper in front of x = 0, barriers behind them, and a lorry at work."""
    lane = stage.road.lane("main.0")
    half, zero = 0.5 * stage.options.lane_width_m, -lane.centre_xy[0, 0]
    for x in np.linspace(-28.0, -2.0, 5):
        share = (x + 30.0) / 30.0
        cast.add(Actor(AgentClass.TRAFFIC_CONE, lane.centre_xy, zero + float(x), half * (2 * share - 1)))
    for x in np.linspace(2.0, 36.0, 4):
        cast.add(Actor(AgentClass.BARRIER, lane.centre_xy, zero + float(x), half - 1.3))
    if rng.random() < 0.7:
        category = AgentClass.CONSTRUCTION_VEHICLE if rng.random() < 0.6 else AgentClass.TRUCK
        cast.add(Actor(category, lane.centre_xy, zero + float(rng.uniform(12.0, 28.0)), -0.5))
