"""Random drives: varied, balanced, reproducible, never the same in two splits, and many of them bad drivers."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import Polygon

from drivewm.data.driving import drive_town
from drivewm.data.habits import PARKED
from drivewm.data.manoeuvres import MANOEUVRES, TOWN_KINDS
from drivewm.data.towns import AGENTS, SPLITS, draw_drive
from drivewm.datatypes import EGO_SHAPE, Action, AgentClass, Light, Weather
from drivewm.geometry import box_corners_xy, boxes_overlap, frenet_sd, wrap_angle_rad
from drivewm.sim.engine import Engine
from drivewm.store import content_hash

DRAWN = 160


@pytest.fixture(scope="module")
def drives() -> list[object]:
    return [draw_drive(i, "train", 5, seconds=12.0) for i in range(DRAWN)]


def test_weather_light_and_manoeuvre_are_balanced_together(drives: list) -> None:
    seen = [((d.choices.weather, d.choices.light), d.choices.manoeuvre) for d in drives]
    assert len(set(seen)) == DRAWN == len(Weather) * len(Light) * len(MANOEUVRES)
    for start in range(0, DRAWN, 16):
        some = seen[start : start + 16]
        assert len({sky for sky, _ in some}) == 16 and {m for _, m in some} == set(MANOEUVRES)


def test_every_kind_of_road_is_driven(drives: list) -> None:
    kinds = [d.choices.kind for d in drives]
    assert min(kinds.count(kind) for kind in TOWN_KINDS) >= 0.03 * DRAWN


def test_at_least_thirty_percent_of_any_sixteen_are_no_experts(drives: list) -> None:
    bad = np.array([not d.expert for d in drives])
    assert all(bad[start : start + 16].mean() > 0.3 for start in range(0, DRAWN, 16)) and 0.35 < bad.mean() < 0.45


def test_towns_are_empty_sparse_and_dense_and_traffic_keeps_either_side(drives: list) -> None:
    counts = {density: [] for density in AGENTS}
    for d in drives:
        counts[d.choices.density].append(len(d.scene.start.agents.track_id))
    assert np.median(counts["empty"]) <= 3 < np.median(counts["sparse"]) < 15 < 22 < np.median(counts["dense"])
    assert 0.25 < np.mean([d.choices.traffic == "left" for d in drives]) < 0.35


def test_a_drive_on_the_left_is_one_on_the_right_in_a_mirror() -> None:
    """The oncoming lanes lie to the right, and the engine gives the mirrored states again."""
    index = next(
        i for i in range(DRAWN) if (c := draw_drive(i, "train", 5, seconds=6.0).choices).traffic == "left" and c.oncoming
    )
    driven = drive_town(index, "train", 5, seconds=6.0)
    scene = driven.drive.scene
    main, oncoming = scene.road.lane("main.0").centre_xy, scene.road.lane("oncoming.0").centre_xy
    assert frenet_sd(main, oncoming[len(oncoming) // 2])[1] < 0
    engine = Engine([scene])
    state = engine.start()
    for k in range(len(driven.actions.accel_mps2)):
        action = driven.actions[k]
        state = engine.step(state, Action(action.accel_mps2[None], action.curvature_1pm[None]))
        assert np.allclose(state.world[0].ego_xy_yaw_world, driven.states.ego_xy_yaw_world[k + 1], atol=1e-9)
        gap = state.world[0].agents.xy_yaw_world - driven.states.agents.xy_yaw_world[k + 1]
        assert np.abs(gap[:, :2]).max() < 1e-6 and np.abs(wrap_angle_rad(gap[:, 2])).max() < 1e-6
    for polygon in scene.road.drivable:
        assert Polygon(polygon).exterior.is_ccw


def test_conditions_change_inside_about_thirty_percent_of_the_clips(drives: list) -> None:
    share = np.mean([len(d.scene.condition_changes) > 0 for d in drives])
    assert 0.15 < share < 0.45
    assert all(0 < t < 12.0 for d in drives for t, _ in d.scene.condition_changes)


def test_every_class_of_agent_appears_and_none_stands_in_the_ego(drives: list) -> None:
    seen = {int(c) for d in drives for c in d.scene.start.agents.category}
    assert seen == {int(c) for c in AgentClass}
    for d in drives:
        start = d.scene.start
        ego = box_corners_xy(EGO_SHAPE.centre_xy_yaw(start.ego_xy_yaw_world), (EGO_SHAPE.length_m, EGO_SHAPE.width_m))
        boxes = box_corners_xy(start.agents.xy_yaw_world, start.agents.size_lwh_m[:, :2])
        assert not boxes_overlap(ego[None], boxes).any()
        assert len(set(start.agents.track_id.tolist())) == len(start.agents.track_id)


def test_splits_share_neither_seeds_nor_roads_nor_combinations_of_choices() -> None:
    drawn = {split: [draw_drive(i, split, 5, seconds=12.0) for i in range(20)] for split in SPLITS}
    for facts in (
        lambda d: d.choices,
        lambda d: d.scene.seed,
        lambda d: content_hash(d.scene.road),
    ):
        sets = [{facts(d) for d in drawn[split]} for split in SPLITS]
        assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])


def test_the_same_number_gives_the_same_drive() -> None:
    first, second = (drive_town(3, "val", 9, seconds=4.0) for _ in range(2))
    assert content_hash(first.drive.scene) == content_hash(second.drive.scene)
    assert content_hash(first.states) == content_hash(second.states)


def test_experts_do_not_collide_and_others_move_as_no_expert_would() -> None:
    driven = [drive_town(i, "train", 7, seconds=8.0) for i in range(15)]
    for d in driven:
        assert d.drive.expert is False or d.ended == "horizon"
        assert len(d.states.t_s) == len(d.actions.accel_mps2) + 1
        assert d.states.ego_speed_mps.min() >= 0 and d.states.ego_speed_mps.max() < 30


def test_nobody_parks_in_a_lane() -> None:
    """Whoever stands for good, roadworks aside, leaves the lanes of both directions free but for 0.7 m."""
    parked = 0
    for i in range(120):
        drive = draw_drive(i, "train", 11, seconds=8.0)
        lanes = [lane for lane in drive.scene.road.lanes if ">" not in lane.id and not lane.id.startswith("parking")]
        for actor, size in zip(drive.cast.actors, drive.scene.start.agents.size_lwh_m, strict=True):
            standing = actor.category in PARKED and not (actor.reactive or actor.steps or actor.speed_mps)
            if standing and drive.choices.kind != "roadworks":
                pose = actor.start_pose()
                aside = [np.hypot(*(lane.centre_xy - pose[:2]).T).min() - 0.5 * (lane.width_m + size[1]) for lane in lanes]
                assert min(aside) > -0.75, (drive.choices, actor.category)
                parked += 1
    assert parked > 60
