"""A crest as the cameras see it: what stands behind the top is hidden exactly as long as a straight line says so.

The truth of these tests is `geometry.hidden_by_ground` and plain ray casting over every piece of the profile; the raster world
knows neither.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import AgentClass, Agents, Array, Conditions, Light, RoadMap, SemanticClass, Weather, WorldState
from drivewm.geometry import box_corners_xy, height_at_m, hidden_by_ground
from drivewm.scenarios.roads import RoadOptions, build_road
from drivewm.sim.raster import PAINT_RGB, layout, paint_index, render
from drivewm.sim.raster.clipping import FAR_M
from drivewm.sim.rigs import nuscenes_rig
from drivewm.testing import straight_scene

RIG = nuscenes_rig(192, 288)
FRONT, BACK = RIG.names.index("CAM_FRONT"), RIG.names.index("CAM_BACK")
ROAD = build_road("crest", RoadOptions(sight_m=50.0, surroundings="rural", length_m=500.0), np.random.default_rng(3))
BARE = replace(ROAD, building_xy_yaw=np.zeros((0, 3)), building_size_lwh_m=np.zeros((0, 3)), tree_xy_height=np.zeros((0, 3)))
SIZE = {AgentClass.CAR: (4.5, 1.85, 1.55), AgentClass.TRUCK: (8.0, 2.5, 3.2), AgentClass.PEDESTRIAN: (0.6, 0.6, 1.75)}


def state_at(x_m: float, *others: tuple[AgentClass, float, float]) -> WorldState:
    """The ego in its lane at x; rows are class, x, y of agents that look along the road."""
    count = len(others)
    agents = Agents(
        track_id=np.arange(11, 11 + count, dtype=np.int32),
        category=np.array([kind for kind, *_ in others], np.int8),
        xy_yaw_world=np.array([[x, y, 0.0] for _, x, y in others]).reshape(count, 3),
        speed_mps=np.zeros(count),
        accel_mps2=np.zeros(count),
        size_lwh_m=np.array([SIZE[kind] for kind, *_ in others]).reshape(count, 3),
        valid=np.ones(count, bool),
    )
    return replace(straight_scene().start, ego_xy_yaw_world=np.array([x_m, -1.75, 0.0]), agents=agents)


def pitched(x_m: float, base_m: float) -> Array:
    """Rotation of a body that stands with its middle at x, axles 2 * base apart."""
    rise = ROAD.ground_z_m(x_m + base_m) - ROAD.ground_z_m(x_m - base_m)
    angle = np.arctan2(rise, 2 * base_m)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])


def camera_pose(x_m: float, view: int) -> tuple[Array, Array]:
    """Position [3] and world_from_camera rotation [3, 3] of a camera of the ego at x; its wheelbase is 2.588 m."""
    turn = pitched(x_m + 1.294, 1.294)
    pose = RIG.ego_from_camera[view]
    return np.array([x_m, -1.75, ROAD.ground_z_m(x_m)]) + turn @ pose[:3, 3], turn @ pose[:3, :3]


def box_corners(kind: AgentClass, x_m: float, y_m: float) -> Array:
    """Corners [8, 3] of an agent's box on the slope."""
    length, width, height = SIZE[kind]
    flat = box_corners_xy(np.zeros(3), (length, width))
    local = np.concatenate([np.column_stack([flat, np.full(4, z)]) for z in (0.0, height)])
    turn = np.eye(3) if kind == AgentClass.PEDESTRIAN else pitched(x_m, 0.3 * length)
    return np.array([x_m, y_m, ROAD.ground_z_m(x_m)]) + local @ turn.T


def pixels_of(position: Array, turn: Array, xyz_world: Array, view: int) -> tuple[Array, Array]:
    camera = (xyz_world - position) @ turn
    scale = np.diag(RIG.intrinsics[view])[:2]
    return camera[:, :2] / camera[:, 2:] * scale + RIG.intrinsics[view, :2, 2], camera[:, 2]


def seen(state: WorldState, conditions: Conditions | None = None, road: RoadMap = BARE):
    return render(road, state, conditions or Conditions(), RIG, 0)


def painted(state: WorldState, row: int) -> Array:
    paint = paint_index(state.agents.track_id, state.agents.category)[row]
    assert 0 < paint < len(PAINT_RGB)
    return np.asarray(layout(BARE, state, RIG).paint == paint)


