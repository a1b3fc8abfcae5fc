"""Drawing scenes from a scenario, and counting what its constraints refuse.

A draw depends on scenario, seed and index alone: its random numbers come from ``SeedSequence([seed, index, name])``. The name
takes part so that draw 0 is not the slow one in every scenario of a suite; it is that of the outermost base, so that draw 7 of a
variant in the rain is draw 7 of its base, in the rain.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from shapely import LineString, distance, intersects, points, polygons, unary_union

from drivewm.datatypes import (
    EGO_SHAPE,
    ActorScripts,
    Agents,
    Array,
    ManoeuvreKind,
    RoadMap,
    Scene,
    TriggerKind,
    WorldState,
)
from drivewm.geometry import box_corners_xy, boxes_overlap, first_metres, point_at_s
from drivewm.scenarios.bystanders import bystander_rows
from drivewm.scenarios.conditions import conditions_of
from drivewm.scenarios.demands import with_values
from drivewm.scenarios.distributions import Choice, Distribution
from drivewm.scenarios.language import Scenario, draw_parameters, first_broken, resolve, resolve_recorded
from drivewm.scenarios.placement import Row, rows_of
from drivewm.scenarios.quantities import MAX_TEXT, Quantity, Value
from drivewm.scenarios.recorded import varied
from drivewm.scenarios.stage import Misplaced, Stage, set_stage

PLACINGS = 40  # draws of the parameters before a scenario is called impossible
ASKINGS = 60  # placed scenes before the questions under ``where`` are called impossible to satisfy
LOOK_AHEAD_M = 120.0  # route beyond what is driven at the speed limit
TRACK_IDS = 10_000
TENTHS = 10
TRUNK_M = 0.5  # around the middle of a tree


@dataclass(frozen=True)
class Coverage:
    """How often each part of what a parameter may be was accepted: each value of a choice, or tenths of equal probability."""

    parts: tuple[str, ...]
    accepted: tuple[int, ...]

    @property
    def share(self) -> float:
        """Parts that were reached at all."""
        return sum(count > 0 for count in self.accepted) / len(self.accepted)


@dataclass(frozen=True)
class Rejections:
    """What became of ``draws`` attempts: how many passed, and how many each reason turned away."""

    draws: int
    accepted: int
    reasons: Mapping[str, int] = field(default_factory=dict)
    coverage: Mapping[str, Coverage] = field(default_factory=dict)  # of the accepted, per parameter

    @property
    def share(self) -> float:
        return 1.0 - self.accepted / self.draws


def draw_scene(scenario: Scenario, index: int, seed: int, fixed: Mapping[str, Value] | None = None) -> Scene:
    """Draw number ``index`` of the scenario; ``fixed`` pins parameters (SI `Quantity`, word or truth value).

    Raises `InputError` when no draw satisfies the constraints or can be placed.
    """
    sequence = np.random.SeedSequence([seed, index, zlib.crc32(scenario.origin.encode())])
    chance, decoration, people = (np.random.default_rng(child) for child in sequence.spawn(3))
    misplaced, refused, name = 0, dict[int, int](), f"{index}#{seed}"
    while True:
        values = draw_parameters(scenario, chance, fixed)
        try:
            scene = _made(scenario, values, _Chance(name, int(sequence.generate_state(1)[0]), decoration, people))
        except Misplaced as problem:
            misplaced += 1
            free = set(scenario.parameters) - set(fixed or {})
            if not free or misplaced == PLACINGS:
                raise scenario.source.error(f"cannot be placed: {problem.reason}", problem.place) from None
            continue
        broken = first_broken(scenario, values, scene)
        if broken is None:
            return scene
        refused[broken] = refused.get(broken, 0) + 1
        if sum(refused.values()) == ASKINGS:
            worst = max(refused, key=lambda line: refused[line])
            reason = (
                f"'where' leaves nothing: none of {ASKINGS} scenes passes, {refused[worst]} fail {scenario.constraints[worst]!r}"
            )
            raise scenario.source.error(reason, ("where", worst), "choose ranges in which at least one scene in ten passes")


def rejections(scenario: Scenario, draws: int = 1000, seed: int = 0) -> Rejections:
    """How often draws are refused, by constraint and by placement, and which parts of the ranges are left."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, draws]))
    reasons: dict[str, int] = {}
    accepted: list[dict[str, float]] = []
    for number in range(draws):
        quantiles = {name: rng.random() for name in scenario.parameters}
        values = {name: distribution.at(quantiles[name]) for name, distribution in scenario.parameters.items()}
        reason = _refusal(scenario, values, rng, f"{number}#{seed}")
        if reason is None:
            accepted.append(quantiles)
        else:
            reasons[reason] = reasons.get(reason, 0) + 1
    covered = {name: _coverage(chance, [u[name] for u in accepted]) for name, chance in scenario.parameters.items()}
    return Rejections(draws, len(accepted), reasons, covered)


