"""Facts about where things appear: projection, depth, semantics, instances and occlusion are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivewm.datatypes import AgentClass, Agents, Conditions, RoadMap, SemanticClass, SignalState, WorldState
from drivewm.geometry import box_corners_xy, ego_from_world
from drivewm.scenarios.roads import RoadOptions, build_road
from drivewm.sim.raster import PAINT_RGB, layout, paint_index, render
from drivewm.sim.raster.clipping import FAR_M
from drivewm.sim.rigs import nuscenes_rig

RIG = nuscenes_rig()
FRONT, BACK = RIG.names.index("CAM_FRONT"), RIG.names.index("CAM_BACK")
ROAD = build_road("straight", RoadOptions(), np.random.default_rng(0))
CAR, PERSON, TRUCK = (4.5, 1.85, 1.55), (0.6, 0.6, 1.75), (8.0, 2.5, 3.2)


def state_with(*rows: tuple[AgentClass, float, float, float, tuple[float, float, float]], signal=()) -> WorldState:
    """Ego at (100, -1.75) heading +x; rows are class, x ahead, y left, yaw, size."""
    count = len(rows)
    pose = np.array([[100.0 + x, -1.75 + y, yaw] for _, x, y, yaw, _ in rows]).reshape(count, 3)
    agents = Agents(
        track_id=np.arange(11, 11 + count, dtype=np.int32),
        category=np.array([kind for kind, *_ in rows], np.int8),
        xy_yaw_world=pose,
        speed_mps=np.zeros(count),
        accel_mps2=np.zeros(count),
        size_lwh_m=np.array([size for *_, size in rows]).reshape(count, 3),
        valid=np.ones(count, bool),
    )
    zero = np.float64(0.0)
    return WorldState(zero, np.array([100.0, -1.75, 0.0]), zero, zero, zero, agents, np.array(signal, np.int8))


def seen(state: WorldState, road: RoadMap = ROAD):
    return render(road, state, Conditions(), RIG, 0)


def projected(view: int, xyz_ego: np.ndarray) -> np.ndarray:
    """Pixel coordinates [n, 2] and depth [n] of ego points."""
    camera_from_ego = np.linalg.inv(RIG.ego_from_camera[view])
    camera = xyz_ego @ camera_from_ego[:3, :3].T + camera_from_ego[:3, 3]
    return np.concatenate(
        [camera[:, :2] / camera[:, 2:] * np.diag(RIG.intrinsics[view])[:2] + RIG.intrinsics[view, :2, 2], camera[:, 2:]], 1
    )


def box_pixels(view: int, state: WorldState, row: int) -> np.ndarray:
    """Left, top, right, bottom of an agent's projected box."""
    agents = state.agents
    corners = ego_from_world(box_corners_xy(agents.xy_yaw_world[row], agents.size_lwh_m[row, :2]), state.ego_xy_yaw_world)
    points = np.concatenate([np.column_stack([corners, np.full(4, z)]) for z in (0.0, agents.size_lwh_m[row, 2])])
    pixels = projected(view, points)
    return np.array([*pixels[:, :2].min(0), *pixels[:, :2].max(0)])


def test_a_point_straight_ahead_is_at_the_principal_column():
    x, y, z = RIG.ego_from_camera[FRONT, :3, 3]
    pixel = projected(FRONT, np.array([[x + 30.0, y, z]]))[0]
    assert pixel[:2] == pytest.approx(RIG.intrinsics[FRONT, :2, 2])
    assert pixel[2] == pytest.approx(30.0)


def test_left_is_left_and_up_is_up():
    pixels = projected(FRONT, np.array([[30.0, 3.0, 0.0], [30.0, -3.0, 3.0]]))
    assert pixels[0, 0] < pixels[1, 0]
    assert pixels[0, 1] > pixels[1, 1]


