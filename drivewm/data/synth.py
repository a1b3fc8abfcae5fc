"""`synth`: a data set of random drives in nuScenes format. A killed run goes on where it was and repeats no finished drive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from drivewm.data.assemble import PART_SCENES, assemble, part_root
from drivewm.data.categories import token
from drivewm.data.driving import drive_town
from drivewm.data.filming import film
from drivewm.data.towns import SPLITS
from drivewm.errors import InputError
from drivewm.execution.units import Unit, run_units
from drivewm.sim.rigs import nuscenes_rig
from drivewm.store import read_json, save_record, write_json

FIRST_SCENE = 2000  # above the numbers of nuScenes itself and of the devkit's lists of scenes to avoid
MOST_SCENES = 8000  # scene names have four digits
_RECIPE = 3  # raised when the same options begin to give other pictures or boxes


@dataclass(frozen=True, slots=True)
class SynthOptions:
    """What to make. Drive ``i`` depends on everything here but ``scenes`` and ``workers``."""

    scenes: int
    seconds: float = 12.0
    camera_hz: float = 5.0
    height: int = 64
    width: int = 96
    seed: int = 0
    workers: int = 2
    split_shares: tuple[float, float, float] = (0.9, 0.05, 0.05)  # train, val, test

    def check(self) -> None:
        """Raises InputError for options that cannot be met."""
        if not 1 <= self.scenes <= MOST_SCENES:
            raise InputError(f"scenes must be 1 ... {MOST_SCENES}, not {self.scenes}", hint="make several sets with other seeds")
        if not 1.0 <= self.seconds <= 60.0:
            raise InputError(f"seconds must be 1 ... 60, not {self.seconds:g}")
        if self.camera_hz not in (1.0, 2.0, 5.0, 10.0):
            raise InputError(f"camera_hz must divide the 10 Hz of the state: 1, 2, 5 or 10, not {self.camera_hz:g}")
        if not (16 <= self.height <= 1080 and 16 <= self.width <= 1920):
            raise InputError(f"images must be 16x16 ... 1080x1920, not {self.height}x{self.width}")
        if self.seed < 0 or self.workers < 1:
            raise InputError("seed must not be negative and workers at least 1")
        if min(self.split_shares) < 0 or abs(sum(self.split_shares) - 1.0) > 1e-6:
            raise InputError("split_shares are three numbers that add up to 1: train, val, test")


@dataclass(frozen=True, slots=True)
class SynthReport:
    """What `synth` has made."""

    roots: tuple[Path, ...]  # nuScenes folders; one unless there are more than 500 scenes
    scenes: int
    frames: int
    images: int


Progress = Callable[[int, int], None]


def synth(out: Path, options: SynthOptions, progress: Progress | None = None) -> SynthReport:
    """Makes or completes the data set in ``out``. ``progress(done, total)`` is told about finished scenes.

    Up to 500 scenes make ``out`` itself a nuScenes root; more are split into roots ``part-00``, ``part-01`` ... of 500.
    Raises InputError when ``out`` holds something else or a set made with other options.
    """
    options.check()
    out = Path(out)
    _claim(out, options)
    parts = options.scenes > PART_SCENES
    splits = _splits(options)
    payloads = [_payload(part_root(out, i, parts), i, splits[i], options) for i in range(options.scenes)]
    for root in {payload["root"] for payload in payloads}:
        for camera in nuscenes_rig().names:
            for kind in ("samples", "sweeps"):
                (Path(root) / kind / camera).mkdir(parents=True, exist_ok=True)
    units = [Unit(_key(payload), payload, payload["name"]) for payload in payloads]
    results = run_units(units, film_scene, folder=out / "units", workers=options.workers, progress=progress)
    members: dict[Path, dict[str, str]] = {}
    for unit in units:
        members.setdefault(Path(unit.payload["root"]), {})[unit.name] = unit.key
    for root, keys in members.items():
        assemble(root, keys)
    frames = sum(result["frames"] for result in results.values())
    return SynthReport(tuple(members), options.scenes, frames, frames * len(nuscenes_rig().names))


def scenes_made(out: Path) -> int:
    """How many scenes a data set was asked for that lies in ``out``; 0 where none does."""
    file = out / "synth.json"
    return int(read_json(file).get("scenes", 0)) if file.is_file() else 0


def _claim(out: Path, options: SynthOptions) -> None:
    """Notes in the folder what it is for; a folder with another purpose is refused."""
    values = {key: value for key, value in asdict(options).items() if key != "workers"}
    values = {"recipe": _RECIPE, **values, "split_shares": list(options.split_shares)}
    file = out / "synth.json"
    if out.is_file() or (out.is_dir() and not file.is_file() and any(out.iterdir())):
        raise InputError("exists and is no data set made here", file=out, hint="choose another folder")
    if file.is_file():
        known = read_json(file)
        changed = sorted(key for key in values if known.get(key) != values[key] and key != "scenes")
        if changed:
            raise InputError(f"holds a data set made with other {', '.join(changed)}", file=out, hint="choose another folder")
        before = int(known.get("scenes", 0))
        if options.scenes < before or (before > PART_SCENES) != (options.scenes > PART_SCENES):
            reason = f"holds {before} scenes; a set can only grow, and not across {PART_SCENES}"
            raise InputError(reason, file=out, hint="choose another folder")
        if known == values:
            return
    write_json(file, values)


def _payload(root: Path, index: int, split: tuple[str, int], options: SynthOptions) -> dict[str, Any]:
    return {
        "root": str(root),
        "name": f"scene-{FIRST_SCENE + index:04d}",
        "split": split[0],
        "index": split[1],
        "seed": options.seed,
        "seconds": options.seconds,
        "camera_hz": options.camera_hz,
        "height": options.height,
        "width": options.width,
    }


def _key(payload: dict[str, Any]) -> str:
    """Names a unit by all that decides its pictures, which the folder they go to does not."""
    return token(_RECIPE, *(value for name, value in payload.items() if name != "root"))


def _splits(options: SynthOptions) -> list[tuple[str, int]]:
    """Split of every scene and its number within it; the shares hold for every prefix as closely as whole numbers can."""
    counts, out = [0, 0, 0], []
    for i in range(options.scenes):
        lack = [share * (i + 1) - count if share else -1e9 for share, count in zip(options.split_shares, counts, strict=True)]
        chosen = lack.index(max(lack))
        out.append((SPLITS[chosen], counts[chosen]))
        counts[chosen] += 1
    return out


def film_scene(payload: dict[str, Any]) -> dict[str, Any]:
    """One unit of work: drives, photographs and stores a scene."""
    cv2.setNumThreads(1)  # scenes run in parallel, not pixels
    root, rig = Path(payload["root"]), nuscenes_rig(payload["height"], payload["width"], payload["camera_hz"])
    driven = drive_town(payload["index"], payload["split"], payload["seed"], seconds=payload["seconds"])
    drive = film(root, payload["name"], payload["split"], driven, rig)
    save_record(root / "drives" / f"{payload['name']}.safetensors", drive)
    return {"frames": len(drive.seen_share), "agents": int(drive.states.agents.valid.shape[1]), "ended": drive.ended}
