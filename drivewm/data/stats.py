"""What is in a data set: how much of every class, weather, light and manner of driving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.reader import NuScenesFolder
from drivewm.data.survey import SceneSurvey, survey_folder
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
    without: dict[str, int]  # scenes without "images", "map", "can_bus"


def folder_stats(
    folder: NuScenesFolder | str | Path, split: str | None = None, progress: Callable[..., None] | None = None
) -> DataStats:
    """Counts over all scenes of a folder, or of a split; ``progress(done, total, name)`` counts scenes."""
    folder = folder if isinstance(folder, NuScenesFolder) else NuScenesFolder(folder)
    return stats_of(survey_folder(folder, split, progress), folder.missing)


def stats_of(scenes: Sequence[SceneSurvey], missing: Mapping[str, Collection[str]]) -> DataStats:
    """Counts over scenes that were surveyed; ``missing`` names those without something, as `NuScenesFolder` knows them."""
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("weather", "light", "class", "tracks", "agents", "speed", "yaw_rate")
    }
    for scene in scenes:
        course = scene.course
        counts["weather"].update(weather for weather, _ in scene.sky)
        counts["light"].update(light for _, light in scene.sky)
        counts["class"].update(class_name(kind) for kind in scene.encounters.category)
        counts["tracks"].update(class_name(kind) for kind in scene.tracks.category)
        counts["agents"].update(str(int(n)) for n in course.agents)
        counts["speed"].update(f"{v:g}" for v in np.floor(course.speed_mps / SPEED_STEP_MPS) * SPEED_STEP_MPS)
        turn = np.floor(course.yaw_rate_radps / YAW_RATE_STEP_RADPS) * YAW_RATE_STEP_RADPS
        counts["yaw_rate"].update(f"{v:.2f}" for v in turn + 0.0)
    infos = [scene.info for scene in scenes]
    frames = sum(info.frames for info in infos)
    return DataStats(
        scenes=len(infos),
        frames=frames,
        hours=sum(scene.seconds for scene in scenes) / 3600,
        scenes_by_split=_ordered(Counter(info.split or "none" for info in infos)),
        scenes_by_manner=_ordered(Counter(info.manner or "recorded" for info in infos)),
        non_expert_share=sum(info.frames for info in infos if not info.expert) / max(frames, 1),
        changing_share=sum(len(set(scene.sky)) > 1 for scene in scenes) / max(len(infos), 1),
        frames_by_weather=_ordered(counts["weather"]),
        frames_by_light=_ordered(counts["light"]),
        agents_by_class=_ordered(counts["class"]),
        tracks_by_class=_ordered(counts["tracks"]),
        frames_by_agents=_by_number(counts["agents"]),
        frames_by_speed_mps=_by_number(counts["speed"]),
        frames_by_yaw_rate_radps=_by_number(counts["yaw_rate"]),
        without={name: len(names) for name, names in missing.items() if names},
    )


def class_name(kind: int) -> str:
    """The name of an AgentClass as counts and pages write it, "traffic_cone"."""
    return AgentClass(int(kind)).name.lower()


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _by_number(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: float(item[0])))