@dataclass(frozen=True)
class _Chance:
    """Of a draw: its name (index#seed), the seed that the scene keeps, and its streams of random numbers."""

    name: str
    seed: int
    decoration: np.random.Generator
    people: np.random.Generator


def _made(scenario: Scenario, values: Mapping[str, Value], chance: _Chance) -> Scene:
    """The scene with these values; raises Misplaced where they cannot be placed."""
    if scenario.log is not None:
        scene = varied(scenario.log, resolve_recorded(scenario, values), scenario.source)
        return replace(scene, id=f"{scenario.id}:{chance.name}", family=scenario.family, **_drawn(scenario, values))
    stage, rows = _placed(scenario, values, chance.decoration, chance.people)
    return _scene(scenario, stage, rows, values, chance)


def _drawn(scenario: Scenario, values: Mapping[str, Value]) -> dict[str, Any]:
    """What a scene remembers of its draw."""
    return {
        "parameters": {name: value.value if isinstance(value, Quantity) else str(value) for name, value in values.items()},
        "demands": tuple(_with_values(scenario, index, values) for index in range(len(scenario.demands))),
    }


def _with_values(scenario: Scenario, index: int, values: Mapping[str, Value]) -> str:
    demand = with_values(scenario.demands[index], values)
    if len(demand) > MAX_TEXT:
        reason = f"with its values this demand has {len(demand)} characters, {MAX_TEXT} are allowed"
        raise scenario.source.error(reason, ("score", index), "write it as two")
    return demand


def _refusal(scenario: Scenario, values: Mapping[str, Value], rng: np.random.Generator, name: str) -> str | None:
    """Why these values are refused: a constraint, or a reason why they cannot be placed."""
    broken = first_broken(scenario, values)
    if broken is None:
        try:
            scene = _made(scenario, values, _Chance(name, int(rng.integers(2**32)), rng, rng))
        except Misplaced as problem:
            return problem.reason
        broken = first_broken(scenario, values, scene)
    return None if broken is None else scenario.constraints[broken]


def _coverage(chance: Distribution, quantiles: list[float]) -> Coverage:
    if isinstance(chance, Choice):
        values = [value for value, weight in zip(chance.values, chance.weights, strict=True) if weight]
        drawn = [chance.at(u) for u in quantiles]
        return Coverage(tuple(map(str, values)), tuple(drawn.count(value) for value in values))
    edges = [chance.at(part / TENTHS) for part in range(TENTHS + 1)]
    counts = np.bincount([min(int(u * TENTHS), TENTHS - 1) for u in quantiles], minlength=TENTHS)
    return Coverage(tuple(f"{a} to {b}" for a, b in pairwise(edges)), tuple(counts.tolist()))


def _placed(
    scenario: Scenario, values: Mapping[str, Value], decoration: np.random.Generator, people: np.random.Generator
) -> tuple[Stage, list[Row]]:
    document = resolve(scenario, values)
    stage = set_stage(document, scenario.source, decoration)
    rows = [row for name in document.actors for row in rows_of(stage, name, people)]
    boxes = [_ego_corners(stage), *(row.corners_xy for row in rows)]
    for i, row in enumerate(rows):
        if boxes_overlap(boxes[i + 1], np.stack(boxes[: i + 1])).any():
            raise Misplaced(f"{row.place[-1]} would stand in somebody else", row.place)
    rows += bystander_rows(stage, rows, people)
    return replace(stage, road=_cleared(stage.road, rows, document.end.after)), rows


def _ego_corners(stage: Stage) -> Array:
    centre = EGO_SHAPE.centre_xy_yaw(stage.ego_xy_yaw)
    return box_corners_xy(centre, np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]))


