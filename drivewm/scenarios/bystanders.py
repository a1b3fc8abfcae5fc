"""People and cars that have no part in the plot: they walk on the pavement and drive by in the other direction."""

from __future__ import annotations

import numpy as np

from drivewm.geometry import boxes_overlap
from drivewm.scenarios.bodies import BODIES, varied_size_lwh_m
from drivewm.scenarios.placement import Row, alongside, lane_edge_m
from drivewm.scenarios.roads import lane_path_on
from drivewm.scenarios.stage import JUNCTIONS, Stage

_MOST = {"none": (0, 0), "few": (3, 2), "many": (8, 5)}  # pedestrians, oncoming cars
ELBOW_ROOM_M = 1.5
PAVEMENT_M = (0.9, 2.2)  # where people walk, from the outermost lane


def bystander_rows(stage: Stage, others: list[Row], rng: np.random.Generator) -> list[Row]:
    """A few or many of them, who get in the way neither of ``others`` nor of each other."""
    walkers, cars = (int(rng.integers(0, most + 1)) if most else 0 for most in _MOST[stage.document.world.bystanders])
    rows: list[Row] = []
    for make in [_walker] * walkers + [_passing_car] * cars:
        row = make(stage, rng)
        if row is not None and _keeps_clear(row, [*others, *rows], stage.document.end.after):
            rows.append(row)
    return rows


def _keeps_clear(row: Row, others: list[Row], horizon_s: float) -> bool:
    if any(boxes_overlap(row.corners_xy, other.corners_xy) for other in others):
        return False
    times = np.arange(0.0, horizon_s, 0.25)
    way = row.pose(times)[:, :2]
    walking = [other for other in others if row.off_road and other.off_road]
    return all(np.hypot(*(other.pose(times)[:, :2] - way).T).min() > ELBOW_ROOM_M for other in walking)


def _walker(stage: Stage, rng: np.random.Generator) -> Row | None:
    side = -1.0 if rng.random() < 0.6 else 1.0
    backwards = bool(rng.random() < 0.5)
    ahead, aside, speed = rng.uniform(-15.0, 90.0), rng.uniform(*PAVEMENT_M), rng.uniform(0.9, 1.7)
    size = varied_size_lwh_m(BODIES["pedestrian"], rng)
    document = stage.document
    at = stage.ego_s_m + ahead
    walked = (at, at + (-1.0 if backwards else 1.0) * speed * document.end.after)
    busy = {("right" if a.beside == "right" else "left") for a in document.actors.values() if a.beside is not None}
    near_branch = stage.place_s_m is not None and document.road.kind in (
        *JUNCTIONS,
        "crosswalk",
        "merge",
        "exit",
        "ramp",
        "tunnel",
    )
    if document.road.surroundings != "town" or ("right" if side < 0 else "left") in busy or min(walked) < 0:
        return None
    if near_branch and max(walked) > (stage.place_s_m or 0.0) - 8.0:
        return None
    path = alongside(stage, at, side * (lane_edge_m(stage, at, side) + aside), backwards=backwards)
    return Row(BODIES["pedestrian"], size, path, 0.0, 0.0, speed, False, (), ("world", "bystanders"), True)


def _passing_car(stage: Stage, rng: np.random.Generator) -> Row | None:
    ahead, pace = rng.uniform(20.0, 250.0), rng.uniform(0.75, 1.0)
    body = BODIES["car" if rng.random() < 0.8 else "van"]
    size, index = varied_size_lwh_m(body, rng), rng.random()
    document = stage.document
    # Whoever crosses, meets or swerves needs the other side of the road for itself.
    in_plot = any(
        actor.from_
        or actor.meet
        or actor.lane not in (None, "same", "left", "right")
        or any(s.speed is None for s in actor.steps)
        for actor in document.actors.values()
    )
    oncoming = [lane for lane in stage.road.lanes if lane.id.startswith("oncoming.") and ">" not in lane.id]
    if in_plot or not oncoming or document.road.kind in JUNCTIONS:
        return None
    lane = oncoming[int(index * len(oncoming))]
    path = lane_path_on(document.road.kind, stage.options, lane.id, "straight", float(len(stage.route_xy)))
    # Oncoming lanes end where the ego's road begins.
    at = len(lane.centre_xy) - 1.0 - stage.ego_s_m - ahead
    if at < size[0]:
        return None
    speed = pace * document.road.speed_limit
    return Row(body, size, path, at, 0.0, speed, True, (), ("world", "bystanders"), False)
