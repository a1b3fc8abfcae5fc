"""One way in to recorded drives: what lies at a path decides which reader takes it."""

from __future__ import annotations

from pathlib import Path

from drivewm.data.recorded.argoverse2 import read_argoverse2
from drivewm.data.recorded.argoverse2_files import ANNOTATIONS, POSES
from drivewm.data.recorded.assembly import Found, recording
from drivewm.data.recorded.commonroad import read_commonroad
from drivewm.data.recorded.recording import Recording
from drivewm.errors import InputError, did_you_mean

_KNOWN = (
    f"give an Argoverse 2 log ({ANNOTATIONS}, {POSES}, map), a CommonRoad file (.xml), a folder of either, "
    "or a nuScenes folder (v1.0-...)"
)


def read_recording(
    path: str | Path,
    *,
    scene: str | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    ego: str | None = None,
) -> Recording:
    """``duration_s`` of a recorded drive (all of it when None) from ``start_s`` on, every 0.1 s.

    ``scene`` chooses among the scenes of a nuScenes folder, or among the logs or files in a folder; None is the first. ``ego``
    names the vehicle of a CommonRoad file that becomes the ego; the other formats have the car that recorded.
    Raises `InputError` naming the file that is none of these, is damaged, or lacks what was asked for.
    """
    return recording(_found(Path(path), scene, ego), start_s, duration_s)


def _found(path: Path, scene: str | None, ego: str | None) -> Found:
    if not path.exists():
        raise InputError("does not exist", file=path, hint=_KNOWN)
    if any(path.glob("v1.0-*")) or any(path.glob("part-*/v1.0-*")):
        _refuse_ego(path, ego)
        from drivewm.data.recorded.nuscenes import read_nuscenes

        return read_nuscenes(path, scene)
    if path.is_dir() and not _is_log(path):
        within = {item.stem: item for item in sorted(path.iterdir()) if _is_log(item) or item.suffix == ".xml"}
        path = within[_chosen(path, scene, list(within))] if within else path
    elif scene is not None:
        _chosen(path, scene, [path.stem])
    if _is_log(path):
        _refuse_ego(path, ego)
        return read_argoverse2(path)
    if path.suffix == ".xml":
        return read_commonroad(path, ego)
    raise InputError("is no recorded drive that we can read", file=path, hint=_KNOWN)


def _is_log(path: Path) -> bool:
    return (path / ANNOTATIONS).is_file() or (path / POSES).is_file()


def _chosen(path: Path, scene: str | None, known: list[str]) -> str:
    """The scene that was asked for, the first when none was."""
    if scene is None:
        return known[0]
    if scene not in known:
        raise InputError(
            f"has no scene {scene!r}", file=path, hint=did_you_mean(scene, known) or "it has " + ", ".join(known[:8])
        )
    return scene


def _refuse_ego(path: Path, ego: str | None) -> None:
    if ego is not None:
        raise InputError(f"the ego cannot be {ego!r}: it is the car that recorded", file=path, hint="leave the ego out")
