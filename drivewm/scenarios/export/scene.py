"""A scene as an OpenSCENARIO 1.2 file with its road as an OpenDRIVE file beside it.

What is written is read back before it is kept. A reader measures triggers between reference points and lane changes from lanes,
the state engine between the middles of boxes and from paths; the difference depends on where everybody is when a step begins,
which the reader's own rehearsal finds out. So the values are corrected until the script comes back as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree.ElementTree import Element, indent, tostring

import numpy as np
from scenariogeneration import xosc

from drivewm.datatypes import Array, ManoeuvreKind, Scene, TriggerKind
from drivewm.errors import InputError
from drivewm.geometry import frenet_sd
from drivewm.scenarios.export.entities import agent_names, body, ego
from drivewm.scenarios.export.roads import road_element
from drivewm.scenarios.export.signals import traffic_lights
from drivewm.scenarios.export.story import EGO, Part, Shifts, ending, opening, story
from drivewm.scenarios.export.ways import way, waypoints
from drivewm.scenarios.opendrive.network import Network
from drivewm.scenarios.opendrive.reading import read_roads
from drivewm.scenarios.openscenario.entities import SPEED_LIMIT
from drivewm.scenarios.openscenario.imported import draw_imported, load_openscenario
from drivewm.store import write_text

MINOR_VERSION = 2
TRIES = 6
SAME = 1e-6  # of a script's values
DATE = datetime(1970, 1, 1)  # equal scenes make equal files


@dataclass(frozen=True)
class Exported:
    """The files of one scene, and what they cannot say."""

    scenario: Path
    road: Path
    notes: tuple[str, ...]


def export_scene(scene: Scene, folder: Path, name: str) -> Exported:
    """Writes ``name``.xosc and ``name``.xodr into ``folder``; each is whole or absent.

    Raises `InputError` for a scene without lanes, and for a recorded one.
    """
    if scene.log_s_m.size:
        raise InputError(f"{scene.id} is a recorded drive; only scripts can be written", hint="its source is the better file")
    if not scene.road.lanes:
        raise InputError(f"{scene.id} has no lanes, so there is no road to write", hint="export a scene whose map has lanes")
    road, notes = road_element(scene.road, name)
    road_text = _text(road)
    with TemporaryDirectory() as place:
        trial = Path(place) / f"{name}.xosc"
        write_text(trial.with_suffix(".xodr"), road_text)
        points = waypoints(Network(read_roads(trial.with_suffix(".xodr"))), scene.route_xy, _ego_s_m(scene))
        shifts, before = Shifts.none(scene), None
        for _ in range(TRIES):
            text = _text(_scenario(scene, name, points, shifts))
            write_text(trial, text)
            missed = _missed(scene, trial)
            if missed is None or missed.largest < SAME:
                break
            shifts, before = _nearer(shifts, missed, before), (shifts, missed)
    notes += _unsaid(scene)
    if missed is None:
        notes.append("some steps of the script do not come back when the file is read")
    out = Exported(folder / f"{name}.xosc", folder / f"{name}.xodr", tuple(notes))
    write_text(out.road, road_text)
    write_text(out.scenario, text)
    return out


def _nearer(shifts: Shifts, missed: Shifts, before: tuple[Shifts, Shifts] | None) -> Shifts:
    """The next try, by the secant through the last two: on the wrong side of the road what is added counts the other way."""

    def step(now: Array, lacks: Array, then: Array | None, lacked: Array | None) -> Array:
        slope = np.ones_like(now)
        if then is not None and lacked is not None:
            moved = now - then
            known = np.abs(moved) > SAME
            slope = np.where(known, (lacked - lacks) / np.where(known, moved, 1.0), 1.0)
        return now + lacks / np.where(np.abs(slope) > 0.1, slope, 1.0)

    old, lacked = before if before is not None else (None, None)
    return Shifts(
        step(shifts.trigger, missed.trigger, old.trigger if old else None, lacked.trigger if lacked else None),
        step(shifts.offset_m, missed.offset_m, old.offset_m if old else None, lacked.offset_m if lacked else None),
    )


def _text(element: Element) -> str:
    indent(element)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(element, encoding="unicode") + "\n"


def _ego_s_m(scene: Scene) -> float:
    """Where on its route the ego starts."""
    return max(float(frenet_sd(scene.route_xy, scene.start.ego_xy_yaw_world[:2])[0]), 0.0)


def _rows(scene: Scene) -> Array:
    return np.flatnonzero(scene.start.agents.valid)


def _scenario(scene: Scene, name: str, points: list[Array], shifts: Shifts) -> Element:
    agents, scripts = scene.start.agents, scene.scripts
    names, entities, parts = agent_names(agents.category), xosc.Entities(), []
    car = ego()
    car.add_property(SPEED_LIMIT, repr(float(scene.speed_limit_mps)))
    entities.add_scenario_object(EGO, car)
    for row in _rows(scene):
        moves = bool(scripts.start_speed_mps[row] or scripts.reactive[row] or scripts.trigger_kind[row, 0] != TriggerKind.NEVER)
        one = way(scripts, row, scene.horizon_s)
        pose = one.start_xy_yaw
        parts.append(Part(int(row), names[row], pose, one if moves else None, _lane_m(scene, pose)))
        entities.add_scenario_object(names[row], body(int(agents.category[row]), agents.size_lwh_m[row], moves=moves))
    board = xosc.StoryBoard(opening(scene, parts, points), ending(scene.horizon_s))
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


def _missed(scene: Scene, file: Path) -> Shifts | None:
    """What the values of the script lack when the file is read; None where steps themselves differ."""
    again, scripts, rows = draw_imported(load_openscenario(file), 0, 0).scripts, scene.scripts, _rows(scene)
    out = Shifts.none(scene)
    for number, row in enumerate(rows):
        for step in range(scripts.trigger_kind.shape[1]):
            kinds = scripts.trigger_kind[row, step], scripts.manoeuvre_kind[row, step]
            if kinds[0] == TriggerKind.NEVER or kinds[1] == ManoeuvreKind.NONE:
                break
            if step >= again.trigger_kind.shape[1] or kinds != (
                again.trigger_kind[number, step],
                again.manoeuvre_kind[number, step],
            ):
                return None
            out.trigger[row, step] = scripts.trigger_value[row, step] - again.trigger_value[number, step]
            if kinds[1] == ManoeuvreKind.OFFSET:
                moved = scripts.manoeuvre_value[row, step] - scripts.start_offset_m[row]
                out.offset_m[row, step] = moved - again.manoeuvre_value[number, step]
            if kinds[0] == TriggerKind.TIME and abs(out.trigger[row, step]) < SAME:
                out.trigger[row, step] = 0.0
    return out


def _unsaid(scene: Scene) -> list[str]:
    """What the storyboard has no words for."""
    out = []
    skies = [scene.conditions, *(conditions for _, conditions in scene.condition_changes)]
    if any(sky.faulty_cameras for sky in skies):
        out.append("faults of cameras")
    if scene.scripts.reactive.any():
        out.append("how agents keep a distance: a controller IDM names it, which other programs do not know")
    if len(scene.road.height_xz_m):
        out.append("the height of the ground: the road is level")
    if scene.demands:
        out.append("what the drive must keep to")
    return out
