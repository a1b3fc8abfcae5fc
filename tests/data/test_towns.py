"""Random drives: varied, balanced, reproducible, never the same in two splits, and many of them bad drivers."""

from __future__ import annotations

import numpy as np
import pytest

from drivewm.data.driving import drive_town
from drivewm.data.ego_driver import EXPERT_MANNERS
from drivewm.data.towns import SPLITS, TOWN_KINDS, draw_drive
from drivewm.datatypes import EGO_SHAPE, AgentClass, Light, Weather
from drivewm.geometry import box_corners_xy, boxes_overlap
from drivewm.store import content_hash

DRAWN = 80


@pytest.fixture(scope="module")
def drives() -> list[object]:
    return [draw_drive(i, "train", 5, seconds=12.0) for i in range(DRAWN)]


def test_weather_light_and_roads_are_balanced(drives: list) -> None:
    skies = [(d.choices.weather, d.choices.light) for d in drives]
    assert {skies.count(sky) for sky in set(skies)} == {DRAWN // 16} and len(set(skies)) == len(Weather) * len(Light)
    kinds = [d.choices.kind for d in drives]
    assert {kinds.count(kind) for kind in TOWN_KINDS} == {DRAWN // len(TOWN_KINDS)}


def test_at_least_thirty_percent_are_no_experts(drives: list) -> None:
    assert np.mean([d.manner.kind not in EXPERT_MANNERS for d in drives]) >= 0.3


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
