"""Scenes of a nuScenes folder, read by the room's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivewm.data.reader import NuScenesFolder
from drivewm.data.recorded.assembly import Found, Track
from drivewm.datatypes import EGO_SHAPE, AgentClass
from drivewm.errors import InputError


def read_nuscenes(root: Path, scene: str | None) -> Found:
    """A scene by name or token, the first when None, from its first to its last annotated key frame.

    Boxes between key frames are those of `NuScenesFolder.clip`. Raises `InputError` for an unknown scene and for one without map.
    """
    folder = NuScenesFolder(root)
    known = folder.scenes()
    if not known:
        raise InputError("has no scenes", file=root)
    index = folder.index(known[0].token if scene is None else scene)
    clip = folder.clip(index.token, states_only=True)
    if not clip.road.lanes or not clip.road.drivable:
        file = root / "maps" / "expansion" / f"{index.location}.json"
        raise InputError(f"scene {index.name} has no map", file=file, hint="a recorded drive needs the map expansion")
    key_s = (index.key_time_us - index.time_us[0]) * 1e-6
    t_s, agents = clip.states.t_s, clip.states.agents
    labelled = (t_s >= key_s[0] - 1e-6) & (t_s <= key_s[-1] + 1e-6)
    if labelled.sum() < 2:
        raise InputError("has fewer than two annotated frames", file=root, place=f"scene {index.name}")
    tracks = []
    for i, name in enumerate(index.instance_tokens):
        rows = np.flatnonzero(agents.valid[:, i] & labelled)
        if len(rows):
            category, size = AgentClass(int(agents.category[0, i])), agents.size_lwh_m[0, i]
            tracks.append(Track(name, category, t_s[rows], agents.xy_yaw_world[rows, i], size))
    body = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m, EGO_SHAPE.height_m])
    return Found(
        file=root,
        name=index.name,
        source=f"nuScenes scene {index.name}",
        ego=Track("ego", AgentClass.CAR, t_s[labelled], clip.states.ego_xy_yaw_world[labelled], body),
        tracks=tuple(tracks),
        road=clip.road,
        conditions=clip.conditions[0],
    )
