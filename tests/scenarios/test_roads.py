"""Facts about all road kinds: lanes connect, lie on paved ground, keep their distance and never depend on chance."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import LineString, Point, Polygon, unary_union

from drivewm.errors import InputError
from drivewm.geometry import frenet_sd, hidden_by_ground, polyline_s_m
from drivewm.scenarios.roads import ROAD_KINDS, RoadOptions, build_road, lane_path
from drivewm.scenarios.roads_hill import crest_radius_m, stopping_sight_m

PLAIN = RoadOptions()
WIDE = RoadOptions(lanes=3, oncoming=2, signals=True, crosswalks=True, turn="right")
MOTORWAY = RoadOptions(lanes=2, oncoming=0, surroundings="motorway", speed_limit_mps=33.0, length_m=600.0)
RURAL = RoadOptions(lanes=2, oncoming=1, surroundings="rural", crosswalks=True)
EVERY = pytest.mark.parametrize("options", [PLAIN, WIDE, MOTORWAY, RURAL], ids=["plain", "wide", "motorway", "rural"])
KINDS = pytest.mark.parametrize("kind", ROAD_KINDS)


def road_of(kind: str, options: RoadOptions = PLAIN, seed: int = 0):
    return build_road(kind, options, np.random.default_rng(seed))


@KINDS
@EVERY
def test_successors_begin_where_a_lane_ends(kind, options):
    road = road_of(kind, options)
    for lane in road.lanes:
        for name in lane.successors:
            following = road.lane(name)
            assert np.hypot(*(following.centre_xy[0] - lane.centre_xy[-1])) < 0.05
            out, into = lane.centre_xy[-1] - lane.centre_xy[-2], following.centre_xy[1] - following.centre_xy[0]
            assert np.arccos(np.clip(out @ into / np.hypot(*out) / np.hypot(*into), -1, 1)) < 0.1


@KINDS
@EVERY
def test_lanes_lie_inside_the_drivable_area(kind, options):
    road = road_of(kind, options)
    paved = unary_union([Polygon(ring) for ring in road.drivable]).buffer(0.05)
    for lane in road.lanes:
        body = LineString(lane.centre_xy).buffer(0.8, cap_style="flat")  # a car's width
        assert body.difference(paved).area < 0.1, lane.id


@KINDS
@EVERY
def test_ego_gets_from_the_approach_to_every_exit(kind, options):
    road = road_of(kind, options)
    if "main.0" in {lane.id for lane in road.lanes if lane.successors}:
        reached = set()
        for turn in ("left", "straight", "right"):
            for i in range(sum(lane.id.startswith("main.") and ">" not in lane.id for lane in road.lanes)):
                path = lane_path(road, f"main.{i}", turn)
                exits = [lane for lane in road.lanes if lane.id.startswith("exit_")]
                reached |= {e.id.split(".")[0] for e in exits if np.hypot(*(path - e.centre_xy[-1]).T).min() < 0.6}
        wanted = {lane.id.split(".")[0] for lane in road.lanes if lane.id.startswith("exit_")} - {"exit_back"}
        assert reached == wanted


@KINDS
@EVERY
def test_polygons_are_simple_and_counter_clockwise(kind, options):
    road = road_of(kind, options)
    for ring in (*road.drivable, *road.sidewalks, *road.crosswalks):
        shape = Polygon(ring)
        assert shape.is_valid
        assert shape.exterior.is_ccw
    paved = unary_union([Polygon(ring) for ring in road.drivable])
    for ring in road.sidewalks:
        assert Polygon(ring).intersection(paved).area < 1.0  # slivers of a few millimetres along the kerb


@KINDS
def test_lane_vertices_are_one_metre_apart(kind):
    for lane in road_of(kind).lanes:
        gaps = np.hypot(*np.diff(lane.centre_xy, axis=0).T)
        assert np.abs(gaps[:-1] - 1.0).max() < 0.02
        assert gaps[-1] < 1.02


@pytest.mark.parametrize("kind", ["straight", "curve", "merge", "four_way", "crosswalk"])
def test_neighbours_are_one_lane_width_apart_to_the_named_side(kind):
    road = road_of(kind, WIDE)
    checked = 0
    for lane in road.lanes:
        if lane.left and ">" not in lane.id:
            offset = frenet_sd(lane.centre_xy, road.lane(lane.left).centre_xy[2:-2])[:, 1]
            assert np.allclose(offset, lane.width_m, atol=0.05)
            assert road.lane(lane.left).right == lane.id
            checked += 1
    assert checked >= 3


@KINDS
def test_oncoming_runs_against_the_ego(kind):
    road = road_of(kind, WIDE)
    ego, other = road.lane("main.0").centre_xy, road.lane("oncoming.0").centre_xy
    along, against = ego[1] - ego[0], other[-2] - other[-3]
    if kind != "curve":
        assert along[0] > (0.96 if kind == "ramp" else 0.99)
        assert against[0] < -0.99
    else:
        assert along @ (other[1] - other[0]) < 0.2  # it comes round the bend
        assert along @ against < -0.99


def test_ego_keeps_right_of_the_oncoming_lane():
    road = road_of("straight")
    assert frenet_sd(road.lane("main.0").centre_xy, road.lane("oncoming.0").centre_xy)[:, 1].min() > 3.0


@KINDS
def test_chance_decorates_and_never_moves_a_lane(kind):
    a, b = road_of(kind, PLAIN, 1), road_of(kind, PLAIN, 2)
    assert [lane.id for lane in a.lanes] == [lane.id for lane in b.lanes]
    assert all(np.array_equal(x.centre_xy, y.centre_xy) for x, y in zip(a.lanes, b.lanes, strict=True))
    assert all(np.array_equal(x.xy, y.xy) for x, y in zip(a.markings, b.markings, strict=True))
    assert a.tree_xy_height.shape != b.tree_xy_height.shape or not np.array_equal(a.tree_xy_height, b.tree_xy_height)
    again = road_of(kind, PLAIN, 1)
    assert np.array_equal(a.building_xy_yaw, again.building_xy_yaw)
    assert np.array_equal(a.tree_xy_height, again.tree_xy_height)


@KINDS
def test_houses_and_trees_stand_off_the_road(kind):
    road = road_of(kind)
    paved = unary_union([Polygon(ring) for ring in road.drivable])
    assert len(road.building_xy_yaw) > 5
    for x, y, _ in road.building_xy_yaw:
        assert paved.distance(Point(x, y)) > 3.0
    for x, y, _ in road.tree_xy_height:
        assert paved.distance(Point(x, y)) > 1.0 or kind == "roundabout"


def test_lane_path_runs_on_straight_and_is_long_enough():
    road = road_of("four_way")
    path = lane_path(road, "main.0", "left", min_length_m=500.0)
    assert polyline_s_m(path)[-1] >= 499.5
    assert path[-1, 1] > 300.0  # left turn: out along +y
    right = lane_path(road, "main.0", "right", min_length_m=300.0)
    assert right[-1, 1] < -100.0
    gaps = np.hypot(*np.diff(path, axis=0).T)
    assert np.abs(gaps - 1.0).max() < 0.02


def test_the_side_road_of_a_t_junction_is_where_it_was_asked_for():
    for turn in ("left", "right"):
        names = {lane.id for lane in road_of("t_junction", RoadOptions(turn=turn)).lanes}
        assert f"from_{turn}.0" in names
        assert len([n for n in names if n.startswith("from_") and ">" not in n]) == 1


def test_signals_let_one_road_go_at_a_time():
    road = road_of("four_way", RoadOptions(signals=True))
    main = next(s for s in road.signals if s.lane_ids == ("main.0",))
    side = next(s for s in road.signals if s.lane_ids == ("from_left.0",))
    t = np.arange(0.0, 60.0, 0.1)
    both_moving = (main.state_at(t) > 0) & (side.state_at(t) > 0)
    assert not both_moving.any()
    lane_end = road.lane("main.0").centre_xy[-1]
    assert np.hypot(*(main.stop_line_xy.mean(0) - lane_end)) < 2.0


def test_an_unknown_kind_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match="roundabout"):
        road_of("roundabuot")


def test_the_ramp_is_the_merge_seen_from_the_right():
    merge, ramp = road_of("merge", MOTORWAY), road_of("ramp", MOTORWAY)
    assert np.array_equal(ramp.lane("main.0").centre_xy, merge.lane("from_right.0").centre_xy)
    assert np.array_equal(ramp.lane("from_left.1").centre_xy, merge.lane("main.1").centre_xy)
    assert ramp.lane("from_left.0").left == "from_left.1"
    joined = lane_path(ramp, "main.0")
    assert np.abs(frenet_sd(joined, ramp.lane("exit_straight.0").centre_xy[5:50])[:, 1]).max() < 0.05


def test_two_vans_pass_each_other_on_the_narrow_road():
    road = road_of("narrow", WIDE)
    assert {lane.id for lane in road.lanes} == {"main.0", "oncoming.0"}
    assert all(lane.width_m == 2.5 for lane in road.lanes)
    assert not any(marking.kind == "dashed" for marking in road.markings)


def test_a_tunnel_covers_its_bore_and_nothing_else():
    road = road_of("tunnel", WIDE)
    assert not road.covered(np.array([-1.0, 0.0])) and road.covered(np.array([1.0, 0.0]))
    end = 2 * road.tunnel_xy_yaw[0, 0]
    assert end == pytest.approx(road.tunnel_size_lwh_m[0, 0]) and not road.covered(np.array([end + 1.0, 0.0]))
    bore = LineString([(0, 0), (end, 0)]).buffer(1.0)
    assert all(Point(x, y).distance(bore) > 10.0 for x, y, _ in road.building_xy_yaw)
    assert not road_of("straight").covered(np.zeros(2))


@pytest.mark.parametrize("sight_m", [45.0, 80.0, 150.0])
def test_over_a_crest_one_sees_as_far_as_it_was_designed_for(sight_m):
    road = road_of("crest", RoadOptions(sight_m=sight_m, length_m=1200.0))
    profile, ahead = road.height_xz_m, np.arange(5.0, 2.0 * sight_m, 0.25)
    seen = []
    for x in np.arange(-1.5 * sight_m, 0.5 * sight_m, 1.0):
        eye = np.array([x, -1.75, road.ground_z_m(x) + 1.08])
        objects = np.stack([x + ahead, np.full_like(ahead, -1.75), road.ground_z_m(x + ahead) + 0.6], 1)
        hidden = hidden_by_ground(profile, eye, objects)
        seen.append(ahead[np.argmax(hidden)] if hidden.any() else np.inf)
    assert min(seen) == pytest.approx(sight_m, rel=0.02)
    assert profile[np.argmax(profile[:, 1]), 0] == 0.0
    assert np.abs(np.diff(profile[:, 1]) / np.diff(profile[:, 0])).max() < 0.1


@pytest.mark.parametrize(
    ("limit_kmh", "calculated_m", "design_m", "k"), [(50, 63.5, 65, 7), (80, 129.0, 130, 26), (100, 184.2, 185, 52)]
)
def test_a_crest_follows_the_tables_of_road_design(limit_kmh, calculated_m, design_m, k):
    """AASHTO Green Book 2018, stopping sight distance and rate of vertical curvature K for crests."""
    assert stopping_sight_m(limit_kmh / 3.6) == pytest.approx(calculated_m, rel=0.01)
    assert np.ceil(crest_radius_m(design_m) / 100.0 - 0.05) == k
    own = road_of("crest", RoadOptions(speed_limit_mps=limit_kmh / 3.6))
    told = road_of("crest", RoadOptions(sight_m=stopping_sight_m(limit_kmh / 3.6)))
    assert np.array_equal(own.height_xz_m, told.height_xz_m)


@KINDS
def test_every_other_road_is_level(kind):
    assert (len(road_of(kind).height_xz_m) > 0) == (kind == "crest")
