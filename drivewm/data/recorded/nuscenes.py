"""Scenes of nuScenes-format folders: real ones and our own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from drivewm.data.reader import NuScenesFolder
from drivewm.data.recorded.drive import SourceDrive, SourceTrack
from drivewm.datatypes import EGO_SHAPE, AgentClass


def is_folder(path: Path) -> bool:
    return any(path.glob("v1.0*")) or any(path.glob("part-*/v1.0*"))


def read_scene(root: Path, scene: str | None = None) -> SourceDrive:
    """A scene by name or token, the first one when none is given; its weather and light are those of its start."""
    folder = NuScenesFolder(root)
    chosen = folder.scenes()[0].token if scene is None else scene
    clip = folder.clip(chosen, states_only=True)
    info = next(one for one in folder.scenes() if chosen in (one.token, one.name))
    states, agents = clip.states, clip.states.agents
    size = np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m, EGO_SHAPE.height_m])
    ego = SourceTrack("ego", AgentClass.CAR, size, states.t_s, states.ego_xy_yaw_world)
    tracks = []
    for n in range(agents.valid.shape[1]):
        seen = agents.valid[:, n]
        if seen.any():
            kind, body = AgentClass(int(agents.category[0, n])), agents.size_lwh_m[seen, n][0]
            name = str(int(agents.track_id[0, n]))
            tracks.append(SourceTrack(name, kind, body, states.t_s[seen], agents.xy_yaw_world[seen, n]))
    name = re.sub(r"[^a-z0-9]+", "_", info.name.lower()).strip("_")
    limit = max((lane.speed_limit_mps for lane in clip.road.lanes), default=0.0)
    missing = tuple(
        f"there is no {what.replace('_', ' ')} for it" for what, names in folder.missing.items() if info.name in names
    )
    return SourceDrive(
        name=name,
        source=f"nuScenes {info.name}",
        ego=ego,
        tracks=tuple(tracks),
        road=clip.road,
        conditions=clip.conditions[0],
        speed_limit_mps=limit or None,
        left_out=missing,
    )