@pytest.mark.parametrize(("ahead", "aside", "yaw"), [(12.0, 0.0, 0.0), (20.0, 2.0, 0.4), (35.0, -1.0, 3.1)])
def test_a_car_fills_the_pixels_of_its_projected_box(ahead, aside, yaw):
    state = state_with((AgentClass.CAR, ahead, aside, yaw, CAR))
    for mask in (
        seen(state).instance[FRONT] == 11,
        layout(ROAD, state, RIG).paint[FRONT] == paint_index(np.array(11), np.array(0)),
    ):
        rows, columns = np.nonzero(mask)
        left, top, right, bottom = box_pixels(FRONT, state, 0)
        found = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(found - [left, top, right, bottom]).max() < 1.6
        assert mask.sum() > 0.6 * (right - left) * (bottom - top)


@pytest.mark.parametrize("ahead", [10.0, 20.0, 40.0])
def test_depth_of_a_car_is_the_distance_to_its_back(ahead):
    camera_x = RIG.ego_from_camera[FRONT, 0, 3]
    state = state_with((AgentClass.CAR, camera_x + ahead + CAR[0] / 2, 0.0, 0.0, CAR))
    frame = seen(state)
    depth = frame.depth_m[FRONT][frame.instance[FRONT] == 11]
    assert np.median(depth) == pytest.approx(ahead, rel=0.05)
    assert depth.min() > 0.95 * ahead
    assert depth.max() < ahead + CAR[0]


def test_ground_depth_is_that_of_the_plane():
    frame = seen(state_with())
    pixel = projected(FRONT, np.array([[12.0, 0.3, 0.0]]))[0]
    column, row = int(pixel[0]), int(pixel[1])
    assert frame.depth_m[FRONT, row, column] == pytest.approx(pixel[2], rel=0.06)  # within the height of one pixel
    assert frame.depth_m[FRONT, 0, 48] == FAR_M or frame.semantics[FRONT, 0, 48] != SemanticClass.SKY


@pytest.mark.parametrize(
    ("ahead", "aside", "expected"),
    [
        (8.0, 0.0, SemanticClass.ROAD),
        (9.0, 3.5, SemanticClass.ROAD),
        (9.0, -3.2, SemanticClass.SIDEWALK),
        (15.0, 6.5, SemanticClass.SIDEWALK),
    ],
)
def test_a_ground_point_has_the_class_of_the_map(ahead, aside, expected):
    column, row = projected(FRONT, np.array([[ahead, aside, 0.0]]))[0, :2].astype(int)
    state = state_with()
    assert seen(state).semantics[FRONT, row, column] == expected
    assert layout(ROAD, state, RIG).label[FRONT, row, column] == expected


def test_the_centre_line_is_a_marking():
    frame = seen(state_with())
    dashes = [
        frame.semantics[FRONT, v, u]
        for u, v in projected(FRONT, np.array([[x, 1.75, 0.0] for x in np.arange(7.0, 25.0, 0.5)]))[:, :2].astype(int)
    ]
    share = np.mean(np.array(dashes) == SemanticClass.MARKING)
    assert 0.2 < share < 0.8  # dashes cover a third


def test_visible_agents_have_their_ids_and_classes_and_others_have_none():
    state = state_with(
        (AgentClass.CAR, 15.0, 0.0, 0.0, CAR),
        (AgentClass.PEDESTRIAN, 10.0, 3.0, 1.0, PERSON),
        (AgentClass.BICYCLE, -8.0, -1.0, 0.0, (1.75, 0.6, 1.75)),
        (AgentClass.TRUCK, 200.0, 0.0, 0.0, TRUCK),
    )
    frame = seen(state)
    assert set(np.unique(frame.instance)) == {-1, 11, 12, 13}
    for track, label in ((11, SemanticClass.VEHICLE), (12, SemanticClass.PEDESTRIAN), (13, SemanticClass.TWO_WHEELER)):
        assert set(np.unique(frame.semantics[frame.instance == track])) == {label}
    assert (frame.instance[BACK] == 13).any()
    assert not (frame.instance[FRONT] == 13).any()


