"""What is in a data set: how much of every class, weather, light and manner of driving."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import AgentClass

SPEED_STEP_MPS = 2.5
YAW_RATE_STEP_RADPS = 0.05


@dataclass(frozen=True, slots=True)
class DataStats:
    """Counts over frames unless the name says otherwise."""

    scenes: int
    frames: int
    hours: float
    scenes_by_split: dict[str, int]
    scenes_by_manner: dict[str, int]
    non_expert_share: float  # of frames
    changing_share: float  # of scenes whose weather or light changes
    frames_by_weather: dict[str, int]
    frames_by_light: dict[str, int]
    agents_by_class: dict[str, int]  # agent-frames
    tracks_by_class: dict[str, int]
    frames_by_agents: dict[str, int]  # number of agents in view range -> frames
    frames_by_speed_mps: dict[str, int]  # lower edge of bins of 2.5 m/s
    frames_by_yaw_rate_radps: dict[str, int]  # lower edge of bins of 0.05 rad/s
    without: dict[str, int]  # scenes without "map", "can_bus"


def folder_stats(folder: NuScenesFolder | str | Path, split: str | None = None) -> DataStats:
    """Counts over all scenes of a folder, or of a split."""
    folder = folder if isinstance(folder, NuScenesFolder) else NuScenesFolder(folder)
    infos = folder.scenes(split)
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("weather", "light", "class", "tracks", "agents", "speed", "yaw_rate")
    }
    bad_frames, changing, seconds = 0, 0, 0.0
    for info in infos:
        clip = folder.clip(info.token, states_only=True)
        states, seen = clip.states, clip.states.agents.valid
        seconds += len(states.t_s) / info.rate_hz
        bad_frames += 0 if info.expert else info.frames
        changing += len({(c.weather, c.light) for c in clip.conditions}) > 1
        counts["weather"].update(str(c.weather) for c in clip.conditions)
        counts["light"].update(str(c.light) for c in clip.conditions)
        if seen.size:
            counts["class"].update(AgentClass(int(c)).name.lower() for c in states.agents.category[seen])
            counts["tracks"].update(AgentClass(int(c)).name.lower() for c in states.agents.category[0][seen.any(0)])
        counts["agents"].update(str(int(n)) for n in seen.sum(-1))
        speed = np.floor(states.ego_speed_mps / SPEED_STEP_MPS) * SPEED_STEP_MPS
        turn = np.floor(states.ego_speed_mps * states.ego_curvature_1pm / YAW_RATE_STEP_RADPS) * YAW_RATE_STEP_RADPS
        counts["speed"].update(f"{v:g}" for v in speed)
        counts["yaw_rate"].update(f"{v:.2f}" for v in turn + 0.0)
    frames = sum(info.frames for info in infos)
    return DataStats(
        scenes=len(infos),
        frames=frames,
        hours=seconds / 3600,
        scenes_by_split=_ordered(Counter(info.split or "none" for info in infos)),
        scenes_by_manner=_ordered(Counter(info.manner or "recorded" for info in infos)),
        non_expert_share=bad_frames / max(frames, 1),
        changing_share=changing / max(len(infos), 1),
        frames_by_weather=_ordered(counts["weather"]),
        frames_by_light=_ordered(counts["light"]),
        agents_by_class=_ordered(counts["class"]),
        tracks_by_class=_ordered(counts["tracks"]),
        frames_by_agents=_by_number(counts["agents"]),
        frames_by_speed_mps=_by_number(counts["speed"]),
        frames_by_yaw_rate_radps=_by_number(counts["yaw_rate"]),
        without={name: len(names) for name, names in folder.missing.items() if names},
    )


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_number(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: float(item[0])))