def test_a_line_is_hidden_where_a_dense_walk_along_it_meets_the_ground():
    rng = np.random.default_rng(5)
    profile = np.stack([np.sort(rng.uniform(-50, 50, 30)), rng.uniform(0, 3, 30)], 1)
    ends = rng.uniform(-60, 60, (200, 2, 3))
    ends[..., 2] = height_at_m(profile, ends[..., 0]) + rng.uniform(0.01, 4.0, (200, 2))
    share = np.linspace(0.0, 1.0, 4001)[:, None, None]
    walk = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
    clearance = (walk[..., 2] - height_at_m(profile, walk[..., 0])).min(0)
    hidden = hidden_by_ground(profile, ends[:, 0], ends[:, 1])
    sure = np.abs(clearance) > 0.02
    assert np.array_equal(hidden[sure], clearance[sure] < 0)
    assert 20 < hidden.sum() < 180
    assert np.array_equal(hidden, hidden_by_ground(profile, ends[:, 1], ends[:, 0])), "sight is mutual"
    assert not hidden_by_ground(np.zeros((0, 2)), ends[:, 0], ends[:, 1]).any()


@pytest.mark.parametrize("kind", [AgentClass.CAR, AgentClass.TRUCK, AgentClass.PEDESTRIAN])
def test_agents_are_seen_if_and_only_if_a_line_of_sight_clears_the_top(kind):
    verdicts = []
    for ego_x in np.arange(-110.0, 5.0, 12.0):
        position, _ = camera_pose(ego_x, FRONT)
        for x in (12.0, 31.0, 50.0, 75.0):
            if x - ego_x > 105.0:  # farther agents are not drawn at all
                continue
            state = state_at(ego_x, (kind, x, -1.75))
            shown, paint = (seen(state).instance[FRONT] == 11).sum(), painted(state, 0)[FRONT].sum()
            corners = box_corners(kind, x, -1.75)
            if hidden_by_ground(ROAD.height_xz_m, position, corners).all():
                assert shown == 0 and paint == 0, (ego_x, x)
                verdicts.append(False)
            pixel_m = (x - ego_x) / RIG.intrinsics[FRONT, 1, 1]
            below_top = corners[4:].mean(0) - np.array([0.0, 0.0, 0.1 * SIZE[kind][2] + 2.0 * pixel_m])
            if not hidden_by_ground(ROAD.height_xz_m, position, below_top):
                assert shown > 0 and paint > 0, (ego_x, x)
                verdicts.append(True)
    assert verdicts.count(True) > 10 and verdicts.count(False) >= (1 if kind == AgentClass.TRUCK else 4)


def test_an_oncoming_car_rises_roof_first_and_stays_in_sight():
    heights = []
    for x in np.arange(60.0, -16.0, -5.0):
        rows = np.nonzero(seen(state_at(-45.0, (AgentClass.CAR, x, 1.75))).instance[FRONT] == 11)[0]
        _, turn = camera_pose(-45.0, FRONT)
        corners = box_corners(AgentClass.CAR, x, 1.75)
        v = pixels_of(camera_pose(-45.0, FRONT)[0], turn, corners, FRONT)[0][:, 1]
        heights.append(0.0 if not len(rows) else (rows.max() + 1 - rows.min()) / (v.max() - v.min()))
        if len(rows):
            assert rows.min() == pytest.approx(v.min(), abs=2.0), "what is seen first is its top"
    assert heights[0] == 0.0 and heights[-1] > 0.9
    assert (np.diff(heights) > -0.08).all()


@pytest.mark.parametrize(("ego_x", "x"), [(-70.0, -55.0), (-40.0, -20.0), (-8.0, 6.0), (30.0, 50.0)])
def test_an_agent_stands_on_the_slope(ego_x, x):
    state = state_at(ego_x, (AgentClass.CAR, x, -0.5))
    rows, columns = np.nonzero(seen(state).instance[FRONT] == 11)
    pixels, _ = pixels_of(*camera_pose(ego_x, FRONT), box_corners(AgentClass.CAR, x, -0.5), FRONT)
    expected = np.array([*pixels.min(0), *pixels.max(0)])
    found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert np.abs(found - expected).max() < 3.0  # of up to 70; bodies are rounder than their boxes


