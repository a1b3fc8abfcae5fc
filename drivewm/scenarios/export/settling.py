"""What is written is read back before it is kept.

A reader measures triggers between reference points and lane changes from lanes, the state engine between the middles of boxes
and from paths; the difference depends on where everybody is when a step begins, which the reader's own rehearsal finds out. So
the values are corrected until the script comes back as it was.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.datatypes import Array, ManoeuvreKind, Scene, TriggerKind
from drivewm.geometry import frenet_sd, point_at_s
from drivewm.scenarios.export.story import Shifts
from drivewm.scenarios.export.storyboard import file_text, rows_of, scenario_element
from drivewm.scenarios.export.ways import route_way, waypoints
from drivewm.scenarios.opendrive.network import Network
from drivewm.scenarios.opendrive.reading import read_roads
from drivewm.scenarios.openscenario.imported import draw_imported, load_openscenario
from drivewm.store import write_text

TRIES = 8
SAME = 1e-6  # of a script's values
ROUTE_M = 0.05  # how far lanes may lead the ego beside its route


def settled(scene: Scene, trial: Path) -> tuple[str, list[str]]:
    """The text of the .xosc file of a scene, and what of it is lost in reading; its road stands beside the file ``trial``."""
    start_s = max(float(frenet_sd(scene.route_xy, scene.start.ego_xy_yaw_world[:2])[0]), 0.0)
    points = waypoints(Network(read_roads(trial.with_suffix(".xodr"))), scene.route_xy, start_s)
    route = points if len(points) > 1 else route_way(scene.route_xy, start_s)
    shifts, before, text = Shifts.none(scene), None, ""
    for _ in range(TRIES):
        text = file_text(scenario_element(scene, trial.stem, route, shifts))
        write_text(trial, text)
        again = draw_imported(load_openscenario(trial), 0, 0)
        if route is points and _beside_m(scene, again, start_s) > ROUTE_M:
            route = route_way(scene.route_xy, start_s)
            continue
        missed = _missed(scene, again)
        if missed is None:
            return text, ["some steps of the script do not come back when the file is read"]
        if missed.largest < SAME:
            break
        shifts, before = _nearer(shifts, missed, before), (shifts, missed)
    return text, [] if route is points else ["the ego's route as lanes: they do not lead along it, a trajectory does"]


def _beside_m(scene: Scene, again: Scene, start_s_m: float) -> float:
    """How far the ego's route comes back from where it was, as far as it is driven."""
    s = np.arange(0.0, float(scene.start.ego_speed_mps) * scene.horizon_s + 1.0)
    return float(np.hypot(*(point_at_s(scene.route_xy, start_s_m + s) - point_at_s(again.route_xy, s))[:, :2].T).max())


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


def _missed(scene: Scene, again: Scene) -> Shifts | None:
    """What the values of the script lack when the file is read; None where steps themselves differ."""
    read, scripts, rows = again.scripts, scene.scripts, rows_of(scene)
    out = Shifts.none(scene)
    for number, row in enumerate(rows):
        for step in range(scripts.trigger_kind.shape[1]):
            kinds = scripts.trigger_kind[row, step], scripts.manoeuvre_kind[row, step]
            if kinds[0] == TriggerKind.NEVER or kinds[1] == ManoeuvreKind.NONE:
                break
            if step >= read.trigger_kind.shape[1] or kinds != (
                read.trigger_kind[number, step],
                read.manoeuvre_kind[number, step],
            ):
                return None
            out.trigger[row, step] = scripts.trigger_value[row, step] - read.trigger_value[number, step]
            if kinds[1] == ManoeuvreKind.OFFSET:
                moved = scripts.manoeuvre_value[row, step] - scripts.start_offset_m[row]
                out.offset_m[row, step] = moved - read.manoeuvre_value[number, step]
            if kinds[0] == TriggerKind.TIME and abs(out.trigger[row, step]) < SAME:
                out.trigger[row, step] = 0.0
    return out
