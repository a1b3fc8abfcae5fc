"""Finished drives become a nuScenes root: tables, maps, CAN bus. Only images were written before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.data.canbus import can_messages
from drivewm.data.categories import conditions_in_words
from drivewm.data.drives import Drive, bounds_xy, moved_road, moved_states
from drivewm.data.ego_driver import EXPERT_MANNERS
from drivewm.data.expansion import MapExpansion
from drivewm.data.plots import Plot, laid_out, write_map_files
from drivewm.data.tables import start_time_us, table_writer, write_drive, write_maps, write_vocabulary
from drivewm.datatypes import Array, Conditions
from drivewm.store import atomic_folder, load_record, read_json, write_text

VERSION = "v1.0-synth"
RECORD = "drivewm.json"  # beside the tables: what nuScenes has no column for
PART_SCENES = 500
SPLIT_PREFIX = "synth_"  # "train" and "val" are nuScenes' own lists in the devkit

_README = """# Random drives in nuScenes v1.0 format

Made by `drivewm data synth`; the options stand in `synth.json`. Everything is simulated: roads, agents, pictures.
`nuscenes-devkit` reads it: `NuScenes("{version}", root)`, `NuScenesMap(root, location)`, `NuScenesCanBus(root)`.

- Cameras only: there is no LiDAR and no radar, and `num_lidar_pts` is 0.
- The `location` of a log is one of the four names that the devkit accepts. It is a slot for a map, not a place: every scene has
  its own plot on it, and plots are not connected. Traffic keeps to the right, in three of ten drives to the left:
  `{version}/{record}` says which (`traffic`).
- Key frames are every second camera frame. Splits are in `{version}/splits.json` as {splits}.
- CAN bus messages come at the 10 Hz of the simulated state.
- `{version}/{record}` tells per scene what nuScenes has no column for: manner of driving, conditions over time, seed, parameters.
  `drives/` holds each scene as drawn and driven, in its own coordinates.
"""


def part_root(out: Path, index: int, parts: bool) -> Path:
    """The nuScenes root that scene number ``index`` of a data set belongs to."""
    return out / f"part-{index // PART_SCENES:02d}" if parts else out


def load_drive(root: Path, name: str) -> Drive:
    """A scene as it was drawn and driven, in its own coordinates."""
    return load_record(Drive, root / "drives" / f"{name}.safetensors")


def assemble(root: Path, keys: dict[str, str]) -> None:
    """Writes tables, maps and CAN bus of ``root`` for the drives named in ``keys`` (name -> what decided the drive).

    Does nothing when they stand already.
    """
    record_file = root / VERSION / RECORD
    if record_file.is_file() and read_json(record_file).get("keys") == keys:
        return
    names = list(keys)
    drives = ((name, load_drive(root, name)) for name in names)
    plots, canvas = laid_out({name: bounds_xy(d.scene.road, d.states.ego_xy_yaw_world[:, :2]) for name, d in drives})
    exact: dict[str, dict[str, Any]] = {}
    expansions = {location: MapExpansion(location, edge) for location, edge in canvas.items()}
    drivable: dict[str, list[Array]] = {location: [] for location in canvas}
    logs: dict[str, list[str]] = {location: [] for location in canvas}
    with atomic_folder(root / VERSION, replace=True) as folder, atomic_folder(root / "can_bus", replace=True) as can:
        with table_writer(folder) as tables:
            for name in names:
                drive, plot = load_drive(root, name), plots[name]
                if not logs[plot.place.location] and not any(logs.values()):
                    write_vocabulary(tables, drive.rig)
                shift = np.array(plot.place.shift_xy)
                states, road = moved_states(drive.states, shift), moved_road(drive.scene.road, shift)
                exact[name] = _exact(drive, plot)
                logs[plot.place.location].append(write_drive(tables, drive, states, plot.place, _description(drive)))
                expansions[plot.place.location].add(name, road, plot.region_xy)
                drivable[plot.place.location] += list(road.drivable)
                times_us = start_time_us(name) + np.round(drive.states.t_s * 1e6).astype(np.int64)
                for message, content in can_messages(states, times_us, drive.scene.route_xy + shift).items():
                    _dump(can / f"{name}_{message}.json", content)
            write_maps(tables, logs)
        splits: dict[str, list[str]] = {}
        for name in names:
            splits.setdefault(SPLIT_PREFIX + exact[name]["split"], []).append(name)
        _dump(folder / "splits.json", splits)
        _dump(folder / RECORD, {"keys": keys, "scenes": exact})
        write_map_files(root, expansions, drivable)
    words = ", ".join(f"`{split}`" for split in splits)
    write_text(root / "README.md", _README.format(version=VERSION, record=RECORD, splits=words))


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def _description(drive: Drive) -> str:
    scene = drive.scene
    words = [f"{str(scene.parameters['kind']).replace('_', ' ')} ({scene.parameters['surroundings']})"]
    words += [conditions_in_words(scene.conditions), f"{drive.states.agents.valid.shape[1]} agents", f"manner: {drive.manner}"]
    words += [f"later {conditions_in_words(change)}" for _, change in scene.condition_changes]
    return ", ".join(words)


def _exact(drive: Drive, plot: Plot) -> dict[str, Any]:
    scene = drive.scene
    course = ((0.0, scene.conditions), *scene.condition_changes)
    return {
        "split": drive.split,
        "manner": drive.manner,
        "expert": drive.manner in EXPERT_MANNERS,
        "ended": drive.ended,
        "scene_id": scene.id,
        "seed": scene.seed,
        "location": plot.place.location,
        "shift_xy": list(plot.place.shift_xy),
        "region_xy": list(plot.region_xy),
        "conditions": [conditions_to_json(t_s, conditions) for t_s, conditions in course],
        "parameters": scene.parameters,
    }


def conditions_to_json(t_s: float, conditions: Conditions) -> dict[str, Any]:
    """Conditions that hold from ``t_s`` seconds after the first frame on."""
    return {
        "from_s": t_s,
        "weather": str(conditions.weather),
        "light": str(conditions.light),
        "sun_azimuth_rad": conditions.sun_azimuth_rad,
        "lost_cameras": list(conditions.lost_cameras),
    }
