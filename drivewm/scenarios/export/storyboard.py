"""The parts of an OpenSCENARIO 1.2 file put together: who is there, how they begin, what happens, where."""

from __future__ import annotations

import re
from datetime import datetime
from xml.etree.ElementTree import Element, indent, tostring

import numpy as np
from scenariogeneration import xosc

from drivewm.datatypes import Array, Scene, TriggerKind
from drivewm.scenarios.export.entities import agent_names, body, ego
from drivewm.scenarios.export.signals import traffic_lights
from drivewm.scenarios.export.story import EGO, Part, Shifts, ending, opening, story
from drivewm.scenarios.export.ways import Way, way
from drivewm.scenarios.openscenario.entities import METRES, SPEED_LIMIT

MINOR_VERSION = 2
DATE = datetime(1970, 1, 1)  # equal scenes make equal files


def file_text(element: Element) -> str:
    indent(element)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(element, encoding="unicode") + "\n"


def rows_of(scene: Scene) -> Array:
    """The agents that there are."""
    return np.flatnonzero(scene.start.agents.valid)


def scenario_element(scene: Scene, name: str, route: list[Array] | Way, shifts: Shifts) -> Element:
    """The whole file; the ego's ``route`` is waypoints [3], or a line where lanes do not lead along it."""
    agents, scripts = scene.start.agents, scene.scripts
    names, entities, parts = agent_names(agents.category), xosc.Entities(), []
    car = ego()
    car.add_property(SPEED_LIMIT, repr(float(scene.speed_limit_mps)))
    if isinstance(route, Way):
        car.add_property(METRES, "1")
    entities.add_scenario_object(EGO, car)
    for row in rows_of(scene):
        moves = bool(scripts.start_speed_mps[row] or scripts.reactive[row] or scripts.trigger_kind[row, 0] != TriggerKind.NEVER)
        one = way(scripts, row, scene.horizon_s)
        pose = one.start_xy_yaw
        parts.append(Part(int(row), names[row], pose, one if moves else None, _lane_m(scene, pose)))
        entities.add_scenario_object(names[row], body(int(agents.category[row]), agents.size_lwh_m[row], moves=moves))
    board = xosc.StoryBoard(opening(scene, parts, route), ending(scene.horizon_s))
    happens = story(scene, parts, shifts)
    if happens is not None:
        board.add_story(happens)
    declared = xosc.ParameterDeclarations()
    for key, value in scene.parameters.items():
        kind = xosc.ParameterType.string if isinstance(value, str) else xosc.ParameterType.double
        declared.add_parameter(xosc.Parameter(re.sub(r"\W", "_", key), kind, str(value)))
    network = xosc.RoadNetwork(f"{name}.xodr")
    for light in traffic_lights(scene.road.signals):
        network.add_traffic_signal_controller(light)
    about = f"Scene {scene.id} of drivewm, seed {scene.seed}"
    file = xosc.Scenario(
        about, "drivewm", declared, entities, board, network, xosc.Catalog(), osc_minor_version=MINOR_VERSION, creation_date=DATE
    )
    element: Element = file.get_element()
    return element


def _lane_m(scene: Scene, pose: Array) -> float:
    """The width of the lane nearest to a pose."""
    away = [np.hypot(*(lane.centre_xy - pose[:2]).T).min() for lane in scene.road.lanes]
    return scene.road.lanes[int(np.argmin(away))].width_m