@pytest.mark.parametrize("ego_x", [-130.0, -60.0, -25.0, 3.0, 60.0])
@pytest.mark.parametrize("view", [FRONT, BACK, 0])
def test_depth_and_horizon_are_those_of_rays_that_meet_the_ground(ego_x, view):
    frame = seen(state_at(ego_x))
    position, turn = camera_pose(ego_x, view)
    rows, columns = (a.ravel() for a in np.mgrid[0:192:5, 0:288:7])
    sample = np.stack([columns, rows], 1) + 0.75  # of the four samples of a pixel the last is the exact one
    local = (sample - RIG.intrinsics[view, :2, 2]) / np.diag(RIG.intrinsics[view])[:2]
    rays = np.column_stack([local, np.ones(len(local))]) @ turn.T
    x, z = ROAD.height_xz_m.T
    x, z = np.concatenate([[x[0] - 3000.0], x, [x[-1] + 3000.0]]), np.concatenate([z[:1], z, z[-1:]])
    grade = np.diff(z) / np.diff(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (z[:-1] + grade * (position[0] - x[:-1]) - position[2]) / (rays[:, 2:] - grade * rays[:, :1])
    at = position[0] + t * rays[:, :1]
    t = np.where((t > 0) & (at >= x[:-1] - 1e-6) & (at <= x[1:] + 1e-6), t, np.inf).min(1)
    depth, label = frame.depth_m[view, rows, columns], frame.semantics[view, rows, columns]
    meets = t < 0.99 * FAR_M
    steps = np.diff(np.minimum(t, FAR_M), prepend=0.0)
    edge = np.abs(steps) > 20.0  # rays that graze the top may fall on either side of it
    assert np.allclose(depth[meets & ~edge], t[meets & ~edge], rtol=2e-3)
    sky = ~np.isfinite(t)
    assert (label[sky] == SemanticClass.SKY).all() and (depth[sky] == FAR_M).all()
    assert (label[meets] != SemanticClass.SKY).all()
    assert meets.sum() > 300 and sky.sum() > 300


@pytest.mark.parametrize("light", [Light.DAY, Light.NIGHT])
def test_neither_shadow_nor_lamps_of_a_hidden_car_show(light):
    conditions = Conditions(Weather.CLEAR, light)
    empty, hidden = seen(state_at(-60.0), conditions), seen(state_at(-60.0, (AgentClass.CAR, 40.0, 1.75)), conditions)
    assert np.array_equal(empty.images, hidden.images)
    shown = seen(state_at(-10.0, (AgentClass.CAR, 30.0, 1.75)), conditions)
    assert not np.array_equal(seen(state_at(-10.0), conditions).images, shown.images)


def test_a_profile_without_heights_changes_no_picture():
    road = build_road("straight", RoadOptions(), np.random.default_rng(0))
    level = replace(road, height_xz_m=np.stack([np.linspace(50.0, 200.0, 16), np.zeros(16)], 1))
    state = state_at(100.0, (AgentClass.CAR, 118.0, -1.75), (AgentClass.PEDESTRIAN, 110.0, 3.0), (AgentClass.TRUCK, 85.0, 1.75))
    for conditions in (Conditions(), Conditions(Weather.RAIN, Light.NIGHT)):
        flat, raised = (seen(state, conditions, place) for place in (road, level))
        assert (flat.semantics == raised.semantics).mean() > 0.998
        assert (flat.instance == raised.instance).mean() > 0.999
        same = flat.semantics == raised.semantics
        assert np.allclose(flat.depth_m[same], raised.depth_m[same], rtol=1e-3)
        assert (np.abs(flat.images.astype(int) - raised.images).max(-1) <= 8).mean() > 0.985  # edges of shadows
    plans = [layout(place, state, RIG) for place in (road, level)]
    assert (plans[0].label == plans[1].label).mean() > 0.995


def test_layout_and_picture_agree_over_the_top():
    state = state_at(-45.0, (AgentClass.CAR, 20.0, 1.75), (AgentClass.TRUCK, 40.0, -1.75), (AgentClass.CAR, -25.0, -1.75))
    frame, plan = seen(state, road=ROAD), layout(ROAD, state, RIG)
    assert (plan.label == frame.semantics).mean() > 0.95
    assert {int(n) for n in np.unique(frame.semantics)} >= {SemanticClass.TREE, SemanticClass.VEHICLE, SemanticClass.MARKING}
