"""Draws of the committed catalogue: sane at the start, dangerous where they should be and calm where they should be."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from shapely import Polygon, contains_xy, unary_union

from drivewm.datatypes import EGO_SHAPE, Action, AgentClass, Array, Scene
from drivewm.evaluation.selftest import idle_drive
from drivewm.geometry import frenet_sd, point_at_s
from drivewm.metrics.boxes import overlap
from drivewm.scenarios import catalogue
from drivewm.scenarios.language import load_scenario
from drivewm.scenarios.sampling import draw_scene
from drivewm.sim.engine import Engine

ROOT = Path(__file__).parents[2] / "scenarios"
FILES = catalogue.find(ROOT)
DRAWS = 2
BRAKING = np.array([(begin, rate) for begin in (0.5, 1.5, 2.5) for rate in (3.0, 6.0)])  # s, m/s2


@lru_cache
def scenes(file: Path) -> tuple[Scene, ...]:
    return tuple(draw_scene(load_scenario(file), index, 11) for index in range(DRAWS))


def start_s_m(scene: Scene) -> float:
    return float(frenet_sd(scene.route_xy, scene.start.ego_xy_yaw_world[:2])[0])


def drive(scene: Scene, begin_s: Array, rate_mps2: Array) -> tuple[Array, bool]:
    """First contact (s, inf for none) [B] of egos that follow the route and brake; whether agents touch before any contact."""
    engine = Engine([scene] * len(begin_s))
    state = engine.start()
    s, speed = np.full(len(begin_s), start_s_m(scene)), np.full(len(begin_s), float(scene.start.ego_speed_mps))
    hit, tangled = np.full(len(begin_s), np.inf), False
    half_ego = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m]) / 2
    for step in range(scene.steps + 1):
        agents, t_s = state.world.agents, step * scene.dt_s
        half = agents.size_lwh_m[..., :2] / 2
        ego = EGO_SHAPE.centre_xy_yaw(state.world.ego_xy_yaw_world)
        touched = (overlap(ego[:, None], half_ego, agents.xy_yaw_world, half) & agents.valid).any(1)
        hit = np.where(touched & ~np.isfinite(hit), t_s, hit)
        pairs = overlap(agents.xy_yaw_world[:, :, None], half[:, :, None], agents.xy_yaw_world[:, None], half[:, None])
        pairs &= agents.valid[:, :, None] & agents.valid[:, None] & ~np.eye(half.shape[1], dtype=bool)
        tangled |= bool((pairs.any((1, 2)) & ~np.isfinite(hit)).any())
        speed = np.where(t_s >= begin_s, np.maximum(0.0, speed - rate_mps2 * scene.dt_s), speed)
        s = s + speed * scene.dt_s
        state = engine.step(state, Action(np.zeros_like(s), np.zeros_like(s)))
        pose = point_at_s(scene.route_xy, s)
        state = replace(state, world=replace(state.world, ego_xy_yaw_world=pose, ego_speed_mps=speed))
    return hit, tangled


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}.{file.stem}")
class TestEveryDraw:
    def test_starts_sanely(self, file: Path) -> None:
        for scene in scenes(file):
            s, speed = start_s_m(scene), float(scene.start.ego_speed_mps)
            assert len(scene.route_xy) - 1 >= s + speed * scene.horizon_s + 80.0
            assert np.allclose(np.hypot(*np.diff(scene.route_xy, axis=0).T), 1.0, atol=0.02)
            road = unary_union([Polygon(shape) for shape in scene.road.drivable]).buffer(0.1)
            driven = point_at_s(scene.route_xy, s + np.arange(0.0, speed * scene.horizon_s, 2.0))
            assert contains_xy(road, driven[:, :2]).all(), "the road is too short for the scene"
            agents = scene.start.agents
            cars = np.isin(agents.category, [AgentClass.CAR, AgentClass.TRUCK, AgentClass.BUS])
            assert contains_xy(road, agents.xy_yaw_world[cars, :2]).all()
            assert len(set(agents.track_id.tolist())) == len(agents.track_id)
            starts = point_at_s(scene.scripts.path_xy[0], scene.scripts.start_s_m[0])[:2] if len(agents.valid) else None
            assert (
                starts is None or np.hypot(*(starts - agents.xy_yaw_world[0, :2])) <= abs(scene.scripts.start_offset_m[0]) + 1e-3
            )

    def test_is_a_danger_to_the_inattentive_only(self, file: Path) -> None:
        for scene in scenes(file):
            profiles = np.vstack([[np.inf, 0.0], BRAKING])
            contact, tangled = drive(scene, profiles[:, 0], profiles[:, 1])
            if scene.family == "calm":
                assert not np.isfinite(contact[0]), "keeping on must end well"
            else:
                assert idle_drive([scene])[0][0], "keeping speed along the route must end in a collision or over a red light"
                assert contact[0] > 2.0, "there must be time to see what happens"
            assert not np.isfinite(contact[1:]).all(), "braking in time must help"
            assert not tangled, "agents must not drive through each other"
