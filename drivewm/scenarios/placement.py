"""Where actors stand and what they do: from the words of the document to rows of `ActorScripts`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drivewm.datatypes import STATIC_CLASSES, Array, Lane, ManoeuvreKind, TriggerKind
from drivewm.geometry import box_corners_xy, frenet_sd, point_at_s
from drivewm.scenarios.bodies import BODIES, BodyKind, varied_size_lwh_m
from drivewm.scenarios.quantities import TIME, Quantity
from drivewm.scenarios.schema import Actor, Step
from drivewm.scenarios.source import Path_
from drivewm.scenarios.stage import FRONT_M, REAR_M, Misplaced, Stage, first_touch_s_m, fixed_crossing_s_m

ScriptStep = tuple[TriggerKind, float, ManoeuvreKind, float, float]  # trigger, its value, manoeuvre, its value, its rate


@dataclass(frozen=True)
class Row:
    """One agent: a row of `ActorScripts` and of `Agents`."""

    body: BodyKind
    size_lwh_m: Array  # [3]
    path_xy: Array  # [P, 2], 1 m apart
    s_m: float
    offset_m: float
    speed_mps: float
    reactive: bool
    steps: tuple[ScriptStep, ...]
    place: Path_  # in the document
    off_road: bool  # keeps its way free of buildings and trees

    def pose(self, t_s: Array | float = 0.0) -> Array:
        """Centres [..., 3] at times ``t_s`` [...] if it holds its first speed."""
        pose = point_at_s(self.path_xy, self.s_m + self.speed_mps * np.asarray(t_s))
        pose[..., :2] += self.offset_m * np.stack([-np.sin(pose[..., 2]), np.cos(pose[..., 2])], -1)
        return pose

    @cached_property
    def start_pose(self) -> Array:
        """Centre [3] at the start."""
        return self.pose()

    @cached_property
    def corners_xy(self) -> Array:
        """The box [4, 2] at the start, with 0.1 m around it."""
        return box_corners_xy(self.start_pose, self.size_lwh_m[:2] + 0.2)

    @property
    def fastest_mps(self) -> float:
        return max([self.speed_mps, *(step[3] for step in self.steps if step[2] == ManoeuvreKind.SPEED)])


def rows_of(stage: Stage, name: str, rng: np.random.Generator) -> list[Row]:
    """The agents that one entry under ``actors`` stands for."""
    actor, place = stage.document.actors[name], ("actors", name)
    body = BODIES[actor.is_]
    if body.category in STATIC_CLASSES and (actor.speed > 0 or actor.steps or actor.reacts):
        raise stage.source.error(f"a {actor.is_} does not move", place, "leave out speed, steps and reacts")
    return [_row(stage, actor, place, copy, varied_size_lwh_m(body, rng)) for copy in range(actor.count)]


def _row(stage: Stage, actor: Actor, place: Path_, copy: int, size: Array) -> Row:
    if actor.from_ is not None:
        path, s = _crossing(stage, actor, place)
    elif actor.beside is not None:
        path, s = _beside(stage, actor, place, copy, size)
    else:
        path, s = _in_lane(stage, actor, place, copy, size)
    width = stage.document.road.lane_width
    if actor.lane is not None:
        width = stage.lane_of(actor.lane, (*place, "lane")).width_m
    return Row(
        body=BODIES[actor.is_],
        size_lwh_m=size,
        path_xy=path,
        s_m=s,
        offset_m=actor.offset,
        speed_mps=actor.speed,
        reactive=actor.reacts,
        steps=_script(actor.steps, actor.offset, width),
        place=place,
        off_road=actor.lane is None,
    )


def _script(steps: tuple[Step, ...], offset_m: float, lane_width_m: float) -> tuple[ScriptStep, ...]:
    out: list[ScriptStep] = []
    for step in steps:
        when = step.when
        if when.after is not None:
            trigger = (TriggerKind.TIME, when.after)
        elif when.within is not None:
            trigger = (TriggerKind.DISTANCE, when.within)
        else:
            assert when.ttc is not None
            trigger = (TriggerKind.TTC, when.ttc)
        if step.speed is not None:
            out.append((*trigger, ManoeuvreKind.SPEED, step.speed, step.rate))
            continue
        if step.drift is not None:
            offset_m += step.drift
        else:
            offset_m += lane_width_m if step.change_lane == "left" else -lane_width_m
        out.append((*trigger, ManoeuvreKind.OFFSET, offset_m, step.within))
    return tuple(out)


def path_points(stage: Stage) -> int:
    """Vertices that a path needs; it runs straight on beyond."""
    return len(stage.route_xy)


def gap_m(stage: Stage, gap: Quantity) -> float:
    return gap.value * stage.ego_speed_mps if gap.dimension == TIME else gap.value


def _route_s_m(stage: Stage, actor: Actor, copy: int, half_length_m: float) -> float:
    """Where on the route an actor's centre is, from ``ahead`` or ``behind``."""
    if actor.ahead is not None:
        return stage.ego_s_m + FRONT_M + gap_m(stage, actor.ahead) + half_length_m + copy * actor.every
    assert actor.behind is not None
    return stage.ego_s_m - REAR_M - gap_m(stage, actor.behind) - half_length_m - copy * actor.every


