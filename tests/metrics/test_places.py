"""Whoever follows the route calmly on an empty road of any kind breaks no rule of the Drive score."""

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import Action, Array, Scene, Trajectory, WorldState
from drivewm.geometry import frenet_sd, point_at_s, relative_xy_yaw
from drivewm.metrics.drive import score
from drivewm.scenarios.roads import ROAD_KINDS, RoadOptions, build_road, lane_path
from drivewm.sim.engine import Engine
from drivewm.sim.tracker import track
from tests.straight_road import drive, scene

SPEED_MPS = 6.0
T_S = 0.5 * np.arange(1, 9)


def _follow(where: Scene) -> tuple[Array, Array]:
    """Actions that keep the ego on its route at constant speed."""
    engine = Engine([where])
    state = engine.start()
    actions: list[Action] = []
    for _ in range(where.steps):
        pose = state.world.ego_xy_yaw_world
        ahead = point_at_s(where.route_xy, frenet_sd(where.route_xy, pose[0, :2])[0] + SPEED_MPS * T_S)
        plan = Trajectory(T_S[None], relative_xy_yaw(ahead, pose[0])[None], np.full((1, 8), SPEED_MPS))
        actions.append(track(plan, 0.0, pose, state.world))
        state = engine.step(state, actions[-1])
    return np.array([a.accel_mps2[0] for a in actions]), np.array([a.curvature_1pm[0] for a in actions])


@pytest.mark.parametrize("turn", ["left", "straight", "right"])
@pytest.mark.parametrize("kind", ROAD_KINDS)
def test_following_the_route_scores_one(kind: str, turn: str) -> None:
    road = build_road(kind, RoadOptions(turn="right" if turn == "right" else "left"), np.random.default_rng(0))
    route = lane_path(road, "main.0", turn)
    begin_m = max(5.0, float(np.argmin(np.hypot(*route.T))) - 40.0)
    empty = scene(speed_mps=SPEED_MPS, road=road, horizon_s=14.0)
    start: WorldState = replace(empty.start, ego_xy_yaw_world=point_at_s(route, begin_m))
    where = replace(empty, route_xy=route, start=start)
    accel, curvature = _follow(where)
    judged = score(drive(where, accel, curvature), reference_progress_m=SPEED_MPS * 14.0 - 1.0)
    assert judged.total == pytest.approx(1.0, abs=1e-3), judged.events
