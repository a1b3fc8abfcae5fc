"""What can be wrong with a stored recording: parts that do not fit together, or numbers that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from drivewm.datatypes import AgentClass, Scene

_Expected = dict[str, tuple[Any, tuple[int, ...]]]


def recorded_faults(scene: Scene) -> Iterator[tuple[str, str]]:
    """Place and reason of everything for which a stored scene cannot be replayed."""
    log, scripts = scene.log_s_m, scene.scripts
    if log.ndim != 2 or log.shape[1] < 2:
        yield "log_s_m", "is a scene, but not a recorded one: it holds no motion"
        return
    if scripts.path_xy.ndim != 3 or scripts.path_xy.shape[1] < 2 or scripts.trigger_kind.ndim != 2:
        yield "scripts", "is damaged: it holds no paths"
        return
    for place, (array, shape) in {**_of_agents(scene), **_of_road(scene)}.items():
        if np.shape(array) != shape:
            yield place, f"is damaged: its shape is {list(np.shape(array))}, not {list(shape)}"
        elif place != "log_s_m" and not np.isfinite(array).all():
            yield place, "is damaged: it is not finite"
    agents = scene.start.agents
    if np.isinf(log).any():
        yield "log_s_m", "is damaged: it is not finite"
    if len(np.unique(agents.track_id)) < len(agents.track_id):
        yield "start.agents.track_id", "is damaged: two road users have the same number"
    if not np.isin(agents.category, [int(kind) for kind in AgentClass]).all():
        yield "start.agents.category", "is damaged: it holds a class that does not exist"
    if not (0.01 <= scene.dt_s <= 1.0 and scene.dt_s <= scene.horizon_s <= scene.dt_s * (log.shape[1] - 1) + 1e-6):
        yield "horizon_s", f"is damaged: {scene.horizon_s:g} s in steps of {scene.dt_s:g} s are not what was recorded"


def _of_agents(scene: Scene) -> _Expected:
    rows, start, scripts = len(scene.log_s_m), scene.start, scene.scripts
    steps, points = scripts.trigger_kind.shape[1], scripts.path_xy.shape[1]
    one = ("start_s_m", "start_offset_m", "start_speed_mps", "desired_speed_mps", "reactive")
    each = ("trigger_kind", "trigger_value", "manoeuvre_kind", "manoeuvre_value", "manoeuvre_rate")
    out: _Expected = {f"scripts.{name}": (getattr(scripts, name), (rows,)) for name in one}
    out |= {f"scripts.{name}": (getattr(scripts, name), (rows, steps)) for name in each}
    plain = ("track_id", "category", "speed_mps", "accel_mps2", "valid")
    out |= {f"start.agents.{name}": (getattr(start.agents, name), (rows,)) for name in plain}
    out |= {f"start.agents.{name}": (getattr(start.agents, name), (rows, 3)) for name in ("xy_yaw_world", "size_lwh_m")}
    ego = ("t_s", "ego_speed_mps", "ego_accel_mps2", "ego_curvature_1pm")
    out |= {f"start.{name}": (getattr(start, name), ()) for name in ego}
    return out | {
        "start.ego_xy_yaw_world": (start.ego_xy_yaw_world, (3,)),
        "scripts.path_xy": (scripts.path_xy, (rows, points, 2)),
        "log_s_m": (scene.log_s_m, scene.log_s_m.shape),
        "log_until_s": (scene.log_until_s, (rows,)),
    }


def _of_road(scene: Scene) -> _Expected:
    road = scene.road
    lines = {"route_xy": scene.route_xy} | {f"road.lanes {lane.id}": lane.centre_xy for lane in road.lanes}
    lines |= {f"road.markings {i}": marking.xy for i, marking in enumerate(road.markings)}
    out: _Expected = {place: (xy, (max(len(np.atleast_1d(xy)), 2), 2)) for place, xy in lines.items()}
    for name in ("drivable", "crosswalks", "sidewalks"):
        rings = enumerate(getattr(road, name))
        out |= {f"road.{name} {i}": (ring, (max(len(np.atleast_1d(ring)), 3), 2)) for i, ring in rings}
    for i, signal in enumerate(road.signals):
        out |= {f"road.signals {i}": (signal.stop_line_xy, (2, 2)), f"road.signals {i} pose": (signal.xy_yaw_world, (3,))}
    for name, columns in (("building_xy_yaw", 3), ("building_size_lwh_m", 3), ("tree_xy_height", 3), ("height_xz_m", 2)):
        values = getattr(road, name)
        out[f"road.{name}"] = (values, (len(np.atleast_1d(values)), columns))
    return out | {"start.signal": (scene.start.signal, (len(road.signals),))}