def _in_lane(stage: Stage, actor: Actor, place: Path_, copy: int, size: Array) -> tuple[Array, float]:
    assert actor.lane is not None
    lane = stage.lane_of(actor.lane, (*place, "lane"))
    path = stage.path_of(lane, actor.turn, float(path_points(stage)), place)
    if actor.before is not None:
        s = float(frenet_sd(path, lane.centre_xy[-1])[0]) - actor.before - size[0] / 2 - copy * actor.every
    elif actor.meet is not None:
        s = _meeting_s_m(stage, actor, path, place)
    else:
        point = point_at_s(stage.route_xy, _route_s_m(stage, actor, copy, size[0] / 2))
        s, aside = (float(x) for x in frenet_sd(path, point[:2]))
        if abs(aside) > 20.0:
            raise stage.source.error(f"lane {actor.lane!r} is not beside the ego there", (*place, "lane"), "use meet or before")
    if s < size[0] / 2:
        raise Misplaced(f"{place[-1]} would start before its road begins; raise road.length", place)
    return path, s


def _meeting_s_m(stage: Stage, actor: Actor, path: Array, place: Path_) -> float:
    """Start on the actor's path so that at constant speeds both centres are at the crossing when ``meet`` says."""
    assert actor.meet is not None
    if actor.speed < 0.3:
        raise stage.source.error("who meets the ego needs a speed", (*place, "speed"), "for example speed: 30 km/h")
    _need_a_moving_ego(stage, place)
    crossing = first_touch_s_m(stage.route_xy, path)
    if crossing is not None:
        after = (crossing - stage.centre_s_m) / stage.ego_speed_mps
        at = float(frenet_sd(path, point_at_s(stage.route_xy, crossing)[:2])[0])
    else:  # they pass each other
        if actor.meet.after is None:
            raise stage.source.error("'after' is missing: these two could pass each other anywhere", (*place, "meet"))
        after = actor.meet.after
        at = float(frenet_sd(path, point_at_s(stage.route_xy, stage.centre_s_m + stage.ego_speed_mps * after)[:2])[0])
    return at - actor.speed * (after + actor.meet.late)


def _need_a_moving_ego(stage: Stage, place: Path_) -> None:
    if stage.ego_speed_mps < 0.3:
        raise stage.source.error("an ego that stands meets nobody", (*place, "meet"), "give ego.speed, or use ahead")


def _crossing(stage: Stage, actor: Actor, place: Path_) -> tuple[Array, float]:
    """A straight path across the route, and the start on it that leads to the meeting."""
    assert actor.meet is not None
    _need_a_moving_ego(stage, place)
    crossing = fixed_crossing_s_m(stage, actor, place)
    if crossing is None:
        if actor.meet.after is None:
            raise stage.source.error("'after' is missing: without a crosswalk they could meet anywhere", (*place, "meet"))
        crossing = stage.centre_s_m + stage.ego_speed_mps * actor.meet.after
    after = (crossing - stage.centre_s_m) / stage.ego_speed_mps
    way = actor.speed * (after + actor.meet.late)
    if way < 0.5:
        raise Misplaced(f"{place[-1]} would have to arrive before the scene begins", place)
    return across(stage, crossing, -1.0 if actor.from_ == "right" else 1.0, way), 0.0


def across(stage: Stage, route_s_m: float, side: float, start_m: float) -> Array:
    """A path [P, 2] that begins ``start_m`` beside the route (side +1 left, -1 right) and crosses it at a right angle."""
    x, y, yaw = point_at_s(stage.route_xy, route_s_m)
    normal = np.array([-np.sin(yaw), np.cos(yaw)]) * side
    along = np.arange(path_points(stage), dtype=np.float64)
    return np.array([x, y]) + normal * (start_m - along)[:, None]


def _beside(stage: Stage, actor: Actor, place: Path_, copy: int, size: Array) -> tuple[Array, float]:
    """Beyond the outermost lane on one side; a path along the route, or across it for who faces the road."""
    side = -1.0 if actor.beside == "right" else 1.0
    at = _route_s_m(stage, actor, copy, size[0] / 2)
    if actor.facing == "road":
        edge = lane_edge_m(stage, at, side)
        return across(stage, at, side, edge + actor.clear + size[0] / 2), 0.0
    distance = lane_edge_m(stage, at, side) + actor.clear + size[1] / 2
    return alongside(stage, at, side * distance, backwards=actor.facing == "against"), 0.0


def alongside(stage: Stage, route_s_m: float, left_m: float, *, backwards: bool) -> Array:
    """A path [P, 2] parallel to the route and ``left_m`` beside it, from the given place of the route on."""
    s = route_s_m + (-1.0 if backwards else 1.0) * np.arange(path_points(stage), dtype=np.float64)
    pose = point_at_s(stage.route_xy, s)
    line = pose[:, :2] + left_m * np.stack([-np.sin(pose[:, 2]), np.cos(pose[:, 2])], -1)
    return point_at_s(line, np.arange(path_points(stage), dtype=np.float64))[:, :2]


def lane_edge_m(stage: Stage, route_s_m: float, side: float) -> float:
    """Distance from the route to the far edge of the outermost lane that runs beside it there."""
    x, y, yaw = point_at_s(stage.route_xy, route_s_m)
    ahead, left = np.array([np.cos(yaw), np.sin(yaw)]), np.array([-np.sin(yaw), np.cos(yaw)])
    edge = stage.document.road.lane_width / 2
    for lane in stage.road.lanes:
        edge = max(edge, _edge_of(lane, np.array([x, y]), ahead, left * side))
    return edge


def _edge_of(lane: Lane, point: Array, ahead: Array, outward: Array) -> float:
    delta = lane.centre_xy - point
    nearest = int(np.argmin(np.abs(delta @ ahead)))
    step = lane.centre_xy[min(nearest + 1, len(delta) - 1)] - lane.centre_xy[max(nearest - 1, 0)]
    parallel = abs(float(step @ ahead)) > 0.9 * float(np.hypot(*step))
    beside = abs(float(delta[nearest] @ ahead)) < 1.5 and abs(float(delta[nearest] @ outward)) < 20.0
    return float(delta[nearest] @ outward) + lane.width_m / 2 if parallel and beside else 0.0