def _cleared(road: RoadMap, rows: list[Row], horizon_s: float) -> RoadMap:
    """The road without buildings and trees in the way of those who leave the lanes."""
    ways = []
    for row in rows:
        if row.off_road:
            reach = row.s_m + np.arange(0.0, row.fastest_mps * horizon_s + 2.0, 1.0)
            ways.append(LineString(point_at_s(row.path_xy, reach)[:, :2]).buffer(row.size_lwh_m[1] / 2 + 0.8))
    if not ways:
        return road
    kept_free = unary_union(ways)
    building = ~intersects(kept_free, polygons(box_corners_xy(road.building_xy_yaw, road.building_size_lwh_m[:, :2])))
    tree = distance(kept_free, points(road.tree_xy_height[:, :2])) > TRUNK_M
    return replace(
        road,
        building_xy_yaw=road.building_xy_yaw[building],
        building_size_lwh_m=road.building_size_lwh_m[building],
        tree_xy_height=road.tree_xy_height[tree],
    )


def _scene(scenario: Scenario, stage: Stage, rows: list[Row], values: Mapping[str, Value], chance: _Chance) -> Scene:
    document = stage.document
    horizon = document.end.after
    pose = stage.ego_xy_yaw
    rng = np.random.default_rng(chance.seed)
    conditions, changes = conditions_of(document.world, float(pose[2]), rng)
    reach = stage.ego_s_m + max(document.ego.speed, 1.2 * document.road.speed_limit) * horizon + LOOK_AHEAD_M
    zero = np.zeros(())
    start = WorldState(
        t_s=zero,
        ego_xy_yaw_world=pose,
        ego_speed_mps=np.array(document.ego.speed),
        ego_accel_mps2=zero,
        ego_curvature_1pm=np.array(stage.ego_curvature_1pm),
        agents=_agents(rows, rng),
        signal=np.array([signal.state_at(0.0) for signal in stage.road.signals], np.int8).reshape(-1),
    )
    return Scene(
        id=f"{scenario.id}:{chance.name}",
        family=scenario.family,
        road=stage.road,
        start=start,
        scripts=_scripts(rows, horizon),
        conditions=conditions,
        route_xy=first_metres(stage.route_xy, int(np.ceil(reach))),
        speed_limit_mps=document.road.speed_limit,
        horizon_s=horizon,
        seed=chance.seed,
        condition_changes=changes,
        names=tuple(str(row.place[1]) if row.place[0] == "actors" else "" for row in rows),
        **_drawn(scenario, values),
    )


def _agents(rows: list[Row], rng: np.random.Generator) -> Agents:
    count = len(rows)
    return Agents(
        track_id=rng.choice(np.arange(1, TRACK_IDS), count, replace=False).astype(np.int32),
        category=np.array([row.body.category for row in rows], np.int8).reshape(-1),
        xy_yaw_world=np.array([row.start_pose for row in rows]).reshape(count, 3),
        speed_mps=np.array([row.speed_mps for row in rows], np.float64),
        accel_mps2=np.zeros(count),
        size_lwh_m=np.array([row.size_lwh_m for row in rows]).reshape(count, 3),
        valid=np.ones(count, bool),
    )


def _scripts(rows: list[Row], horizon_s: float) -> ActorScripts:
    if not rows:
        return ActorScripts.empty()
    # Who keeps a distance looks 80 m ahead along its path.
    vertices = int(max(row.s_m + row.fastest_mps * horizon_s for row in rows) + 90.0)
    steps = max(1, *(len(row.steps) for row in rows)) if rows else 1
    never = (TriggerKind.NEVER, 0.0, ManoeuvreKind.NONE, 0.0, 1.0)
    table = [[*row.steps, *[never] * (steps - len(row.steps))] for row in rows]
    column = np.array([[[float(x) for x in step] for step in row] for row in table])
    speed = np.array([row.speed_mps for row in rows], np.float64)
    return ActorScripts(
        path_xy=np.stack([first_metres(row.path_xy, vertices) for row in rows]),
        start_s_m=np.array([row.s_m for row in rows], np.float64),
        start_offset_m=np.array([row.offset_m for row in rows], np.float64),
        start_speed_mps=speed,
        desired_speed_mps=speed,
        reactive=np.array([row.reactive for row in rows], bool),
        trigger_kind=column[..., 0].astype(np.int8),
        trigger_value=column[..., 1],
        manoeuvre_kind=column[..., 2].astype(np.int8),
        manoeuvre_value=column[..., 3],
        manoeuvre_rate=column[..., 4],
    )
