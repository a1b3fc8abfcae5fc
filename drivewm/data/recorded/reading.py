"""Recorded drives of every known format behind one door."""

from __future__ import annotations

from pathlib import Path

from drivewm.data.recorded import argoverse2, commonroad, nuscenes
from drivewm.data.recorded.drive import SourceDrive, recording_of
from drivewm.data.recorded.recording import Recording
from drivewm.errors import InputError


def read_recording(
    path: str | Path,
    *,
    scene: str | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    ego: str | None = None,
) -> Recording:
    """The drive at ``path``, or ``duration_s`` of it from ``start_s`` on; what it is shows in what lies there.

    ``scene`` chooses one of a nuScenes-format folder, ``ego`` the vehicle of a CommonRoad file that becomes the ego. Raises
    InputError, with the file, for what is no drive, cannot be read, or is too short.
    """
    return recording_of(_drive(Path(path), scene, ego), start_s, duration_s)


def _drive(path: Path, scene: str | None, ego: str | None) -> SourceDrive:
    if not path.exists():
        raise InputError("does not exist", file=path)
    if path.is_dir() and nuscenes.is_folder(path):
        _refuse(path, "nuScenes", ego=ego)
        return nuscenes.read_scene(path, scene)
    if path.is_dir() and argoverse2.is_log(path):
        _refuse(path, "Argoverse 2", ego=ego, scene=scene)
        return argoverse2.read_log(path)
    if path.is_file() and path.suffix.lower() == ".xml":
        _refuse(path, "CommonRoad", scene=scene)
        return commonroad.read_scenario(path, ego)
    hint = "a nuScenes-format folder, the folder of one Argoverse 2 log, or a CommonRoad .xml file"
    raise InputError("is no recorded drive that can be read", file=path, hint=hint)


def _refuse(path: Path, kind: str, **given: str | None) -> None:
    for name, value in given.items():
        if value is not None:
            raise InputError(f"--{name} means nothing for {kind}", file=path, hint="leave it out")
