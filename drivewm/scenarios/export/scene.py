"""A scene as an OpenSCENARIO 1.2 file with its road as an OpenDRIVE file beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from drivewm.datatypes import Scene
from drivewm.errors import InputError
from drivewm.scenarios.export.roads import road_element
from drivewm.scenarios.export.settling import settled
from drivewm.scenarios.export.storyboard import file_text
from drivewm.store import write_text


@dataclass(frozen=True)
class Exported:
    """The files of one scene, and what they cannot say."""

    scenario: Path
    road: Path
    notes: tuple[str, ...]


def export_scene(scene: Scene, folder: Path, name: str) -> Exported:
    """Writes ``name``.xosc and ``name``.xodr into ``folder``; each is whole or absent.

    Raises `InputError` for a scene without lanes, and for a recorded one.
    """
    if scene.log_s_m.size:
        raise InputError(f"{scene.id} is a recorded drive; only scripts can be written", hint="its source is the better file")
    if not scene.road.lanes:
        raise InputError(f"{scene.id} has no lanes, so there is no road to write", hint="export a scene whose map has lanes")
    road, notes = road_element(scene.road, name)
    road_text = file_text(road)
    with TemporaryDirectory() as place:
        trial = Path(place) / f"{name}.xosc"
        write_text(trial.with_suffix(".xodr"), road_text)
        text, lost = settled(scene, trial)
    out = Exported(folder / f"{name}.xosc", folder / f"{name}.xodr", (*notes, *lost, *_unsaid(scene)))
    write_text(out.road, road_text)
    write_text(out.scenario, text)
    return out


def _unsaid(scene: Scene) -> list[str]:
    """What the storyboard has no words for."""
    out = []
    skies = [scene.conditions, *(conditions for _, conditions in scene.condition_changes)]
    if any(sky.faulty_cameras for sky in skies):
        out.append("faults of cameras")
    if scene.scripts.reactive.any():
        out.append("how agents keep a distance: a controller IDM names it, which other programs do not know")
    if len(scene.road.height_xz_m):
        out.append("the height of the ground: the road is level")
    if scene.demands:
        out.append("what the drive must keep to")
    return out