def test_an_invalid_agent_is_not_there():
    state = state_with((AgentClass.CAR, 15.0, 0.0, 0.0, CAR))
    hidden = replace(state, agents=replace(state.agents, valid=np.array([False])))
    assert (seen(hidden).instance == -1).all()
    assert (layout(ROAD, hidden, RIG).paint == 0).all()


@pytest.mark.parametrize(("truck_yaw", "aside"), [(0.0, 0.0), (np.pi / 2, 0.0), (0.0, 1.0)])
def test_a_pedestrian_behind_a_truck_is_invisible(truck_yaw, aside):
    rows = ((AgentClass.PEDESTRIAN, 25.0, 1.3 * aside, 0.0, PERSON), (AgentClass.TRUCK, 16.0, aside, truck_yaw, TRUCK))
    for order in (rows, rows[::-1]):
        state = state_with(*order)
        person = 11 if order is rows else 12
        assert not (seen(state).instance == person).any()
        assert (seen(state).instance == 23 - person).any()
    assert (seen(state_with(rows[0])).instance == 11).any()


@pytest.mark.parametrize("shown", list(SignalState))
def test_the_lamp_shows_the_state_of_the_signal(shown):
    road = build_road("crosswalk", RoadOptions(signals=True, oncoming=0), np.random.default_rng(0))
    state = replace(state_with(signal=[shown]), ego_xy_yaw_world=np.array([-18.0, -1.75, 0.0]))
    lit = SemanticClass.SIGNAL_RED + shown
    others = {SemanticClass.SIGNAL_RED + s for s in SignalState} - {lit}
    for label in (seen(state, road).semantics, layout(road, state, RIG).label):
        assert (label[FRONT] == lit).any()
        assert not np.isin(label, list(others)).any()


def test_layout_and_picture_agree():
    state = state_with((AgentClass.CAR, 15.0, 0.0, 0.0, CAR), (AgentClass.PEDESTRIAN, 10.0, 3.0, 1.0, PERSON))
    plan, frame = layout(ROAD, state, RIG), seen(state)
    assert (plan.label == frame.semantics).mean() > 0.93
    decoded = np.expm1(plan.log_depth / 255.0 * np.log1p(120.0))
    close = (frame.depth_m < 60.0) & (plan.label == frame.semantics)
    assert np.median(np.abs(decoded - frame.depth_m)[close] / frame.depth_m[close]) < 0.03
    assert (plan.log_depth[plan.label == SemanticClass.SKY] == 255).all()


def test_layout_repeats_itself():
    state = state_with((AgentClass.CAR, 15.0, 0.0, 0.3, CAR))
    a, b = layout(ROAD, state, RIG), layout(ROAD, state, RIG)
    assert np.array_equal(a.label, b.label)
    assert np.array_equal(a.log_depth, b.log_depth)
    assert np.array_equal(a.paint, b.paint)


def test_paint_is_a_function_of_the_track_id_alone():
    ids = np.arange(2000)
    cars, people = paint_index(ids, np.zeros(2000, np.int8)), paint_index(ids, np.full(2000, AgentClass.PEDESTRIAN, np.int8))
    assert np.array_equal(cars, people)
    assert set(np.unique(cars)) == set(range(1, len(PAINT_RGB)))
    assert np.bincount(cars)[1:].min() > 30
    assert (paint_index(ids, np.full(2000, AgentClass.BARRIER, np.int8)) == 0).all()


def test_an_empty_map_without_agents_is_sky_over_terrain():
    frame = seen(state_with(), RoadMap())
    assert set(np.unique(frame.semantics)) == {SemanticClass.SKY, SemanticClass.TERRAIN}
    assert (layout(RoadMap(), state_with(), RIG).paint == 0).all()


def test_an_agent_around_the_cameras_does_no_harm():
    for kind in AgentClass:
        state = state_with((kind, 1.0, 0.1, 0.3, (4.0, 2.0, 2.0)))
        assert np.isfinite(seen(state).depth_m).all()
        assert (layout(ROAD, state, RIG).label <= max(SemanticClass)).all()
