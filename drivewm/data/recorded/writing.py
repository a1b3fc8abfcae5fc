"""A recorded drive as files: the scene with its log, and a scenario beside it that its author goes on writing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drivewm.data.recorded.recording import Recording
from drivewm.data.recorded.scene import FAMILY, recorded_scene
from drivewm.datatypes import EGO_SHAPE, AgentClass, Array, Scene
from drivewm.errors import InputError
from drivewm.geometry import ego_from_world, point_at_s
from drivewm.store import save_record, write_text

MOST_LISTED = 12
NEAR_M = 40.0
SLOWEST_MPS = 0.5  # an ego that starts more slowly has no speed to vary


@dataclass(frozen=True, slots=True)
class Written:
    scenario: Path
    scene: Path
    agents: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """One road user as its author wants to know it."""

    name: str
    kind: str
    from_s: float
    to_s: float
    closest_m: float
    moves: bool

    @property
    def line(self) -> str:
        how = "" if self.moves else ", stands"
        return f"{self.name}: {self.kind}, {self.from_s:.1f} to {self.to_s:.1f} s, as near as {self.closest_m:.0f} m{how}"


def write_recorded(recording: Recording, out: str | Path, reactive_after_s: float | None = None) -> Written:
    """Writes ``out``/NAME.scene.safetensors and ``out``/NAME.yaml, which varies the ego's speed and the nearest one's timing."""
    scene, left_out = recorded_scene(recording)
    folder = Path(out)
    stored, scenario = folder / f"{recording.name}.scene.safetensors", folder / f"{recording.name}.yaml"
    if scenario.exists():
        raise InputError("already exists", file=scenario, hint="what you wrote there stays; choose another --out")
    save_record(stored, scene)
    write_text(scenario, _document(recording, scene, stored.name, reactive_after_s))
    return Written(scenario, stored, len(scene.start.agents.valid), left_out)


def _document(recording: Recording, scene: Scene, log: str, reactive_after_s: float | None) -> str:
    seen = sorted(_road_users(recording, scene), key=lambda one: one.closest_m)
    moving = [one for one in seen if one.moves and one.closest_m < NEAR_M]
    lines = [
        f"name: {FAMILY}.{recording.name}",
        f"about: {json.dumps(f'A recorded drive ({recording.source}).')}",
        f"log: {log}",
    ]
    drives = float(scene.start.ego_speed_mps) > SLOWEST_MPS
    varied = ['  speed: "[0.9 .. 1.1]"  # of the ego at the start, times what was recorded'] if drives else []
    varied += ['  late: "[-0.5 .. 0.5] s"'] if moving else []
    lines += ["vary:", *varied] if varied else []
    lines += (
        [f"reactive_after: {reactive_after_s:g} s  # then vehicles yield where they must"] if reactive_after_s is not None else []
    )
    lines += ["ego: {speed_factor: $speed}"] if drives else []
    lines += ["actors:", f"  {moving[0].name}: {{late: $late}}"] if moving else []
    lines += [f"end: {{after: {scene.horizon_s:g} s}}", "", "# Who comes near the recorded ego:"]
    lines += [f"#   {one.line}" for one in seen[:MOST_LISTED]]
    return "\n".join(lines) + "\n"


def _road_users(recording: Recording, scene: Scene) -> list[_Seen]:
    ego = EGO_SHAPE.centre_xy_yaw(recording.ego_xy_yaw_world)
    out = []
    for row, track in enumerate(scene.start.agents.track_id):
        seen = np.flatnonzero(np.isfinite(scene.log_s_m[row]))
        at = point_at_s(scene.scripts.path_xy[row], scene.log_s_m[row, seen])
        kind = AgentClass(int(scene.start.agents.category[row])).name.lower().replace("_", " ")
        closest = _gap_m(ego[seen], at, scene.start.agents.size_lwh_m[row])
        moves = float(np.ptp(scene.log_s_m[row, seen])) > 1.0
        out.append(_Seen(f"track_{track}", kind, seen[0] * scene.dt_s, seen[-1] * scene.dt_s, closest, moves))
    return out


def _gap_m(ego_centre: Array, pose: Array, size_lwh_m: Array) -> float:
    """About how near the bodies come: between the ego's box and a circle around the other's middle."""
    ahead = np.abs(ego_from_world(pose[:, :2], ego_centre)) - 0.5 * np.array([EGO_SHAPE.length_m, EGO_SHAPE.width_m])
    return float(max(0.0, np.hypot(*np.maximum(ahead, 0.0).T).min() - 0.5 * size_lwh_m[1]))
