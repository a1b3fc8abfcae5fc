"""Every class of road user has a word of nuScenes, and one that the networks know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivewm.data.categories import CATEGORY_OF, CLASS_OF
from drivewm.data.towns import draw_drive
from drivewm.datatypes import AgentClass, Agents
from drivewm.sim.raster.agents import LABEL_OF_CLASS
from drivewm.worldmodel.conditions import nearest_boxes


def test_every_class_has_a_category_of_its_own_and_is_read_back() -> None:
    names = [CATEGORY_OF[kind] for kind in AgentClass]
    assert len(set(names)) == len(AgentClass) >= 12
    assert [CLASS_OF[name] for name in names] == list(AgentClass)


def test_the_networks_are_told_a_later_class_as_one_they_know() -> None:
    """Weights were trained on nine classes; each of those is told as itself, the others as one of the nine that looks alike."""
    start = draw_drive(0, "train", 5, seconds=4.0).scene.start
    kinds = np.array(list(AgentClass), np.int8)
    pose = np.tile(start.ego_xy_yaw_world, (len(kinds), 1))
    pose[:, 0] += 5.0 + np.arange(len(kinds))
    agents = replace(Agents.empty(len(kinds)), category=kinds, xy_yaw_world=pose, valid=np.ones(len(kinds), bool))
    told = nearest_boxes(replace(start, agents=agents), len(kinds))[:, -1].astype(int) - 1
    assert told[:9].tolist() == list(range(9)) and told.max() < 9
    for kind, as_kind in zip(AgentClass, told, strict=True):
        assert LABEL_OF_CLASS[kind] == LABEL_OF_CLASS[as_kind]
