"""What tells one drive from another: its town, its seed and the kinds of things chosen for it, each as a short hash.

A network must be measured on drives of which it has seen none of the three. So a packed drive keeps its marks, saved weights keep
those of all drives they learned from, and a card compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from drivewm.data.drives import Drive
from drivewm.data.reader import NuScenesFolder
from drivewm.datatypes import Scene
from drivewm.store import content_hash, load_record, save_record

FILE = "training.json"  # beside weights
_DIGITS = 10
_NOT_CHOSEN = ("attempt", "ego_speed_mps", "lane_width_m")  # numbers of a continuous draw; equal ones would say nothing


@dataclass(frozen=True, slots=True)
class Marks:
    """Hashes of one drive."""

    town: str  # road, buildings, trees, as coordinates
    seed: str  # all that was drawn for it at random
    parameters: str  # the combination of kinds: road, weather, light, manoeuvre, manner, traffic, density, limit ...


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """Marks of all drives that weights have learned from, sorted; drives without marks are only counted."""

    towns: tuple[str, ...]
    seeds: tuple[str, ...]
    parameters: tuple[str, ...]
    drives: int
    unmarked: int = 0
    note: str = ""

    @classmethod
    def of(cls, marks: Iterable[Marks | None], note: str = "") -> TrainedOn:
        every = list(marks)
        known = [one for one in every if one is not None]
        towns, seeds, parameters = (tuple(sorted({getattr(one, field.name) for one in known})) for field in fields(Marks))
        return cls(towns, seeds, parameters, len(every), len(every) - len(known), note)

    def after(self, before: TrainedOn | None) -> TrainedOn:
        """Of weights that learned from ``before`` first; None: nobody knows from what."""
        if before is None:
            return replace(self, unmarked=self.unmarked + 1, note="began from weights that do not say what they learned from")
        if before == self:
            return self
        both = zip(_columns(self), _columns(before), strict=True)
        towns, seeds, parameters = (tuple(sorted({*mine, *theirs})) for mine, theirs in both)
        unmarked = self.unmarked + before.unmarked
        note = "; ".join(dict.fromkeys(filter(None, (before.note, self.note))))
        return TrainedOn(towns, seeds, parameters, len(seeds) + unmarked, unmarked, note)

    def shares(self, marks: Marks) -> tuple[str, ...]:
        """Which marks of a drive some training drive has too: "town", "seed", "parameters"."""
        return tuple(f.name for f, known in zip(fields(Marks), _columns(self), strict=True) if getattr(marks, f.name) in known)


def _columns(trained: TrainedOn) -> tuple[tuple[str, ...], ...]:
    return trained.towns, trained.seeds, trained.parameters


def marks_of(scene: Scene) -> Marks:
    """Of a scene as it begins."""
    chosen = {name: value for name, value in scene.parameters.items() if name not in _NOT_CHOSEN}
    sky = {"weather": str(scene.conditions.weather), "light": str(scene.conditions.light)}
    parts = (scene.road, scene.seed, {"family": scene.family, **sky, **chosen})
    return Marks(*(content_hash(part)[:_DIGITS] for part in parts))


def drive_marks(folder: NuScenesFolder, name: str) -> Marks:
    """Of a drive in nuScenes format; of a recording only its place and itself are known."""
    file = folder.root_of(name) / "drives" / f"{name}.safetensors"
    if file.is_file():
        return marks_of(load_record(Drive, file).scene)
    index = folder.index(name)
    itself = content_hash({"recording": index.token})[:_DIGITS]
    return Marks(content_hash({"place": index.location})[:_DIGITS], itself, itself)


def marks_in(metadata: Mapping[str, str]) -> Marks | None:
    """What a packed drive says of itself; None for one that was packed before drives had marks."""
    names = [field.name for field in fields(Marks)]
    return Marks(*(metadata[name] for name in names)) if all(name in metadata for name in names) else None


def write_trained_on(folder: Path, trained: TrainedOn) -> None:
    """Beside the weights in ``folder``."""
    save_record(folder / FILE, trained)


def trained_on(folder: Path) -> TrainedOn | None:
    """What is written beside weights; None where nothing is. Raises InputError for a damaged file."""
    return load_record(TrainedOn, folder / FILE) if (folder / FILE).is_file() else None


def learned_before(folder: Path, origin: Path) -> None:
    """Adds to the record beside weights in ``folder`` what those in ``origin``, from which they went on, had learned from."""
    own = trained_on(folder)
    if own is not None:
        write_trained_on(folder, own.after(trained_on(origin)))
