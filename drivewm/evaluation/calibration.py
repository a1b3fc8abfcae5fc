"""Setting the gate's limits: on drives in which nothing is ever truly void, and on the same drives broken on purpose.

The pictures are the reference's, through the autoencoder of the world to be judged: no dream can look sharper. Limits are set on
every other scenario of the catalogue and tried on the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from drivewm.config import content_folder
from drivewm.datatypes import Array
from drivewm.errors import InputError
from drivewm.evaluation.breaking import WHOLE, evidence_of_breaks
from drivewm.evaluation.broken import WAYS
from drivewm.evaluation.gate import FILE, LOWER_IS_WORSE, Caught, Evidence, Limits, Thresholds, broken
from drivewm.evaluation.readers import Readers
from drivewm.evaluation.sightings import MIN_OBJECT_PX
from drivewm.execution import Progress, Unit, run_units
from drivewm.scenarios.catalogue import find
from drivewm.store import content_hash, file_hash, provenance, save_record
from drivewm.worldmodel.world import open_pipeline

MOST_FALSE_VOIDS, LEAST_CAUGHT = 0.02, 0.95  # what is promised of other drives
AIM = 0.98  # share of every kind that has to be caught where the limits are set, so that the promise holds elsewhere
NOTCHES = 60  # steps from the strictest limit to one that never speaks
#: where loosening ends, whatever is still caught: no drive counts that shows less than a quarter of the agents, or a tenth
#: of a single one, or another sky at half of the moments, or that turns by 6 degrees a second otherwise,
#: looks 1.4 degrees aside, or has two cameras clearly more like each other than like themselves
OUTERMOST = {
    "vehicle_recall": 0.25,
    "vulnerable_recall": 0.25,
    "agent_recall": 0.1,
    "sky_wrong": 0.5,
    "exchanged": 0.1,
    "turned_rad": 0.025,
    "yaw_rate_difference_radps": 0.1,
}
#: where strictness ends: a ghost is no object that is too small for an agent to be asked for
INNERMOST = {"ghost_px": float(MIN_OBJECT_PX)}
RECIPE = 2  # raised when the same options begin to give other evidence
NAMES = tuple(one.name for one in fields(Thresholds))

ByKind = dict[str, list[Evidence]]


@dataclass(frozen=True, slots=True)
class GateOptions:
    set_on: int = 172  # drives
    tried_on: int = 400
    seed: int = 0
    workers: int = 1


def calibrate(world: Path, readers: Path, out: Path, options: GateOptions, progress: Progress | None = None) -> Limits:
    """Measure, choose and try limits, and write them beside the ``readers``. A killed run goes on with the same ``out``."""
    ids = {"autoencoder": open_pipeline(world).codec.fingerprint(), "readers": Readers.load(readers).fingerprint()}
    root = content_folder("scenarios")
    files = find(root)
    if len(files) < 2:
        raise InputError("limits are set on some scenarios and tried on others, so two are needed", file=root)
    fixed = {"seed": options.seed, "world": str(world), "readers": str(readers)}
    parts = [_units(files[::2], options.set_on, fixed, ids), _units(files[1::2], options.tried_on, fixed, ids)]
    done = run_units(
        [*parts[0], *parts[1]], evidence_of_breaks, folder=out / "drives", workers=options.workers, progress=progress
    )
    learned, others = (by_kind(done[unit.key] for unit in part) for part in parts)
    limits = choose(learned)
    reasons = {kind: dict(Counter(name for one in drives for name in broken(one, limits))) for kind, drives in others.items()}
    origin = provenance(options.seed, {"set_on": options.set_on, "tried_on": options.tried_on}, **ids)
    made = Limits(limits, counted(learned, limits), counted(others, limits), origin, reasons)
    save_record(readers / FILE, made)
    return made


def _units(files: Sequence[Path], count: int, fixed: Mapping[str, Any], ids: Mapping[str, str]) -> list[Unit]:
    """``count`` drives, scenario by scenario, then the next draw of each; the next scenario lends its motion."""
    out = []
    for turn in range(count):
        file, other = files[turn % len(files)], files[(turn + 1) % len(files)]
        payload = {**fixed, "scenario": str(file), "other": str(other), "draw": turn // len(files), "turn": turn}
        told = [RECIPE, *ids.values(), fixed["seed"], file_hash(file), file_hash(other), payload["draw"], turn]
        out.append(Unit(content_hash(told)[:32], payload, f"{file.stem}, draw {payload['draw']}"))
    return out


def by_kind(results: Iterable[Mapping[str, Sequence[Mapping[str, float]]]]) -> ByKind:
    """Evidence of every kind of drive, whole ones first."""
    out: ByKind = {kind: [] for kind in (WHOLE, *WAYS)}
    for result in results:
        for kind, cases in result.items():
            out[kind] += [Evidence(**{name: known.get(name) for name in NAMES}) for known in cases]
    return out


def counted(drives: ByKind, limits: Thresholds) -> tuple[Caught, ...]:
    return tuple(Caught(kind, sum(bool(broken(one, limits)) for one in found), len(found)) for kind, found in drives.items())


def choose(drives: ByKind) -> Thresholds:
    """Half way between the strictest limits that let whole drives count and the loosest that catch enough of every kind.

    Of the whole drives 2 % may be void: those without which the limits catch most. Every measure starts at the strictest limit
    that voids none of the others, and is loosened notch by notch, all in turn, as long as `AIM` of what the strictest limits
    catch of every kind stays caught; then half of its notches are taken back, so that both sides of the limit have room for
    drives that are not among these. What is imperfect but not broken in any of these ways counts.
    Raises ValueError where a measure was never known.
    """
    drives = {**drives, WHOLE: _without_odd(drives)}
    ladders = {name: _ladder(name, drives) for name in NAMES}
    notch = dict.fromkeys(NAMES, 0)
    values = {kind: _values(found) for kind, found in drives.items() if kind != WHOLE and found}

    def spoken(kind: str, name: str) -> Array:
        column, limit = values[kind][name], ladders[name][notch[name]]
        return column < limit if name in LOWER_IS_WORSE else column > limit  # nan is never beyond

    def missed(kind: str) -> int:
        return int((~np.any([spoken(kind, name) for name in NAMES], axis=0)).sum())

    # a case that even the strictest limits miss stays missed, and pins no other measure
    allowed = {kind: missed(kind) + int((1.0 - AIM) * len(drives[kind])) for kind in values}
    free = list(NAMES)
    while free:
        for name in tuple(free):
            notch[name] += 1
            if any(missed(kind) > allowed[kind] for kind in values):
                notch[name] -= 1
                free.remove(name)
            elif notch[name] == NOTCHES:
                free.remove(name)
    return Thresholds(**{name: _rounded(ladders[name][notch[name] // 2], name) for name in NAMES})


def _without_odd(drives: ByKind) -> list[Evidence]:
    """The whole drives without the 2 % whose loss lets the strictest limits of the rest catch most, taken one by one."""
    kept = list(drives[WHOLE])
    cases = [_values(found) for kind, found in drives.items() if kind != WHOLE and found]

    def least_caught(whole: Sequence[Evidence]) -> tuple[float, float]:
        limits = {name: values for name in NAMES if (values := [one.known()[name] for one in whole if name in one.known()])}
        shares = []
        for columns in cases:
            beyond = [
                columns[name] < min(values) if name in LOWER_IS_WORSE else columns[name] > max(values)
                for name, values in limits.items()
            ]
            shares.append(float(np.any(beyond, axis=0).mean()))
        return min(shares, default=0.0), float(np.mean(shares)) if shares else 0.0

    for _ in range(int(MOST_FALSE_VOIDS * len(drives[WHOLE]))):
        rests = [kept[:i] + kept[i + 1 :] for i in range(len(kept))]
        kept = max(rests, key=least_caught)
    return kept


def _ladder(name: str, drives: ByKind) -> Array:
    """Limits from the strictest to one that no drive breaks, or to the outermost one [NOTCHES + 1]."""
    lower = name in LOWER_IS_WORSE
    whole = [one.known()[name] for one in drives[WHOLE] if name in one.known()]
    if not whole:
        raise ValueError(f"no reference drive tells anything about {name}")
    strictest = min(whole) if lower else max(*whole, INNERMOST.get(name, -np.inf))
    every = [one.known()[name] for found in drives.values() for one in found if name in one.known()]
    if lower:
        return np.linspace(strictest, min(strictest, OUTERMOST.get(name, 0.0)), NOTCHES + 1)
    loosest = max(strictest, min(OUTERMOST.get(name, np.inf), max(every)))
    return np.geomspace(strictest, loosest, NOTCHES + 1) if strictest > 0 else np.linspace(strictest, loosest, NOTCHES + 1)


def _values(found: Sequence[Evidence]) -> dict[str, Array]:
    return {name: np.array([one.known().get(name, np.nan) for one in found]) for name in NAMES}


def _rounded(value: float, name: str) -> float:
    """To three digits, towards the loose side."""
    scale = 10.0 ** (2 - np.floor(np.log10(abs(value)))) if value else 1.0
    towards = np.floor if name in LOWER_IS_WORSE else np.ceil
    return float(towards(value * scale) / scale)
